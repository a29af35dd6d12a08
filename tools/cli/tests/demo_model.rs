//! The model that ships, on hearts that it was not trained with.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod common;

use common::{folder, tteview};
use serde_json::Value;
use std::fs::{metadata, read_to_string};
use std::path::Path;

const PACKAGES: [&str; 2] = ["models/demo.stream.onnx", "models/demo.clip.onnx"];

/// `docs/model.md` has the accuracy on hundreds of cines; this many are for a test that something broke the way.
#[test]
fn the_demo_model_knows_every_view_of_hearts_it_has_not_seen() {
    let folder = folder("demo_model");
    let set = folder.join("set");
    let options = ["--scanner", "training", "--seed", "990000", "--count", "2", "--seconds", "1.2"];
    let out = ["--split", "test", "--out", set.to_str().unwrap()];
    let outcome = tteview(["phantom"].iter().chain(&options).chain(&out));
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    for (package, least) in PACKAGES.into_iter().zip([40, 38]) {
        let out = folder.join(if package.contains("stream") { "stream" } else { "clip" });
        let manifest = set.join("manifest.csv");
        let [manifest, judged] = [&manifest, &out].map(|path| path.to_str().unwrap());
        let outcome =
            tteview(["eval", "--changes", "0", "--manifest", manifest, "--model", package, "--out", judged]);
        assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
        let found: Value = serde_json::from_str(&read_to_string(out.join("metrics.json")).unwrap()).unwrap();
        assert_eq!(found["cines"], 42);
        let right = found["headline"]["accuracy"]["value"].as_f64().unwrap() * 42.0;
        assert!(right.round() as u32 >= least, "{package}: {right} of 42 cines");
    }
}

#[test]
fn the_packages_are_no_larger_than_they_may_be() {
    for package in PACKAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(package);
        assert!(metadata(path).unwrap().len() <= 8_000_000, "{package}");
    }
}
