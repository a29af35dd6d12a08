//! The rule for the times of frames: docs/stream-contract.md#clock-steps.

/// Number of consecutive late frames that must agree before the last of them is accepted.
pub(super) const AGREEING_FRAMES: u32 = 5;

/// The outcome of checking the time of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeCheck {
    /// The frame is later than the last accepted one.
    Later,
    /// The frame is late, but agrees with enough late frames before it: the host's clock has
    /// stepped.
    ClockStep,
    /// The frame is late and is refused.
    Late,
}

/// The order of the frames of an acquisition. A frame is late if its time is not later than that of
/// the last accepted frame.
pub(super) struct FrameOrder {
    gap_ns: u64,
    /// Time of the last accepted frame.
    last_ns: Option<i64>,
    /// Number of consecutive late frames that agree, up to the newest frame.
    agreeing: u32,
    /// Time of the newest late frame, if `agreeing` is not 0.
    late_ns: i64,
}

impl FrameOrder {
    /// Creates the order for a stream with this `gap_ns`, which must be positive.
    pub(super) fn new(gap_ns: i64) -> Self {
        Self { gap_ns: gap_ns.unsigned_abs(), last_ns: None, agreeing: 0, late_ns: 0 }
    }

    /// Begins an acquisition.
    pub(super) fn begin(&mut self) {
        (self.last_ns, self.agreeing) = (None, 0);
    }

    /// Checks the time of a frame.
    pub(super) fn check(&mut self, time_ns: i64) -> TimeCheck {
        if self.last_ns.is_some_and(|last_ns| time_ns <= last_ns) {
            return self.check_late(time_ns);
        }
        self.agreeing = 0;
        TimeCheck::Later
    }

    #[cold]
    fn check_late(&mut self, time_ns: i64) -> TimeCheck {
        let agrees = self.agreeing > 0
            && time_ns > self.late_ns
            && time_ns.abs_diff(self.late_ns) <= self.gap_ns;
        self.agreeing = if agrees { self.agreeing.saturating_add(1) } else { 1 };
        self.late_ns = time_ns;
        if self.agreeing >= AGREEING_FRAMES { TimeCheck::ClockStep } else { TimeCheck::Late }
    }

    /// Records that a frame was accepted. A frame that passes [`Self::check`] can still be dropped.
    pub(super) fn accept(&mut self, time_ns: i64) {
        self.last_ns = Some(time_ns);
        self.agreeing = 0;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::TimeCheck::{ClockStep, Late, Later};
    use super::*;

    /// Checks frames, and accepts those that the order does not refuse.
    fn check_all(times: impl IntoIterator<Item = i64>) -> Vec<TimeCheck> {
        let mut order = FrameOrder::new(100);
        let check = |time| {
            let outcome = order.check(time);
            if outcome != Late {
                order.accept(time);
            }
            outcome
        };
        times.into_iter().map(check).collect()
    }

    #[test]
    fn five_late_frames_that_agree_are_a_clock_step() {
        let outcomes = check_all([1000, i64::MAX, 1010, 1020, 1030, 1040, 1050, 1060]);
        assert_eq!(outcomes, [Later, Later, Late, Late, Late, Late, ClockStep, Later]);
        // A step of exactly `gap_ns` agrees, and one of a nanosecond more does not.
        let outcomes = check_all([9000, 0, 100, 200, 300, 400]);
        assert_eq!(outcomes.last(), Some(&ClockStep));
        let outcomes = check_all([9000, 0, 100, 200, 300, 401, 501, 601, 701, 801]);
        assert_eq!(outcomes[1..9], [Late; 8]);
        assert_eq!(outcomes[9], ClockStep);
    }

    #[test]
    fn equal_and_falling_times_never_agree() {
        assert_eq!(check_all([50; 40])[1..], [Late; 39]);
        assert_eq!(check_all((0..40).map(|frame| -frame))[1..], [Late; 39]);
        // Each time comes twice.
        assert_eq!(check_all([900].into_iter().chain((0..80).map(|n| n / 2)))[1..], [Late; 80]);
    }

    #[test]
    fn a_frame_that_is_not_late_restarts_the_count() {
        let outcomes = check_all([1000, 1, 2, 3, 4, 1001, 5, 6, 7, 8]);
        assert_eq!(outcomes.iter().filter(|&&outcome| outcome == Late).count(), 8);
    }

    #[test]
    fn two_clocks_that_alternate_do_not_step() {
        // One clock is ahead of the other, which is never accepted.
        let ahead = (0..40).flat_map(|frame| [10_000 + frame * 10, frame * 10]);
        let outcomes = check_all(ahead);
        assert!(outcomes.chunks(2).all(|pair| *pair == [Later, Late]));
        // Both clocks are behind an earlier frame. Neither is accepted.
        for offset in [50, 5000] {
            let behind = (0..40).flat_map(|frame| [frame * 10, frame * 10 - offset]);
            let outcomes = check_all([1_000_000].into_iter().chain(behind));
            assert_eq!(outcomes[1..], [Late; 80], "{offset}");
        }
    }

    #[test]
    fn a_clock_that_wraps_goes_on_after_five_frames() {
        let times = (-20..20).map(|frame| i64::MAX.wrapping_add(10 * frame));
        let outcomes = check_all(times);
        assert_eq!(outcomes[..21], [Later; 21]);
        assert_eq!(outcomes[21..25], [Late; 4]);
        assert_eq!(outcomes[25], ClockStep);
        assert_eq!(outcomes[26..], [Later; 14]);
    }

    #[test]
    fn a_clock_step_that_is_dropped_is_accepted_later() {
        let mut order = FrameOrder::new(100);
        order.accept(1000);
        let outcomes: Vec<_> = (0..7).map(|frame| order.check(frame * 10)).collect();
        assert_eq!(outcomes[4..], [ClockStep; 3]);
        order.accept(60);
        assert_eq!(order.check(61), Later);
    }
}
