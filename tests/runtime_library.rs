//! Tests with files that cannot be used as the ONNX Runtime library. The error must name the file
//! and the reason.
#![cfg(feature = "ort")]

mod common;

use common::load_package;
use std::path::{Path, PathBuf};
use std::process::Command;
use tteview::{Engine, EngineConfig, Error, Status};

fn refuse(library: &Path) -> Error {
    let config = EngineConfig {
        providers: vec!["cpu".into()],
        runtime_library: Some(library.to_owned()),
        ..EngineConfig::default()
    };
    let error = Engine::new(load_package("standin.stream.onnx"), &config).err().expect("refused");
    assert!(error.message().contains(&library.display().to_string()), "{error}");
    error
}

/// Builds `tests/c/fake_runtime.c`.
fn build_fake_runtime(name: &str, define: &str) -> PathBuf {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lib{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/fake_runtime.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", define, "-o"]).arg(&library).arg(source);
    assert!(command.status().expect("a C compiler").success());
    library
}

#[test]
fn a_file_that_does_not_exist_is_missing() {
    for library in ["/nowhere/libonnxruntime.so", "libonnxruntime-missing.so"] {
        let error = refuse(Path::new(library));
        assert_eq!(error.status(), Status::RuntimeMissing);
        assert!(error.message().contains("No such file"), "{error}");
    }
}

#[test]
fn a_text_file_is_refused_with_the_reason_of_the_loader() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("text.so");
    std::fs::write(&path, "not a library\n").unwrap();
    let error = refuse(&path);
    assert_eq!(error.status(), Status::RuntimeMissing);
    // The dynamic loader's message follows the file name. The message depends on the system, so
    // only its length is checked.
    assert!(error.message().len() > path.display().to_string().len() + 10, "{error}");
}

#[test]
fn another_library_is_refused_by_the_missing_function() {
    let error = refuse(Path::new("libm.so.6"));
    assert_eq!(error.status(), Status::RuntimeMissing);
    assert!(error.message().contains("OrtGetApiBase"), "{error}");
}

#[test]
fn a_library_without_an_api_is_refused() {
    let error = refuse(&build_fake_runtime("no_base", "-DNOTHING"));
    assert_eq!(error.status(), Status::RuntimeMissing);
}

#[test]
fn an_old_library_is_refused_with_both_versions() {
    for (name, version) in [("old", "1.10.0"), ("old_api", "1.20.0")] {
        let error = refuse(&build_fake_runtime(name, &format!("-DVERSION=\"{version}\"")));
        assert_eq!(error.status(), Status::RuntimeTooOld);
        assert!(error.message().contains(version) && error.message().contains("1.18"), "{error}");
    }
}
