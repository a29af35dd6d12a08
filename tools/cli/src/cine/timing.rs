//! When the frames of a cine were taken.

/// Time between frames where a file says nothing: the commonest rate of exported cines, 30 a second.
const ASSUMED_NS: i64 = 33_333_333;

/// Longest time between two frames that is believed.
const LONGEST_NS: f64 = 60e9;

/// Times of the frames and where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time of each frame since the first, in order.
    pub times_ns: Vec<i64>,
    /// The field of the file that they come from; `None` where it has none and 30 frames a second are assumed.
    pub source: Option<&'static str>,
}

impl Timing {
    /// `frames` frames, each `period_ns` after the one before.
    #[must_use]
    pub fn regular(frames: usize, period_ns: i64, source: Option<&'static str>) -> Self {
        let times_ns = (0..frames as i64).map(|frame| frame.saturating_mul(period_ns)).collect();
        Self { times_ns, source }
    }

    /// For a file without times: 30 frames a second.
    #[must_use]
    pub fn assumed(frames: usize) -> Self {
        Self::regular(frames, ASSUMED_NS, None)
    }

    /// Each frame its time after the one before, in nanoseconds; the first entry is not used.
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

    /// Median time between two frames; the assumed one for a still.
    #[must_use]
    pub fn period_ns(&self) -> i64 {
        let mut steps: Vec<i64> =
            self.times_ns.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(ASSUMED_NS)
    }
}

/// A time between frames in nanoseconds, if it can be one.
pub(super) fn step_ns(nanoseconds: f64) -> Option<i64> {
    (1.0..=LONGEST_NS).contains(&nanoseconds).then_some(nanoseconds.round() as i64)
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
        assert_eq!(Timing::regular(1, 40, None).period_ns(), ASSUMED_NS);
    }

    #[test]
    fn a_step_that_is_no_time_is_not_believed() {
        assert_eq!(step_ns(33.3e6), Some(33_300_000));
        for wrong in [0.0, -5.0, 1e12, f64::NAN, f64::INFINITY] {
            assert_eq!(step_ns(wrong), None, "{wrong}");
        }
    }
}
