//! The ring with 16 slots of 8 or 64 bytes, compared with rtrb and crossbeam's `ArrayQueue`.

use crate::compare::{self, Bench, Group, Timed};
use criterion::Criterion;
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tteview::bench_api;

/// A message, which is a number or a cache line filled with a number.
trait Message: Copy + Send + PartialEq + std::fmt::Debug + 'static {
    fn new(number: u64) -> Self;
}

impl Message for u64 {
    fn new(number: u64) -> Self {
        number
    }
}

/// A cache line filled with a number. It is aligned so that the address of an allocation does not
/// affect the times.
#[repr(align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line([u64; 8]);

impl Message for Line {
    fn new(number: u64) -> Self {
        Self([number; 8])
    }
}

const RTRB: &str = "rtrb";
const ARRAY_QUEUE: &str = "ArrayQueue";

const SLOTS: usize = 16;
/// Number of messages in one timed call with one thread.
const ONE_THREAD: u32 = 16_000;
/// Number of messages in one timed call with two threads.
const TWO_THREADS: u32 = 2_000;

/// Returns a function that measures how long one thread takes to fill and drain a queue repeatedly.
fn time_one_thread<M: Message>(
    mut push: impl FnMut(M) -> bool,
    mut pop: impl FnMut() -> Option<M>,
) -> impl FnMut() -> Duration {
    move || {
        let start = Instant::now();
        for round in 0..u64::from(ONE_THREAD) / SLOTS as u64 {
            for slot in 0..SLOTS as u64 {
                assert!(push(M::new(round + slot)));
            }
            for slot in 0..SLOTS as u64 {
                assert_eq!(pop().unwrap(), M::new(round + slot));
            }
        }
        start.elapsed()
    }
}

/// A thread that drains a queue. It sleeps between two measurements so that the thread that drains
/// the other queue can use the core.
struct Drain {
    taken: Arc<AtomicU64>,
    awake: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    fn new<M: Message>(mut pop: impl FnMut() -> Option<M> + Send + 'static) -> Self {
        let (taken, awake, stop) = <(Arc<AtomicU64>, Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let thread = std::thread::spawn({
            let (taken, awake, stop) = (taken.clone(), awake.clone(), stop.clone());
            move || {
                let mut count = 0;
                while !stop.load(Ordering::Acquire) {
                    std::thread::park();
                    while awake.load(Ordering::Acquire) {
                        if let Some(message) = pop() {
                            assert_eq!(message, M::new(count));
                            count += 1;
                            taken.store(count, Ordering::Release);
                        } else {
                            std::hint::spin_loop();
                        }
                    }
                }
            }
        });
        Self { taken, awake, stop, thread: Some(thread) }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take().unwrap();
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

/// Returns a function that sends messages to another thread and measures the time until that
/// thread has taken the last message. Waking the thread is not part of this time.
fn time_two_threads<M: Message>(
    mut push: impl FnMut(M) -> bool,
    pop: impl FnMut() -> Option<M> + Send + 'static,
) -> impl FnMut() -> Duration {
    let drain = Drain::new(pop);
    let mut sent = 0;
    move || {
        let mut send = |messages: u32| {
            let start = Instant::now();
            for _ in 0..messages {
                while !push(M::new(sent)) {
                    std::hint::spin_loop();
                }
                sent += 1;
            }
            while drain.taken.load(Ordering::Acquire) < sent {
                std::hint::spin_loop();
            }
            start.elapsed()
        };
        drain.awake.store(true, Ordering::Release);
        drain.thread.as_ref().unwrap().thread().unpark();
        send(1);
        let time = send(TWO_THREADS);
        drain.awake.store(false, Ordering::Release);
        time
    }
}

/// Returns functions that measure the ring and the queue `peer` with one thread.
fn compare_one_thread<'a, M: Message>(peer: &str) -> (Timed<'a>, Timed<'a>) {
    let (mut producer, mut consumer) =
        bench_api::create_test_ring(SLOTS, &M::new(0)).expect("a ring");
    let ours = time_one_thread(move |m: M| producer.push(m), move || consumer.pop());
    let other: Timed<'a> = if peer == RTRB {
        let (mut producer, mut consumer) = rtrb::RingBuffer::new(SLOTS);
        Box::new(time_one_thread(move |m: M| producer.push(m).is_ok(), move || consumer.pop().ok()))
    } else {
        let queue = Arc::new(ArrayQueue::new(SLOTS));
        let popped = queue.clone();
        Box::new(time_one_thread(move |m: M| queue.push(m).is_ok(), move || popped.pop()))
    };
    (Box::new(ours), other)
}

/// Returns functions that measure the ring and the queue `peer` with two threads.
fn compare_two_threads<'a, M: Message>(peer: &str) -> (Timed<'a>, Timed<'a>) {
    let (mut producer, mut consumer) =
        bench_api::create_test_ring(SLOTS, &M::new(0)).expect("a ring");
    let ours = time_two_threads(move |m: M| producer.push(m), move || consumer.pop());
    let other: Timed<'a> = if peer == RTRB {
        let (mut producer, mut consumer) = rtrb::RingBuffer::new(SLOTS);
        Box::new(time_two_threads(
            move |m: M| producer.push(m).is_ok(),
            move || consumer.pop().ok(),
        ))
    } else {
        let queue = Arc::new(ArrayQueue::new(SLOTS));
        let popped = queue.clone();
        Box::new(time_two_threads(move |m: M| queue.push(m).is_ok(), move || popped.pop()))
    };
    (Box::new(ours), other)
}

fn bench_messages<M: Message>(group: &mut Group<'_>, bytes: usize) {
    for (peer, limit) in [(RTRB, Some(1.1)), (ARRAY_QUEUE, None)] {
        let name = format!("{bytes} B, one thread, {peer}");
        let bench = Bench { group: "ring", name: &name, each: ONE_THREAD };
        compare::compare(group, bench, peer, None, || compare_one_thread::<M>(peer));
        let name = format!("{bytes} B, two threads, {peer}");
        let bench = Bench { group: "ring", name: &name, each: TWO_THREADS };
        compare::compare(group, bench, peer, limit, || compare_two_threads::<M>(peer));
    }
}

/// Measures the ring, which does not depend on the settings.
pub(crate) fn bench_ring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    bench_messages::<u64>(&mut group, 8);
    bench_messages::<Line>(&mut group, 64);
    group.finish();
}
