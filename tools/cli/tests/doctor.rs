//! `tteview doctor`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

mod common;

use common::{folder, tteview};
use serde_json::Value;

fn findings(text: &str) -> (Vec<Value>, bool) {
    let value: Value = serde_json::from_str(text).unwrap();
    (value["findings"].as_array().unwrap().clone(), value["runs"].as_bool().unwrap())
}

fn finding<'a>(found: &'a [Value], name: &str) -> &'a Value {
    found.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name} in {found:?}"))
}

#[test]
fn doctor_runs_the_embedded_provider_and_says_so() {
    let outcome = tteview(["doctor", "--json"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let (found, runs) = findings(&outcome.stdout);
    assert!(runs);
    let embedded = finding(&found, "provider embedded");
    assert_eq!(embedded["state"], "ok");
    assert!(embedded["text"].as_str().unwrap().contains("ms a step"), "{embedded}");
    for name in ["system", "memory", "driver", "clocks"] {
        assert!(!finding(&found, name)["text"].as_str().unwrap().is_empty());
    }
}

#[test]
fn doctor_says_what_a_provider_library_lacks_and_what_brings_it() {
    // A real library stands for the runtime, and a copy of the program for a provider: what it needs is here.
    let folder = folder("doctor");
    let program = env!("CARGO_BIN_EXE_tteview");
    for file in ["libonnxruntime.so", "libonnxruntime_providers_cuda.so"] {
        std::fs::copy(program, folder.join(file)).unwrap();
    }
    std::fs::write(folder.join("libonnxruntime_providers_tensorrt.so"), "half a file").unwrap();
    let runtime = folder.join("libonnxruntime.so");
    let outcome = tteview(["doctor", "--json", "--runtime", runtime.to_str().unwrap()]);
    let (found, _) = findings(&outcome.stdout);
    assert_eq!(finding(&found, "onnxruntime")["state"], "ok");
    assert_eq!(finding(&found, "cuda library")["state"], "ok");
    let torn = finding(&found, "tensorrt library");
    assert_eq!(torn["state"], "PROBLEM");
    assert!(torn["text"].as_str().unwrap().contains("libonnxruntime_providers_tensorrt.so"), "{torn}");
    assert!(torn["advice"].as_str().unwrap().contains("install"), "{torn}");
    // The program is no runtime, and the provider says so in the library's own words.
    let cpu = finding(&found, "provider cpu");
    assert_eq!(cpu["state"], "PROBLEM");
    assert!(cpu["text"].as_str().unwrap().contains("libonnxruntime.so"), "{cpu}");
}

#[test]
fn doctor_looks_into_the_engine_cache() {
    let folder = folder("doctor-cache");
    let missing = folder.join("engines");
    let looked = |path: &std::path::Path| {
        let outcome = tteview(["doctor", "--json", "--engine-cache", path.to_str().unwrap()]);
        assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
        findings(&outcome.stdout).0
    };
    assert_eq!(finding(&looked(&missing), "engine cache")["state"], "none");
    assert!(!missing.exists(), "a look makes no folder");
    let engine = missing.join("ab".repeat(32));
    std::fs::create_dir_all(&engine).unwrap();
    std::fs::write(engine.join("manifest"), "of nobody").unwrap();
    let found = looked(&missing);
    assert_eq!(finding(&found, "engine cache")["state"], "ok");
    let damaged = finding(&found, "engine abababababab");
    assert_eq!(damaged["state"], "PROBLEM");
    assert!(damaged["text"].as_str().unwrap().contains("manifest"), "{damaged}");
    assert!(damaged["advice"].as_str().unwrap().contains(engine.to_str().unwrap()), "{damaged}");
    let file = folder.join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(finding(&looked(&file), "engine cache")["state"], "PROBLEM");
    let names: Vec<_> = std::fs::read_dir(&missing).unwrap().collect();
    assert_eq!(names.len(), 1, "a look leaves nothing");
}
