//! What the network said and when, for a bounded time back: the label of any past interval is a mean over it.
//!
//! The worker adds a chunk a few times a second; a query holds the lock for the sum over its chunks, microseconds.

use crate::{Error, Result, Status};
use parking_lot::{Condvar, Mutex};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Grid times of the first and last sample of a chunk, of a window, or of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first_ns: i64,
    pub(crate) last_ns: i64,
}

impl Span {
    fn join(self, other: Self) -> Self {
        Self { first_ns: self.first_ns.min(other.first_ns), last_ns: self.last_ns.max(other.last_ns) }
    }
}

/// How many outputs a mean covers, and their times.
pub(crate) type Covered = (usize, Span);

pub(crate) struct History {
    labels: usize,
    kept: Mutex<Kept>,
    news: Condvar,
}

struct Kept {
    /// Ring of outputs: entry `n` is at `n % spans.len()`.
    spans: Vec<Span>,
    values: Vec<f32>,
    sums: Vec<f64>,
    /// Outputs ever added.
    added: usize,
    /// First output of this run of times.
    since: usize,
    /// Last grid time of the output that comes next, while a segment is open.
    pending_ns: Option<i64>,
}

impl History {
    /// Keeps `span_ns` of outputs that come every `step_ns`.
    pub(crate) fn new(labels: usize, span_ns: i64, step_ns: i64) -> Result<Self> {
        let slots = usize::try_from(span_ns / step_ns.max(1)).unwrap_or(0).saturating_add(2);
        let values = slots.checked_mul(labels).filter(|&count| count <= 1 << 24).ok_or_else(|| {
            let what = format!("a history of {span_ns} ns has {slots} chunks of {labels} labels");
            Error::new(Status::OutOfMemory, what)
        })?;
        let kept = Kept {
            spans: vec![Span { first_ns: 0, last_ns: 0 }; slots],
            values: vec![0.0; values],
            sums: vec![0.0; labels],
            added: 0,
            since: 0,
            pending_ns: None,
        };
        Ok(Self { labels, kept: Mutex::new(kept), news: Condvar::new() })
    }

    /// Adds an output. One that lies before the newest starts the history anew: the host's clock restarted.
    pub(crate) fn add(&self, values: &[f32], span: Span) {
        let mut kept = self.kept.lock();
        if kept.newest().is_some_and(|newest| span.last_ns <= newest.last_ns) {
            kept.since = kept.added;
        }
        let slot = kept.added % kept.spans.len();
        if let Some(place) = kept.spans.get_mut(slot) {
            *place = span;
        }
        if let Some(row) = kept.values.chunks_exact_mut(self.labels).nth(slot) {
            row.copy_from_slice(values);
        }
        kept.added += 1;
    }

    /// Says when the output that comes next ends, or that none comes in this acquisition.
    pub(crate) fn expect(&self, pending_ns: Option<i64>) {
        self.kept.lock().pending_ns = pending_ns;
        self.news.notify_all();
    }

    /// Mean of those of the last `count` outputs that end within `span_ns` of the newest, into `out`.
    pub(crate) fn recent(&self, count: usize, span_ns: i64, out: &mut [f32]) -> Option<Covered> {
        let mut kept = self.kept.lock();
        let from = kept.newest()?.last_ns.saturating_sub(span_ns);
        let start = kept.first(|span| span.last_ns > from).max(kept.added.saturating_sub(count));
        let end = kept.added;
        kept.mean(start..end, out)
    }

