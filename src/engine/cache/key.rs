//! The key of an engine, which identifies what the engine was built for.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Everything that determines whether a built engine can be loaded on this device, as names and
/// values without line breaks. Two engines with the same key are interchangeable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) BTreeMap<String, String>);

impl Key {
    /// Adds a name and its value.
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Returns the name of the folder for this key. It is the SHA-256 of a string that contains one
    /// line for each name and its value, sorted by name.
    pub(crate) fn folder(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            let _ = writeln!(text, "{name} {value}");
        }
        to_hex(&Sha256::digest(text))
    }

    /// Describes how the key `built` of another engine differs from this key. The result is empty
    /// if the keys are equal.
    pub(crate) fn differences(&self, built: &Self) -> String {
        let names = self.0.keys().chain(built.0.keys().filter(|name| !self.0.contains_key(*name)));
        let differs = |name: &&String| self.0.get(*name) != built.0.get(*name);
        let value_of = |key: &Self, name: &String| {
            key.0.get(name).cloned().unwrap_or_else(|| "nothing".into())
        };
        let describe = |name: &String| {
            let (built, here) = (value_of(built, name), value_of(self, name));
            format!("the engine was built for {name} {built}, this device has {here}")
        };
        names.filter(differs).map(describe).collect::<Vec<_>>().join("; ")
    }
}

/// Formats bytes in lower-case hexadecimal.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_value_changes_the_folder() {
        let key = Key::default().with("tensorrt", "10.3.0").with("gpu", "Orin");
        assert_eq!(
            key.folder(),
            Key::default().with("gpu", "Orin").with("tensorrt", "10.3.0").folder()
        );
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
    fn differences_are_listed_by_name() {
        let here = Key::default().with("tensorrt", "10.7.0").with("gpu", "Orin");
        let built =
            Key::default().with("tensorrt", "10.3.0").with("gpu", "Orin").with("option a", "1");
        assert_eq!(
            here.differences(&built),
            "the engine was built for tensorrt 10.3.0, this device has 10.7.0; \
             the engine was built for option a 1, this device has nothing"
        );
        assert_eq!(here.differences(&here), "");
    }
}
