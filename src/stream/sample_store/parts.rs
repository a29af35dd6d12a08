//! The parts of a sample store: its front, and what a query learns about the samples.

use crate::stream::outlook::{OUTLOOK_WORDS, Outlook};

/// Number of words of a front.
pub(super) const FRONT_WORDS: usize = 4 + OUTLOOK_WORDS;

/// The state of a store, without the samples.
#[derive(Clone, Copy, Default)]
pub(super) struct Front {
    /// Number of samples added so far, including those that have been overwritten.
    pub(super) added: u64,
    /// Value of `added` when the host's clock last restarted, or 0 if it has not restarted.
    pub(super) first_valid: u64,
    /// Whether the clock last restarted during an acquisition.
    pub(super) has_stepped: bool,
    /// Time of the newest sample. Valid only if `added` is greater than `first_valid`.
    pub(super) newest_ns: i64,
    /// Grid time of the next sample.
    pub(super) outlook: Outlook,
}

impl Front {
    pub(super) fn encode(self) -> [u64; FRONT_WORDS] {
        let [acquisition, next, next_ns, reached_ns] = self.outlook.encode();
        let (has_stepped, newest_ns) = (self.has_stepped.into(), self.newest_ns.cast_unsigned());
        let Self { added, first_valid, .. } = self;
        [added, first_valid, has_stepped, newest_ns, acquisition, next, next_ns, reached_ns]
    }

    pub(super) fn decode(words: [u64; FRONT_WORDS]) -> Self {
        let [added, first_valid, has_stepped, newest_ns, outlook @ ..] = words;
        let (has_stepped, newest_ns) = (has_stepped == 1, newest_ns.cast_signed());
        Self { added, first_valid, has_stepped, newest_ns, outlook: Outlook::decode(outlook) }
    }

    /// Returns the time of the newest sample since the host's clock last restarted.
    pub(super) fn newest(self) -> Option<i64> {
        (self.added > self.first_valid).then_some(self.newest_ns)
    }

    pub(super) fn clock(self, last_ns: i64, begun: u64) -> ClockState {
        let Self { first_valid, has_stepped, outlook, .. } = self;
        let is_awaited = outlook.awaits(last_ns, begun);
        ClockState { first_valid, has_stepped, is_awaited, is_over: outlook.is_after(begun) }
    }
}

/// The state of the host's clock, as a query sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) struct ClockState {
    /// Number of the first sample since the clock last restarted.
    pub(in crate::stream) first_valid: u64,
    /// Whether the clock last restarted during an acquisition.
    pub(in crate::stream) has_stepped: bool,
    /// Whether a sample of the interval may still come.
    pub(in crate::stream) is_awaited: bool,
    /// Whether the worker has reached an acquisition that began after the query.
    pub(in crate::stream) is_over: bool,
}

/// The beginning of an interval among the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) struct Beginning {
    /// Number of the first sample at or after the start of the interval. If no such sample exists,
    /// the number that the next new sample will have.
    pub(in crate::stream) first: u64,
    /// Whether no sample at the beginning of the interval has been overwritten or hidden.
    pub(in crate::stream) is_kept: bool,
    pub(in crate::stream) clock: ClockState,
}

/// The availability of a sample in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) enum Availability {
    /// The sample has been added. It may have been overwritten since.
    Exists,
    /// The sample was not added before the deadline.
    Late,
    /// The stream ended before the sample was added.
    Ended,
    /// The interval contains no further sample.
    Never,
}
