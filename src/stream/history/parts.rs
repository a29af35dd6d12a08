//! The parts of a history: its front, the headers of its outputs, and the times and numbers of the
//! outputs that a mean covers.

use crate::error::{Result, Status};
use crate::stream::outlook::{OUTLOOK_WORDS, Outlook};

/// Number of words of an output without its values.
pub(super) const HEADER_WORDS: usize = 3;

/// Number of words of a front.
pub(super) const FRONT_WORDS: usize = 5 + OUTLOOK_WORDS;

/// Grid times of the first and last samples that one or more outputs cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first_ns: i64,
    pub(crate) last_ns: i64,
}

impl Span {
    fn union(self, other: Self) -> Self {
        let first_ns = self.first_ns.min(other.first_ns);
        Self { first_ns, last_ns: self.last_ns.max(other.last_ns) }
    }
}

/// Number and times of the outputs that a mean covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    /// Number of outputs, without those that failed.
    pub(crate) outputs: usize,
    /// Number of outputs that failed among those that the mean would otherwise cover.
    pub(crate) failed: usize,
    pub(crate) span: Span,
}

/// The state of a history, without the outputs.
#[derive(Clone, Copy, Default)]
pub(super) struct Front {
    /// Number of outputs added so far.
    pub(super) added: u64,
    /// Value of `added` when the host's clock last restarted, or 0 if it has not restarted.
    pub(super) first_valid: u64,
    /// Whether the clock last restarted during an acquisition, so that the outputs before
    /// `first_valid` belong to the same acquisition as those after it.
    pub(super) has_stepped: bool,
    /// Number of skips added so far.
    pub(super) skips: u64,
    /// Value of `skips` when the host's clock last restarted, or 0 if it has not restarted.
    pub(super) first_skip: u64,
    /// Time at which the next output ends.
    pub(super) outlook: Outlook,
}

impl Front {
    pub(super) fn encode(self) -> [u64; FRONT_WORDS] {
        let Self { added, first_valid, has_stepped, skips, first_skip, outlook } = self;
        let [acquisition, next, next_ns, reached_ns] = outlook.encode();
        let stepped = has_stepped.into();
        [added, first_valid, stepped, skips, first_skip, acquisition, next, next_ns, reached_ns]
    }

    pub(super) fn decode(words: [u64; FRONT_WORDS]) -> Self {
        let [added, first_valid, has_stepped, skips, first_skip, outlook @ ..] = words;
        let (has_stepped, outlook) = (has_stepped == 1, Outlook::decode(outlook));
        Self { added, first_valid, has_stepped, skips, first_skip, outlook }
    }

    /// Forgets all outputs and skips so far, because the host's clock has restarted.
    pub(super) fn restart_clock(&mut self, has_stepped: bool) {
        (self.first_valid, self.has_stepped) = (self.added, has_stepped);
        self.first_skip = self.skips;
    }
}

/// An output without its values.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) span: Span,
    /// Whether the output failed. Its values are then not valid.
    pub(super) has_failed: bool,
}

impl Header {
    pub(super) fn encode(self) -> [u64; HEADER_WORDS] {
        let Span { first_ns, last_ns } = self.span;
        [first_ns.cast_unsigned(), last_ns.cast_unsigned(), self.has_failed.into()]
    }

    pub(super) fn decode([first_ns, last_ns, has_failed]: [u64; HEADER_WORDS]) -> Self {
        let span = Span { first_ns: first_ns.cast_signed(), last_ns: last_ns.cast_signed() };
        Self { span, has_failed: has_failed == 1 }
    }
}

/// The number of outputs in a range, and the times of those that did not fail.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) outputs: u64,
    pub(super) failed: u64,
    pub(super) span: Option<Span>,
}

impl Tally {
    pub(super) fn count(&mut self, Header { span, has_failed }: Header) {
        if has_failed {
            self.failed += 1;
        } else {
            self.outputs += 1;
            self.span = Some(self.span.map_or(span, |so_far| so_far.union(span)));
        }
    }

    /// Returns what a mean of the outputs covers.
    ///
    /// # Errors
    /// Returns [`Status::Empty`] if there are no outputs, or [`Status::Inference`] if all of them
    /// failed.
    pub(super) fn finish(&self) -> Result<Covered, Status> {
        let Some(span) = self.span else {
            return Err(if self.failed > 0 { Status::Inference } else { Status::Empty });
        };
        Ok(Covered { outputs: self.outputs as usize, failed: self.failed as usize, span })
    }
}
