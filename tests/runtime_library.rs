//! Runtime libraries that will not do: an error that names the file and the reason, and the process goes on.
#![cfg(feature = "ort")]

use std::path::{Path, PathBuf};
use std::process::Command;
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig, Error, Status};

fn refused(library: &Path) -> Error {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = ModelPackage::from_path(&root.join("models/standin.stream.onnx"), None).unwrap();
    let config = EngineConfig {
        providers: vec!["cpu".into()],
        runtime_library: Some(library.to_owned()),
        ..EngineConfig::default()
    };
    let error = Engine::new(package, &config).err().expect("refused");
    assert!(error.message().contains(&library.display().to_string()), "{error}");
    error
}

/// Builds `tests/c/fake_runtime.c`.
fn fake(name: &str, define: &str) -> PathBuf {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lib{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/fake_runtime.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", define, "-o"]).arg(&library).arg(source);
    assert!(command.status().expect("a C compiler").success());
    library
}

#[test]
fn a_library_that_is_not_there_is_missing() {
    let error = refused(Path::new("/nowhere/libonnxruntime.so"));
    assert_eq!(error.status(), Status::RuntimeMissing);
    assert!(error.message().contains("No such file"), "{error}");
}

#[test]
fn a_name_that_the_loader_does_not_find_is_missing() {
    let error = refused(Path::new("libonnxruntime-of-nobody.so"));
    assert_eq!(error.status(), Status::RuntimeMissing);
    assert!(error.message().contains("No such file"), "{error}");
}

#[test]
fn a_text_file_is_no_library() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("text.so");
    std::fs::write(&path, "not a library\n").unwrap();
    let error = refused(&path);
    assert_eq!(error.status(), Status::RuntimeMissing);
    // The loader's own words, which depend on the system, follow the name.
    assert!(error.message().len() > path.display().to_string().len() + 10, "{error}");
}

#[test]
fn a_library_of_something_else_is_not_onnx_runtime() {
    let error = refused(Path::new("libm.so.6"));
    assert_eq!(error.status(), Status::RuntimeMissing);
    assert!(error.message().contains("OrtGetApiBase"), "{error}");
}

#[test]
fn a_library_that_only_looks_like_onnx_runtime_is_refused_without_a_panic() {
    let error = refused(&fake("no_base", "-DNOTHING"));
    assert_eq!(error.status(), Status::RuntimeMissing);
}

#[test]
fn an_old_library_is_refused_with_its_version_and_the_one_needed() {
    for (name, version) in [("old", "1.10.0"), ("old_api", "1.20.0")] {
        let error = refused(&fake(name, &format!("-DVERSION=\"{version}\"")));
        assert_eq!(error.status(), Status::RuntimeTooOld);
        assert!(error.message().contains(version) && error.message().contains("1.18"), "{error}");
    }
}
