//! Sampling, which assigns frames to samples.
//!
//! This module implements docs/stream-contract.md#samples and
//! docs/stream-contract.md#partial-chunk.

use crate::abi::abi_enum;

/// The time grid of a segment: sample `k` has the grid time `start_ns + k * interval_ns`.
///
/// Grid times saturate at the limits of `i64`, so they do not wrap around when a host clock is near
/// these limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start_ns: i64,
    pub(crate) interval_ns: i64,
}

impl Grid {
    /// Returns the grid time of a sample.
    pub(crate) fn time_ns(self, sample: i64) -> i64 {
        let exact = i128::from(self.start_ns) + i128::from(sample) * i128::from(self.interval_ns);
        exact.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// The outcome of adding a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The time of the frame is not later than that of the previous accepted frame.
    Refused,
    /// The frame is accepted. Its arrival decides `previous + current` samples.
    Accepted {
        /// Whether the frame is the first of a segment.
        starts_segment: bool,
        /// Number of decided samples for which the previous frame is used. They precede the
        /// `current` samples.
        previous: usize,
        /// Number of decided samples for which this frame is used.
        current: usize,
    },
}

/// The sampler, which assigns frames to the samples of an acquisition.
///
/// A sample is the frame nearest to its grid time. If two frames are equally near, the sample is
/// the earlier one. A sample is decided when the first frame at or after its grid time arrives, so
/// the sample is always that frame or the previous one.
#[derive(Debug)]
pub(crate) struct Sampler {
    interval_ns: i64,
    gap_ns: u64,
    last_ns: Option<i64>,
    segment: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    grid: Grid,
    /// Time from the last frame to the grid time of the next sample. The time is relative, because
    /// an absolute time could overflow near the limits of `i64`.
    until_next_ns: u64,
    has_previous: bool,
}

impl Sampler {
    /// Creates a sampler. Both arguments must be positive.
    pub(crate) fn new(interval_ns: i64, gap_ns: i64) -> Self {
        Self { interval_ns, gap_ns: gap_ns.unsigned_abs(), last_ns: None, segment: None }
    }

    /// Starts a new acquisition, which has no frame yet.
    pub(crate) fn restart(&mut self) {
        self.last_ns = None;
        self.segment = None;
    }

    /// Ends the open segment, if any. The next frame starts a new segment.
    pub(crate) fn end_segment(&mut self) {
        self.segment = None;
    }

    /// Returns the grid of the open segment.
    pub(crate) fn grid(&self) -> Option<Grid> {
        self.segment.as_ref().map(|segment| segment.grid)
    }

    /// Returns whether a segment is open and a frame at `time_ns` would come after a gap.
    pub(crate) fn is_gap(&self, time_ns: i64) -> bool {
        let too_late = |last_ns: i64| time_ns > last_ns && time_ns.abs_diff(last_ns) > self.gap_ns;
        self.segment.is_some() && self.last_ns.is_some_and(too_late)
    }

