//! What the self-test needs to run a session, and to compare its logits.

use crate::backend::interface::Session;
use crate::error::{Error, Result, Status};
use crate::model::part::Part;
use crate::model::{HeadSpec, ModelSpec, Precision};
use std::time::Duration;

/// A function that runs a session of a part once and returns the time that the run took.
pub(crate) type RunSession<'a> = dyn Fn(Part, &mut dyn Session) -> Result<Duration> + 'a;

/// The largest error of a logit that the package permits, and the precision for which it holds.
#[derive(Clone, Copy)]
pub(super) struct Tolerance {
    precision: Precision,
    value: f32,
}

impl Tolerance {
    /// The fp16 tolerance applies if the provider computes in fp16. It also applies to every fp16
    /// package, because the package's weights are rounded even if the provider computes in fp32.
    pub(super) fn new(spec: &ModelSpec, provider: Precision) -> Self {
        let test = &spec.self_test;
        if [spec.precision, provider].contains(&Precision::Fp16) {
            Self { precision: Precision::Fp16, value: test.tolerance_fp16 }
        } else {
            Self { precision: Precision::Fp32, value: test.tolerance_fp32 }
        }
    }

    /// Returns the tolerance of a head that is not linear, at the same precision.
    pub(super) fn of_head(self, head: &HeadSpec) -> Self {
        let value = match self.precision {
            Precision::Fp16 => head.tolerance_fp16,
            Precision::Fp32 => head.tolerance_fp32,
        };
        Self { value, ..self }
    }

    /// Compares logits with the expected ones, and returns the largest error. A message names a
    /// logit by `name`, its index and `place`.
    pub(super) fn check(
        self,
        (name, place): (&str, &str),
        logits: &[f32],
        expected: &[f32],
    ) -> Result<f32> {
        let Self { precision, value: tolerance } = self;
        let mut largest = 0.0f32;
        for (index, (logit, expected)) in logits.iter().zip(expected).enumerate() {
            let error = (logit - expected).abs();
            if error.is_nan() || error > tolerance {
                let message = format!(
                    "{name} {index}{place} must be {expected} within {tolerance} ({precision}), got {logit}"
                );
                return Err(Error::new(Status::SelfTest, message));
            }
            largest = largest.max(error);
        }
        Ok(largest)
    }
}
