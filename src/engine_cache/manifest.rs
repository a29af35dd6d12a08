//! What an entry of the cache holds, and the proof that it is whole.

use super::key::{Key, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Version of the layout of entries and of engine files.
pub(super) const FORMAT: u32 = 1;

/// The manifest's own name in an entry.
pub(super) const NAME: &str = "manifest";

/// Largest manifest, and most files of an entry: a provider writes an engine for each part of a graph, and a timing cache.
pub(super) const MOST_BYTES: u64 = 1 << 20;
const MOST_FILES: usize = 256;

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    Built,
    Imported,
}

/// A file of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// As text: a line with the SHA-256 of the rest, then JSON that a person can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u32,
    pub(super) source: Source,
    key: BTreeMap<String, String>,
    /// In the order of their names.
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
        format!("{}\n{json}", hex(&Sha256::digest(&json)))
    }

    /// Reads and checks a manifest; a sentence where it cannot be trusted.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "the manifest is not text")?;
        let (sha256, json) = text.split_once('\n').ok_or("the manifest is cut off")?;
        if sha256 != hex(&Sha256::digest(json)) {
            return Err("the manifest is not what was written".into());
        }
        let manifest: Self = serde_json::from_str(json).map_err(|error| format!("the manifest: {error}"))?;
        if manifest.format != FORMAT {
            return Err(format!("it has format {}, this is {FORMAT}", manifest.format));
        }
        let sorted = manifest.files.is_sorted_by(|a, b| a.name < b.name);
        if manifest.files.is_empty() || manifest.files.len() > MOST_FILES || !sorted {
            return Err("its list of files is empty, too long or not in order".into());
        }
        if let Some(file) = manifest.files.iter().find(|file| !is_plain(&file.name)) {
            return Err(format!("{:?} is no name of a file", file.name));
        }
        Ok(manifest)
    }
}

/// A name that stays in its folder and is not the manifest's.
pub(super) fn is_plain(name: &str) -> bool {
    let ordinary = |c: char| c != '/' && c != '\\' && !c.is_control();
    (1..=255).contains(&name.len()) && !name.starts_with('.') && name != NAME && name.chars().all(ordinary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest() -> Manifest {
        let file = |name: &str| FileEntry { name: name.into(), size: 3, sha256: hex(&Sha256::digest("abc")) };
        Manifest::new(
            &Key::default().with("gpu", "Orin"),
            Source::Built,
            vec![file("b.timing"), file("a.engine")],
        )
    }

    #[test]
    fn a_manifest_reads_back_and_any_flipped_bit_or_cut_is_seen() {
        let text = manifest().to_text();
        assert_eq!(Manifest::from_bytes(text.as_bytes()), Ok(manifest()));
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
    fn a_manifest_of_another_format_or_with_names_that_leave_the_folder_is_refused() {
        let mut later = manifest();
        later.format += 1;
        assert!(Manifest::from_bytes(later.to_text().as_bytes()).unwrap_err().contains("format 2"));
        for name in ["", "..", ".hidden", "a/b", "/etc/passwd", "a\\b", "a\nb", "a\0b", NAME] {
            let mut bad = manifest();
            bad.files.truncate(1);
            bad.files[0].name = name.into();
            assert!(Manifest::from_bytes(bad.to_text().as_bytes()).is_err(), "{name:?}");
        }
        let mut twice = manifest();
        twice.files[1].name = twice.files[0].name.clone();
        assert!(Manifest::from_bytes(twice.to_text().as_bytes()).is_err());
        let mut none = manifest();
        none.files.clear();
        assert!(Manifest::from_bytes(none.to_text().as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Manifest::from_bytes(&bytes);
            // With the hash right, so that what follows it is parsed.
            let mut hashed = hex(&Sha256::digest(&bytes)).into_bytes();
            hashed.push(b'\n');
            hashed.extend(bytes);
            let _ = Manifest::from_bytes(&hashed);
        }
    }
}
