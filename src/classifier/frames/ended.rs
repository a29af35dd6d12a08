//! Chunks whose samples have all run, and whose slow runs may be in progress.

use crate::classifier::slow_lane::hand_over::MAX_OUTSTANDING;
use crate::error::{Error, Result};
use crate::memory::fill_values;
use crate::stream::history::Span;

/// A chunk whose samples have all run.
pub(super) struct EndedChunk {
    /// Times of its first and its last sample. Repeated samples do not count.
    pub(super) span: Span,
    /// Mean of the fast logits.
    pub(super) fast_mean: Vec<f32>,
    /// Number of its slow run; `None` if it has none or if a fast run has failed.
    pub(super) job: Option<u64>,
    /// Reason why a fast run has failed.
    pub(super) failure: Option<Error>,
}

/// A queue of ended chunks, which allocates nothing after its creation.
pub(super) struct EndedChunks {
    /// The first `len` chunks are in the queue, oldest first.
    chunks: [EndedChunk; MAX_OUTSTANDING],
    len: usize,
}

impl EndedChunks {
    pub(super) fn new(values: usize) -> Result<Self> {
        let create = || -> Result<EndedChunk> {
            let fast_mean = fill_values(values, 0.0, "the fast logits")?;
            let span = Span { first_ns: 0, last_ns: 0 };
            Ok(EndedChunk { span, fast_mean, job: None, failure: None })
        };
        Ok(Self { chunks: [create()?, create()?], len: 0 })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == self.chunks.len()
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a chunk, which `write` fills. The caller makes sure that the queue is not full.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut EndedChunk)) {
        if let Some(chunk) = self.chunks.get_mut(self.len) {
            write(chunk);
            self.len += 1;
        }
    }

    /// Removes the oldest chunk.
    pub(super) fn pop(&mut self) {
        self.chunks.rotate_left(1);
        self.len = self.len.saturating_sub(1);
    }

    fn iter(&self) -> impl Iterator<Item = &EndedChunk> {
        self.chunks.iter().take(self.len)
    }

    pub(super) fn oldest_mut(&mut self) -> Option<&mut EndedChunk> {
        self.chunks.first_mut().filter(|_| self.len > 0)
    }

    /// Returns the number of the slow run of the oldest chunk, if it has one.
    pub(super) fn first_job_of_oldest(&self) -> Option<u64> {
        self.iter().next()?.job
    }

    /// Returns the number of the oldest slow run whose outcome is needed.
    pub(super) fn first_job(&self) -> Option<u64> {
        self.iter().find_map(|chunk| chunk.job)
    }
}
