//! Tests of the demo model on hearts that are not in its training set.

mod common;

use common::{create_folder, run_tteview};
use serde_json::Value;
use std::fs::{metadata, read_to_string};
use std::path::Path;

const PACKAGES: [&str; 2] = ["models/demo.stream.onnx", "models/demo.clip.onnx"];

/// The few cines of this test only show whether something is broken. `docs/model/demo-model.md`
/// gives the accuracy on hundreds of cines.
#[test]
fn the_demo_model_labels_every_view_of_unseen_hearts() {
    let folder = create_folder("demo_model");
    let set = folder.join("set");
    let options = ["--scanner", "training", "--seed", "990000", "--count", "2", "--seconds", "1.2"];
    let out = ["--split", "test", "--out", set.to_str().unwrap()];
    let outcome = run_tteview(["phantom"].iter().chain(&options).chain(&out));
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    for (package, smallest) in PACKAGES.into_iter().zip([40, 38]) {
        let out = folder.join(if package.contains("stream") { "stream" } else { "clip" });
        let manifest = set.join("manifest.csv");
        let [manifest, results] = [&manifest, &out].map(|path| path.to_str().unwrap());
        let outcome = run_tteview([
            "eval",
            "--changes",
            "0",
            "--manifest",
            manifest,
            "--model",
            package,
            "--out",
            results,
        ]);
        assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
        let found: Value =
            serde_json::from_str(&read_to_string(out.join("metrics.json")).unwrap()).unwrap();
        assert_eq!(found["cines"], 42);
        let correct = found["headline"]["accuracy"]["value"].as_f64().unwrap() * 42.0;
        assert!(correct.round() as u32 >= smallest, "{package}: {correct} of 42 cines");
    }
}

#[test]
fn the_demo_packages_are_at_most_8_megabytes() {
    for package in PACKAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(package);
        assert!(metadata(path).unwrap().len() <= 8_000_000, "{package}");
    }
}
