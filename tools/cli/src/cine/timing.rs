//! The frame times of a cine.

/// Assumed time between two frames if a file contains no frame times. It corresponds to 30 frames
/// per second, the most common rate of exported cines.
const ASSUMED_PERIOD_NS: i64 = 33_333_333;

/// Longest time between two frames that is used, in nanoseconds.
const LONGEST_STEP_NS: f64 = 200e9;

/// Times between two frames of an echo cine, in nanoseconds: 5 to 500 frames per second.
const ECHO_STEPS_NS: std::ops::RangeInclusive<f64> = 2e6..=200e6;

/// Times between two frames that show that another unit was meant: 8 to 125 frames per second.
const USUAL_STEPS_NS: std::ops::RangeInclusive<f64> = 8e6..=125e6;

/// Source of times that cannot be those of an echo cine.
pub const DOUBTFUL: &str = "doubtful";

/// The times of the frames, and their source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time from the first frame to each frame, in ascending order.
    pub times_ns: Vec<i64>,
    /// Source of the times, usually the name of a field in the file, or [`DOUBTFUL`]. `None` means
    /// that the file contains no frame times and that 30 frames per second are assumed.
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
    fn from_steps(steps_ns: &[i64], source: &'static str) -> Self {
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
        let steps = self.times_ns.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        median(steps.collect()).unwrap_or(ASSUMED_PERIOD_NS)
    }
}

/// A statement of a file about the times of its frames.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FrameRate {
    /// Name of the field.
    pub(super) source: &'static str,
    /// One time between two frames for the whole cine, or an entry for each frame: the time since
    /// the previous frame, in nanoseconds. Entry 0 is then not used.
    pub(super) steps_ns: Vec<f64>,
}

/// Chooses the frame times from the statements of a file, in order of preference. Also returns
/// warnings. The first statement is used whose times can be those of an echo cine. A statement in
/// another unit, such as microseconds instead of milliseconds, is corrected. If no statement can be
/// right, the first one is used, and the times are [`DOUBTFUL`].
pub(super) fn choose_timing(frames: usize, rates: &[FrameRate]) -> (Timing, Vec<String>) {
    let mut warnings = Vec::new();
    let mut doubtful: Option<(&FrameRate, f64)> = None;
    for rate in rates {
        let Some(step_ns) = rate.typical_step_ns(frames) else {
            if frames > 1 {
                warnings.push(format!("{}: no usable time between frames", rate.source));
            }
            continue;
        };
        if ECHO_STEPS_NS.contains(&step_ns) {
            return (rate.create_timing(frames, 1.0, rate.source, &mut warnings), warnings);
        }
        let meant =
            [1e-3, 1e3].into_iter().find(|factor| USUAL_STEPS_NS.contains(&(step_ns * factor)));
        if let Some(factor) = meant {
            let (ms, right) = (step_ns / 1e6, step_ns * factor / 1e6);
            let source = rate.source;
            warnings
                .push(format!("{source}: {ms} ms between frames, which are read as {right} ms"));
            return (rate.create_timing(frames, factor, source, &mut warnings), warnings);
        }
        warnings.push(format!(
            "{}: {} ms between frames; an echo cine has 2 to 200 ms",
            rate.source,
            step_ns / 1e6
        ));
        doubtful = doubtful.or(Some((rate, step_ns)));
    }
    let Some((rate, _)) = doubtful else { return (Timing::assume(frames), warnings) };
    if let Some(last) = warnings.last_mut() {
        last.push_str("; set the right rate with --frame-rate");
    }
    (rate.create_timing(frames, 1.0, DOUBTFUL, &mut warnings), warnings)
}

impl FrameRate {
    /// Returns the usable steps to the second and later frames.
    fn usable_steps(&self, frames: usize) -> Vec<i64> {
        let steps = self.steps_ns.iter().take(frames).skip(1);
        steps.filter_map(|&step| round_step_ns(step)).collect()
    }

    /// Returns the median of the usable steps, or `None` if fewer than half of the steps are usable
    /// or if there are not enough entries.
    fn typical_step_ns(&self, frames: usize) -> Option<f64> {
        if let [step] = self.steps_ns[..] {
            return round_step_ns(step).map(|_| step);
        }
        let usable = self.usable_steps(frames);
        if 2 * usable.len() < frames.saturating_sub(1).max(1) {
            return None;
        }
        median(usable).map(|step| step as f64)
    }

