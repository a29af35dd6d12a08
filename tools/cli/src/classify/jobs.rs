//! Work on several threads whose results are reported in order.

use crate::failure::{Exit, Failure};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, scope};

/// Number of items, for each job, that may be taken before an earlier one has been reported. A
/// single long cine then stops the other threads only if many short ones follow it, and the memory
/// does not grow with the number of items.
const ITEMS_AHEAD: usize = 8;

/// Stack of a thread in bytes, which is that of a main thread.
const STACK_BYTES: usize = 8 << 20;

/// Calls `work` with the index of the job and each item, on `jobs` threads, and `report` for each
/// result, on the calling thread and in the order of the items. When `stop` becomes true, no other
/// item is taken, and the results of the items that have been taken are reported.
///
/// # Errors
/// Returns the first failure of `report`, or of starting a thread. No further item is taken then.
pub(super) fn run_in_order<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    stop: &AtomicBool,
    work: impl Fn(usize, &T) -> R + Sync,
    mut report: impl FnMut(R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let jobs = jobs.min(items.len());
    let queue = Queue::new(items.len(), jobs * ITEMS_AHEAD, stop);
    let take = &|job: usize, sender: Sender<(usize, R)>| {
        let _guard = CloseOnDrop(&queue);
        while let Some(index) = queue.take() {
            if sender.send((index, work(job, &items[index]))).is_err() {
                return;
            }
        }
    };
    scope(|scope| {
        let (sender, results) = channel();
        // Dropping the guard ends the threads, whatever happens on this one.
        let _guard = CloseOnDrop(&queue);
        for job in 0..jobs {
            let sender = sender.clone();
            let builder = Builder::new().stack_size(STACK_BYTES);
            let started = builder.spawn_scoped(scope, move || take(job, sender));
            started.map_err(|error| {
                Failure::new(Exit::Files, format!("a thread cannot start: {error}"))
            })?;
        }
        drop(sender);
        report_in_order(&results, &queue, &mut report)
    })
}

fn report_in_order<R>(
    results: &Receiver<(usize, R)>,
    queue: &Queue<'_>,
    report: &mut impl FnMut(R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (index, result) in results {
        waiting.insert(index, result);
        while let Some(result) = waiting.remove(&next) {
            report(result)?;
            next += 1;
            queue.advance();
        }
    }
    Ok(())
}

/// The items that have not been taken.
struct Queue<'a> {
    state: Mutex<State>,
    turn: Condvar,
    items: usize,
    /// Number of items that may be taken before they are reported.
    ahead: usize,
    stop: &'a AtomicBool,
}

#[derive(Default)]
struct State {
    taken: usize,
    reported: usize,
    is_closed: bool,
}

impl<'a> Queue<'a> {
    fn new(items: usize, ahead: usize, stop: &'a AtomicBool) -> Self {
        Self { state: Mutex::default(), turn: Condvar::new(), items, ahead, stop }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The fields are numbers, which are valid even if a thread has panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an item may be taken, and returns its index, or `None` if no item is left.
    fn take(&self) -> Option<usize> {
        let is_full = |state: &mut State| {
            !state.is_closed
                && state.taken < self.items
                && state.taken >= state.reported + self.ahead
        };
        let guard = self.turn.wait_while(self.lock(), is_full);
        let mut state = guard.unwrap_or_else(PoisonError::into_inner);
        let is_over =
            state.is_closed || state.taken == self.items || self.stop.load(Ordering::Relaxed);
        if is_over {
            return None;
        }
        state.taken += 1;
        Some(state.taken - 1)
    }

    /// Notes that an item has been reported.
    fn advance(&self) {
        self.lock().reported += 1;
        self.turn.notify_all();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.turn.notify_all();
    }
}

/// Ends the threads if one of them panics, or if the calling thread returns.
struct CloseOnDrop<'a>(&'a Queue<'a>);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    static NEVER: AtomicBool = AtomicBool::new(false);

    #[test]
    fn results_are_reported_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..200).collect();
        for jobs in [1, 2, 7] {
            let mut reported = Vec::new();
            // Earlier items of each ten take longer, so the threads finish in another order.
            let work = |_, &item: &usize| {
                (0..(10 - item % 10) * 1000).for_each(|round| {
                    std::hint::black_box(round);
                });
                item
            };
            let report = |item| {
                reported.push(item);
                Ok(())
            };
            run_in_order(&items, jobs, &NEVER, work, report).unwrap();
            assert_eq!(reported, items);
        }
    }

    #[test]
    fn items_are_not_taken_far_ahead_of_the_reports() {
        let taken = AtomicUsize::new(0);
        let mut reported = 0;
        let report = |()| {
            reported += 1;
            let ahead = taken.load(Ordering::SeqCst) - reported;
            assert!(ahead <= 3 * ITEMS_AHEAD, "{ahead}");
            Ok(())
        };
        let work = |_, _: &usize| {
            taken.fetch_add(1, Ordering::SeqCst);
        };
        run_in_order(&vec![0; 1000], 3, &NEVER, work, report).unwrap();
        assert_eq!(taken.load(Ordering::SeqCst), 1000);
    }

    #[test]
    fn a_failed_report_ends_the_work() {
        let taken = AtomicUsize::new(0);
        let work = |_, _: &usize| taken.fetch_add(1, Ordering::SeqCst);
        let report = |_| Err(Failure::new(Exit::Files, "full"));
        let failure = run_in_order(&vec![0; 1000], 2, &NEVER, work, report).unwrap_err();
        assert_eq!(failure.message, "full");
        assert!(taken.load(Ordering::SeqCst) <= 2 * ITEMS_AHEAD + 2);
    }

    #[test]
    fn a_stop_leaves_the_remaining_items() {
        let stop = AtomicBool::new(false);
        let items: Vec<usize> = (0..1000).collect();
        let mut reported = Vec::new();
        let report = |item| {
            reported.push(item);
            if item == 3 {
                stop.store(true, Ordering::Relaxed);
            }
            Ok(())
        };
        run_in_order(&items, 2, &stop, |_, &item: &usize| item, report).unwrap();
        assert!((4..=4 + 2 * ITEMS_AHEAD).contains(&reported.len()), "{}", reported.len());
        assert_eq!(reported, items[..reported.len()]);
    }
}
