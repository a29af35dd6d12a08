//! The scheduler, which decides which session may run the network of an engine.
//!
//! Live streams run in the order of their requests. Exact queries run only when no live stream is
//! waiting. Nothing runs while the engine is paused.

use crate::error::{Error, Result, Status};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{ThreadId, current};
use std::time::Instant;

/// Number of streams that can wait at the same time before the queue allocates more memory.
const QUEUE_CAPACITY: usize = 64;

/// A scheduler that lets one session run at a time.
///
/// With N live streams, each stream waits for at most N - 1 runs of other streams, and for one run
/// of an exact query if that run is in progress when the stream makes its request.
pub(crate) struct Scheduler {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Number of tickets issued so far.
    tickets: u64,
    /// Waiting live streams in the order of their requests.
    queue: VecDeque<Waiting>,
    is_running: bool,
    is_paused: bool,
    /// Host threads that are inside `Driver::process`.
    driving: Vec<ThreadId>,
}

struct Waiting {
    ticket: u64,
    /// Whether the waiting thread is inside `Driver::process`. A pause lets that call finish.
    is_driving: bool,
}

impl Default for Scheduler {
    fn default() -> Self {
        let state = State {
            tickets: 0,
            queue: VecDeque::with_capacity(QUEUE_CAPACITY),
            is_running: false,
            is_paused: false,
            driving: Vec::with_capacity(QUEUE_CAPACITY),
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl State {
    /// Returns the ticket of the waiting stream that may run next.
    fn next_ticket(&self) -> Option<u64> {
        let may_run = |waiting: &&Waiting| !self.is_paused || waiting.is_driving;
        self.queue.iter().find(may_run).map(|waiting| waiting.ticket)
    }

    fn is_this_thread_driving(&self) -> bool {
        self.driving.contains(&current().id())
    }
}

/// Permission to run the network. Dropping the permit ends the run.
pub(crate) struct RunPermit<'a>(&'a Scheduler);

/// A guard that marks a host thread as being inside `Driver::process`. Dropping the guard removes
/// the mark.
pub(crate) struct DrivingGuard<'a>(&'a Scheduler);

impl Scheduler {
    /// Waits until it is this stream's turn and the engine is not paused. Returns `None` if `stop`
    /// is set. The code that sets `stop` must then call [`Self::wake_all`].
    pub(crate) fn acquire_live(&self, stop: &AtomicBool) -> Option<RunPermit<'_>> {
        self.acquire(|_| stop.load(Relaxed))
    }

    /// Waits until a control call may run the network. During a pause, such a call fails instead of
    /// waiting for the pause to end.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] while the engine is paused.
    pub(crate) fn acquire_unless_paused(&self) -> Result<RunPermit<'_>> {
        self.acquire(|state| state.is_paused).ok_or_else(paused_error)
    }

    /// Checks that the engine is not paused.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] while the engine is paused.
    pub(crate) fn check_not_paused(&self) -> Result<()> {
        if self.state.lock().is_paused { Err(paused_error()) } else { Ok(()) }
    }

    fn acquire(&self, gives_up: impl Fn(&State) -> bool) -> Option<RunPermit<'_>> {
        let mut state = self.state.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        let is_driving = state.is_this_thread_driving();
        state.queue.push_back(Waiting { ticket, is_driving });
        loop {
            let leaves = gives_up(&state);
            if leaves || (!state.is_running && state.next_ticket() == Some(ticket)) {
                state.queue.retain(|waiting| waiting.ticket != ticket);
                if leaves {
                    self.changed.notify_all();
                    return None;
                }
                state.is_running = true;
                return Some(RunPermit(self));
            }
            self.changed.wait(&mut state);
        }
    }

    /// Waits until no session is running, no live stream is waiting and the engine is not paused.
    /// Returns `None` if this does not happen before the deadline.
    pub(crate) fn acquire_idle(&self, deadline: Option<Instant>) -> Option<RunPermit<'_>> {
        let mut state = self.state.lock();
        let is_driving = state.is_this_thread_driving();
        while state.is_running || state.next_ticket().is_some() || (state.is_paused && !is_driving)
        {
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) if Instant::now() >= deadline => return None,
                Some(deadline) => {
                    self.changed.wait_until(&mut state, deadline);
                }
            }
        }
        state.is_running = true;
        Some(RunPermit(self))
    }

    /// Begins a call of `Driver::process`. Returns `None` while the engine is paused, so that no
    /// host thread waits for the end of a pause.
    pub(crate) fn begin_driving(&self) -> Option<DrivingGuard<'_>> {
        let mut state = self.state.lock();
        if state.is_paused {
            return None;
        }
        state.driving.push(current().id());
        Some(DrivingGuard(self))
    }

    /// Prevents further runs from starting, and returns when no run is in progress.
    ///
    /// # Errors
    /// Returns [`Status::WrongThread`] inside `Driver::process`, because the call would wait for
    /// itself, or [`Status::WrongState`] if another thread resumes the engine while `pause` is
    /// waiting.
    pub(crate) fn pause(&self) -> Result<()> {
        let mut state = self.state.lock();
        if state.is_this_thread_driving() {
            let message = "pause cannot be called from the callback of a host-driven stream, \
                           because it would wait for itself";
            return Err(Error::new(Status::WrongThread, message));
        }
        state.is_paused = true;
        while state.is_paused && (state.is_running || !state.driving.is_empty()) {
            self.changed.wait(&mut state);
        }
        if state.is_paused {
            return Ok(());
        }
        let message =
            "another thread resumed the engine while pause was waiting for a step to finish";
        Err(Error::new(Status::WrongState, message))
    }

    /// Resumes the engine if it is paused.
    pub(crate) fn resume(&self) {
        self.state.lock().is_paused = false;
        self.changed.notify_all();
    }

    /// Makes every waiting thread check whether it must stop.
    pub(crate) fn wake_all(&self) {
        // Take the lock first. A thread that has checked its stop flag but is not waiting yet still
        // holds the lock, and would miss a notification that is sent before it waits.
        drop(self.state.lock());
        self.changed.notify_all();
    }

    /// Returns the number of waiting live streams.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> u64 {
        self.state.lock().queue.len() as u64
    }
}

fn paused_error() -> Error {
    Error::new(Status::WrongState, "the engine is paused; resume it first")
}

impl Drop for RunPermit<'_> {
    fn drop(&mut self) {
        self.0.state.lock().is_running = false;
        self.0.changed.notify_all();
    }
}

impl Drop for DrivingGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if let Some(index) = state.driving.iter().position(|&thread| thread == current().id()) {
            state.driving.swap_remove(index);
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
