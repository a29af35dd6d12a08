//! Hand-over through the ring against rtrb and crossbeam's `ArrayQueue`: 16 slots of 8 or of 64 bytes.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tteview::bench_api;

/// What is handed over: a number, or a whole cache line of it.
trait Message: Copy + Send + PartialEq + std::fmt::Debug + 'static {
    fn of(number: u64) -> Self;
}

impl Message for u64 {
    fn of(number: u64) -> Self {
        number
    }
}

/// Aligned, so that where an allocation happens to lie favours nobody.
#[repr(align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line([u64; 8]);

impl Message for Line {
    fn of(number: u64) -> Self {
        Self([number; 8])
    }
}

const SLOTS: usize = 16;
/// Messages of one timed call.
const ALONE: u32 = 16_000;
const BETWEEN: u32 = 2_000;

/// Fills the queue and drains it, on one thread: the cost of the calls themselves.
fn alone<M: Message>(
    mut push: impl FnMut(M) -> bool,
    mut pop: impl FnMut() -> Option<M>,
) -> impl FnMut() -> Duration {
    move || {
        let start = Instant::now();
        for round in 0..u64::from(ALONE) / SLOTS as u64 {
            for slot in 0..SLOTS as u64 {
                assert!(push(M::of(round + slot)));
            }
            for slot in 0..SLOTS as u64 {
                assert_eq!(pop().unwrap(), M::of(round + slot));
            }
        }
        start.elapsed()
    }
}

/// A thread that drains a queue, and sleeps between two calls so that it leaves the processor to the other side.
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
                            assert_eq!(message, M::of(count));
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

/// Hands messages to a draining thread; timed from the first push after it is awake to the last message taken.
fn between<M: Message>(
    mut push: impl FnMut(M) -> bool,
    pop: impl FnMut() -> Option<M> + Send + 'static,
) -> impl FnMut() -> Duration {
    let drain = Drain::new(pop);
    let mut sent = 0;
    move || {
        let mut send = |messages: u32| {
            let start = Instant::now();
            for _ in 0..messages {
                while !push(M::of(sent)) {
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
        let time = send(BETWEEN);
        drain.awake.store(false, Ordering::Release);
        time
    }
}

fn rings<M: Message>(criterion: &mut Criterion, bytes: usize) {
    let empty = M::of(0);
    for rival in ["rtrb", "ArrayQueue"] {
        let (mut producer, mut consumer) = bench_api::ring(SLOTS, &empty);
        let mut ours = alone(move |m: M| producer.push(m), move || consumer.pop());
        let mut other: Box<dyn FnMut() -> Duration> = if rival == "rtrb" {
            let (mut producer, mut consumer) = rtrb::RingBuffer::new(SLOTS);
            Box::new(alone(move |m: M| producer.push(m).is_ok(), move || consumer.pop().ok()))
        } else {
            let queue = ArrayQueue::new(SLOTS);
            let queue = Arc::new(queue);
            let popped = queue.clone();
            Box::new(alone(move |m: M| queue.push(m).is_ok(), move || popped.pop()))
        };
        let what = format!("ring {bytes} B, one thread, {rival}");
        compare::compare(criterion, &what, ALONE, &mut ours, (rival, &mut other), None);
    }
    for (rival, bar) in [("rtrb", Some(1.1)), ("ArrayQueue", None)] {
        let (mut producer, mut consumer) = bench_api::ring(SLOTS, &empty);
        let mut ours = between(move |m: M| producer.push(m), move || consumer.pop());
        let mut other: Box<dyn FnMut() -> Duration> = if rival == "rtrb" {
            let (mut producer, mut consumer) = rtrb::RingBuffer::new(SLOTS);
            Box::new(between(move |m: M| producer.push(m).is_ok(), move || consumer.pop().ok()))
        } else {
            let queue = Arc::new(ArrayQueue::new(SLOTS));
            let popped = queue.clone();
            Box::new(between(move |m: M| queue.push(m).is_ok(), move || popped.pop()))
        };
        let what = format!("ring {bytes} B, two threads, {rival}");
        compare::compare(criterion, &what, BETWEEN, &mut ours, (rival, &mut other), bar);
    }
}

fn ring(criterion: &mut Criterion) {
    rings::<u64>(criterion, 8);
    rings::<Line>(criterion, 64);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = ring
}
criterion_main!(benches);
