//! The turns of a session, for which other threads wait.

use crate::sys::priority::PriorityLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Acquire};

/// One turn of a session. The thread that runs the session holds the lock from its request to the
/// end of its run.
pub(super) struct Turn {
    pub(super) lock: PriorityLock,
    /// Number of threads that wait for the lock or are about to. Until they have finished, no other
    /// request uses this turn, because they would then wait for a request that waits for them.
    pub(super) visitors: AtomicUsize,
}

impl Default for Turn {
    fn default() -> Self {
        Self { lock: PriorityLock::new(), visitors: AtomicUsize::new(0) }
    }
}

/// Number of turns that a session allocates when it is created. A session uses the last one only
/// while other threads have not yet noticed the ends of the seven turns before it.
const TURNS: usize = 8;

/// The turns of one session. While threads that waited for an earlier turn have not yet noticed its
/// end, the session uses another one.
#[derive(Default)]
pub(crate) struct Turns(pub(super) [Arc<Turn>; TURNS]);

impl Turns {
    /// Returns a turn without visitors. It gets none until the session has used it, because a
    /// thread finds a turn only among those of the current requests.
    ///
    /// The caller must not hold the lock of the scheduler's state: if other threads have not yet
    /// noticed the end of any turn of the session, the function allocates a turn.
    pub(super) fn find_free(&self) -> Arc<Turn> {
        let is_free = |turn: &&Arc<Turn>| turn.visitors.load(Acquire) == 0;
        self.0.iter().find(is_free).map(Arc::clone).unwrap_or_default()
    }
}
