//! Compares the packages of a changed file with the file.

use super::super::support::RUNTIME;
use crate::error::Result;
use crate::onnx::{ModelProto, data_type};
use crate::verify::{Source, relative_error, run_source, verify};
use crate::{CompileOptions, CompiledNetwork, LogitsForm, compile};
use prost::Message;

/// Relative change of the samples, and of the constants, that shows how much a network enlarges
/// rounding errors. It is eight times the spacing of the numbers.
const NUDGE: f32 = 1e-6;

/// Seed of the random clip.
const SEED: u32 = 7;

/// Largest value inside of a network whose failure counts. A layer norm, for example, subtracts the
/// mean of values of 10,000 and keeps only their rounding errors.
const LARGEST: f32 = 4096.0;

/// Largest relative error. A change may make a network worse conditioned.
pub(super) const TOLERANCE: f64 = 1e-4;

/// Returns the relative error of the packages of a file, or `None` if the file is refused, ONNX
/// Runtime does not run it, or its result is not finite. A file in half precision, one that
/// enlarges a nudge to more than the error, and one with extreme values also give `None`, because
/// their own result is inexact.
pub(super) fn compare(bytes: &[u8], options: &CompileOptions) -> Option<Result<f64>> {
    let compiled = compile(bytes.to_vec(), options).ok()?;
    let source = Source::Bytes(bytes);
    let errors = verify(&RUNTIME, source, &compiled, SEED);
    if errors.as_ref().is_ok_and(|errors| errors.is_half_source) {
        return None;
    }
    let error = errors.map(|errors| errors.clip.max(errors.stream.unwrap_or(0.0)));
    if matches!(error, Ok(error) if error <= TOLERANCE) {
        return Some(error);
    }
    let run = |bytes: &[u8], factor| {
        run_source(&RUNTIME, Source::Bytes(bytes), &compiled, SEED, factor).ok()
    };
    let expected = run(bytes, 1.0)?;
    let is_finite = expected.iter().all(|value| value.is_finite());
    if !is_finite || has_extreme_values(bytes, &compiled) {
        return None;
    }
    // A network that enlarges rounding errors so much says nothing about its packages.
    let factors = [1.0 - NUDGE, 1.0 + NUDGE, 1.0 + 2.0 * NUDGE];
    let nudged = factors.into_iter().flat_map(|factor| {
        [run(bytes, factor), run(&scale_constants(bytes, factor), 1.0)].into_iter().flatten()
    });
    let enlarged = nudged.map(|result| relative_error(&result, &expected)).fold(0.0, f64::max);
    match error {
        Ok(error) if error < enlarged => None,
        error => Some(error),
    }
}

/// Returns a file with all its numbers multiplied by a factor.
fn scale_constants(bytes: &[u8], factor: f32) -> Vec<u8> {
    let mut model = ModelProto::decode(bytes).expect("a model");
    let initializers = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    for tensor in initializers.filter(|tensor| tensor.data_type == data_type::FLOAT) {
        let Some(raw) = &tensor.raw_data else { continue };
        let numbers = raw.as_chunks::<4>().0.iter().map(|&number| f32::from_le_bytes(number));
        tensor.raw_data = Some(numbers.flat_map(|v| (v * factor).to_le_bytes()).collect());
    }
    model.encode_to_vec()
}

/// Returns whether a constant or a value inside of the source is not finite or larger than
/// [`LARGEST`]. ONNX Runtime does not define what becomes of a value that is not finite; a Relu, for
/// example, may turn it into 0.
fn has_extreme_values(bytes: &[u8], compiled: &CompiledNetwork) -> bool {
    let graph = ModelProto::decode(bytes).expect("a model").graph.unwrap_or_default();
    let floats = graph.initializer.iter().filter(|tensor| tensor.data_type == data_type::FLOAT);
    let raw = floats.filter_map(|tensor| tensor.raw_data.as_deref());
    let mut numbers = raw.flat_map(|raw| raw.as_chunks::<4>().0);
    if numbers.any(|&number| is_extreme(f32::from_le_bytes(number))) {
        return true;
    }
    let mut inner = compiled.clone();
    inner.logits.form = LogitsForm::Value;
    graph.node.iter().flat_map(|node| &node.output).any(|name| {
        inner.logits.name.clone_from(name);
        let values = run_source(&RUNTIME, Source::Bytes(bytes), &inner, SEED, 1.0);
        values.is_ok_and(|values| values.into_iter().any(is_extreme))
    })
}

fn is_extreme(value: f32) -> bool {
    !value.is_finite() || value.abs() > LARGEST
}
