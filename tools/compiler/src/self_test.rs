//! Pass 8: computes the expected result of the self-test. The library uses the self-test to check a
//! provider.

use crate::chunk_logits::TestedChunk;
use crate::error::Result;
use crate::lowered::State;
use crate::parts::{Division, Parts};

/// Seed of the self-test's random input. The package contains the seed.
pub(crate) const SEED: u32 = 1;

/// Number of chunks in the self-test of a package with frame steps.
#[cfg(feature = "self-test")]
const CHUNKS: usize = 3;

/// Runs `model` once on random input generated from `seed` and returns its first output. The
/// states have their initial values. The model runs on one thread, so that the terms of a sum are
/// always added in the same order.
///
/// # Errors
/// Returns [`CompileError::Verify`](crate::CompileError::Verify) if the model does not run or its
/// result is not finite.
#[cfg(feature = "self-test")]
pub(crate) fn run_self_test(model: Vec<u8>, states: &[State], seed: u32) -> Result<Vec<f32>> {
    use crate::embedded::{EmbeddedModel, check_finite};
    let model = EmbeddedModel::load(model)?;
    let mut random = crate::xorshift::Xorshift(seed);
    let inputs = model.inputs().into_iter().map(|(name, shape)| {
        let count = shape.iter().product();
        let data = match states.iter().find(|s| s.name == name) {
            Some(state) => vec![state.initial; count],
            None => random.fill(count),
        };
        crate::run::NamedTensor { name, shape, data }
    });
    let inputs: Vec<_> = inputs.collect();
    let output = model.run_first(&inputs)?;
    check_finite(&output)?;
    Ok(output)
}

/// Runs [`CHUNKS`] chunks of random samples generated from [`SEED`] in frame steps. The states have
/// their initial values. Returns the results of each chunk. `shape` is the shape of a sample.
///
/// # Errors
/// Returns [`CompileError::Verify`](crate::CompileError::Verify) if a part does not run or a result
/// is not finite.
#[cfg(feature = "self-test")]
pub(crate) fn run_frame_self_test(
    division: &Division,
    parts: Parts,
    shape: &[usize],
) -> Result<Vec<TestedChunk>> {
    use crate::embedded::{EmbeddedModel, check_finite};
    let mut runner = crate::run::FrameRunner::load(division.clone(), parts, EmbeddedModel::load)?;
    let mut random = crate::xorshift::Xorshift(SEED);
    let count = shape.iter().product();
    let mut chunks = Vec::new();
    for _ in 0..CHUNKS {
        let samples: Vec<_> = (0..division.alpha).map(|_| random.fill(count)).collect();
        let outputs = runner.run_chunk(shape, &samples)?;
        check_finite(&outputs.sum())?;
        let head = match division.head {
            Some(_) => Some(runner.run_head(outputs.sum())?),
            None => None,
        };
        check_finite(head.as_deref().unwrap_or_default())?;
        chunks.push(TestedChunk { outputs, head });
    }
    Ok(chunks)
}

#[cfg(not(feature = "self-test"))]
fn fail_without_runtime<T>() -> Result<T> {
    Err(crate::error::CompileError::Verify(
        "the compiler was built without the feature self-test; set CompileOptions::self_test to false".into(),
    ))
}

/// Returns an error, because this build cannot run models.
#[cfg(not(feature = "self-test"))]
pub(crate) fn run_self_test(_model: Vec<u8>, _states: &[State], _seed: u32) -> Result<Vec<f32>> {
    fail_without_runtime()
}

/// Returns an error, because this build cannot run models.
#[cfg(not(feature = "self-test"))]
pub(crate) fn run_frame_self_test(
    _division: &Division,
    _parts: Parts,
    _shape: &[usize],
) -> Result<Vec<TestedChunk>> {
    fail_without_runtime()
}
