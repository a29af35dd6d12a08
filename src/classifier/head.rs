//! A head that is not linear, which gives the logits for the mean of the features. This module
//! implements docs/stream-contract.md#heads-that-are-not-linear.

use super::interface::run_session;
use crate::backend::interface::Session;
use crate::error::Result;

/// The last part of the network, through which the combination of the outputs passes whenever a
/// label is due.
pub(crate) struct Head(Option<Box<dyn Session>>);

impl Head {
    /// Creates the head from its session, or a head that changes nothing for a network whose head
    /// is linear.
    pub(crate) fn new(session: Option<Box<dyn Session>>) -> Self {
        Self(session)
    }

    /// Replaces the features at the beginning of `values` by the logits and the values of the
    /// projection.
    ///
    /// # Errors
    /// Returns the error of the runtime, or [`Status::Inference`](crate::Status::Inference) if a
    /// logit is not finite.
    pub(crate) fn apply(&mut self, values: &mut [f32]) -> Result<()> {
        let Some(session) = &mut self.0 else { return Ok(()) };
        let features = session.inputs().fast.iter_mut();
        features.zip(values.iter()).for_each(|(feature, &value)| *feature = value);
        if let Some(error) = run_session(session.as_mut(), |session| session.run())? {
            return Err(error);
        }
        let outputs = session.logits().iter();
        values.iter_mut().zip(outputs).for_each(|(value, &output)| *value = output);
        Ok(())
    }
}
