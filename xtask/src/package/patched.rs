//! The crates in `third_party/`, which are published crates with a patch.

use crate::paths::root;
use std::path::PathBuf;

/// A published crate of which the repository contains a patched copy.
pub(crate) struct PatchedCrate {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// SHA-256 hash of the published file in the registry.
    pub(crate) checksum: &'static str,
    /// Hash of the files in the published file; see the test of the step `style`.
    #[cfg(test)]
    pub(crate) files: &'static str,
}

/// The crates, sorted by name.
pub(crate) const PATCHED_CRATES: [PatchedCrate; 3] = [
    PatchedCrate {
        name: "openh264-sys2",
        version: "0.9.9",
        checksum: "414f5bd53da84e126dc9449eb6f0003bb6994b2de63c48119b0c9b7a8b28086a",
        #[cfg(test)]
        files: "90d01a44ea5e661c65b4f406cee66e5d6982dd15988020c4ef2993837f9ff4dd",
    },
    PatchedCrate {
        name: "rayon-core",
        version: "1.13.0",
        checksum: "22e18b0f0062d30d4230b2e85ff77fdfe4326feb054b9783a3460d8435c8ab91",
        #[cfg(test)]
        files: "cff2100a6fdf5098c7a1411cfc723a2e6a6cb08e96fa886041091f79e67e5561",
    },
    PatchedCrate {
        name: "rten",
        version: "0.27.0",
        checksum: "639c5d2ce961f3e154878d1d48c2ac3451e5a6ea5d9c0b0d5f0da362f4c57dab",
        #[cfg(test)]
        files: "23a2ff99760c37f059927a21d1942d4224b2ad96ef9525d1f22093d94d0e60f6",
    },
];

impl PatchedCrate {
    /// Returns the folder of the patched copy.
    #[cfg(test)]
    pub(crate) fn folder(&self) -> PathBuf {
        root().join("third_party").join(self.name)
    }

    /// Returns the path of the patch.
    pub(crate) fn patch(&self) -> PathBuf {
        root().join("third_party").join(format!("{}.patch", self.name))
    }
}

/// Returns the patched crate with this name, if there is one.
pub(crate) fn find_patched_crate(name: &str) -> Option<&'static PatchedCrate> {
    PATCHED_CRATES.iter().find(|patched| patched.name == name)
}
