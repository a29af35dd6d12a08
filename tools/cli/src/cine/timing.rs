//! The frame times of a cine.

/// Assumed time between two frames if a file contains no frame times. It corresponds to 30 frames
/// per second, the most common rate of exported cines.
const ASSUMED_PERIOD_NS: i64 = 33_333_333;

/// Longest plausible time between two frames.
const LONGEST_PERIOD_NS: f64 = 60e9;

/// The times of the frames, and their source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time from the first frame to each frame, in ascending order.
    pub times_ns: Vec<i64>,
    /// Source of the times, usually the name of a field in the file. `None` means that the file
    /// contains no frame times and that 30 frames per second are assumed.
    pub source: Option<&'static str>,
}

impl Timing {
    /// Creates the times of `frames` frames, each `period_ns` after the previous one.
    #[must_use]
    pub fn regular(frames: usize, period_ns: i64, source: Option<&'static str>) -> Self {
        let times_ns = (0..frames as i64).map(|frame| frame.saturating_mul(period_ns)).collect();
        Self { times_ns, source }
    }

    /// Creates the times of `frames` frames at 30 frames per second, for a file that contains no
    /// frame times.
    #[must_use]
    pub fn assume(frames: usize) -> Self {
        Self::regular(frames, ASSUMED_PERIOD_NS, None)
    }

    /// Creates the times of the frames from the steps between them: entry `i` of `steps_ns` is the
    /// time from frame `i - 1` to frame `i`. Entry 0 is not used.
    pub(super) fn from_steps(steps_ns: &[i64], source: &'static str) -> Self {
        let mut time = 0i64;
        let later = steps_ns.iter().skip(1).map(|&step| {
            time = time.saturating_add(step);
            time
        });
        Self {
            times_ns: std::iter::once(0).chain(later).take(steps_ns.len()).collect(),
            source: Some(source),
        }
    }

    /// Returns the median time between two consecutive frames. If there are fewer than two frames,
    /// returns the time that corresponds to 30 frames per second.
    #[must_use]
    pub fn period_ns(&self) -> i64 {
        let mut steps: Vec<i64> =
            self.times_ns.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(ASSUMED_PERIOD_NS)
    }
}

/// Rounds the time between two frames to nanoseconds. Returns `None` if the time is not plausible.
pub(super) fn round_step_ns(nanoseconds: f64) -> Option<i64> {
    (1.0..=LONGEST_PERIOD_NS).contains(&nanoseconds).then_some(nanoseconds.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_add_up_and_the_first_is_not_used() {
        assert_eq!(Timing::from_steps(&[9, 2, 3], "test").times_ns, [0, 2, 5]);
        assert_eq!(Timing::from_steps(&[], "test").times_ns, [0i64; 0]);
    }

    #[test]
    fn the_period_is_the_median_step() {
        assert_eq!(Timing::from_steps(&[0, 30, 30, 500], "test").period_ns(), 30);
        assert_eq!(Timing::regular(1, 40, None).period_ns(), ASSUMED_PERIOD_NS);
    }

    #[test]
    fn a_step_that_is_not_plausible_is_refused() {
        assert_eq!(round_step_ns(33.3e6), Some(33_300_000));
        for wrong in [0.0, -5.0, 1e12, f64::NAN, f64::INFINITY] {
            assert_eq!(round_step_ns(wrong), None, "{wrong}");
        }
    }
}
