//! Tests of NVIDIA's plug-in for TensorRT for RTX on a machine without a GPU, a driver or CUDA.
//!
//! The environment variable `TTEVIEW_ORT_DYLIB` must contain the path of ONNX Runtime, and
//! `TTEVIEW_RTX_DYLIB` that of the plug-in. The plug-in's folder must also contain TensorRT for RTX
//! and the CUDA runtime.

use super::{
    check_refused, compile_library, create_engine, create_folder, imported_functions, path_from,
    run_child, runtime_of_child,
};
use crate::backend::ort::plugin::LIBRARY;
use crate::engine::Engine;
use crate::engine::config::EngineConfig;
use crate::error::Status;
use crate::model::ModelPackage;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn find_plugin() -> PathBuf {
    path_from("TTEVIEW_RTX_DYLIB")
}

/// Creates a folder with ONNX Runtime and the plug-in. Returns the folder and the path of the
/// runtime.
fn create_installation(test: &str) -> (PathBuf, PathBuf) {
    let folder = create_folder(test);
    let runtime = folder.join("libonnxruntime.so");
    std::fs::copy(path_from("TTEVIEW_ORT_DYLIB"), &runtime).unwrap();
    symlink(find_plugin(), folder.join(LIBRARY)).unwrap();
    (folder, runtime)
}

/// Builds a stub library. The library defines the functions that the plug-in imports and whose
/// names begin with one of `prefixes`. Each function returns 100, CUDA's error code for a missing
/// GPU.
fn build_stub(folder: &Path, name: &str, prefixes: &[&str]) {
    let mut source = String::new();
    for symbol in imported_functions(&find_plugin()) {
        let function = symbol.split('@').next().unwrap();
        if prefixes.iter().any(|prefix| function.starts_with(prefix)) {
            source += &format!("long {function}(void) {{ return 100; }}\n");
        }
    }
    let file = folder.join("stub.c");
    std::fs::write(&file, source).unwrap();
    compile_library(folder, name, &file, &[]);
}

/// Creates links to TensorRT for RTX and the CUDA runtime, with the names that the loader looks up.
fn link_tensorrt_and_cuda(folder: &Path) {
    let plugin = find_plugin();
    for file in std::fs::read_dir(plugin.parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some((library, version)) = name.split_once(".so.") else { continue };
        let major = version.split('.').next().unwrap();
        symlink(&path, folder.join(format!("{library}.so.{major}"))).unwrap();
    }
    for name in ["libtensorrt_rtx.so.1", "libcudart.so.12"] {
        assert!(folder.join(name).exists(), "{name}");
    }
}

fn run_test(test: &str, runtime: &Path, folder: &Path) {
    run_child("plugin", test, runtime, folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB and TTEVIEW_RTX_DYLIB; `cargo xtask test --all` runs it"]
fn a_missing_plugin_is_named() {
    if let Some(runtime) = runtime_of_child() {
        return check_refused(
            &runtime,
            "tensorrt-rtx",
            &[LIBRARY, "into the folder of ONNX Runtime"],
        );
    }
    let (folder, runtime) = create_installation("rtx-bare");
    std::fs::remove_file(folder.join(LIBRARY)).unwrap();
    run_test("a_missing_plugin_is_named", &runtime, &folder);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB and TTEVIEW_RTX_DYLIB; `cargo xtask test --all` runs it"]
fn every_library_that_the_plugin_needs_is_named() {
    let Some(runtime) = runtime_of_child() else {
        let (folder, runtime) = create_installation("rtx-needs");
        return run_test("every_library_that_the_plugin_needs_is_named", &runtime, &folder);
    };
    let folder = runtime.parent().unwrap();
    check_refused(&runtime, "tensorrt-rtx", &["libcudart.so.12", "install that version of CUDA"]);
    // The loader searches again at every attempt, so it finds libraries that are added later.
    link_tensorrt_and_cuda(folder);
    std::fs::remove_file(folder.join("libtensorrt_rtx.so.1")).unwrap();
    check_refused(&runtime, "tensorrt-rtx", &["libcuda.so.1", "install the NVIDIA driver"]);
    let prefixes =
        ["cuCtx", "cuDes", "cuExt", "cuGet", "cuImp", "cuInit", "cuSig", "cuStr", "cuWait"];
    build_stub(folder, "libcuda.so.1", &prefixes);
    check_refused(&runtime, "tensorrt-rtx", &["libnvidia-ml.so.1", "install the NVIDIA driver"]);
    build_stub(folder, "libnvidia-ml.so.1", &["nvml"]);
    check_refused(&runtime, "tensorrt-rtx", &["libtensorrt_rtx.so.1", "TensorRT for RTX"]);
    std::fs::remove_file(folder.join("libtensorrt_onnxparser_rtx.so.1")).unwrap();
    std::fs::remove_file(folder.join("libcudart.so.12")).unwrap();
    link_tensorrt_and_cuda(folder);
    // The plug-in can be registered only once, so the second attempt must not register it again.
    for _ in 0..2 {
        check_refused(&runtime, "tensorrt-rtx", &[LIBRARY, "sees no GPU", "RTX"]);
    }
    check_next_provider();
}

/// Checks that the next provider in the host's list is used if the plug-in is not available.
fn check_next_provider() {
    let config = EngineConfig {
        providers: vec!["tensorrt-rtx".into(), "cpu".into()],
        options: vec![("nv_max_workspace_size".into(), "1073741824".into())],
        ..EngineConfig::default()
    };
    let bytes = include_bytes!("../../../../models/standin.stream.onnx").to_vec();
    let engine = Engine::new(ModelPackage::from_bytes(bytes, None).unwrap(), &config).unwrap();
    assert_eq!(engine.report().provider, "cpu");
    engine.prepare().unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_OLD_DYLIB; `cargo xtask test --all` runs it"]
fn a_runtime_without_plugins_is_too_old() {
    if let Some(runtime) = runtime_of_child() {
        let error = create_engine(&runtime, "cpu", EngineConfig::default()).err().expect("refused");
        assert_eq!(error.status(), Status::RuntimeTooOld, "{error}");
        assert!(error.message().contains("must be 1.22 or later"), "{error}");
        return;
    }
    let folder = create_folder("rtx-old");
    run_test("a_runtime_without_plugins_is_too_old", &path_from("TTEVIEW_ORT_OLD_DYLIB"), &folder);
}
