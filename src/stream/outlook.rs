//! The outlook of the worker: which outputs or samples are still to come.

/// Number of words that encode an outlook.
pub(super) const OUTLOOK_WORDS: usize = 4;

/// The most recent announcement of the worker about the outputs or samples that are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outlook {
    /// Acquisition to which the announcement belongs, or 0 before the first one.
    acquisition: u64,
    /// Grid time at which the next output or sample ends; `None` if the acquisition has no further
    /// one.
    next_ns: Option<i64>,
    /// Time of the last frame of the newest acquisition that has ended. On the same clock, the
    /// frames of later acquisitions are later.
    reached_ns: i64,
}

impl Default for Outlook {
    fn default() -> Self {
        Self { acquisition: 0, next_ns: None, reached_ns: i64::MIN }
    }
}

impl Outlook {
    pub(super) fn encode(self) -> [u64; OUTLOOK_WORDS] {
        let next_ns = self.next_ns.unwrap_or_default().cast_unsigned();
        let has_next = u64::from(self.next_ns.is_some());
        [self.acquisition, has_next, next_ns, self.reached_ns.cast_unsigned()]
    }

    pub(super) fn decode(words: [u64; OUTLOOK_WORDS]) -> Self {
        let [acquisition, has_next, next_ns, reached_ns] = words;
        Self {
            acquisition,
            next_ns: (has_next == 1).then_some(next_ns.cast_signed()),
            reached_ns: reached_ns.cast_signed(),
        }
    }

    /// Announces the time at which the next output or sample ends.
    pub(super) fn expect(&mut self, acquisition: u64, next_ns: i64) {
        (self.acquisition, self.next_ns) = (acquisition, Some(next_ns));
    }

    /// Announces that the acquisition has no further output or sample. `reached_ns` is the time of
    /// its last frame, if it has one.
    pub(super) fn end(&mut self, acquisition: u64, reached_ns: Option<i64>) {
        (self.acquisition, self.next_ns) = (acquisition, None);
        self.reached_ns = reached_ns.unwrap_or(self.reached_ns);
    }

    /// Announces that the host's clock has stepped to `time_ns`. If the acquisition has a further
    /// output or sample, the next one does not end earlier.
    pub(super) fn step_clock(&mut self, acquisition: u64, time_ns: i64) {
        if self.acquisition == acquisition && self.next_ns.is_none() {
            self.reached_ns = time_ns;
        } else {
            self.expect(acquisition, time_ns);
        }
    }

    /// Returns whether the worker has reached an acquisition after `begun`.
    pub(super) fn is_after(&self, begun: u64) -> bool {
        self.acquisition > begun
    }

    /// Returns whether an output or sample that ends by `last_ns` may still come before the
    /// acquisition `begun` ends. This is the newest acquisition that had begun when the query was
    /// made. If the worker has not reached it yet, its frames are expected to be later than those
    /// of the acquisition before it.
    pub(super) fn awaits(&self, last_ns: i64, begun: u64) -> bool {
        if self.is_after(begun) {
            return false;
        }
        match self.next_ns {
            Some(next_ns) => next_ns <= last_ns,
            None => self.acquisition < begun && self.reached_ns < last_ns,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_query_waits_until_its_interval_is_decided() {
        let mut outlook = Outlook::default();
        assert!(!outlook.awaits(100, 0), "no acquisition has begun");
        assert!(outlook.awaits(100, 1), "the worker has not reached the acquisition");
        outlook.expect(1, 39);
        assert!(outlook.awaits(39, 1) && !outlook.awaits(38, 1));
        assert!(outlook.awaits(39, 2) && !outlook.awaits(38, 2));
        outlook.end(1, Some(50));
        assert!(!outlook.awaits(100, 1), "the acquisition has ended");
        assert!(outlook.awaits(100, 2), "the next acquisition has begun");
        assert!(!outlook.awaits(50, 2), "the frames of the next acquisition are later");
        outlook.expect(3, 139);
        assert!(!outlook.awaits(200, 2), "the acquisition ended before the last look");
    }

    #[test]
    fn a_clock_step_brings_earlier_times_back() {
        let mut outlook = Outlook::default();
        outlook.expect(1, 139);
        assert!(!outlook.awaits(60, 1));
        outlook.step_clock(1, 50);
        assert!(outlook.awaits(60, 1) && !outlook.awaits(49, 1));
        // After an early stop, the acquisition has no further output, but the next one has.
        outlook.end(1, Some(200));
        outlook.step_clock(1, 50);
        assert!(!outlook.awaits(60, 1), "the network does not run");
        assert!(outlook.awaits(60, 2) && !outlook.awaits(50, 2));
    }

    #[test]
    fn an_outlook_is_encoded_without_loss() {
        let mut outlook = Outlook::default();
        assert_eq!(Outlook::decode(outlook.encode()), outlook);
        outlook.expect(7, -1);
        assert_eq!(Outlook::decode(outlook.encode()), outlook);
        outlook.end(8, Some(i64::MAX));
        assert_eq!(Outlook::decode(outlook.encode()), outlook);
    }
}
