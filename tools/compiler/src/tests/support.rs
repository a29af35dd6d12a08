//! Functions that the tests of the whole compiler share.

use super::source::{LABELS, Source};
use crate::error::Result;
use crate::inspect::inspect;
use crate::labels::Label;
use crate::options::{CompileOptions, Steps};
use crate::package::CompiledNetwork;
use crate::run::{NamedTensor, RunModel};
use crate::verify::{self, Runtime, Verification, relative_error, verify};
use crate::xorshift::Xorshift;
use crate::{compile, self_test};
use std::path::Path;
use std::sync::LazyLock;

/// Largest relative error that the tests allow between the clip and the source, and between the
/// steps and the clip.
pub(super) const TOLERANCE: f64 = 1e-5;

/// ONNX Runtime, which a process can load only once.
pub(super) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let library = std::env::var("TTEVIEW_ORT_DYLIB")
        .expect("TTEVIEW_ORT_DYLIB must be set to the shared library of ONNX Runtime");
    Runtime::load(Path::new(&library)).expect("ONNX Runtime loads")
});

/// Returns options, without a self-test and with chunk steps, for a network with `labels` logits.
pub(super) fn options(labels: usize) -> CompileOptions {
    let label = |i| Label { code: format!("L{i}"), name: format!("label {i}"), ..Label::default() };
    CompileOptions {
        self_test: false,
        steps: Steps::Chunk,
        ..CompileOptions::new("model", (0..labels).map(label).collect())
    }
}

/// Returns the options of a command line without options.
pub(super) fn command_line_options(labels: usize) -> CompileOptions {
    CompileOptions { self_test: true, steps: Steps::Frame, ..options(labels) }
}

/// Compiles a network with [`LABELS`] logits and default options.
pub(super) fn compile_source(source: &Source) -> CompiledNetwork {
    compile(source.bytes(), &options(LABELS)).expect("the network compiles")
}

/// Compares the packages with their source.
pub(super) fn verify_source(source: &Source, network: &CompiledNetwork) -> Result<Verification> {
    verify(&RUNTIME, verify::Source::Bytes(&source.bytes()), network, 7)
}

/// Asserts that the packages give the same result as their source, and that the network streams.
pub(super) fn assert_matches_and_streams(source: &Source, network: &CompiledNetwork) {
    let errors = verify_source(source, network).expect("the packages run");
    let stream = errors.stream.expect("the network streams");
    assert!(errors.clip <= TOLERANCE && stream <= TOLERANCE, "{errors}");
}

/// Asserts that the clip package gives the same result as its source.
pub(super) fn assert_clip_matches(source: &Source, network: &CompiledNetwork) {
    let errors = verify_source(source, network).expect("the packages run");
    assert!(errors.clip <= TOLERANCE, "{errors}");
}

/// Returns the largest relative error between the self-test results in the packages, which rten
/// computed, and the results of ONNX Runtime.
pub(super) fn self_test_error(network: &CompiledNetwork) -> f64 {
    let mut largest = 0.0f64;
    for package in network.packages() {
        let inspection = inspect(&package.bytes).expect("the package is readable");
        let json = |key: &str| -> serde_json::Value {
            serde_json::from_str(&inspection.metadata[key]).expect("the metadata is JSON")
        };
        let logits = json("self_test")["logits"]
            .as_array()
            .expect("the self-test has a list of logits")
            .clone();
        let expected: Vec<f32> = logits.iter().filter_map(|v| Some(v.as_f64()? as f32)).collect();
        let states = json("states");
        let initial = |name: &str| {
            let state = states.as_array()?.iter().find(|s| s["name"] == name)?;
            Some(state["initial"].as_f64()? as f32)
        };
        let mut random = Xorshift(self_test::SEED);
        let mut inputs = Vec::new();
        for tensor in inspection.inputs.iter().chain(&inspection.states) {
            let count = tensor.shape.iter().product();
            let data = initial(&tensor.name).map_or_else(|| random.fill(count), |v| vec![v; count]);
            inputs.push(NamedTensor {
                name: tensor.name.clone(),
                shape: tensor.shape.clone(),
                data,
            });
        }
        let runner = RUNTIME.load_model(&package.bytes);
        let outputs = runner.and_then(|mut runner| runner.run(&inputs)).expect("the package runs");
        largest = largest.max(relative_error(&outputs[0].data, &expected));
    }
    largest
}
