//! The outputs of the network for one acquisition of the evaluation.

use crate::failure::{Exit, Failure};
use crate::host_acquisition::HostAcquisition;
use tteview::{ResultFlags, Status, ViewResult};

/// The posterior after a chunk or window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    /// Grid time of the last sample that the posterior covers.
    pub(super) time_ns: i64,
    pub(super) posterior: Vec<f32>,
    /// Novelty score, if the model defines one.
    pub(super) novelty: Option<f64>,
}

/// Ends the acquisition and returns the posterior after each chunk or window.
pub(super) fn end(acquisition: HostAcquisition) -> Result<Vec<Output>, Failure> {
    let mut results = acquisition.end()?.results;
    if let Some((failed, _)) = results.iter().find(|(result, _)| result.status != Status::Ok) {
        return Err(failed.status.into());
    }
    if results.iter().any(|(result, _)| result.flags.contains(ResultFlags::DEGRADED)) {
        return Err(Failure::new(Exit::Model, "the stream skipped chunks"));
    }
    // If nothing was left to compute at the end, the final result repeats the previous one. Only
    // one of the two is kept.
    results.dedup_by_key(|(result, _)| (result.chunks, result.last_time_ns));
    results.retain(|(result, _)| result.chunks > 0);
    if results.is_empty() {
        return Err(Failure::new(Exit::Model, "the acquisition has no chunk"));
    }
    let output = |(result, posterior): (ViewResult, _)| Output {
        time_ns: result.last_time_ns,
        posterior,
        novelty: (!result.flags.contains(ResultFlags::NO_NOVELTY)).then_some(result.novelty),
    };
    Ok(results.into_iter().map(output).collect())
}
