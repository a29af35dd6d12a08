//! Tests of failed allocations in a C host.

use crate::fetch::onnx_runtime::fetch_newest;
use crate::host_build::build_host;
use crate::inputs::STANDIN_MODELS;
use crate::process::{Result, command, run};
use std::path::Path;

/// Number of requests from one failed allocation to the next, with the provider `embedded`. The
/// largest call makes more than five thousand requests. With 1, the program tests each of them,
/// which takes minutes.
const EMBEDDED_STRIDE: &str = "59";

/// The same number with ONNX Runtime, whose own requests do not count.
const RUNTIME_STRIDE: &str = "7";

/// Lets allocations fail in every control call, with the provider `embedded` and with ONNX Runtime.
pub(super) fn test_failures(prefix: &Path) -> Result {
    let program = build_host(prefix, "tests/c/out_of_memory.c", &[])?;
    let library = fetch_newest()?;
    for model in STANDIN_MODELS {
        println!("tests/c/out_of_memory.c {model}");
        run(&mut command(&program, [model, EMBEDDED_STRIDE]))?;
        let mut with_runtime = command(&program, [model, RUNTIME_STRIDE, "cpu"]);
        run(with_runtime.arg(&library).env("ORT_DISABLE_TELEMETRY", "1"))?;
    }
    Ok(())
}
