//! Timestamps to the time grid: which frame is which sample.
//!
//! A segment starts at its first frame, time t0, and sample k is the frame nearest to `t0 + k * interval`, of two
//! equally near the earlier. It is decided when the first frame at or after that time arrives, so it is always this
//! frame or the one before it.

/// What a frame's time leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Not later than the frame before: refused.
    Refused,
    /// Accepted.
    Accepted {
        /// The frame starts a segment.
        starts: bool,
        /// Samples that this frame decides and that are the frame before it; they come first.
        previous: usize,
        /// Samples that this frame decides and that are the frame itself.
        current: usize,
    },
}

/// The grid of one acquisition.
#[derive(Debug)]
pub(crate) struct Sampler {
    interval_ns: i64,
    gap_ns: i64,
    last_ns: Option<i64>,
    segment: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    start_ns: i64,
    next_grid_ns: i64,
    has_previous: bool,
}

impl Sampler {
    pub(crate) fn new(interval_ns: i64, gap_ns: i64) -> Self {
        Self { interval_ns, gap_ns, last_ns: None, segment: None }
    }

    /// A new acquisition: no frame yet.
    pub(crate) fn restart(&mut self) {
        self.last_ns = None;
        self.segment = None;
    }

    /// Ends the segment: the next frame starts another.
    pub(crate) fn end_segment(&mut self) {
        self.segment = None;
    }

    /// Start of the open segment.
    pub(crate) fn segment_start_ns(&self) -> Option<i64> {
        self.segment.as_ref().map(|segment| segment.start_ns)
    }

    /// Whether a frame of this time would come too late after the one before, and so end the open segment.
    pub(crate) fn would_gap(&self, time_ns: i64) -> bool {
        self.segment.is_some() && self.last_ns.is_some_and(|last| time_ns.saturating_sub(last) > self.gap_ns)
    }

    /// Takes the time of the next frame.
    pub(crate) fn frame(&mut self, time_ns: i64) -> Arrival {
        if self.last_ns.is_some_and(|last| time_ns <= last) {
            return Arrival::Refused;
        }
        if self.would_gap(time_ns) {
            self.segment = None;
        }
        let before_ns = self.last_ns.replace(time_ns);
        let starts = self.segment.is_none();
        let segment = self.segment.get_or_insert(Segment {
            start_ns: time_ns,
            next_grid_ns: time_ns,
            has_previous: false,
        });
        let (mut previous, mut current) = (0, 0);
        while segment.next_grid_ns <= time_ns {
            let grid = segment.next_grid_ns;
            match before_ns {
                Some(before) if segment.has_previous && grid - before <= time_ns - grid => previous += 1,
                _ => current += 1,
            }
            segment.next_grid_ns = grid.saturating_add(self.interval_ns);
            if segment.next_grid_ns == i64::MAX {
                break;
            }
        }
        segment.has_previous = true;
        Arrival::Accepted { starts, previous, current }
    }
}

/// What becomes of a chunk that is not full when its segment ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartialChunk {
    /// Completed by its last sample if at least half full or if there is no chunk yet, else dropped.
    #[default]
    Auto,
    /// Dropped unless there is no chunk yet.
    Drop,
    /// Always completed.
    Hold,
}

impl PartialChunk {
    /// Whether a chunk with `filled` of `size` samples is completed. `first`: no chunk counts yet.
    pub(crate) fn completes(self, filled: usize, size: usize, first: bool) -> bool {
        filled > 0
            && match self {
                Self::Auto => first || 2 * filled >= size,
                Self::Drop => first,
                Self::Hold => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The contract word by word, over all frames of one segment at once.
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
        fn every_sample_is_the_nearest_frame_and_of_two_the_earlier(
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
                let Arrival::Accepted { starts, previous, current } = sampler.frame(time) else {
                    panic!("refused");
                };
                prop_assert_eq!(starts, index == 0);
                samples.extend(std::iter::repeat_n(index.wrapping_sub(1), previous));
                samples.extend(std::iter::repeat_n(index, current));
            }
            prop_assert_eq!(samples, nearest_frames(&times, interval));
        }
    }
}
