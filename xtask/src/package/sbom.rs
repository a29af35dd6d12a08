//! The bill of materials of the static library, in the CycloneDX 1.5 format (ECMA-424).

use super::crates::{LinkedCrate, STANDARD_LIBRARY_LICENCE, read_standard_library};
use super::patched::find_patched_crate;
use crate::files::{read_bytes, read_text};
use crate::process::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Returns the bill of materials as JSON. It lists the linked crates, the Rust standard library and
/// the model packages.
pub(super) fn write_sbom(crates: &[LinkedCrate], models: &[PathBuf]) -> Result<String> {
    let library = crates.iter().find(|entry| entry.is_library());
    let library = library.ok_or("the linked crates do not include the library")?;
    let others = crates.iter().filter(|entry| !entry.is_library());
    let mut components = others.map(describe_crate).collect::<Result<Vec<Value>>>()?;
    components.push(json!({
        "type": "library",
        "bom-ref": "rust-std",
        "name": "Rust standard library",
        "version": read_standard_library()?.version,
        "licenses": [{ "expression": STANDARD_LIBRARY_LICENCE }],
    }));
    for model in models {
        components.push(describe_model(model, library)?);
    }
    let mut dependencies: Vec<Value> = crates
        .iter()
        .map(|entry| json!({ "ref": entry.reference(), "dependsOn": entry.dependencies }))
        .collect();
    dependencies.push(json!({ "ref": "rust-std", "dependsOn": [] }));
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": describe_crate(library)? },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(format!("{document:#}\n"))
}

/// Describes a crate. A patched crate has the published crate as its ancestor, and contains the
/// patch.
fn describe_crate(linked_crate: &LinkedCrate) -> Result<Value> {
    let mut component = json!({
        "type": "library",
        "bom-ref": linked_crate.reference(),
        "name": linked_crate.name,
        "version": linked_crate.version,
        "purl": linked_crate.reference(),
        "licenses": [{ "expression": linked_crate.licence }],
    });
    if let Some(patched) = find_patched_crate(&linked_crate.name) {
        let patch = read_text(&patched.patch())?;
        component["pedigree"] = json!({
            "ancestors": [{
                "type": "library",
                "name": patched.name,
                "version": patched.version,
                "purl": linked_crate.reference(),
                "hashes": [{ "alg": "SHA-256", "content": patched.checksum }],
            }],
            "patches": [{ "type": "unofficial", "diff": { "text": { "content": patch } } }],
        });
    }
    if let Some(checksum) = &linked_crate.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    Ok(component)
}

/// Describes a model package, which has the version and the licence of the library.
fn describe_model(model: &Path, library: &LinkedCrate) -> Result<Value> {
    let digest = Sha256::digest(read_bytes(model)?);
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    Ok(json!({
        "type": "machine-learning-model",
        "bom-ref": format!("model:{name}"),
        "name": name,
        "version": library.version,
        "licenses": [{ "expression": library.licence }],
        "hashes": [{ "alg": "SHA-256", "content": hash }],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::crates::list_linked_crates;
    use crate::paths::root;
    use crate::process::read_host_triple;
    use std::collections::BTreeSet;

    const MODEL: &str = "standin.stream.onnx";

    fn write_native_sbom() -> Value {
        let crates = list_linked_crates(&read_host_triple().unwrap()).unwrap();
        let text = write_sbom(&crates, &[root().join("models").join(MODEL)]).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn sbom_names_what_is_linked_and_nothing_else() {
        let sbom = write_native_sbom();
        assert_eq!(sbom["metadata"]["component"]["name"], "tteview");
        let components = sbom["components"].as_array().unwrap();
        let names: BTreeSet<&str> =
            components.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        for linked in
            ["ort", "ort-sys", "rten", "sha2", "parking_lot", "Rust standard library", MODEL]
        {
            assert!(names.contains(linked), "{linked} is missing");
        }
        for other in ["criterion", "fast_image_resize", "proptest", "loom", "clap", "xtask"] {
            assert!(!names.contains(other), "{other} is not linked");
        }
    }

    #[test]
    fn components_have_a_licence_and_a_hash() {
        let sbom = write_native_sbom();
        for component in sbom["components"].as_array().unwrap() {
            assert!(!component["licenses"][0]["expression"].as_str().unwrap().is_empty());
            let ancestor = &component["pedigree"]["ancestors"][0];
            let hashed = if ancestor.is_null() { component } else { ancestor };
            if component["bom-ref"] != "rust-std" {
                let hash = hashed["hashes"][0]["content"].as_str().unwrap();
                assert_eq!(hash.len(), 64, "{component}");
            }
        }
    }

    #[test]
    fn every_dependency_is_a_component() {
        let sbom = write_native_sbom();
        let library = &sbom["metadata"]["component"]["bom-ref"];
        let components = sbom["components"].as_array().unwrap();
        let is_known = |reference: &Value| {
            reference == library || components.iter().any(|entry| &entry["bom-ref"] == reference)
        };
        let dependencies = sbom["dependencies"].as_array().unwrap();
        for dependency in dependencies {
            assert!(is_known(&dependency["ref"]), "{dependency}");
            assert!(
                dependency["dependsOn"].as_array().unwrap().iter().all(is_known),
                "{dependency}"
            );
        }
        let own = dependencies.iter().find(|entry| &entry["ref"] == library).unwrap();
        assert!(own["dependsOn"].as_array().unwrap().len() >= 8, "{own}");
    }
}
