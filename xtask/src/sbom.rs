//! What the archive is made of: the software bill of materials and the licences of every part.

use crate::process::{Result, cargo, command, read, root};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A crate that is linked into the archive.
#[derive(Debug)]
struct Part {
    name: String,
    version: String,
    /// SPDX expression.
    licence: String,
    /// SHA-256 of the crate's file in the registry; our own crate has none.
    checksum: Option<String>,
    folder: PathBuf,
    /// References of the parts that it needs.
    needs: Vec<String>,
}

impl Part {
    fn reference(&self) -> String {
        reference(&self.name, &self.version)
    }
}

fn reference(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}

/// Bill of materials as CycloneDX 1.5 (ECMA-424) in JSON, and the licences of all parts as one text, for the library
/// as it is built for the Rust target `triple`. `models` are the packages that go with it.
pub(crate) fn bill(triple: &str, models: &[PathBuf]) -> Result<(String, String)> {
    let parts = parts(triple)?;
    let rustc = rustc()?;
    let document = cyclonedx(&parts, &rustc, models)?;
    let text = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())?;
    Ok((text + "\n", licences(&parts, &rustc)?))
}

/// The model packages of the repository.
pub(crate) fn models() -> Result<Vec<PathBuf>> {
    let folder = root().join("models");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .collect();
    found.sort();
    Ok(found)
}

/// Name, version and licence of every crate linked with the library.
#[cfg(test)]
pub(crate) fn linked(triple: &str) -> Result<Vec<[String; 3]>> {
    let others = parts(triple)?.into_iter().filter(|part| part.name != "tteview");
    Ok(others.map(|part| [part.name, part.version, part.licence]).collect())
}

/// The library and every crate linked with it, by name.
fn parts(triple: &str) -> Result<Vec<Part>> {
    // `cargo tree` knows which features the library alone has; the metadata knows the rest.
    let tree =
        read(cargo("tree -p tteview -e normal --prefix none --locked --format {p} --target").arg(triple))?;
    let linked: BTreeSet<(String, String)> = tree.lines().filter_map(named).collect();
    let metadata = read(cargo("metadata --format-version 1 --locked --filter-platform").arg(triple))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let lock =
        fs::read_to_string(root().join("Cargo.lock")).map_err(|error| format!("Cargo.lock: {error}"))?;
    let checksums = checksums(&lock);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut references = BTreeMap::new();
    let mut parts = Vec::new();
    for package in list(&metadata["packages"]) {
        let key = (text(&package["name"]), text(&package["version"]));
        if !linked.contains(&key) {
            continue;
        }
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        references.insert(text(&package["id"]), reference(&key.0, &key.1));
        parts.push(Part {
            checksum: checksums.get(&key).cloned(),
            licence: text(&package["license"]).replace('/', " OR "),
            folder: manifest.parent().unwrap_or(root()).to_owned(),
            needs: Vec::new(),
            name: key.0,
            version: key.1,
        });
    }
    for node in list(&metadata["resolve"]["nodes"]) {
        let Some(reference) = references.get(&text(&node["id"])) else { continue };
        let normal =
            |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let needs = list(&node["deps"])
            .iter()
            .filter(|dependency| normal(dependency))
            .filter_map(|dependency| references.get(&text(&dependency["pkg"])).cloned())
            .collect();
        if let Some(part) = parts.iter_mut().find(|part| part.reference() == *reference) {
            part.needs = needs;
        }
    }
    parts.sort_by_key(Part::reference);
    match parts.iter().find(|part| part.licence.is_empty()) {
        Some(part) => Err(format!("{} {} names no licence", part.name, part.version)),
        None => Ok(parts),
    }
}

/// Name and version in a line of `cargo tree`, as in `log v0.4.28`.
fn named(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

/// Checksums in `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let start = format!("{key} = \"");
        let line = package.lines().find_map(|line| line.strip_prefix(&start))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|p| Some(((value(p, "name")?, value(p, "version")?), value(p, "checksum")?)))
        .collect()
}

/// Version and sysroot of the compiler, whose standard library is linked too.
fn rustc() -> Result<(String, PathBuf)> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = read(&mut command(&program, ["--version"]))?;
    let sysroot = read(&mut command(&program, ["--print", "sysroot"]))?;
    let number = version.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok((number, PathBuf::from(sysroot.trim())))
}

