//! Tests of the library with builds of ONNX Runtime other than the newest one. A process can load
//! only one build, so each build is tested in its own process.

use crate::cargo_test::Selection;
use crate::fetch::cines::fetch_cines;
pub(super) use crate::fetch::onnx_runtime::{
    explain_no_gpu_build, explain_no_older, explain_no_rtx_plugin,
};
use crate::fetch::onnx_runtime::{
    fetch_gpu_build, fetch_newest, fetch_older, fetch_oldest, fetch_rtx_plugin,
};
use crate::hosts::runtime::test_libraries;
use crate::package::install_for_tests;
use crate::process::{Result, cargo, run};
use std::process::Command;

/// The tests that need the GPU build of ONNX Runtime.
pub(super) const GPU_TESTS: &str = "ort::tests::gpu";

/// The tests that need the plug-in for RTX.
const RTX_TESTS: &str = "ort::tests::plugin";

/// Sets the environment variables that name the newest ONNX Runtime and the cines.
pub(super) fn fetch_test_environment(tests: &mut Command) -> Result {
    tests.env("TTEVIEW_ORT_DYLIB", fetch_newest()?).env("TTEVIEW_CINES", fetch_cines()?);
    Ok(())
}

/// Runs the step `runtimes`, which tests the library and a C host with each older version.
pub(super) fn test_older() -> Result {
    let libraries = fetch_older()?;
    let selection = Selection { skip: &[GPU_TESTS], include_ignored: true, ..Selection::default() };
    let tests = || cargo("test -p tteview --lib --test ort --test equality");
    selection.check(&mut tests())?;
    for library in &libraries {
        println!("ONNX Runtime: {}", library.display());
        run(selection.apply(tests().env("TTEVIEW_ORT_DYLIB", library)))?;
    }
    test_libraries(&install_for_tests()?, &libraries)
}

/// Runs the step `gpu`, which tests what the providers of the GPU build report on a machine without
/// a GPU.
pub(super) fn test_gpu_build() -> Result {
    let library = fetch_gpu_build()?;
    println!("ONNX Runtime: {}", library.display());
    let selection = Selection { filter: GPU_TESTS, include_ignored: true, ..Selection::default() };
    let tests = || cargo("test -p tteview --lib");
    selection.check(&mut tests())?;
    run(selection.apply(tests().env("TTEVIEW_ORT_GPU_DYLIB", library)))
}

/// Runs the step `rtx`, which tests what the plug-in reports on a machine without a GPU.
pub(super) fn test_rtx_plugin() -> Result {
    let plugin = fetch_rtx_plugin()?;
    println!("TensorRT for RTX: {}", plugin.display());
    let selection = Selection { filter: RTX_TESTS, include_ignored: true, ..Selection::default() };
    let tests = || cargo("test -p tteview --no-default-features --features tensorrt-rtx --lib");
    selection.check(&mut tests())?;
    let mut tests = tests();
    tests.env("TTEVIEW_RTX_DYLIB", plugin);
    tests.env("TTEVIEW_ORT_DYLIB", fetch_newest()?).env("TTEVIEW_ORT_OLD_DYLIB", fetch_oldest()?);
    run(selection.apply(&mut tests))
}
