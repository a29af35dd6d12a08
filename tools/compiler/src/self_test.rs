//! Pass 8: computes the expected result of the self-test. The library uses the self-test to check a
//! provider.

use crate::error::{CompileError, Result};
use crate::lowered::State;
#[cfg(feature = "self-test")]
use crate::xorshift::Xorshift;

/// Seed of the self-test's random input. The package contains the seed.
pub(crate) const SEED: u32 = 1;

/// Runs `model` once on random input generated from [`SEED`] and returns its first output. The
/// states have their initial values. The model runs on one thread, so that the terms of a sum are
/// always added in the same order.
///
/// # Errors
/// Returns [`CompileError::Verify`] if the model does not run or its result is not finite.
#[cfg(feature = "self-test")]
pub(crate) fn run_self_test(model: Vec<u8>, states: &[State]) -> Result<Vec<f32>> {
    use rten::{Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
    use std::sync::Arc;
    let fail = |what: &str, e: String| {
        CompileError::Verify(format!("the package {what} in its self-test: {e}"))
    };
    let model = Model::load(model).map_err(|e| fail("does not load", e.to_string()))?;
    let mut random = Xorshift(SEED);
    let mut inputs: Vec<(NodeId, ValueOrView)> = Vec::new();
    for (index, &id) in model.input_ids().iter().enumerate() {
        let info = model.node_info(id);
        let name = info.and_then(|i| i.name()).unwrap_or_default().to_owned();
        let sizes = model.input_shape(index).unwrap_or_default();
        let shape: Vec<usize> = sizes
            .iter()
            .filter_map(|d| match d {
                Dimension::Fixed(size) => Some(*size),
                Dimension::Symbolic(_) => None,
            })
            .collect();
        let count = shape.iter().product();
        let data = match states.iter().find(|s| s.name == name) {
            Some(state) => vec![state.initial; count],
            None => random.fill(count),
        };
        let value = Value::from_shape(&shape, data)
            .map_err(|e| fail(&format!("has an unusable input \"{name}\""), format!("{e:?}")))?;
        inputs.push((id, value.into()));
    }
    let output = model.output_ids().first().copied().into_iter().collect::<Vec<_>>();
    let options =
        RunOptions::default().with_thread_pool(Some(Arc::new(ThreadPool::with_num_threads(1))));
    let mut outputs = model
        .run(inputs, &output, Some(options))
        .map_err(|e| fail("does not run", e.to_string()))?;
    let value =
        outputs.pop().ok_or_else(|| fail("has no result", "the graph has no output".into()))?;
    let (_, data) = value
        .into_shape_vec::<f32, 2>()
        .map_err(|e| fail("has an unusable result", format!("{e:?}")))?;
    match data.iter().find(|v| !v.is_finite()) {
        Some(v) => {
            Err(fail("has an unusable result", format!("the output must be finite, got {v}")))
        }
        None => Ok(data),
    }
}

/// Returns an error, because this build cannot run models.
#[cfg(not(feature = "self-test"))]
pub(crate) fn run_self_test(_model: Vec<u8>, _states: &[State]) -> Result<Vec<f32>> {
    Err(CompileError::Verify(
        "the compiler was built without the feature self-test; set CompileOptions::self_test to false".into(),
    ))
}
