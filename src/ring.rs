//! Wait-free ring for one producer and one consumer over slots that are made once and filled in place.
//!
//! Positions run over `0..2 * slots`, so that a full ring and an empty one differ without a spare slot, any
//! number of slots works and nothing overflows however long a stream runs. Each side owns its position and
//! keeps the last one it saw of the other; it reads the shared position only when the kept one does not suffice.

#![allow(unsafe_code)]
// Positions are below twice the slots by construction; see `after`.
#![cfg_attr(not(test), expect(clippy::indexing_slicing))]

use std::cell::Cell;

use crossbeam_utils::CachePadded;

use self::sync::{Arc, AtomicUsize, Ordering, Slot};

/// Slots and positions, shared by the two ends.
struct Shared<T> {
    /// The `Slot`s from `tail` to `head` belong to the consumer, all others to the producer.
    slots: Box<[Slot<T>]>,
    /// Position of the next slot to fill; only the producer stores it.
    head: CachePadded<AtomicUsize>,
    /// Position of the oldest slot that is not released; only the consumer stores it.
    tail: CachePadded<AtomicUsize>,
}

// SAFETY: every slot is reached by one end at a time: the positions say by which, and their release stores and
// acquire loads hand it over. A `T` is so moved between threads, never shared, for which `Send` is enough;
// the ends themselves are not `Sync` and cannot be cloned.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Slots from `tail` to `head`.
    fn readable(&self, head: usize, tail: usize) -> usize {
        if head >= tail { head - tail } else { head + 2 * self.slots.len() - tail }
    }

    /// The position `step` after this one; `step` is at most the number of slots.
    fn after(&self, position: usize, step: usize) -> usize {
        let next = position + step;
        if next >= 2 * self.slots.len() { next - 2 * self.slots.len() } else { next }
    }

    fn slot(&self, position: usize) -> &Slot<T> {
        let slots = self.slots.len();
        &self.slots[if position >= slots { position - slots } else { position }]
    }
}

/// The end that fills slots. It may move to another thread, but serves one at a time.
pub(crate) struct Producer<T> {
    shared: Arc<Shared<T>>,
    head: usize,
    /// Free slots when the consumer's position was last read; less those committed since. `Cell` also keeps the
    /// end from being `Sync`.
    free_seen: Cell<usize>,
}

/// The end that reads slots, oldest first. It may move to another thread, but serves one at a time.
pub(crate) struct Consumer<T> {
    shared: Arc<Shared<T>>,
    tail: usize,
    /// Committed slots when the producer's position was last read; less those released since. `Cell` also keeps
    /// the end from being `Sync`.
    len_seen: Cell<usize>,
}

/// Makes a ring of exactly `slots` slots, each made by `make` from its index. Nothing is allocated later.
///
/// # Panics
/// If `slots` is 0.
pub(crate) fn ring<T: Send>(slots: usize, make: impl FnMut(usize) -> T) -> (Producer<T>, Consumer<T>) {
    assert!(slots > 0, "a ring has at least one slot");
    let mut make = make;
    let shared = Arc::new(Shared {
        slots: (0..slots).map(|index| Slot::new(make(index))).collect(),
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
    });
    let producer = Producer { shared: Arc::clone(&shared), head: 0, free_seen: Cell::new(slots) };
    (producer, Consumer { shared, tail: 0, len_seen: Cell::new(0) })
}

impl<T: Send> Producer<T> {
    /// Slots that can be filled before the ring is full. The consumer may since have released more.
    pub(crate) fn free(&mut self) -> usize {
        let tail = self.shared.tail.load(Ordering::Acquire);
        let free = self.shared.slots.len() - self.shared.readable(self.head, tail);
        self.free_seen.set(free);
        free
    }

    /// The next slot to fill, with what it held before; `None` if the ring is full. It stays the same slot until
    /// [`Self::commit`].
    pub(crate) fn slot(&mut self) -> Option<&mut T> {
        if self.free_seen.get() == 0 && self.free() == 0 {
            return None;
        }
        // SAFETY: the slot at `head` is free: the consumer does not reach it before `commit`, and what it did
        // to it before releasing it happened before the acquire load that `free_seen` comes from. The borrow
        // of `self` forbids `commit` while the reference lives.
        Some(unsafe { &mut *self.shared.slot(self.head).write_pointer() })
    }

