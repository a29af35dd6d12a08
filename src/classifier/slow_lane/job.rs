//! What the lanes hand over to each other.

use crate::backend::windows::LateralWindows;
use crate::error::{Error, Result};

/// A slow run that is due.
pub(crate) struct Job {
    /// Whether the run starts from the initial states.
    pub(crate) is_first: bool,
    /// The first sample of the chunk.
    pub(crate) sample: Vec<f32>,
    /// The lateral windows as they are after the sample at the lateral reach.
    pub(crate) windows: LateralWindows,
}

/// The outcome of a slow run.
pub(crate) struct Outcome {
    pub(crate) logits: Vec<f32>,
    /// `Ok(None)` if the run gave logits, the reason if it failed, or an error if the stream was
    /// closed or the states could not be reset.
    pub(crate) result: Result<Option<Error>>,
    /// Duration of the run, including the wait for its turn.
    pub(crate) time_ns: i64,
}