    /// Mean of the outputs that lie in [from, to] with both ends, into `out`. Waits at most `timeout` for one that is
    /// still to come. [`Status::Ok`]: all of them; [`Status::Partial`]: older ones are forgotten or one is still to come.
    pub(crate) fn query(
        &self,
        asked: Span,
        timeout: Duration,
        out: &mut [f32],
    ) -> std::result::Result<(Status, Covered), Status> {
        let deadline = Instant::now().checked_add(timeout);
        let mut kept = self.kept.lock();
        while kept.pending_ns.is_some_and(|pending| pending <= asked.last_ns) {
            match deadline {
                None => self.news.wait(&mut kept),
                Some(deadline) => {
                    if self.news.wait_until(&mut kept, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        let oldest = kept.oldest();
        let start = kept.first(|span| span.first_ns >= asked.first_ns);
        let end = kept.first(|span| span.last_ns > asked.last_ns);
        let covered = kept.mean(start..end, out).ok_or(Status::Empty)?;
        let forgotten =
            oldest > kept.since && kept.span(oldest).is_some_and(|span| asked.first_ns < span.first_ns);
        let pending = kept.pending_ns.is_some_and(|pending| pending <= asked.last_ns);
        Ok((if forgotten || pending { Status::Partial } else { Status::Ok }, covered))
    }
}

impl Kept {
    fn oldest(&self) -> usize {
        self.added.saturating_sub(self.spans.len()).max(self.since)
    }

    fn span(&self, entry: usize) -> Option<Span> {
        self.spans.get(entry % self.spans.len()).copied()
    }

    fn newest(&self) -> Option<Span> {
        if self.added == self.since { None } else { self.span(self.added - 1) }
    }

    /// The first output for which `holds`; times rise from the oldest on, so it holds for all after it.
    fn first(&self, holds: impl Fn(Span) -> bool) -> usize {
        let (mut low, mut high) = (self.oldest(), self.added);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.span(middle).is_some_and(&holds) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// Mean of these outputs into `out`.
    fn mean(&mut self, entries: Range<usize>, out: &mut [f32]) -> Option<Covered> {
        let count = entries.len();
        if count == 0 {
            return None;
        }
        let joined = self.span(entries.start)?.join(self.span(entries.end - 1)?);
        let labels = self.sums.len();
        let (before, from) = self.values.split_at(entries.start % self.spans.len() * labels);
        self.sums.fill(0.0);
        for values in from.chunks_exact(labels).chain(before.chunks_exact(labels)).take(count) {
            self.sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        for (to, sum) in out.iter_mut().zip(&self.sums) {
            *to = (sum / count as f64) as f32;
        }
        Some((count, joined))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn span(first_ns: i64, last_ns: i64) -> Span {
        Span { first_ns, last_ns }
    }

    /// Chunks of 10 ns, one after the other, whose only value is their number.
    fn filled(slots: i64, chunks: i64) -> History {
        let history = History::new(1, (slots - 2) * 10, 10).unwrap();
        for chunk in 0..chunks {
            history.add(&[chunk as f32], span(chunk * 10, chunk * 10 + 9));
        }
        history
    }

    fn ask(history: &History, from: i64, to: i64) -> std::result::Result<(Status, f32), Status> {
        let mut out = [f32::NAN];
        history.query(span(from, to), Duration::ZERO, &mut out).map(|(status, _)| (status, out[0]))
    }

    #[test]
    fn a_query_covers_the_chunks_with_both_ends_inside() {
        let history = filled(10, 8);
        assert_eq!(ask(&history, 10, 39), Ok((Status::Ok, 2.0)));
        assert_eq!(ask(&history, 11, 39), Ok((Status::Ok, 2.5)));
        assert_eq!(ask(&history, 10, 38), Ok((Status::Ok, 1.5)));
        assert_eq!(ask(&history, 11, 19), Err(Status::Empty));
        assert_eq!(ask(&history, 500, 600), Err(Status::Empty));
    }

    #[test]
    fn what_is_forgotten_or_still_to_come_makes_a_query_partial() {
        let history = filled(4, 9);
        assert_eq!(ask(&history, 50, 89), Ok((Status::Ok, 6.5)));
        assert_eq!(ask(&history, 49, 89), Ok((Status::Partial, 6.5)));
        history.expect(Some(99));
        assert_eq!(ask(&history, 50, 98), Ok((Status::Ok, 6.5)));
        assert_eq!(ask(&history, 50, 99), Ok((Status::Partial, 6.5)));
        history.expect(None);
        assert_eq!(ask(&history, 50, 99), Ok((Status::Ok, 6.5)));
    }

    #[test]
    fn a_query_waits_for_the_chunk_that_is_still_to_come() {
        let history = filled(8, 1);
        history.expect(Some(19));
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let mut out = [0.0];
                history.query(span(0, 19), Duration::MAX, &mut out).map(|(status, _)| (status, out[0]))
            });
            history.add(&[5.0], span(10, 19));
            history.expect(Some(29));
            assert_eq!(asked.join().unwrap(), Ok((Status::Ok, 2.5)));
        });
    }

    #[test]
    fn a_clock_that_restarts_starts_the_history_anew() {
        let history = filled(10, 5);
        history.add(&[70.0], span(0, 9));
        assert_eq!(ask(&history, 0, 100), Ok((Status::Ok, 70.0)));
    }

    #[test]
    fn the_recent_mean_ends_at_the_last_change_and_at_the_span() {
        let history = filled(20, 10);
        let mut out = [0.0];
        assert_eq!(history.recent(10, 30, &mut out), Some((3, span(70, 99))));
        assert_eq!(out, [8.0]);
        assert_eq!(history.recent(2, 30, &mut out), Some((2, span(80, 99))));
    }
}
