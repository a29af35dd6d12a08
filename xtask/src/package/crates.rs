//! The crates that are linked into the static library.

use crate::files::read_text;
use crate::paths::root;
use crate::process::{Result, cargo, command, read_output, rustc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A crate that is linked into the static library.
#[derive(Debug, Clone)]
pub(crate) struct LinkedCrate {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression of the licence.
    pub(crate) licence: String,
    /// SHA-256 hash of the crate's file in the registry. It is `None` for a crate of this
    /// repository.
    pub(crate) checksum: Option<String>,
    /// The folder that contains the crate's sources.
    pub(crate) folder: PathBuf,
    /// The [`Self::reference`] of each linked crate that this crate depends on.
    pub(crate) dependencies: Vec<String>,
}

impl LinkedCrate {
    /// Returns the package URL, which identifies the crate in a bill of materials.
    pub(crate) fn reference(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }

    /// Returns whether this is the library itself.
    pub(crate) fn is_library(&self) -> bool {
        self.name == "tteview"
    }
}

/// The Rust standard library, which is linked too.
#[derive(Debug, Clone)]
pub(crate) struct StandardLibrary {
    pub(crate) version: String,
    /// The folder with its licence files.
    pub(crate) licences: PathBuf,
}

/// SPDX expression of the Rust standard library's licence.
pub(crate) const STANDARD_LIBRARY_LICENCE: &str = "MIT OR Apache-2.0";

/// Returns the Rust standard library that the compiler links.
pub(crate) fn read_standard_library() -> Result<StandardLibrary> {
    let version = read_output(&mut command(rustc(), ["--version"]))?;
    let sysroot = read_output(&mut command(rustc(), ["--print", "sysroot"]))?;
    let version = version.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok(StandardLibrary { version, licences: PathBuf::from(sysroot.trim()).join("share/doc/rust") })
}

/// Returns the library and all crates that are linked with it on the Rust target `triple`, sorted.
pub(crate) fn list_linked_crates(triple: &str) -> Result<Vec<LinkedCrate>> {
    list_crates_of("-p tteview -e normal", triple)
}

/// Returns the crates that `cargo tree` lists with these options, sorted.
pub(super) fn list_crates_of(options: &str, triple: &str) -> Result<Vec<LinkedCrate>> {
    // The list comes from `cargo tree`, because only this command resolves the features for this
    // one package. Everything else comes from `cargo metadata`.
    let options = format!("tree {options} --prefix none --locked --format {{p}} --target");
    let tree = read_output(cargo(&options).arg(triple))?;
    let linked: BTreeSet<(String, String)> = tree.lines().filter_map(parse_tree_line).collect();
    let options = "metadata --format-version 1 --locked --filter-platform";
    let metadata = read_output(cargo(options).arg(triple))?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| format!("output of cargo metadata: {error}"))?;
    let checksums = parse_checksums(&read_text(&root().join("Cargo.lock"))?);
    let mut references = BTreeMap::new();
    let mut crates = Vec::new();
    for package in list(&metadata["packages"]) {
        let key = (text(&package["name"]), text(&package["version"]));
        if !linked.contains(&key) {
            continue;
        }
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let linked_crate = LinkedCrate {
            checksum: checksums.get(&key).cloned(),
            licence: text(&package["license"]).replace('/', " OR "),
            folder: manifest.parent().unwrap_or(root()).to_owned(),
            dependencies: Vec::new(),
            name: key.0,
            version: key.1,
        };
        if linked_crate.licence.is_empty() {
            return Err(format!("{} {} names no licence", linked_crate.name, linked_crate.version));
        }
        references.insert(text(&package["id"]), linked_crate.reference());
        crates.push(linked_crate);
    }
    for node in list(&metadata["resolve"]["nodes"]) {
        let Some(reference) = references.get(&text(&node["id"])) else { continue };
        if let Some(linked_crate) = crates.iter_mut().find(|entry| entry.reference() == *reference)
        {
            linked_crate.dependencies = list(&node["deps"])
                .into_iter()
                .filter(is_normal)
                .filter_map(|dependency| references.get(&text(&dependency["pkg"])).cloned())
                .collect();
        }
    }
    crates.sort_by_key(LinkedCrate::reference);
    Ok(crates)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Returns whether a dependency is linked. Build and test dependencies are not linked.
fn is_normal(dependency: &Value) -> bool {
    list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null())
}

/// Returns the name and the version in a line of `cargo tree`, such as `log v0.4.28`.
fn parse_tree_line(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

/// Returns the checksums in a `Cargo.lock` file, keyed by crate name and version.
fn parse_checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let start = format!("{key} = \"");
        let line = package.lines().find_map(|line| line.strip_prefix(&start))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|package| {
            Some((
                (value(package, "name")?, value(package, "version")?),
                value(package, "checksum")?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_lines_have_a_name_and_a_version() {
        assert_eq!(parse_tree_line("log v0.4.28"), Some(("log".into(), "0.4.28".into())));
        assert_eq!(
            parse_tree_line("tteview v0.1.0 (/a)"),
            Some(("tteview".into(), "0.1.0".into()))
        );
        assert_eq!(parse_tree_line(""), None);
    }

    #[test]
    fn checksums_are_read_for_crates_that_have_one() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"12\"\n\n\
                    [[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
        let checksums = parse_checksums(lock);
        assert_eq!(checksums.len(), 1);
        assert_eq!(checksums[&("a".into(), "1.0.0".into())], "12");
    }
}
