//! Whose turn it is to run the network of an engine: live streams first come, first served; exact queries when no
//! live stream asks; nobody while the engine is paused.

use crate::backend::Session;
use crate::{Error, Result, Status};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{ThreadId, current};
use std::time::Instant;

/// Streams that may wait at once before the line takes more memory.
const ROOM: usize = 64;

/// One run at a time. Of N live streams one waits for N-1 runs of others at most, and for the one run of an exact
/// query that may be under way when it asks.
pub(crate) struct Turn {
    line: Mutex<Line>,
    moved: Condvar,
}

struct Line {
    /// Tickets ever drawn.
    drawn: u64,
    /// Live streams in the order they asked.
    waiting: VecDeque<Waiting>,
    running: bool,
    paused: bool,
    /// Threads of the host in the middle of a slot of a host-driven stream.
    inside: Vec<ThreadId>,
}

struct Waiting {
    ticket: u64,
    /// It asks from inside a slot, which a pause lets go to its end.
    inside: bool,
}

impl Default for Turn {
    fn default() -> Self {
        let line = Line {
            drawn: 0,
            waiting: VecDeque::with_capacity(ROOM),
            running: false,
            paused: false,
            inside: Vec::with_capacity(ROOM),
        };
        Self { line: Mutex::new(line), moved: Condvar::new() }
    }
}

impl Line {
    /// Who may run next of those that wait.
    fn next(&self) -> Option<u64> {
        self.waiting.iter().find(|waiting| !self.paused || waiting.inside).map(|waiting| waiting.ticket)
    }

    fn this_thread_is_inside(&self) -> bool {
        self.inside.contains(&current().id())
    }
}

/// A turn; over when dropped.
pub(crate) struct Running<'a>(&'a Turn);

/// A slot of a host-driven stream is being handled; over when dropped.
pub(crate) struct Inside<'a>(&'a Turn);

impl Turn {
    /// Waits for the turns of those who asked before, and for the end of a pause; `None` once `stop` is set, which who
    /// sets it tells by [`Self::wake`].
    pub(crate) fn live(&self, stop: &AtomicBool) -> Option<Running<'_>> {
        self.wait(|_| stop.load(Relaxed))
    }

    /// The same for a control call, which does not wait for the end of a pause: it may last for ever.
    ///
    /// # Errors
    /// [`Status::WrongState`] in a pause.
    pub(crate) fn live_unless_paused(&self) -> Result<Running<'_>> {
        self.wait(|line| line.paused).ok_or_else(paused)
    }

    /// # Errors
    /// [`Status::WrongState`] in a pause.
    pub(crate) fn refuse_pause(&self) -> Result<()> {
        if self.line.lock().paused { Err(paused()) } else { Ok(()) }
    }

    fn wait(&self, leaves: impl Fn(&Line) -> bool) -> Option<Running<'_>> {
        let mut line = self.line.lock();
        let ticket = line.drawn;
        line.drawn += 1;
        let inside = line.this_thread_is_inside();
        line.waiting.push_back(Waiting { ticket, inside });
        loop {
            let left = leaves(&line);
            if left || (!line.running && line.next() == Some(ticket)) {
                line.waiting.retain(|waiting| waiting.ticket != ticket);
                if left {
                    self.moved.notify_all();
                    return None;
                }
                line.running = true;
                return Some(Running(self));
            }
            self.moved.wait(&mut line);
        }
    }

    /// Waits until no live stream runs or asks and the engine is not paused; `None` if that does not come before the
    /// deadline.
    pub(crate) fn spare(&self, deadline: Option<Instant>) -> Option<Running<'_>> {
        let mut line = self.line.lock();
        let inside = line.this_thread_is_inside();
        while line.running || line.next().is_some() || (line.paused && !inside) {
            match deadline {
                None => self.moved.wait(&mut line),
                Some(deadline) if Instant::now() >= deadline => return None,
                Some(deadline) => {
                    self.moved.wait_until(&mut line, deadline);
                }
            }
        }
        line.running = true;
        Some(Running(self))
    }

    /// Begins a slot of a host-driven stream; `None` while the engine is paused, so that no thread of the host has to
    /// wait for the end of it.
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        let mut line = self.line.lock();
        if line.paused {
            return None;
        }
        line.inside.push(current().id());
        Some(Inside(self))
    }

    /// Lets nobody run from now on and returns when nobody does.
    ///
    /// # Errors
    /// [`Status::WrongThread`] from inside a slot of a host-driven stream, whose end it would wait for;
    /// [`Status::WrongState`] if another thread resumed meanwhile.
    pub(crate) fn pause(&self) -> Result<()> {
        let mut line = self.line.lock();
        if line.this_thread_is_inside() {
            let what = "pause from the callback of a host-driven stream would wait for itself";
            return Err(Error::new(Status::WrongThread, what));
        }
        line.paused = true;
        while line.paused && (line.running || !line.inside.is_empty()) {
            self.moved.wait(&mut line);
        }
        if line.paused {
            return Ok(());
        }
        Err(Error::new(Status::WrongState, "another thread resumed the engine before it had come to rest"))
    }

    /// Ends a pause; nothing if there is none.
    pub(crate) fn resume(&self) {
        self.line.lock().paused = false;
        self.moved.notify_all();
    }

    /// Makes all who wait look whether they still should.
    pub(crate) fn wake(&self) {
        // Who has looked and not yet gone to sleep holds the lock.
        drop(self.line.lock());
        self.moved.notify_all();
    }

    /// Live streams that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> u64 {
        self.line.lock().waiting.len() as u64
    }
}

