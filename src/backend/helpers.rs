//! The threads that help the calling thread to run the network.

use crate::error::Result;
use crate::model::part::Part;
use crate::sys::thread::start_thread;
use parking_lot::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Function that runs first on a thread of the engine and receives the thread's role as its
/// argument.
pub(crate) type ThreadStart = Option<fn(&str)>;

/// Name of the threads, which is also their role.
const NAME: &str = "tteview-helper";

/// Returns the number of threads that run a part of the network, including the thread that asks for
/// the run, if an engine has `threads` threads. Helpers help only the slow part, because fast runs
/// are short.
pub(crate) fn threads_for(part: Part, threads: u32) -> u32 {
    match part {
        Part::Whole => threads.max(1),
        Part::Fast | Part::Head => 1,
        Part::Slow => threads.saturating_sub(1).max(1),
    }
}

/// The work of a helper thread, which a runtime supplies. The function returns when the runtime no
/// longer needs the thread.
type Work = Box<dyn FnOnce() + Send>;

/// Threads that have been started but have no work yet. Dropping this value ends them.
///
/// All threads are started before the runtime asks for any, because a runtime that cannot start one
/// of its threads may panic or never return.
pub(crate) struct HelperThreads(Mutex<Vec<IdleThread>>);

struct IdleThread {
    work: SyncSender<Work>,
    thread: HelperThread,
}

/// A helper thread. Dropping this value waits until the thread has ended.
pub(crate) struct HelperThread(Option<JoinHandle<()>>);

impl Drop for HelperThread {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            let _ = handle.join();
        }
    }
}

impl HelperThreads {
    /// Starts threads that call `thread_start` and wait for work.
    ///
    /// # Errors
    /// Returns [`Status::System`](crate::Status::System) if a thread cannot be started. The threads
    /// that have been started then end.
    pub(crate) fn start(count: u32, thread_start: ThreadStart) -> Result<Self> {
        let start = |_| {
            let (sender, receiver) = sync_channel::<Work>(1);
            let run = move || {
                if let Some(start) = thread_start {
                    start(NAME);
                }
                if let Ok(work) = receiver.recv() {
                    work();
                }
            };
            let thread = HelperThread(Some(start_thread(NAME, run)?));
            // The fields are dropped in this order: without a sender, the thread ends.
            Ok(IdleThread { work: sender, thread })
        };
        Ok(Self(Mutex::new((0..count).map(start).collect::<Result<_>>()?)))
    }

    /// Gives work to a thread that has none. Returns `None` if no such thread is left.
    pub(crate) fn assign(&self, work: Work) -> Option<HelperThread> {
        let IdleThread { work: sender, thread } = self.0.lock().pop()?;
        sender.send(work).ok().map(|()| thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    static STARTED: AtomicU32 = AtomicU32::new(0);

    fn count_start(role: &str) {
        assert_eq!(role, std::thread::current().name().unwrap_or_default());
        STARTED.fetch_add(1, SeqCst);
    }

    #[test]
    fn helpers_call_the_hook_do_their_work_and_end() {
        let helpers = HelperThreads::start(3, Some(count_start)).unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let assign = || {
            let done = Arc::clone(&done);
            helpers.assign(Box::new(move || {
                done.fetch_add(1, SeqCst);
            }))
        };
        drop((assign().unwrap(), assign().unwrap()));
        assert_eq!(done.load(SeqCst), 2);
        drop(helpers);
        assert_eq!(STARTED.load(SeqCst), 3);
        let none = HelperThreads::start(0, None).unwrap();
        assert!(none.assign(Box::new(|| {})).is_none());
    }
}