    /// Adds the frame at `time_ns`, and determines the samples that this frame decides.
    pub(crate) fn add_frame(&mut self, time_ns: i64) -> Arrival {
        if self.last_ns.is_some_and(|last_ns| time_ns <= last_ns) {
            return Arrival::Refused;
        }
        if self.is_gap(time_ns) {
            self.segment = None;
        }
        let last_ns = self.last_ns.replace(time_ns);
        let starts_segment = self.segment.is_none();
        let segment = self.segment.get_or_insert(Segment {
            grid: Grid { start_ns: time_ns, interval_ns: self.interval_ns },
            until_next_ns: 0,
            has_previous: false,
        });
        // Within a segment, this time is at most `gap_ns`, so adding an interval to it does not
        // overflow.
        let elapsed_ns = match last_ns {
            Some(last_ns) if segment.has_previous => time_ns.abs_diff(last_ns),
            _ => 0,
        };
        let (mut previous, mut current) = (0, 0);
        let mut sample_ns = segment.until_next_ns;
        while sample_ns <= elapsed_ns {
            if segment.has_previous && sample_ns <= elapsed_ns - sample_ns {
                previous += 1;
            } else {
                current += 1;
            }
            sample_ns += self.interval_ns.unsigned_abs();
        }
        segment.until_next_ns = sample_ns - elapsed_ns;
        segment.has_previous = true;
        Arrival::Accepted { starts_segment, previous, current }
    }
}

abi_enum! {
    /// The treatment of a partial chunk when its segment ends.
    #[derive(Default)]
    pub enum PartialChunk: u32 {
        /// If the chunk is at least half full, or if no other chunk counts yet, the chunk is
        /// completed by repeating its last sample. Otherwise, the chunk is dropped.
        #[default]
        Auto = 0,
        /// The chunk is dropped if another chunk already counts. Otherwise, it is completed.
        Drop = 1,
        /// The chunk is always completed.
        Hold = 2,
    }
}

impl PartialChunk {
    /// Returns whether this rule completes a partial chunk that has `filled` of its `size` samples.
    /// `is_first` is true if no other chunk counts yet.
    pub(crate) fn completes(self, filled: usize, size: usize, is_first: bool) -> bool {
        filled > 0
            && match self {
                Self::Auto => is_first || 2 * filled >= size,
                Self::Drop => is_first,
                Self::Hold => true,
            }
    }
}

impl PartialChunk {
    /// Returns how often the last sample of a partial chunk is repeated in frame steps, or `None`
    /// if the chunk is left out. `filled` of its `alpha` samples are decided, and its slow run is
    /// due after sample `reach`.
    pub(crate) fn repeats(
        self,
        filled: usize,
        alpha: usize,
        reach: usize,
        is_first: bool,
    ) -> Option<usize> {
        match self {
            _ if filled == 0 => None,
            Self::Hold => Some(alpha.saturating_sub(filled)),
            Self::Auto | Self::Drop => is_first.then(|| (reach + 1).saturating_sub(filled)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns, for each sample of a segment, the index of the frame that the contract assigns to
    /// it. Unlike the sampler, this function knows all frames in advance.
    fn nearest_frames(times: &[i64], interval: i64) -> Vec<usize> {
        let mut samples = Vec::new();
        let mut grid = times[0];
        while grid <= *times.last().unwrap() {
            let distance = |&index: &usize| ((times[index] - grid).abs(), index);
            samples.push((0..times.len()).min_by_key(distance).unwrap());
            grid += interval;
        }
        samples
    }

    proptest! {
        #[test]
        fn every_sample_is_the_nearest_frame_or_the_earlier_of_two(
            steps in prop::collection::vec(1i64..60, 1..80),
            interval in 1i64..70,
        ) {
            let mut sampler = Sampler::new(interval, 1000);
            let mut times = Vec::new();
            let mut samples = Vec::new();
            let mut time = 5;
            for (index, step) in steps.into_iter().enumerate() {
                time += step;
                times.push(time);
                let Arrival::Accepted { starts_segment, previous, current } =
                    sampler.add_frame(time)
                else {
                    panic!("refused");
                };
                prop_assert_eq!(starts_segment, index == 0);
                samples.extend(std::iter::repeat_n(index.wrapping_sub(1), previous));
                samples.extend(std::iter::repeat_n(index, current));
            }
            prop_assert_eq!(samples, nearest_frames(&times, interval));
        }
    }

    #[test]
    fn grid_times_saturate_at_both_ends() {
        let late = Grid { start_ns: i64::MAX - 10, interval_ns: 4 };
        assert_eq!([0, 2, 3].map(|k| late.time_ns(k)), [i64::MAX - 10, i64::MAX - 2, i64::MAX]);
        let early = Grid { start_ns: i64::MIN, interval_ns: 4 };
        assert_eq!(early.time_ns(i64::MAX), i64::MAX);
        assert_eq!(early.time_ns(3), i64::MIN + 12);
    }

    #[test]
    fn frames_at_both_ends_of_i64_are_sampled() {
        let mut sampler = Sampler::new(4, 100);
        let accepted =
            |starts_segment, current| Arrival::Accepted { starts_segment, previous: 0, current };
        assert_eq!(sampler.add_frame(i64::MIN), accepted(true, 1));
        assert_eq!(sampler.add_frame(i64::MIN + 4), accepted(false, 1));
        assert_eq!(sampler.add_frame(i64::MAX - 4), accepted(true, 1));
        assert_eq!(sampler.add_frame(i64::MAX), accepted(false, 1));
        assert_eq!(sampler.add_frame(i64::MAX), Arrival::Refused);
    }

    #[test]
    fn a_gap_is_longer_than_its_limit() {
        let mut sampler = Sampler::new(10, 100);
        assert!(!sampler.is_gap(i64::MAX), "no segment is open");
        assert_eq!(sampler.grid(), None);
        sampler.add_frame(1000);
        assert_eq!(
            [0, 1000, 1100, 1101].map(|time| sampler.is_gap(time)),
            [false, false, false, true]
        );
        let starts = |sampler: &mut Sampler, time| match sampler.add_frame(time) {
            Arrival::Accepted { starts_segment, .. } => Some(starts_segment),
            Arrival::Refused => None,
        };
        assert_eq!(starts(&mut sampler, 1100), Some(false));
        assert_eq!(sampler.grid(), Some(Grid { start_ns: 1000, interval_ns: 10 }));
        assert_eq!(starts(&mut sampler, 1201), Some(true));
        assert_eq!(sampler.grid(), Some(Grid { start_ns: 1201, interval_ns: 10 }));
        sampler.end_segment();
        assert!(!sampler.is_gap(9999), "the segment has ended");
        assert_eq!([starts(&mut sampler, 1201), starts(&mut sampler, 1202)], [None, Some(true)]);
        sampler.restart();
        assert_eq!(starts(&mut sampler, 5), Some(true), "an acquisition may begin earlier");
    }

    #[test]
    fn partial_chunks_are_completed_as_the_rule_says() {
        use PartialChunk::{Auto, Drop, Hold};
        let completes =
            |filled, is_first| [Auto, Drop, Hold].map(|rule| rule.completes(filled, 5, is_first));
        assert_eq!(completes(0, true), [false; 3]);
        assert_eq!(completes(0, false), [false; 3]);
        assert_eq!(completes(1, true), [true; 3]);
        assert_eq!(completes(2, false), [false, false, true]);
        assert_eq!(completes(3, false), [true, false, true]);
        assert!(Auto.completes(2, 4, false), "exactly half of the chunk");
        assert!(Auto.completes(4, 8, false), "exactly half of a larger chunk");
    }
}
