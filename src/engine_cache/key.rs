//! What an engine was built for.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Everything that decides whether a built engine may be loaded here: names and values, none with a line break. Two
/// engines with the same key are interchangeable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) BTreeMap<String, String>);

impl Key {
    /// The same with one more part.
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The name of its folder: the SHA-256 of its text, one part a line in the order of the names.
    pub(crate) fn folder(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            let _ = writeln!(text, "{name} {value}");
        }
        hex(&Sha256::digest(text))
    }

    /// In words what is different in an engine `built` for something else; empty if nothing is.
    pub(crate) fn differences(&self, built: &Self) -> String {
        let parts = self.0.keys().chain(built.0.keys().filter(|name| !self.0.contains_key(*name)));
        let differs = |name: &&String| self.0.get(*name) != built.0.get(*name);
        let said = |key: &Self, name: &String| key.0.get(name).cloned().unwrap_or_else(|| "nothing".into());
        let words = parts
            .filter(differs)
            .map(|name| format!("built for {name} {}, here is {}", said(built, name), said(self, name)));
        words.collect::<Vec<_>>().join("; ")
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_the_folder_and_the_order_of_writing_does_not() {
        let key = Key::default().with("tensorrt", "10.3.0").with("gpu", "Orin");
        assert_eq!(key.folder(), Key::default().with("gpu", "Orin").with("tensorrt", "10.3.0").folder());
        assert_eq!(key.folder().len(), 64);
        for other in [
            key.clone().with("tensorrt", "10.3.1"),
            key.clone().with("gpu", "Orin NX"),
            key.clone().with("option trt_dla_enable", "1"),
            Key::default().with("gpu", "Orin"),
        ] {
            assert_ne!(key.folder(), other.folder(), "{other:?}");
        }
    }

    #[test]
    fn what_differs_is_said_part_by_part() {
        let here = Key::default().with("tensorrt", "10.7.0").with("gpu", "Orin");
        let built = Key::default().with("tensorrt", "10.3.0").with("gpu", "Orin").with("option a", "1");
        assert_eq!(
            here.differences(&built),
            "built for tensorrt 10.3.0, here is 10.7.0; built for option a 1, here is nothing"
        );
        assert_eq!(here.differences(&here), "");
    }
}
