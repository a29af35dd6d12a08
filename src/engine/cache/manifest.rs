//! The manifest of an entry, which lists the entry's files with their sizes and hashes.

use super::key::{Key, to_hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Format version of entries and engine files.
pub(super) const FORMAT: u32 = 1;

/// File name of the manifest in an entry.
pub(super) const MANIFEST_NAME: &str = "manifest";

/// Maximum size of a manifest in bytes.
pub(super) const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Maximum number of files in an entry. A provider writes one or more engines for each part of the
/// network, and a timing cache for all of them.
const MAX_FILES: usize = 256;

/// Origin of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    Built,
    Imported,
}

/// A file in an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// The manifest of an entry. The manifest file contains a line with the SHA-256 of the rest,
/// followed by readable JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u32,
    pub(super) source: Source,
    key: BTreeMap<String, String>,
    /// Files in the entry, sorted by name.
    pub(super) files: Vec<FileEntry>,
}

impl Manifest {
    pub(super) fn new(key: &Key, source: Source, mut files: Vec<FileEntry>) -> Self {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self { format: FORMAT, source, key: key.0.clone(), files }
    }

    pub(super) fn key(&self) -> Key {
        Key(self.key.clone())
    }

    pub(super) fn to_text(&self) -> String {
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{}\n{json}", to_hex(&Sha256::digest(&json)))
    }

    /// Reads and checks a manifest. Returns the reason as an error if the manifest is not valid.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "the manifest is not valid UTF-8")?;
        let (sha256, json) = text.split_once('\n').ok_or("the manifest is truncated")?;
        if sha256 != to_hex(&Sha256::digest(json)) {
            return Err("the content of the manifest has changed".into());
        }
        let manifest: Self =
            serde_json::from_str(json).map_err(|error| format!("the manifest: {error}"))?;
        if manifest.format != FORMAT {
            return Err(format!(
                "the format of the manifest must be {FORMAT}, got {}",
                manifest.format
            ));
        }
        let sorted = manifest.files.is_sorted_by(|a, b| a.name < b.name);
        if manifest.files.is_empty() || manifest.files.len() > MAX_FILES || !sorted {
            return Err("the manifest must list 1 to 256 files, sorted by name".into());
        }
        if let Some(file) = manifest.files.iter().find(|file| !is_plain_name(&file.name)) {
            return Err(format!(
                "the manifest lists {:?}, which is not a valid file name",
                file.name
            ));
        }
        Ok(manifest)
    }
}

/// Returns whether a name is a plain file name other than the manifest's name.
pub(super) fn is_plain_name(name: &str) -> bool {
    let is_ordinary = |c: char| c != '/' && c != '\\' && !c.is_control();
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && name != MANIFEST_NAME
        && name.chars().all(is_ordinary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn create_manifest() -> Manifest {
        let file = |name: &str| FileEntry {
            name: name.into(),
            size: 3,
            sha256: to_hex(&Sha256::digest("abc")),
        };
        Manifest::new(
            &Key::default().with("gpu", "Orin"),
            Source::Built,
            vec![file("b.timing"), file("a.engine")],
        )
    }

    #[test]
    fn every_flipped_bit_or_cut_is_noticed() {
        let text = create_manifest().to_text();
        assert_eq!(Manifest::from_bytes(text.as_bytes()), Ok(create_manifest()));
        for index in 0..text.len() {
            assert!(Manifest::from_bytes(&text.as_bytes()[..index]).is_err(), "cut at {index}");
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                assert!(Manifest::from_bytes(&bytes).is_err(), "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn other_formats_and_unsafe_names_are_refused() {
        let mut later = create_manifest();
        later.format += 1;
        assert!(
            Manifest::from_bytes(later.to_text().as_bytes())
                .unwrap_err()
                .contains("must be 1, got 2")
        );
        for name in
            ["", "..", ".hidden", "a/b", "/etc/passwd", "a\\b", "a\nb", "a\0b", MANIFEST_NAME]
        {
            let mut bad = create_manifest();
            bad.files.truncate(1);
            bad.files[0].name = name.into();
            assert!(Manifest::from_bytes(bad.to_text().as_bytes()).is_err(), "{name:?}");
        }
        let mut twice = create_manifest();
        twice.files[1].name = twice.files[0].name.clone();
        assert!(Manifest::from_bytes(twice.to_text().as_bytes()).is_err());
        let mut none = create_manifest();
        none.files.clear();
        assert!(Manifest::from_bytes(none.to_text().as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Manifest::from_bytes(&bytes);
            // Add a correct hash, so that the rest is parsed.
            let mut hashed = to_hex(&Sha256::digest(&bytes)).into_bytes();
            hashed.push(b'\n');
            hashed.extend(bytes);
            let _ = Manifest::from_bytes(&hashed);
        }
    }
}
