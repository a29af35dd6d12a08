//! Whose turn it is to run the network of an engine: live streams first come, first served; exact queries when no
//! live stream asks.

use crate::backend::Session;
use crate::{Result, Status};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Instant;

/// One run at a time. Of N live streams one waits for N-1 runs of others at most, and for the one run of an exact
/// query that may be under way when it asks.
#[derive(Default)]
pub(crate) struct Turn {
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Default)]
struct Line {
    /// Live tickets ever drawn, and how many of them had their turn.
    drawn: u64,
    served: u64,
    running: bool,
}

/// A turn; over when dropped.
pub(crate) struct Running<'a>(&'a Turn);

impl Turn {
    /// Waits for the turns of those who asked before.
    pub(crate) fn live(&self) -> Running<'_> {
        let mut line = self.line.lock();
        let ticket = line.drawn;
        line.drawn += 1;
        while line.running || line.served != ticket {
            self.moved.wait(&mut line);
        }
        line.served += 1;
        line.running = true;
        Running(self)
    }

    /// Waits until no live stream runs or asks; `None` if that does not come before the deadline.
    pub(crate) fn spare(&self, deadline: Option<Instant>) -> Option<Running<'_>> {
        let mut line = self.line.lock();
        while line.running || line.served != line.drawn {
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

    /// Live streams that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> u64 {
        let line = self.line.lock();
        line.drawn - line.served
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.line.lock().running = false;
        self.0.moved.notify_all();
    }
}

/// Until when an exact query may wait for its turns; `None`: for ever.
pub(crate) type Deadline = Arc<Mutex<Option<Instant>>>;

/// What a session's runs wait for.
pub(crate) enum Claim {
    /// A live stream.
    Live,
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
            Claim::Live => self.turn.live(),
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
    use std::thread::yield_now;
    use std::time::Duration;

    /// Who runs, in order, if all of `asks` ask one after the other while somebody runs.
    fn order(asks: &[&'static str]) -> Vec<&'static str> {
        let (turn, log) = (Turn::default(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            let first = turn.live();
            let mut live = 0;
            for &name in asks {
                let (turn, log) = (&turn, &log);
                scope.spawn(move || {
                    let _running = if name == "exact" { turn.spare(None) } else { Some(turn.live()) };
                    log.lock().push(name);
                });
                live += u64::from(name != "exact");
                while turn.waiting() < live {
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
        let running = turn.live();
        assert!(turn.spare(Instant::now().checked_add(Duration::from_millis(1))).is_none());
        drop(running);
        assert!(turn.spare(Some(Instant::now())).is_some());
    }
}