fn paused() -> Error {
    Error::new(Status::WrongState, "the engine is paused: resume it, then prepare")
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.line.lock().running = false;
        self.0.moved.notify_all();
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line.lock();
        if let Some(index) = line.inside.iter().position(|&thread| thread == current().id()) {
            line.inside.swap_remove(index);
        }
        drop(line);
        self.0.moved.notify_all();
    }
}

/// Until when an exact query may wait for its turns; `None`: for ever.
pub(crate) type Deadline = Arc<Mutex<Option<Instant>>>;

/// What a session's runs wait for.
pub(crate) enum Claim {
    /// A live stream: [`Status::Cancelled`] once its worker shall stop.
    Live(Arc<AtomicBool>),
    /// An exact query: [`Status::TimedOut`] after the deadline.
    Spare(Deadline),
}

/// A session whose runs wait for their turn.
pub(crate) struct InTurn {
    pub(crate) session: Box<dyn Session>,
    pub(crate) turn: Arc<Turn>,
    pub(crate) claim: Claim,
}

impl Session for InTurn {
    fn inputs(&mut self) -> (&mut [f32], &mut [f32]) {
        self.session.inputs()
    }

    fn run(&mut self) -> Result<()> {
        let _running = match &self.claim {
            Claim::Live(stop) => self.turn.live(stop).ok_or(Status::Cancelled)?,
            Claim::Spare(deadline) => {
                let deadline = *deadline.lock();
                self.turn.spare(deadline).ok_or(Status::TimedOut)?
            }
        };
        self.session.run()
    }

    fn logits(&self) -> &[f32] {
        self.session.logits()
    }

    fn reset(&mut self) -> Result<()> {
        self.session.reset()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread::yield_now;
    use std::time::Duration;

    static GOES_ON: AtomicBool = AtomicBool::new(false);

    fn live(turn: &Turn) -> Running<'_> {
        turn.live(&GOES_ON).expect("nobody stops it")
    }

