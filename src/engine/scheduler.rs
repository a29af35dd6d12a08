//! The scheduler, which decides which session may run the network of an engine.
//!
//! Live streams run in the order of their requests. Exact queries run only when no live stream is
//! waiting. Nothing runs while the engine is paused.
//!
//! The slow runs of frame steps have a lane of their own, so that a fast run never waits for a slow
//! one. All other runs are in the fast lane. One run of each lane may be in progress at a time.
//!
//! Each waiting thread waits for the turn of the thread before it, and lends its priority to that
//! thread. The thread that runs the network therefore has at least the priority of every thread
//! that waits, and the end of a run wakes only the next thread.

mod turn;

use crate::error::{Error, Result, Status};
use crate::model::part::Part;
use crate::sys::priority::{Notice, PriorityGuard, PriorityMutex};
use crate::sys::thread::ThreadKey;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, Release},
};
use std::time::{Duration, Instant};
use turn::Turn;
pub(crate) use turn::Turns;

/// Number of streams that can wait at the same time before the queue allocates more memory.
const QUEUE_CAPACITY: usize = 64;

/// Interval at which a thread that waits for its turn checks whether it must stop, or whether the
/// engine has been paused.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The lane of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Fast,
    Slow,
}

impl From<Part> for Lane {
    fn from(part: Part) -> Self {
        match part {
            Part::Whole | Part::Fast | Part::Head => Self::Fast,
            Part::Slow => Self::Slow,
        }
    }
}

/// A scheduler that lets one session run in each lane at a time.
///
/// With N live streams, each stream waits for at most N - 1 runs of other streams in the same lane,
/// and for one run of an exact query if that run is in progress when the stream makes its request.
/// A call that prepares the engine counts as a stream.
pub(crate) struct Scheduler {
    state: PriorityMutex<State>,
    /// Wakes the threads in [`Self::sleep`].
    changed: Notice,
}

struct State {
    /// Number of tickets issued so far.
    tickets: u64,
    /// Waiting live streams in the order of their requests.
    queue: VecDeque<Waiting>,
    /// Turns of the threads that run the network in each lane.
    running: [Option<Arc<Turn>>; 2],
    is_paused: bool,
    /// Host threads that are inside `Driver::process`.
    driving: Vec<ThreadKey>,
    /// Number of threads in [`Scheduler::sleep`].
    sleeping: usize,
}

struct Waiting {
    ticket: u64,
    lane: Lane,
    /// Whether the waiting thread is inside `Driver::process`. A pause lets that call finish.
    is_driving: bool,
    turn: Arc<Turn>,
}

/// What a waiting thread must do next.
enum Step {
    Run,
    /// The thread waits until this turn ends.
    WaitFor(Arc<Turn>),
    /// The thread waits for the end of the pause.
    Sleep,
}

impl Default for Scheduler {
    fn default() -> Self {
        let state = State {
            tickets: 0,
            queue: VecDeque::with_capacity(QUEUE_CAPACITY),
            running: [None, None],
            is_paused: false,
            driving: Vec::with_capacity(QUEUE_CAPACITY),
            sleeping: 0,
        };
        Self { state: PriorityMutex::new(state), changed: Notice::new() }
    }
}

impl State {
    /// Returns whether a waiting thread may run although the engine may be paused.
    fn may_run(&self, waiting: &Waiting) -> bool {
        !self.is_paused || waiting.is_driving
    }

    /// Returns whether nothing runs and no live stream that may run is waiting.
    fn is_idle(&self) -> bool {
        self.is_stopped() && !self.queue.iter().any(|waiting| self.may_run(waiting))
    }

    /// Returns whether nothing runs.
    fn is_stopped(&self) -> bool {
        self.running.iter().all(Option::is_none)
    }

    /// Returns what the waiting thread with this ticket must do next.
    fn next_step(&self, ticket: u64, lane: Lane, is_driving: bool) -> Step {
        if self.is_paused && !is_driving {
            return Step::Sleep;
        }
        let earlier = self.queue.iter().take_while(|waiting| waiting.ticket != ticket);
        let may_run = |waiting: &&Waiting| waiting.lane == lane && self.may_run(waiting);
        let running = || self.running.get(lane as usize).and_then(Option::as_ref);
        let turn = earlier.filter(may_run).last().map(|waiting| &waiting.turn).or_else(running);
        turn.map_or(Step::Run, |turn| Step::WaitFor(Arc::clone(turn)))
    }

    fn is_this_thread_driving(&self) -> bool {
        self.driving.contains(&ThreadKey::current())
    }
}

/// Permission to run the network. Dropping the permit ends the run.
pub(crate) struct RunPermit<'a> {
    scheduler: &'a Scheduler,
    lane: Lane,
    turn: Arc<Turn>,
    /// Only the thread that holds the turn can end it.
    not_send: PhantomData<*const ()>,
}

/// A guard that marks a host thread as being inside `Driver::process`. Dropping the guard removes
/// the mark.
pub(crate) struct DrivingGuard<'a>(&'a Scheduler);

