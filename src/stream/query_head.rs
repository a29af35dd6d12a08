//! The head of plain queries, for networks whose head is not linear.

use crate::classifier::head::Head;
use crate::engine::scheduled_session::Deadline;
use crate::error::Status;
use parking_lot::Mutex;
use std::time::Instant;

/// A head that the threads of plain queries share. Only one of them uses it at a time.
pub(super) struct QueryHead {
    head: Mutex<Head>,
    /// Only the thread that has locked `head` uses the deadline, so its lock is always free.
    deadline: Deadline,
}

impl QueryHead {
    /// Creates a head whose session gives up at `deadline`.
    pub(super) fn new(head: Head, deadline: Deadline) -> Self {
        Self { head: Mutex::new(head), deadline }
    }

    /// Replaces the mean features in `values` by the logits. `deadline` is the time at which the
    /// query gives up; `None` if there is no limit.
    ///
    /// # Errors
    /// Returns [`Status::TimedOut`] after the deadline, [`Status::Cancelled`] if the stream has
    /// been closed, or the error of the runtime.
    pub(super) fn apply(
        &self,
        values: &mut [f32],
        deadline: Option<Instant>,
    ) -> Result<(), Status> {
        let head = match deadline {
            None => Some(self.head.lock()),
            Some(deadline) => self.head.try_lock_until(deadline),
        };
        let mut head = head.ok_or(Status::TimedOut)?;
        *self.deadline.lock() = deadline;
        head.apply(values).map_err(|error| error.status())
    }
}