    /// Creates the times of the frames. `factor` converts the steps to nanoseconds. An unusable or
    /// missing step is replaced by the median of the others.
    fn create_timing(
        &self,
        frames: usize,
        factor: f64,
        source: &'static str,
        warnings: &mut Vec<String>,
    ) -> Timing {
        if let [step] = self.steps_ns[..] {
            let period = round_step_ns(step * factor).unwrap_or(ASSUMED_PERIOD_NS);
            return Timing::regular(frames, period, Some(source));
        }
        let usable = self.usable_steps(frames);
        let typical = median(usable).unwrap_or(ASSUMED_PERIOD_NS) as f64;
        let mut replaced = 0;
        let steps: Vec<i64> = (0..frames)
            .map(|frame| {
                let step = self.steps_ns.get(frame).and_then(|&step| round_step_ns(step));
                replaced += usize::from(frame > 0 && step.is_none());
                let step = step.map_or(typical, |step| step as f64);
                round_step_ns(step * factor).unwrap_or(ASSUMED_PERIOD_NS)
            })
            .collect();
        if replaced > 0 {
            warnings.push(format!(
                "{} has no usable time for {replaced} of {frames} frames; the median is used",
                self.source
            ));
        }
        Timing::from_steps(&steps, source)
    }
}

/// Returns the upper median.
fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Rounds the time between two frames to nanoseconds. Returns `None` if the time is not usable.
fn round_step_ns(nanoseconds: f64) -> Option<i64> {
    (1.0..=LONGEST_STEP_NS).contains(&nanoseconds).then_some(nanoseconds.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(frames: usize, rates: &[(&'static str, &[f64])]) -> (Timing, String) {
        let rates: Vec<FrameRate> = rates
            .iter()
            .map(|&(source, ms)| FrameRate {
                source,
                steps_ns: ms.iter().map(|ms| ms * 1e6).collect(),
            })
            .collect();
        let (timing, warnings) = choose_timing(frames, &rates);
        (timing, warnings.join("; "))
    }

    #[test]
    fn steps_add_up_and_the_first_is_not_used() {
        let (timing, warnings) = choose(3, &[("vector", &[9.0, 20.0, 30.0])]);
        assert_eq!((timing.times_ns, warnings.as_str()), (vec![0, 20_000_000, 50_000_000], ""));
        assert_eq!(Timing::from_steps(&[], "test").times_ns, [0i64; 0]);
    }

    #[test]
    fn the_period_is_the_median_step() {
        assert_eq!(Timing::from_steps(&[0, 30, 30, 500], "test").period_ns(), 30);
        assert_eq!(Timing::regular(1, 40, None).period_ns(), ASSUMED_PERIOD_NS);
    }

    #[test]
    fn a_step_that_is_not_usable_is_replaced_by_the_median() {
        let (timing, warnings) = choose(5, &[("vector", &[0.0, 40.0, 0.0, 40.0, 50.0])]);
        assert_eq!(timing.times_ns, [0, 40_000_000, 80_000_000, 120_000_000, 170_000_000]);
        assert!(warnings.contains("1 of 5 frames"), "{warnings}");
        let (timing, _) = choose(4, &[("vector", &[0.0, 40.0, 0.0, 0.0]), ("rate", &[20.0])]);
        assert_eq!((timing.source, timing.period_ns()), (Some("rate"), 20_000_000));
    }

    #[test]
    fn a_time_in_another_unit_is_corrected() {
        for ms in [33_333.0, 0.033_333, 33.333] {
            let (timing, warnings) = choose(2, &[("time", &[ms]), ("rate", &[50.0])]);
            assert_eq!((timing.source, timing.period_ns()), (Some("time"), 33_333_000), "{ms}");
            assert_eq!(warnings.is_empty(), ms == 33.333, "{warnings}");
        }
    }

    #[test]
    fn a_time_that_no_echo_has_is_doubtful() {
        let (timing, warnings) = choose(2, &[("time", &[1000.0]), ("rate", &[40.0])]);
        assert_eq!((timing.source, timing.period_ns()), (Some("rate"), 40_000_000));
        assert!(warnings.contains("1000 ms"), "{warnings}");
        let (timing, warnings) = choose(2, &[("time", &[1000.0])]);
        assert_eq!((timing.source, timing.period_ns()), (Some(DOUBTFUL), 1_000_000_000));
        assert!(warnings.contains("--frame-rate"), "{warnings}");
    }

    #[test]
    fn impossible_times_are_ignored() {
        for wrong in [0.0, -5.0, 1e12, f64::NAN, f64::INFINITY] {
            let (timing, warnings) = choose(2, &[("time", &[wrong])]);
            assert_eq!(timing, Timing::assume(2), "{wrong}");
            assert_eq!(warnings, "time: no usable time between frames");
        }
    }
}