impl Scheduler {
    /// Waits until it is this stream's turn and the engine is not paused. Returns `None` if `stop`
    /// is set. The code that sets `stop` must then call [`Self::wake_all`].
    pub(crate) fn acquire_live(
        &self,
        lane: Lane,
        turns: &Turns,
        stop: &AtomicBool,
    ) -> Option<RunPermit<'_>> {
        self.acquire(lane, turns.find_free(), |_| stop.load(Relaxed))
    }

    /// Waits until a control call may run the network. During a pause, such a call fails instead of
    /// waiting for the pause to end.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] while the engine is paused.
    pub(crate) fn acquire_unless_paused(&self, lane: Lane) -> Result<RunPermit<'_>> {
        self.acquire(lane, Arc::default(), |state| state.is_paused).ok_or_else(paused_error)
    }

    /// Checks that the engine is not paused.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] while the engine is paused.
    pub(crate) fn check_not_paused(&self) -> Result<()> {
        if self.state.lock().is_paused { Err(paused_error()) } else { Ok(()) }
    }

    fn acquire(
        &self,
        lane: Lane,
        turn: Arc<Turn>,
        gives_up: impl Fn(&State) -> bool,
    ) -> Option<RunPermit<'_>> {
        let mut state = self.state.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        let is_driving = state.is_this_thread_driving();
        turn.lock.acquire();
        state.queue.push_back(Waiting { ticket, lane, is_driving, turn: Arc::clone(&turn) });
        loop {
            let step = state.next_step(ticket, lane, is_driving);
            let leaves = gives_up(&state);
            if leaves || matches!(step, Step::Run) {
                state.queue.retain(|waiting| waiting.ticket != ticket);
                if !leaves {
                    return Some(self.begin_run(&mut state, lane, turn));
                }
                self.unlock_and_notify(state);
                turn.lock.release();
                return None;
            }
            state = match step {
                Step::WaitFor(turn) => self.visit(state, &turn),
                _ => self.sleep(state, None),
            };
        }
    }

    /// Waits until no session is running, no live stream is waiting and the engine is not paused.
    /// The code that sets `stop` must then call [`Self::wake_all`].
    ///
    /// # Errors
    /// Returns [`Status::Cancelled`] if `stop` is set, or [`Status::TimedOut`] if the thread would
    /// have to wait after the deadline.
    pub(crate) fn acquire_idle(
        &self,
        lane: Lane,
        turns: &Turns,
        stop: &AtomicBool,
        deadline: Option<Instant>,
    ) -> Result<RunPermit<'_>, Status> {
        let turn = turns.find_free();
        let mut state = self.state.lock();
        let is_driving = state.is_this_thread_driving();
        loop {
            if stop.load(Relaxed) {
                return Err(Status::Cancelled);
            }
            if state.is_idle() && (!state.is_paused || is_driving) {
                turn.lock.acquire();
                return Ok(self.begin_run(&mut state, lane, turn));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Status::TimedOut);
            }
            state = self.sleep(state, deadline);
        }
    }

    fn begin_run(&self, state: &mut State, lane: Lane, turn: Arc<Turn>) -> RunPermit<'_> {
        if let Some(running) = state.running.get_mut(lane as usize) {
            *running = Some(Arc::clone(&turn));
        }
        RunPermit { scheduler: self, lane, turn, not_send: PhantomData }
    }

    /// Releases the lock, waits until the turn ends, at most [`CHECK_INTERVAL`], and locks again.
    fn visit<'a>(
        &'a self,
        state: PriorityGuard<'a, State>,
        turn: &Turn,
    ) -> PriorityGuard<'a, State> {
        turn.visitors.fetch_add(1, Relaxed);
        drop(state);
        turn.lock.wait_for(CHECK_INTERVAL);
        turn.visitors.fetch_sub(1, Release);
        self.state.lock()
    }

    /// Releases the lock, waits for a notification or the deadline, and locks again.
    fn sleep<'a>(
        &'a self,
        mut state: PriorityGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> PriorityGuard<'a, State> {
        let seen = self.changed.count();
        state.sleeping += 1;
        drop(state);
        self.changed.wait(seen, deadline);
        let mut state = self.state.lock();
        state.sleeping -= 1;
        state
    }

    /// Releases the lock and wakes the sleeping threads if one of them can continue: exact queries
    /// if the engine is idle, and during a pause the thread that pauses.
    fn unlock_and_notify(&self, state: PriorityGuard<'_, State>) {
        let notifies = state.sleeping > 0 && (state.is_paused || state.is_idle());
        drop(state);
        if notifies {
            self.changed.notify();
        }
    }

    /// Begins a call of `Driver::process`. Returns `None` while the engine is paused, so that no
    /// host thread waits for the end of a pause.
    pub(crate) fn begin_driving(&self) -> Option<DrivingGuard<'_>> {
        let mut state = self.state.lock();
        if state.is_paused {
            return None;
        }
        state.driving.push(ThreadKey::current());
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
        while state.is_paused && (!state.is_stopped() || !state.driving.is_empty()) {
            state = match state.running.iter().flatten().next().cloned() {
                Some(turn) => self.visit(state, &turn),
                None => self.sleep(state, None),
            };
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
        self.changed.notify();
    }

    /// Makes every waiting thread check whether it must stop. A thread that waits for its turn does
    /// so after at most [`CHECK_INTERVAL`].
    pub(crate) fn wake_all(&self) {
        // Take the lock first. A thread that has checked its stop flag but does not sleep yet still
        // holds the lock, and would miss a notification that is sent before it sleeps.
        drop(self.state.lock());
        self.changed.notify();
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
        let mut state = self.scheduler.state.lock();
        if let Some(running) = state.running.get_mut(self.lane as usize) {
            *running = None;
        }
        self.scheduler.unlock_and_notify(state);
        self.turn.lock.release();
    }
}

impl Drop for DrivingGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        let this_thread = ThreadKey::current();
        if let Some(index) = state.driving.iter().position(|&thread| thread == this_thread) {
            state.driving.swap_remove(index);
        }
        self.0.unlock_and_notify(state);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
