//! Parser for the self-test of a package (docs/model-package.md#self-test).

use super::keys::{Keys, check, check_agreement, check_number};
use crate::error::Result;
use crate::model::spec::{ChunkSelfTest, SelfTest};
use serde::Deserialize;

/// Minimum number of chunks in the self-test, so that it covers states and lateral windows that
/// runs have written.
const MIN_SELF_TEST_CHUNKS: usize = 3;

/// Maximum number of chunks in the self-test, which runs before every start of an engine.
const MAX_SELF_TEST_CHUNKS: usize = 16;

#[derive(Deserialize)]
struct ToleranceEntry {
    fp32: f32,
    fp16: f32,
}

#[derive(Deserialize)]
struct SelfTestEntry {
    seed: u32,
    logits: Vec<f32>,
    tolerance: ToleranceEntry,
}

#[derive(Deserialize)]
struct ChunkEntry {
    fast: Vec<f32>,
    slow: Vec<f32>,
    logits: Vec<f32>,
    #[serde(default)]
    head: Vec<f32>,
}

#[derive(Deserialize)]
struct FrameSelfTestEntry {
    seed: u32,
    chunks: Vec<ChunkEntry>,
    tolerance: ToleranceEntry,
    head_tolerance: Option<ToleranceEntry>,
}

/// The self-test of a package with frame steps.
pub(super) struct FrameSelfTest {
    pub(super) chunks: Vec<ChunkSelfTest>,
    pub(super) self_test: SelfTest,
    /// Tolerances of the head in fp32 and fp16; 0 if the head is linear.
    pub(super) head_tolerance: [f32; 2],
}

/// Parses the self-test of several chunks in frame steps. `features` is the number of features if
/// the head is not linear.
pub(super) fn parse_frame_self_test(
    keys: &Keys<'_>,
    output_len: usize,
    features: Option<usize>,
) -> Result<FrameSelfTest> {
    let FrameSelfTestEntry { seed, chunks, tolerance, head_tolerance } =
        keys.parse_json("self_test")?;
    let head_len = if features.is_some() { output_len } else { 0 };
    check_agreement(
        "self_test",
        head_tolerance.is_some() == features.is_some(),
        "must have head_tolerance if and only if the package has a head that is not linear",
    )?;
    let range = MIN_SELF_TEST_CHUNKS..=MAX_SELF_TEST_CHUNKS;
    check_number("self_test", "a number of chunks", chunks.len(), range)?;
    for ChunkEntry { fast, slow, logits, head } in &chunks {
        for values in [fast, slow, logits] {
            check_logits(values, features.unwrap_or(output_len))?;
        }
        check_logits(head, head_len)?;
        let mut sums = fast.iter().zip(slow).zip(logits);
        check(
            "self_test",
            sums.all(|((fast, slow), sum)| (fast + slow - sum).abs() <= tolerance.fp32),
            "must have logits that are the sum of fast and slow",
        )?;
    }
    let logits = chunks.first().map(|chunk| chunk.logits.clone()).unwrap_or_default();
    let chunk =
        |ChunkEntry { fast, slow, logits, head }| ChunkSelfTest { fast, slow, logits, head };
    let self_test = create_self_test(seed, logits, &tolerance)?;
    let head_tolerance = match head_tolerance {
        None => [0.0; 2],
        Some(tolerance) => {
            let test = create_self_test(seed, Vec::new(), &tolerance)?;
            [test.tolerance_fp32, test.tolerance_fp16]
        }
    };
    Ok(FrameSelfTest { chunks: chunks.into_iter().map(chunk).collect(), self_test, head_tolerance })
}

/// Parses the self-test of one run.
pub(super) fn parse_self_test(keys: &Keys<'_>, output_len: usize) -> Result<SelfTest> {
    let SelfTestEntry { seed, logits, tolerance } = keys.parse_json("self_test")?;
    check_logits(&logits, output_len)?;
    create_self_test(seed, logits, &tolerance)
}

/// Checks logits of the self-test, after which the values of the projection may follow.
fn check_logits(logits: &[f32], output_len: usize) -> Result<()> {
    check_agreement(
        "self_test",
        logits.len() == output_len,
        "must have one logit per label, and the values of the projection if there is one, or one value \
         per feature",
    )?;
    check("self_test", logits.iter().all(|v| v.is_finite()), "must have finite logits")
}

fn create_self_test(seed: u32, logits: Vec<f32>, tolerance: &ToleranceEntry) -> Result<SelfTest> {
    check("self_test", seed != 0, "must have a seed other than 0")?;
    let fits = |v: f32| v.is_finite() && v > 0.0;
    check(
        "self_test",
        fits(tolerance.fp32) && fits(tolerance.fp16),
        "must have positive tolerances",
    )?;
    Ok(SelfTest { seed, logits, tolerance_fp32: tolerance.fp32, tolerance_fp16: tolerance.fp16 })
}