    /// Who runs, in order, if all of `asks` ask one after the other while somebody runs.
    fn order(asks: &[&'static str]) -> Vec<&'static str> {
        let (turn, log) = (Turn::default(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            let first = live(&turn);
            let mut waiting = 0;
            for &name in asks {
                let (turn, log) = (&turn, &log);
                scope.spawn(move || {
                    let _running = if name == "exact" { turn.spare(None) } else { Some(live(turn)) };
                    log.lock().push(name);
                });
                waiting += u64::from(name != "exact");
                while turn.waiting() < waiting {
                    yield_now();
                }
            }
            drop(first);
        });
        log.into_inner()
    }

    #[test]
    fn live_streams_run_in_the_order_they_asked() {
        let asks = ["a", "b", "c", "d", "e", "f", "g", "h"];
        for _ in 0..20 {
            assert_eq!(order(&asks), asks);
        }
    }

    #[test]
    fn an_exact_query_lets_every_live_stream_that_waits_go_first() {
        for _ in 0..20 {
            assert_eq!(order(&["exact", "a", "exact", "b"]), ["a", "b", "exact", "exact"]);
        }
    }

    #[test]
    fn an_exact_query_gives_up_at_its_deadline() {
        let turn = Turn::default();
        let running = live(&turn);
        assert!(turn.spare(Instant::now().checked_add(Duration::from_millis(1))).is_none());
        drop(running);
        assert!(turn.spare(Some(Instant::now())).is_some());
    }

    /// A moment in which another thread would have gone on if it could.
    fn a_while() {
        std::thread::sleep(Duration::from_millis(30));
    }

    #[test]
    fn a_pause_waits_for_the_run_under_way_and_lets_no_other_begin() {
        let (turn, runs) = (Turn::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let first = live(&turn);
            let pause = scope.spawn(|| turn.pause());
            for _ in 0..3 {
                scope.spawn(|| {
                    let _running = live(&turn);
                    runs.fetch_add(1, Relaxed);
                });
            }
            while turn.waiting() < 3 {
                yield_now();
            }
            a_while();
            assert!(!pause.is_finished(), "paused in the middle of a run");
            drop(first);
            assert_eq!(pause.join().unwrap(), Ok(()));
            assert!(turn.spare(Instant::now().checked_add(Duration::from_millis(1))).is_none());
            a_while();
            assert_eq!((runs.load(Relaxed), turn.waiting()), (0, 3));
            assert_eq!(turn.pause(), Ok(()), "twice is once");
            turn.resume();
        });
        assert_eq!(runs.load(Relaxed), 3);
    }

    #[test]
    fn those_who_wait_through_a_pause_keep_their_places() {
        let (turn, log) = (Turn::default(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            turn.pause().unwrap();
            for name in 0..5 {
                let (turn, log) = (&turn, &log);
                scope.spawn(move || {
                    let _running = live(turn);
                    log.lock().push(name);
                });
                while turn.waiting() <= name {
                    yield_now();
                }
            }
            turn.resume();
        });
        assert_eq!(log.into_inner(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn who_shall_stop_leaves_the_line_and_the_pause_and_those_behind_move_up() {
        let (turn, stop) = (Turn::default(), AtomicBool::new(false));
        turn.pause().unwrap();
        std::thread::scope(|scope| {
            let leaves = scope.spawn(|| turn.live(&stop).is_none());
            while turn.waiting() < 1 {
                yield_now();
            }
            let stays = scope.spawn(|| drop(live(&turn)));
            while turn.waiting() < 2 {
                yield_now();
            }
            stop.store(true, Relaxed);
            turn.wake();
            assert!(leaves.join().unwrap());
            assert!(!stays.is_finished());
            turn.resume();
            stays.join().unwrap();
        });
    }

    #[test]
    fn a_slot_that_the_host_is_in_goes_to_its_end_before_the_pause_holds() {
        let turn = Turn::default();
        std::thread::scope(|scope| {
            let inside = turn.enter().expect("not paused");
            assert_eq!(turn.pause().unwrap_err().status(), Status::WrongThread);
            // Asks first, and must not keep the slot from its end.
            let other = scope.spawn(|| {
                let turn = &turn;
                while !turn.line.lock().paused {
                    yield_now();
                }
                drop(live(turn));
            });
            let pause = scope.spawn(|| turn.pause());
            while turn.waiting() < 1 {
                yield_now();
            }
            assert!(turn.enter().is_none(), "another slot begins while the pause waits");
            drop(live(&turn));
            assert!(turn.spare(None).is_some());
            assert!(!pause.is_finished());
            drop(inside);
            assert_eq!(pause.join().unwrap(), Ok(()));
            assert!(!other.is_finished());
            turn.resume();
        });
    }

    #[test]
    fn a_resume_ends_a_pause_that_still_waits_and_a_control_call_does_not_wait_for_one() {
        let turn = Turn::default();
        std::thread::scope(|scope| {
            let running = live(&turn);
            let pause = scope.spawn(|| turn.pause());
            while !turn.line.lock().paused {
                yield_now();
            }
            assert_eq!(turn.live_unless_paused().err().unwrap().status(), Status::WrongState);
            turn.resume();
            assert_eq!(pause.join().unwrap().unwrap_err().status(), Status::WrongState);
            drop(running);
        });
        drop(turn.live_unless_paused().unwrap());
        assert_eq!(turn.waiting(), 0);
    }
}