fn cyclonedx(parts: &[Part], rustc: &(String, PathBuf), models: &[PathBuf]) -> Result<Value> {
    let component = |part: &Part| {
        let mut component = json!({
            "type": "library",
            "bom-ref": part.reference(),
            "name": part.name,
            "version": part.version,
            "purl": part.reference(),
            "licenses": [{ "expression": part.licence }],
        });
        if let Some(checksum) = &part.checksum {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    };
    let own =
        parts.iter().find(|part| part.name == "tteview").ok_or("the library is not among its own parts")?;
    let others = parts.iter().filter(|part| part.name != "tteview");
    let mut components: Vec<Value> = others.map(component).collect();
    components.push(json!({
        "type": "library",
        "bom-ref": "rust-std",
        "name": "Rust standard library",
        "version": rustc.0,
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    }));
    for model in models {
        let bytes = fs::read(model).map_err(|error| format!("{}: {error}", model.display()))?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        components.push(json!({
            "type": "machine-learning-model",
            "bom-ref": format!("model:{name}"),
            "name": name,
            "version": own.version,
            "licenses": [{ "expression": own.licence }],
            "hashes": [{ "alg": "SHA-256", "content": hash }],
        }));
    }
    let mut dependencies: Vec<Value> =
        parts.iter().map(|part| json!({ "ref": part.reference(), "dependsOn": part.needs })).collect();
    dependencies.push(json!({ "ref": "rust-std", "dependsOn": [] }));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(own) },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// Every part's own licence files, one after the other.
fn licences(parts: &[Part], rustc: &(String, PathBuf)) -> Result<String> {
    let mut text = String::from(
        "Licences of what libtteview.a is made of. Each part stands under the expression beside its name.\n",
    );
    let mut add = |name: &str, version: &str, licence: &str, folder: &Path| -> Result {
        text += &format!("\n{}\n{name} {version}: {licence}\n{}\n", "=".repeat(100), "=".repeat(100));
        let files = licence_files(folder)?;
        if files.is_empty() {
            text +=
                "\nIt ships no text of its own; the texts of MIT and Apache-2.0 stand beside this file.\n";
        }
        for file in files {
            let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            text += &format!("\n-- {name}\n\n{}\n", String::from_utf8_lossy(&bytes).trim_end());
        }
        Ok(())
    };
    for part in parts {
        add(&part.name, &part.version, &part.licence, &part.folder)?;
    }
    add("Rust standard library", &rustc.0, "MIT OR Apache-2.0", &rustc.1.join("share/doc/rust"))?;
    Ok(text)
}

/// Files of a crate that state its licence, by name.
fn licence_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
            let starts = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
            path.is_file() && starts.iter().any(|start| name.starts_with(start)) && !name.ends_with(".HTML")
        })
        .collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill_here() -> (Value, String) {
        let triple = read(&mut command("rustc", ["--print", "host-tuple"])).unwrap();
        let (sbom, licences) = bill(triple.trim(), &models().unwrap()).unwrap();
        (serde_json::from_str(&sbom).unwrap(), licences)
    }

    #[test]
    fn the_bill_names_what_is_linked_and_nothing_that_only_tests_or_builds() {
        let (sbom, licences) = bill_here();
        assert_eq!(sbom["metadata"]["component"]["name"], "tteview");
        let components = sbom["components"].as_array().unwrap();
        let names: BTreeSet<&str> = components.iter().map(|c| c["name"].as_str().unwrap()).collect();
        for linked in ["ort", "ort-sys", "rten", "sha2", "parking_lot", "Rust standard library"] {
            assert!(names.contains(linked), "{linked} is missing");
        }
        for other in ["criterion", "fast_image_resize", "proptest", "loom", "clap", "cbindgen", "xtask"] {
            assert!(!names.contains(other), "{other} is not linked");
        }
        assert!(names.iter().any(|name| name.ends_with(".stream.onnx")), "no model");
        for component in components {
            assert!(!component["licenses"][0]["expression"].as_str().unwrap().is_empty());
            if component["purl"].is_string() || component["type"] == "machine-learning-model" {
                assert_eq!(component["hashes"][0]["content"].as_str().unwrap().len(), 64, "{component}");
            }
            let name = component["name"].as_str().unwrap();
            let model = component["type"] == "machine-learning-model";
            assert!(model || licences.contains(&format!("\n{name} ")), "no licence of {name}");
        }
    }

    #[test]
    fn every_dependency_in_the_bill_is_one_of_its_components() {
        let (sbom, _) = bill_here();
        let own = &sbom["metadata"]["component"]["bom-ref"];
        let components = sbom["components"].as_array().unwrap();
        let known =
            |reference: &Value| reference == own || components.iter().any(|c| &c["bom-ref"] == reference);
        for dependency in sbom["dependencies"].as_array().unwrap() {
            assert!(known(&dependency["ref"]), "{dependency}");
            assert!(dependency["dependsOn"].as_array().unwrap().iter().all(known), "{dependency}");
        }
        let library = sbom["dependencies"].as_array().unwrap().iter().find(|d| &d["ref"] == own).unwrap();
        assert!(library["dependsOn"].as_array().unwrap().len() >= 8, "{library}");
    }
}
