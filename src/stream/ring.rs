//! A wait-free ring for one producer and one consumer. Its slots are allocated once and filled in
//! place.
//!
//! The producer and the consumer each own one position. Positions run from 0 to `2 * slots - 1` and
//! wrap around. The two positions are equal if the ring is empty, and `slots` apart if it is full,
//! so no spare slot is needed to distinguish the two cases. The number of slots need not be a power
//! of two, and positions never overflow. Each side also remembers how many slots it can still use,
//! and reads the other side's position again only when it needs more slots.

#![allow(unsafe_code)]
// Every index is in range, because positions are less than twice the number of slots; see
// `position_after`.
#![cfg_attr(not(test), expect(clippy::indexing_slicing))]

use std::cell::Cell;

use crossbeam_utils::CachePadded;

use self::sync::{Arc, AtomicUsize, Ordering, Slot};
use crate::error::Result;
use crate::memory::reserve_values;

/// The slots and positions that the producer and the consumer share.
struct Shared<T> {
    /// The slots from `tail` up to but not including `head` belong to the consumer, all others to
    /// the producer.
    slots: Box<[Slot<T>]>,
    /// Position of the next slot to fill; only the producer writes it.
    head: CachePadded<AtomicUsize>,
    /// Position of the oldest slot that has not been released; only the consumer writes it.
    tail: CachePadded<AtomicUsize>,
}

// SAFETY: the producer and the consumer never access the same slot at the same time. The positions
// determine which of the two may access a slot, and the release stores and acquire loads of the
// positions hand the slot over. A `T` is therefore only moved between threads and never shared, so
// `T: Send` suffices. `Producer` and `Consumer` are not `Sync` and cannot be cloned.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Returns the number of slots from `tail` to `head`.
    fn readable(&self, head: usize, tail: usize) -> usize {
        if head >= tail { head - tail } else { head + 2 * self.slots.len() - tail }
    }

    /// Returns the position that is `step` slots after `position`. `step` is at most the number of
    /// slots.
    fn position_after(&self, position: usize, step: usize) -> usize {
        let next = position + step;
        if next >= 2 * self.slots.len() { next - 2 * self.slots.len() } else { next }
    }

    fn slot(&self, position: usize) -> &Slot<T> {
        let slots = self.slots.len();
        &self.slots[if position >= slots { position - slots } else { position }]
    }
}

/// The side of the ring that fills slots. It can move to another thread, but only one thread can
/// use it at a time.
pub(crate) struct Producer<T> {
    shared: Arc<Shared<T>>,
    head: usize,
    /// Number of free slots when the consumer's position was last read, minus the slots committed
    /// since then. The `Cell` also prevents `Producer` from being `Sync`.
    free_seen: Cell<usize>,
}

/// The side of the ring that reads slots, oldest first. It can move to another thread, but only one
/// thread can use it at a time.
pub(crate) struct Consumer<T> {
    shared: Arc<Shared<T>>,
    tail: usize,
    /// Number of committed slots when the producer's position was last read, minus the slots
    /// released since then. The `Cell` also prevents `Consumer` from being `Sync`.
    len_seen: Cell<usize>,
}

/// Creates a ring of exactly `slots` slots. `create` creates the content of each slot from its
/// index. Nothing is allocated later.
///
/// # Errors
/// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be allocated,
/// or the first error of `create`.
///
/// # Panics
/// Panics if `slots` is 0.
pub(crate) fn create_ring<T: Send>(
    slots: usize,
    mut create: impl FnMut(usize) -> Result<T>,
) -> Result<(Producer<T>, Consumer<T>)> {
    assert!(slots > 0, "a ring has at least one slot");
    let mut filled = reserve_values(slots, "the slots of the ring")?;
    for index in 0..slots {
        filled.push(Slot::new(create(index)?));
    }
    let shared = Arc::new(Shared {
        slots: filled.into(),
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
    });
    let producer = Producer { shared: Arc::clone(&shared), head: 0, free_seen: Cell::new(slots) };
    Ok((producer, Consumer { shared, tail: 0, len_seen: Cell::new(0) }))
}

