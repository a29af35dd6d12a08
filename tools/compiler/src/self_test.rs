//! The expected result of one run on a seeded input, which the library checks on the provider that really runs.

use crate::error::{CompileError, Result};
use crate::lower::State;

/// Seed of the input, written into the package.
pub(crate) const SEED: u32 = 1;

/// 32-bit xorshift, each number as `x / 2^31 - 1`.
#[cfg(any(feature = "self-test", feature = "verify"))]
pub(crate) struct Xorshift(pub(crate) u32);

#[cfg(any(feature = "self-test", feature = "verify"))]
impl Xorshift {
    pub(crate) fn next_value(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (f64::from(self.0) / f64::from(1u32 << 31) - 1.0) as f32
    }

    pub(crate) fn fill(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next_value()).collect()
    }
}

/// Runs `model` once on the seeded input and gives its first output. One thread, so that sums have one order.
#[cfg(feature = "self-test")]
pub(crate) fn expected(model: Vec<u8>, states: &[State]) -> Result<Vec<f32>> {
    use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
    use std::sync::Arc;
    let fail = |what: &str, e: String| CompileError::Verify(format!("self-test: {what}: {e}"));
    let model = Model::load(model).map_err(|e| fail("loading", e.to_string()))?;
    let mut random = Xorshift(SEED);
    let mut inputs: Vec<(NodeId, ValueOrView)> = Vec::new();
    for (index, &id) in model.input_ids().iter().enumerate() {
        let info = model.node_info(id);
        let name = info.and_then(|i| i.name()).unwrap_or_default().to_owned();
        let shape: Vec<usize> = model
            .input_shape(index)
            .unwrap_or_default()
            .iter()
            .filter_map(|d| match d {
                rten::Dimension::Fixed(size) => Some(*size),
                rten::Dimension::Symbolic(_) => None,
            })
            .collect();
        let count = shape.iter().product();
        let data = match states.iter().find(|s| s.name == name) {
            Some(state) => vec![state.initial; count],
            None => random.fill(count),
        };
        let value = Value::from_shape(&shape, data).map_err(|e| fail("input", format!("{e:?}")))?;
        inputs.push((id, value.into()));
    }
    let output = model.output_ids().first().copied().into_iter().collect::<Vec<_>>();
    let options = RunOptions::default().with_thread_pool(Some(Arc::new(ThreadPool::with_num_threads(1))));
    let mut outputs =
        model.run(inputs, &output, Some(options)).map_err(|e| fail("running", e.to_string()))?;
    let value = outputs.pop().ok_or_else(|| fail("running", "no output".into()))?;
    let (_, data) = value.into_shape_vec::<f32, 2>().map_err(|e| fail("output", format!("{e:?}")))?;
    if data.iter().any(|v| !v.is_finite()) {
        return Err(fail("running", "the result is not finite".into()));
    }
    Ok(data)
}

/// Without a runtime there is nothing to run.
#[cfg(not(feature = "self-test"))]
pub(crate) fn expected(_model: Vec<u8>, _states: &[State]) -> Result<Vec<f32>> {
    Err(CompileError::Verify("self-test: the compiler was built without the feature self-test".into()))
}