    /// Gives the slot of [`Self::slot`] to the consumer. Does nothing if the ring is full.
    pub(crate) fn commit(&mut self) {
        if self.free_seen.get() == 0 && self.free() == 0 {
            return;
        }
        self.head = self.shared.after(self.head, 1);
        self.free_seen.set(self.free_seen.get() - 1);
        self.shared.head.store(self.head, Ordering::Release);
    }
}

impl<T: Send> Consumer<T> {
    /// Slots that can be read. The producer may since have committed more.
    pub(crate) fn len(&self) -> usize {
        let len = self.shared.readable(self.shared.head.load(Ordering::Acquire), self.tail);
        self.len_seen.set(len);
        len
    }

    /// The slot `index` after the oldest that is not released, if it is committed.
    pub(crate) fn peek(&self, index: usize) -> Option<&T> {
        if index >= self.len_seen.get() && index >= self.len() {
            return None;
        }
        // The oldest slot, which is read most, needs no wrapping.
        let position = if index == 0 { self.tail } else { self.shared.after(self.tail, index) };
        // SAFETY: `index` is less than the committed slots, so the slot belongs to the consumer until `release`,
        // which the borrow of `self` forbids while the reference lives; the write to it happened before the
        // acquire load that `len_seen` comes from. Only shared references are ever made here.
        Some(unsafe { &*self.shared.slot(position).read_pointer() })
    }

    /// Gives the oldest slot back to the producer. Does nothing if there is none.
    pub(crate) fn release(&mut self) {
        if self.len_seen.get() == 0 && self.len() == 0 {
            return;
        }
        self.tail = self.shared.after(self.tail, 1);
        self.len_seen.set(self.len_seen.get() - 1);
        self.shared.tail.store(self.tail, Ordering::Release);
    }
}

/// The primitives the ring stands on: the standard library's, or loom's, which explore every interleaving.
mod sync {
    #[cfg(loom)]
    pub(super) use loom::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    #[cfg(not(loom))]
    pub(super) use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    #[cfg(loom)]
    use loom::cell::UnsafeCell;
    #[cfg(not(loom))]
    use std::cell::UnsafeCell;

    /// A value that one end reaches at a time.
    pub(super) struct Slot<T>(UnsafeCell<T>);

    impl<T> Slot<T> {
        pub(super) fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }

        /// Pointer for reading. Under loom it counts as a read here, ordered against every write.
        pub(super) fn read_pointer(&self) -> *const T {
            #[cfg(loom)]
            return self.0.with(|pointer| pointer);
            #[cfg(not(loom))]
            self.0.get()
        }

