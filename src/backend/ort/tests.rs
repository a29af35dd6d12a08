//! Tests of the real NVIDIA providers on a machine without a GPU, and of frame steps with a fake
//! driver. If a file is missing, the provider's error must name the file.
//!
//! A process can load only one ONNX Runtime, and the dynamic loader reads its search path when the
//! process starts. Each test of a real provider therefore runs again in a child process.

mod frames;
mod gpu;
#[cfg(feature = "tensorrt-rtx")]
mod plugin;

use crate::engine::Engine;
use crate::engine::config::EngineConfig;
use crate::error::{Result, Status};
use crate::model::ModelPackage;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Environment variable with the path of the runtime library that a child process loads.
const RUNTIME_VARIABLE: &str = "TTEVIEW_TEST_RUNTIME";

/// Returns the path in an environment variable, which must be set.
fn path_from(variable: &str) -> PathBuf {
    let value = std::env::var_os(variable);
    let path = PathBuf::from(value.unwrap_or_else(|| panic!("set {variable}")));
    path.canonicalize().unwrap_or_else(|error| panic!("{variable}: {}: {error}", path.display()))
}

/// Creates an empty temporary folder.
fn create_folder(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tteview-gpu-{}-{test}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Returns the runtime library that this process must load, or `None` if it is not a child process.
fn runtime_of_child() -> Option<PathBuf> {
    std::env::var_os(RUNTIME_VARIABLE).map(PathBuf::from)
}

/// Runs the test `test` of the module `file` again in a child process, which searches for NVIDIA's
/// libraries in the folder `libraries`.
fn run_child(file: &str, test: &str, runtime: &Path, libraries: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("backend::ort::tests::{file}::{test}")])
        .args(["--include-ignored", "--nocapture"])
        .env(RUNTIME_VARIABLE, runtime)
        .env("LD_LIBRARY_PATH", libraries)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the child failed: {}", output.status);
    // A child also succeeds if it finds no test with this name, so check that it ran one.
    assert!(printed.contains("1 passed"), "the child ran no test");
}

/// Compiles `source` to the shared library `name` in `folder`, with the additional compiler options
/// `more`.
fn compile_library(folder: &Path, name: &str, source: &Path, more: &[String]) {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-w", "-shared", "-fPIC"]).arg(format!("-Wl,-soname,{name}")).args(more);
    command.arg("-o").arg(folder.join(name)).arg(source);
    assert!(command.status().expect("a C compiler").success());
}

/// Returns the functions that a library imports, with their symbol versions.
fn imported_functions(library: &Path) -> Vec<String> {
    let output =
        Command::new("nm").args(["-D", "--undefined-only"]).arg(library).output().expect("nm");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let functions = lines.lines().filter_map(|line| line.trim().strip_prefix("U "));
    functions.map(str::to_owned).collect()
}

/// Creates an engine for the test model on one provider.
fn create_engine(runtime: &Path, provider: &str, config: EngineConfig) -> Result<Engine> {
    let bytes = include_bytes!("../../../models/standin.stream.onnx").to_vec();
    let config = EngineConfig {
        providers: vec![provider.into()],
        runtime_library: Some(runtime.to_owned()),
        ..config
    };
    Engine::new(ModelPackage::from_bytes(bytes, None).unwrap(), &config)
}

/// Checks that the provider is refused and that the message contains each of `words`.
fn check_refused(runtime: &Path, provider: &str, words: &[&str]) {
    let result = create_engine(runtime, provider, EngineConfig::default());
    let error = result.err().expect("the provider is refused");
    println!("{error}");
    assert_eq!(error.status(), Status::ProviderUnavailable, "{error}");
    for word in words {
        assert!(error.message().contains(word), "{error} does not contain {word}");
    }
}
