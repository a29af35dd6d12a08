//! NVIDIA's own plug-in library on a machine without GPU, driver and CUDA: what is missing is named, one after the other.
//! `TTEVIEW_ORT_DYLIB` names the ONNX Runtime, `TTEVIEW_RTX_DYLIB` the plug-in, which lies in a folder with TensorRT for RTX.

use super::gpu_tests::{compile, engine, folder, imported, play, played, refused};
use super::plugin::LIBRARY;
use crate::engine::EngineConfig;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn named(variable: &str) -> PathBuf {
    let path =
        PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} names nothing")));
    path.canonicalize().unwrap()
}

/// A folder with an ONNX Runtime and the plug-in; the runtime in it.
fn installed(test: &str) -> (PathBuf, PathBuf) {
    let folder = folder(test);
    let runtime = folder.join("libonnxruntime.so");
    std::fs::copy(named("TTEVIEW_ORT_DYLIB"), &runtime).unwrap();
    symlink(named("TTEVIEW_RTX_DYLIB"), folder.join(LIBRARY)).unwrap();
    (folder, runtime)
}

/// Builds a library of all the functions with these beginnings that the plug-in imports; each says that there is nothing.
fn stub(folder: &Path, name: &str, beginnings: &[&str]) {
    let mut source = String::new();
    for symbol in imported(&named("TTEVIEW_RTX_DYLIB")) {
        let function = symbol.split('@').next().unwrap();
        if beginnings.iter().any(|beginning| function.starts_with(beginning)) {
            source += &format!("long {function}(void) {{ return 100; }}\n");
        }
    }
    let file = folder.join("stub.c");
    std::fs::write(&file, source).unwrap();
    compile(folder, name, &file, &[]);
}

/// TensorRT for RTX by the names that the loader looks for, and a CUDA runtime.
fn tensorrt_and_cuda(folder: &Path) {
    let beside = named("TTEVIEW_RTX_DYLIB");
    for file in std::fs::read_dir(beside.parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some((library, version)) = name.split_once(".so.") else { continue };
        let major = version.split('.').next().unwrap();
        symlink(&path, folder.join(format!("{library}.so.{major}"))).unwrap();
    }
    assert!(folder.join("libtensorrt_rtx.so.1").exists() && folder.join("libcudart.so.12").exists());
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB and TTEVIEW_RTX_DYLIB; `cargo xtask test` runs it"]
fn without_the_plug_in_it_is_named_with_where_to_put_it() {
    if let Some(runtime) = played() {
        return refused(&runtime, "tensorrt-rtx", &[LIBRARY, "into ONNX Runtime's folder"]);
    }
    let (folder, runtime) = installed("rtx-bare");
    std::fs::remove_file(folder.join(LIBRARY)).unwrap();
    play("plugin_tests", "without_the_plug_in_it_is_named_with_where_to_put_it", &runtime, &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB and TTEVIEW_RTX_DYLIB; `cargo xtask test` runs it"]
fn what_the_plug_in_needs_is_named_until_there_is_all_but_a_gpu() {
    if let Some(runtime) = played() {
        let folder = runtime.parent().unwrap();
        refused(&runtime, "tensorrt-rtx", &["libcudart.so.12", "install that version of CUDA"]);
        // The loader looks again at every attempt.
        tensorrt_and_cuda(folder);
        std::fs::remove_file(folder.join("libtensorrt_rtx.so.1")).unwrap();
        refused(&runtime, "tensorrt-rtx", &["libcuda.so.1", "install the NVIDIA driver"]);
        stub(
            folder,
            "libcuda.so.1",
            &["cuCtx", "cuDes", "cuExt", "cuGet", "cuImp", "cuInit", "cuSig", "cuStr", "cuWait"],
        );
        refused(&runtime, "tensorrt-rtx", &["libnvidia-ml.so.1", "install the NVIDIA driver"]);
        stub(folder, "libnvidia-ml.so.1", &["nvml"]);
        refused(&runtime, "tensorrt-rtx", &["libtensorrt_rtx.so.1", "TensorRT for RTX"]);
        std::fs::remove_file(folder.join("libtensorrt_onnxparser_rtx.so.1")).unwrap();
        std::fs::remove_file(folder.join("libcudart.so.12")).unwrap();
        tensorrt_and_cuda(folder);
        // Twice: a library is registered once.
        for _ in 0..2 {
            refused(&runtime, "tensorrt-rtx", &[LIBRARY, "sees no GPU", "RTX"]);
        }
        // The host has listed what may take its place.
        let listed = EngineConfig {
            providers: vec!["tensorrt-rtx".into(), "cpu".into()],
            options: vec![("nv_max_workspace_size".into(), "1073741824".into())],
            ..EngineConfig::default()
        };
        let bytes = include_bytes!("../../../models/standin.stream.onnx").to_vec();
        let package = crate::model::ModelPackage::from_bytes(bytes, None).unwrap();
        let taken = crate::engine::Engine::new(package, &listed).unwrap();
        assert_eq!(taken.report().provider, "cpu");
        taken.prepare().unwrap();
        return;
    }
    let (folder, runtime) = installed("rtx-needs");
    play("plugin_tests", "what_the_plug_in_needs_is_named_until_there_is_all_but_a_gpu", &runtime, &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB and TTEVIEW_RTX_DYLIB; `cargo xtask test` runs it"]
fn a_runtime_without_plug_ins_is_too_old_for_this_build() {
    if let Some(runtime) = played() {
        let error = engine(&runtime, "cpu", EngineConfig::default()).err().expect("refused");
        assert_eq!(error.status(), crate::Status::RuntimeTooOld, "{error}");
        assert!(error.message().contains("needed is 1.22"), "{error}");
        return;
    }
    let folder = folder("rtx-old");
    let test = "a_runtime_without_plug_ins_is_too_old_for_this_build";
    play("plugin_tests", test, &named("TTEVIEW_ORT_OLD_DYLIB"), &folder);
    std::fs::remove_dir_all(folder).unwrap();
}