        /// Pointer for writing. Under loom it counts as a write here, ordered against every read and write.
        pub(super) fn write_pointer(&self) -> *mut T {
            #[cfg(loom)]
            return self.0.with_mut(|pointer| pointer);
            #[cfg(not(loom))]
            self.0.get()
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn push(producer: &mut Producer<u64>, value: u64) -> bool {
        let Some(slot) = producer.slot() else { return false };
        *slot = value;
        producer.commit();
        true
    }

    fn pop(consumer: &mut Consumer<u64>) -> Option<u64> {
        let value = *consumer.peek(0)?;
        consumer.release();
        Some(value)
    }

    #[test]
    fn every_slot_can_be_filled_and_not_one_more() {
        for slots in [1, 2, 3, 4, 7] {
            let (mut producer, mut consumer) = ring(slots, |_| 0);
            for filled in 0..slots {
                assert_eq!((producer.free(), consumer.len()), (slots - filled, filled));
                assert!(push(&mut producer, filled as u64));
            }
            assert_eq!((producer.free(), consumer.len()), (0, slots));
            assert!(producer.slot().is_none());
            producer.commit();
            assert_eq!(consumer.len(), slots, "a commit without a free slot changed something");
            assert_eq!(pop(&mut consumer), Some(0));
            assert_eq!((producer.free(), consumer.len()), (1, slots - 1));
        }
    }

    #[test]
    fn an_empty_ring_has_nothing_to_read_or_release() {
        let (mut producer, mut consumer) = ring(3, |_| 0);
        assert!(consumer.peek(0).is_none());
        consumer.release();
        assert_eq!((producer.free(), consumer.len()), (3, 0));
        assert!(push(&mut producer, 5));
        assert_eq!(pop(&mut consumer), Some(5));
        consumer.release();
        assert_eq!((producer.free(), consumer.len()), (3, 0));
    }

    #[test]
    fn a_slot_stays_the_same_until_it_is_committed() {
        let (mut producer, consumer) = ring(2, |index| index as u64);
        *producer.slot().unwrap() = 7;
        assert_eq!(producer.slot().copied(), Some(7));
        assert_eq!(consumer.len(), 0);
        producer.commit();
        assert_eq!(producer.slot().copied(), Some(1), "the next slot as it was made");
        assert_eq!(consumer.peek(0), Some(&7));
    }

    #[test]
    fn values_come_out_in_order_through_many_wraps() {
        for slots in [1, 2, 3, 5, 8] {
            let (mut producer, mut consumer) = ring(slots, |_| 0);
            let (mut sent, mut received) = (0, 0);
            for round in 0..100 {
                for _ in 0..=round % slots {
                    sent += u64::from(push(&mut producer, sent));
                }
                let readable = consumer.len();
                for index in 0..readable {
                    assert_eq!(consumer.peek(index), Some(&(received + index as u64)));
                }
                assert!(consumer.peek(readable).is_none());
                for _ in 0..readable.div_ceil(2) {
                    assert_eq!(pop(&mut consumer), Some(received));
                    received += 1;
                }
            }
            assert!(received > 3 * slots as u64 && received <= sent);
        }
    }

    #[test]
    fn slots_are_dropped_once_when_both_ends_are_gone() {
        let token = std::sync::Arc::new(());
        let (mut producer, consumer) = ring(3, |_| std::sync::Arc::clone(&token));
        producer.commit();
        drop(producer);
        assert_eq!(std::sync::Arc::strong_count(&token), 4);
        drop(consumer);
        assert_eq!(std::sync::Arc::strong_count(&token), 1);
    }

    /// Words of a message: all must be of the same message, or the two ends were in a slot together.
    const WORDS: usize = 8;

    #[test]
    fn two_threads_hand_over_every_message_whole_and_in_order() {
        let handovers = match std::env::var("TTEVIEW_STRESS_HANDOVERS") {
            Ok(text) => text.parse().expect("TTEVIEW_STRESS_HANDOVERS is a number"),
            Err(_) => 2_000_000_u64,
        };
        let (mut producer, mut consumer) = ring(5, |_| [0_u64; WORDS]);
        let filler = std::thread::spawn(move || {
            for message in 1..=handovers {
                loop {
                    if let Some(slot) = producer.slot() {
                        for (index, word) in slot.iter_mut().enumerate() {
                            *word = message.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(index as u32);
                        }
                        break;
                    }
                    std::thread::yield_now();
                }
                producer.commit();
            }
        });
        for message in 1..=handovers {
            let words = loop {
                if let Some(words) = consumer.peek(0) {
                    break words;
                }
                assert!(!filler.is_finished() || consumer.len() > 0, "message {message} was lost");
                std::thread::yield_now();
            };
            for (index, &word) in words.iter().enumerate() {
                assert_eq!(word, message.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(index as u32));
            }
            consumer.release();
        }
        filler.join().unwrap();
        assert_eq!(consumer.len(), 0);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    #[test]
    fn three_messages_through_two_slots_arrive_in_order_in_every_interleaving() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring(2, |_| 0_u32);
            let filler = loom::thread::spawn(move || {
                for message in 1..=3 {
                    loop {
                        if let Some(slot) = producer.slot() {
                            *slot = message;
                            break;
                        }
                        loom::thread::yield_now();
                    }
                    producer.commit();
                }
            });
            for message in 1..=3 {
                while consumer.peek(0).is_none() {
                    loom::thread::yield_now();
                }
                assert_eq!(consumer.peek(0), Some(&message));
                if let Some(&next) = consumer.peek(1) {
                    assert_eq!(next, message + 1);
                }
                consumer.release();
            }
            filler.join().unwrap();
            assert_eq!(consumer.len(), 0);
        });
    }

    #[test]
    fn a_producer_that_drops_when_full_never_disturbs_what_is_being_read() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring(2, |_| 0_u32);
            let filler = loom::thread::spawn(move || {
                let mut sent = 0;
                for message in 1..=3 {
                    assert!(producer.free() <= 2);
                    if let Some(slot) = producer.slot() {
                        *slot = message;
                        producer.commit();
                        sent += 1;
                    }
                }
                sent
            });
            let (mut received, mut last) = (0, 0);
            for _ in 0..2 {
                if let Some(&message) = consumer.peek(0) {
                    assert!(message > last);
                    last = message;
                    received += 1;
                    consumer.release();
                }
            }
            let sent: usize = filler.join().unwrap();
            assert!(sent >= 2);
            assert_eq!(consumer.len(), sent - received);
        });
    }
}
