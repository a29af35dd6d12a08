//! Tests of the whole compiler. Those that compare with the source network need ONNX Runtime: set
//! `TTEVIEW_ORT_DYLIB` to its shared library.

mod equality;
mod hostile;
mod package;
mod recipe;
mod source;
mod streaming;

use crate::self_test::Xorshift;
use crate::verify::{Runtime, Source, Verification, relative_error, verify};
use crate::{CompileOptions, Compiled, Label, Result, compile, inspect};
use std::path::Path;
use std::sync::LazyLock;

/// ONNX Runtime, once per process.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let library = std::env::var("TTEVIEW_ORT_DYLIB")
        .expect("set TTEVIEW_ORT_DYLIB to the ONNX Runtime shared library (libonnxruntime.so)");
    Runtime::load(Path::new(&library)).expect("ONNX Runtime loads")
});

fn options(labels: usize) -> CompileOptions {
    let label =
        |i| Label { code: format!("L{i}"), name: format!("label {i}"), scheme: None, scheme_code: None };
    CompileOptions { self_test: false, ..CompileOptions::new("model", (0..labels).map(label).collect()) }
}

fn compiled(source: &source::Source) -> Compiled {
    compile(source.bytes(), &options(source::LABELS)).expect("the network compiles")
}

fn checked(source: &source::Source, compiled: &Compiled) -> Result<Verification> {
    verify(&RUNTIME, Source::Bytes(&source.bytes()), compiled, 7)
}

/// Largest difference between the self-test of each package, which rten computed, and ONNX Runtime on the same input.
fn self_test_error(compiled: &Compiled) -> f64 {
    let mut worst = 0.0f64;
    for package in compiled.packages() {
        let inspection = inspect(&package.bytes).expect("a package is readable");
        let test: serde_json::Value = serde_json::from_str(&inspection.metadata["self_test"]).expect("JSON");
        let expected: Vec<f32> = test["logits"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|v| Some(v.as_f64()? as f32))
            .collect();
        let states: serde_json::Value = serde_json::from_str(&inspection.metadata["states"]).expect("JSON");
        let initial = |name: &str| {
            let state = states.as_array()?.iter().find(|s| s["name"] == name)?;
            Some(state["initial"].as_f64()? as f32)
        };
        let mut random = Xorshift(1);
        let mut inputs = Vec::new();
        for tensor in inspection.inputs.iter().chain(&inspection.states) {
            let count = tensor.shape.iter().product();
            let data = initial(&tensor.name).map_or_else(|| random.fill(count), |v| vec![v; count]);
            inputs.push((tensor.name.clone(), tensor.shape.clone(), data));
        }
        let outputs =
            RUNTIME.runner(&package.bytes).and_then(|mut r| r.run(&inputs)).expect("the package runs");
        worst = worst.max(relative_error(&outputs[0].2, &expected));
    }
    worst
}
