//! Tests of `tteview doctor`.

mod common;

use common::{create_folder, run_tteview};
use serde_json::Value;

fn parse_findings(text: &str) -> (Vec<Value>, bool) {
    let value: Value = serde_json::from_str(text).unwrap();
    (value["findings"].as_array().unwrap().clone(), value["runs"].as_bool().unwrap())
}

fn find<'a>(found: &'a [Value], name: &str) -> &'a Value {
    found
        .iter()
        .find(|finding| finding["name"] == name)
        .unwrap_or_else(|| panic!("{name} must be in {found:?}"))
}

#[test]
fn doctor_runs_the_embedded_provider() {
    let outcome = run_tteview(["doctor", "--json"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let (found, runs) = parse_findings(&outcome.stdout);
    assert!(runs);
    let embedded = find(&found, "provider embedded");
    assert_eq!(embedded["state"], "ok");
    assert!(embedded["text"].as_str().unwrap().contains("ms per step"), "{embedded}");
    for name in ["system", "memory", "driver", "clocks"] {
        assert!(!find(&found, name)["text"].as_str().unwrap().is_empty());
    }
}

#[test]
fn doctor_reports_a_damaged_provider_library() {
    // Copies of the program `tteview` replace ONNX Runtime and one provider library. The check of
    // the libraries accepts these copies, because every library that `tteview` needs is installed.
    let folder = create_folder("doctor");
    let program = env!("CARGO_BIN_EXE_tteview");
    for file in ["libonnxruntime.so", "libonnxruntime_providers_cuda.so"] {
        std::fs::copy(program, folder.join(file)).unwrap();
    }
    std::fs::write(folder.join("libonnxruntime_providers_tensorrt.so"), "half a file").unwrap();
    let runtime = folder.join("libonnxruntime.so");
    let outcome = run_tteview(["doctor", "--json", "--runtime", runtime.to_str().unwrap()]);
    let (found, _) = parse_findings(&outcome.stdout);
    assert_eq!(find(&found, "onnxruntime")["state"], "ok");
    assert_eq!(find(&found, "cuda library")["state"], "ok");
    let damaged = find(&found, "tensorrt library");
    assert_eq!(damaged["state"], "PROBLEM");
    assert!(
        damaged["text"].as_str().unwrap().contains("libonnxruntime_providers_tensorrt.so"),
        "{damaged}"
    );
    assert!(damaged["advice"].as_str().unwrap().contains("install"), "{damaged}");
    // The copy of `tteview` is not an ONNX Runtime library, so the provider reports that it cannot
    // use the file.
    let cpu = find(&found, "provider cpu");
    assert_eq!(cpu["state"], "PROBLEM");
    assert!(cpu["text"].as_str().unwrap().contains("libonnxruntime.so"), "{cpu}");
}

#[test]
fn doctor_checks_the_engine_cache_and_leaves_no_file() {
    let folder = create_folder("doctor-cache");
    let missing = folder.join("engines");
    let run_doctor = |path: &std::path::Path| {
        let outcome = run_tteview(["doctor", "--json", "--engine-cache", path.to_str().unwrap()]);
        assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
        parse_findings(&outcome.stdout).0
    };
    assert_eq!(find(&run_doctor(&missing), "engine cache")["state"], "none");
    assert!(!missing.exists(), "doctor must not create the folder");
    let engine = missing.join("ab".repeat(32));
    std::fs::create_dir_all(&engine).unwrap();
    std::fs::write(engine.join("manifest"), "not a manifest").unwrap();
    let found = run_doctor(&missing);
    assert_eq!(find(&found, "engine cache")["state"], "ok");
    let damaged = find(&found, "engine abababababab");
    assert_eq!(damaged["state"], "PROBLEM");
    assert!(damaged["text"].as_str().unwrap().contains("manifest"), "{damaged}");
    assert!(damaged["advice"].as_str().unwrap().contains(engine.to_str().unwrap()), "{damaged}");
    let file = folder.join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(find(&run_doctor(&file), "engine cache")["state"], "PROBLEM");
    let names: Vec<_> = std::fs::read_dir(&missing).unwrap().collect();
    assert_eq!(names.len(), 1, "doctor must not leave a file");
}
