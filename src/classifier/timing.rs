//! The intervals at which the network runs.

use crate::model::{Mode, ModelSpec};
use std::time::Duration;

/// Returns the time from one output of the network to the next, which is the length of a chunk or a
/// hop.
pub(crate) fn output_interval_ns(spec: &ModelSpec, hop: usize) -> i64 {
    let samples = match spec.mode {
        Mode::Stream => spec.alpha,
        Mode::Window => hop,
    };
    spec.sample_interval_ns.saturating_mul(samples as i64)
}

/// Chooses the hop of windows, in samples, from the measured duration of a run on a clip.
///
/// The hop is long enough that the network runs for at most half of the time, so that windows do
/// not queue up. If such a hop would be longer than a clip, the hop is a clip. The hop is at least
/// a quarter of a clip, because processing each sample in more than four windows adds little
/// information. Without a measurement, the hop is half a clip.
pub(crate) fn choose_window_hop(spec: &ModelSpec, clip_time: Option<Duration>) -> usize {
    let clip = spec.clip_samples;
    let Some(clip_time) = clip_time else { return (clip / 2).max(1) };
    let interval = u128::try_from(spec.sample_interval_ns).unwrap_or(0).max(1);
    let smallest = usize::try_from((2 * clip_time.as_nanos()).div_ceil(interval)).unwrap_or(clip);
    smallest.clamp((clip / 4).max(1), clip)
}
