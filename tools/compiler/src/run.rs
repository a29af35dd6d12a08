//! What runs a model: a runtime in the self-test, in `verify` and in the tests.

use crate::chunk_logits::ChunkLogits;
use crate::error::{CompileError, Result};
use crate::parts::{Division, Parts, StateEntry};

/// A float32 tensor with the name of a graph input or output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// The elements in row-major order.
    pub(crate) data: Vec<f32>,
}

/// A model that a runtime has loaded.
pub(crate) trait RunModel {
    /// Runs the graph once and returns its outputs in the order of the graph.
    fn run(&mut self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>>;
}

/// A loaded part and its states.
struct LoadedPart<R> {
    model: R,
    states: Vec<NamedTensor>,
}

impl<R: RunModel> LoadedPart<R> {
    /// Runs the part on its sample and further inputs, and returns the logits.
    fn run(&mut self, mut inputs: Vec<NamedTensor>) -> Result<Vec<f32>> {
        inputs.extend(self.states.iter().cloned());
        let mut outputs = self.model.run(&inputs)?.into_iter();
        let logits = outputs.next().map(|output| output.data).unwrap_or_default();
        for (state, next) in self.states.iter_mut().zip(outputs) {
            if next.name != format!("{}_next", state.name) {
                return Err(CompileError::Verify(format!(
                    "the output of the state {} must be named {}_next, got {}",
                    state.name, state.name, next.name
                )));
            }
            state.data = next.data;
        }
        Ok(logits)
    }
}

/// A network that runs in frame steps, as docs/stream-contract.md#frame-steps defines them.
pub(crate) struct FrameRunner<R> {
    division: Division,
    fast: LoadedPart<R>,
    slow: Option<LoadedPart<R>>,
    head: Option<R>,
}

impl<R: RunModel> FrameRunner<R> {
    /// Loads both parts with `load`. The states have their initial values.
    pub(crate) fn load(
        division: Division,
        parts: Parts,
        load: impl Fn(Vec<u8>) -> Result<R>,
    ) -> Result<Self> {
        let fast =
            LoadedPart { model: load(parts.fast)?, states: create_states(&division.fast_states) };
        let slow = match parts.slow {
            Some(slow) => Some(LoadedPart {
                model: load(slow)?,
                states: create_states(&division.slow_states),
            }),
            None => None,
        };
        let head = parts.head.map(load).transpose()?;
        Ok(Self { division, fast, slow, head })
    }

    /// Runs the head on features, or returns them if there is no head.
    pub(crate) fn run_head(&mut self, features: Vec<f32>) -> Result<Vec<f32>> {
        let Some(head) = &mut self.head else { return Ok(features) };
        let shape = vec![1, features.len(), 1, 1];
        let input = NamedTensor { name: "features".into(), shape, data: features };
        let outputs = head.run(&[input])?;
        Ok(outputs.into_iter().next().map(|output| output.data).unwrap_or_default())
    }

    /// Runs one chunk. Each sample has the shape `[1,C,H,W]`. The samples of a chunk that ends
    /// early must reach at least up to the lateral reach.
    pub(crate) fn run_chunk(
        &mut self,
        shape: &[usize],
        samples: &[Vec<f32>],
    ) -> Result<ChunkLogits> {
        let input = |name: &str, data: &[f32]| NamedTensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            data: data.to_vec(),
        };
        let mut logits = ChunkLogits { fast: Vec::new(), slow: Vec::new() };
        let mut sum: Vec<f64> = Vec::new();
        for (position, sample) in samples.iter().enumerate() {
            let fast = self.fast.run(vec![input("fast", sample)])?;
            sum.resize(fast.len(), 0.0);
            sum.iter_mut().zip(&fast).for_each(|(sum, &v)| *sum += f64::from(v));
            if position == self.division.lateral_reach
                && let Some(slow) = &mut self.slow
            {
                let windows = self.division.lateral_windows.iter().filter_map(|name| {
                    let state = self.fast.states.iter().find(|state| state.name == *name)?;
                    Some(NamedTensor { name: format!("{name}_next"), ..state.clone() })
                });
                let first = input("slow", &samples[0]);
                logits.slow = slow.run([first].into_iter().chain(windows).collect())?;
            }
        }
        logits.fast = sum.into_iter().map(|v| (v / samples.len() as f64) as f32).collect();
        logits.slow.resize(logits.fast.len(), 0.0);
        Ok(logits)
    }
}

/// Returns the initial value of each state.
pub(crate) fn create_states(entries: &[StateEntry]) -> Vec<NamedTensor> {
    let state = |entry: &StateEntry| NamedTensor {
        name: entry.name.clone(),
        shape: entry.shape.clone(),
        data: vec![entry.initial as f32; entry.shape.iter().product()],
    };
    entries.iter().map(state).collect()
}