impl<T: Send> Producer<T> {
    /// Returns the number of slots that can be filled. The consumer may release more at any time.
    pub(crate) fn free(&mut self) -> usize {
        let tail = self.shared.tail.load(Ordering::Acquire);
        let free = self.shared.slots.len() - self.shared.readable(self.head, tail);
        self.free_seen.set(free);
        free
    }

    /// Returns the next slot to fill, which still has its previous content, or `None` if the ring
    /// is full. Until [`Self::commit`], every call returns the same slot.
    pub(crate) fn slot(&mut self) -> Option<&mut T> {
        if self.free_seen.get() == 0 && self.free() == 0 {
            return None;
        }
        // SAFETY: the slot at `head` is free, so the consumer does not access it before `commit`.
        // The consumer's last access to it happened before the acquire load that determined
        // `free_seen`. The borrow of `self` prevents `commit` while the reference lives.
        Some(unsafe { &mut *self.shared.slot(self.head).write_pointer() })
    }

    /// Hands over to the consumer the slot that [`Self::slot`] returns. Does nothing if the ring is
    /// full.
    pub(crate) fn commit(&mut self) {
        if self.free_seen.get() == 0 && self.free() == 0 {
            return;
        }
        self.head = self.shared.position_after(self.head, 1);
        self.free_seen.set(self.free_seen.get() - 1);
        self.shared.head.store(self.head, Ordering::Release);
    }
}

impl<T: Send> Consumer<T> {
    /// Returns the number of slots that can be read. The producer may commit more at any time.
    pub(crate) fn len(&self) -> usize {
        let len = self.shared.readable(self.shared.head.load(Ordering::Acquire), self.tail);
        self.len_seen.set(len);
        len
    }

    /// Returns the slot that is `index` slots after the oldest one, if it has been committed.
    pub(crate) fn peek(&self, index: usize) -> Option<&T> {
        if index >= self.len_seen.get() && index >= self.len() {
            return None;
        }
        // Most calls read the oldest slot. Its position is known, so nothing is computed for it.
        let position =
            if index == 0 { self.tail } else { self.shared.position_after(self.tail, index) };
        // SAFETY: `index` is less than the number of committed slots, so the slot belongs to the
        // consumer until `release`. The borrow of `self` prevents `release` while the reference
        // lives. The producer's write to the slot happened before the acquire load that determined
        // `len_seen`. The consumer creates only shared references.
        Some(unsafe { &*self.shared.slot(position).read_pointer() })
    }

    /// Hands the oldest slot back to the producer, if the ring contains one.
    pub(crate) fn release(&mut self) {
        if self.len_seen.get() == 0 && self.len() == 0 {
            return;
        }
        self.tail = self.shared.position_after(self.tail, 1);
        self.len_seen.set(self.len_seen.get() - 1);
        self.shared.tail.store(self.tail, Ordering::Release);
    }
}

/// The synchronization primitives of the ring. They come from the standard library or, in tests
/// that explore every interleaving, from loom.
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

    /// A value that only one side of the ring accesses at a time.
    pub(super) struct Slot<T>(UnsafeCell<T>);

    impl<T> Slot<T> {
        pub(super) fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }

        /// Returns a pointer for reading. Loom treats the call as a read and checks it against
        /// every write.
        pub(super) fn read_pointer(&self) -> *const T {
            #[cfg(loom)]
            return self.0.with(|pointer| pointer);
            #[cfg(not(loom))]
            self.0.get()
        }

        /// Returns a pointer for writing. Loom treats the call as a write and checks it against
        /// every read and write.
        pub(super) fn write_pointer(&self) -> *mut T {
            #[cfg(loom)]
            return self.0.with_mut(|pointer| pointer);
            #[cfg(not(loom))]
            self.0.get()
        }
    }
}

#[cfg(all(test, not(loom)))]
mod exhaustive_tests;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
