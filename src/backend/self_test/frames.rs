//! The self-test of a package with frame steps.

use super::tolerance::{RunSession, Tolerance};
use crate::backend::interface::{Backend, Session};
use crate::backend::windows::LateralWindows;
use crate::error::Result;
use crate::memory::fill_values;
use crate::model::part::Part;
use crate::model::{ModelSpec, self_test_input};

/// Sessions of all parts, which run one after the other.
pub(super) struct Parts {
    fast: Box<dyn Session>,
    /// The slow part and its input; `None` for a network with one pathway.
    slow: Option<(Box<dyn Session>, LateralWindows)>,
    /// The head; `None` if it is linear.
    head: Option<Box<dyn Session>>,
    alpha: usize,
    reach: usize,
    /// Logits of the last chunk: the mean of the fast runs, and those of the slow run.
    logits: [Vec<f32>; 2],
}

impl Parts {
    pub(super) fn new(backend: &dyn Backend, spec: &ModelSpec) -> Result<Self> {
        let slow = match spec.has_slow_part() {
            true => Some((backend.create_session(Part::Slow)?, backend.create_windows()?)),
            false => None,
        };
        let head = spec.head().map(|_| backend.create_session(Part::Head)).transpose()?;
        let logits = || fill_values(spec.run_output_len(), 0.0, "the logits");
        Ok(Self {
            fast: backend.create_session(Part::Fast)?,
            slow,
            head,
            alpha: spec.alpha,
            reach: spec.frame_steps.as_ref().map_or(0, |steps| steps.lateral_reach),
            logits: [logits()?, logits()?],
        })
    }

    pub(super) fn reset(&mut self) -> Result<()> {
        self.fast.reset()?;
        self.slow.as_mut().map_or(Ok(()), |(slow, _)| slow.reset())
    }

    /// Runs one chunk, whose samples `fill` writes one after the other.
    pub(super) fn run_chunk(
        &mut self,
        mut fill: impl FnMut(&mut [f32]) -> Result<()>,
        run: &RunSession<'_>,
    ) -> Result<()> {
        let [fast_logits, slow_logits] = &mut self.logits;
        fast_logits.fill(0.0);
        for sample in 0..self.alpha {
            fill(self.fast.inputs().fast)?;
            if let (0, Some((slow, _))) = (sample, &mut self.slow) {
                slow.inputs().slow.copy_from_slice(self.fast.inputs().fast);
            }
            run(Part::Fast, self.fast.as_mut())?;
            for (sum, logit) in fast_logits.iter_mut().zip(self.fast.logits()) {
                *sum += logit;
            }
            if let Some((slow, windows)) = self.slow.as_mut().filter(|_| sample == self.reach) {
                self.fast.copy_windows(windows)?;
                slow.set_windows(windows)?;
                run(Part::Slow, slow.as_mut())?;
                slow_logits.copy_from_slice(slow.logits());
            }
        }
        fast_logits.iter_mut().for_each(|sum| *sum /= self.alpha as f32);
        Ok(())
    }

    /// Runs a head that is not linear on the features of the last chunk. Returns its logits, or
    /// nothing if the head is linear.
    pub(super) fn run_head(&mut self, run: &RunSession<'_>) -> Result<&[f32]> {
        let [fast, slow] = &self.logits;
        let Some(head) = &mut self.head else { return Ok(&[]) };
        let features = fast.iter().zip(slow).map(|(fast, slow)| fast + slow);
        head.inputs().fast.iter_mut().zip(features).for_each(|(to, from)| *to = from);
        run(Part::Head, head.as_mut())?;
        Ok(head.logits())
    }

    /// Returns the logits of the last chunk, which are the sums of those of both parts.
    pub(super) fn chunk_logits(&self) -> impl Iterator<Item = f32> {
        let [fast, slow] = &self.logits;
        fast.iter().zip(slow).map(|(fast, slow)| fast + slow)
    }
}

/// Runs the chunks of the self-test, and the first chunk a second time from the initial state.
/// Returns the largest absolute error of a logit.
///
/// # Errors
/// Returns [`Status::SelfTest`](crate::Status::SelfTest) if an error is larger than the tolerance.
pub(super) fn check_chunks(
    parts: &mut Parts,
    spec: &ModelSpec,
    tolerance: Tolerance,
    run: &RunSession<'_>,
) -> Result<f32> {
    let chunks = spec.frame_steps.as_ref().map_or(&[][..], |steps| &steps.self_test);
    let mut largest = 0.0f32;
    for repeated in [chunks, chunks.get(..1).unwrap_or_default()] {
        parts.reset()?;
        let mut values = self_test_input(spec.self_test.seed);
        for (number, chunk) in repeated.iter().enumerate() {
            let fill = |sample: &mut [f32]| {
                sample.fill_with(|| values.next().unwrap_or_default());
                Ok(())
            };
            parts.run_chunk(fill, run)?;
            let logits: Vec<f32> = parts.chunk_logits().collect();
            let [fast, slow] = &parts.logits;
            let place = format!(" of chunk {number}");
            for (name, logits, expected) in [
                ("fast logit", fast, &chunk.fast),
                ("slow logit", slow, &chunk.slow),
                ("logit", &logits, &chunk.logits),
            ] {
                let error = tolerance.check((name, &place), logits, expected)?;
                largest = largest.max(error);
            }
            if let Some(head) = spec.head() {
                let tolerance = tolerance.of_head(head);
                let logits = parts.run_head(run)?;
                let error = tolerance.check(("head logit", &place), logits, &chunk.head)?;
                largest = largest.max(error);
            }
        }
    }
    Ok(largest)
}
