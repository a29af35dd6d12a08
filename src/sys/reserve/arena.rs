//! The arena: static memory that is divided into slots of fixed sizes.

use super::constants::ALIGNMENT;
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

/// Size and number of the slots of one class.
struct Class {
    bytes: usize,
    count: usize,
    /// Bitmap of the used slots.
    used: [AtomicU64; WORDS],
}

/// Number of words in a bitmap.
const WORDS: usize = 32;

const SMALL: [(usize, usize); 3] = [(64, 2048), (512, 512), (4096, 64)];
/// The slots that are used only if no mapping can be created.
const LARGE: (usize, usize) = (65_536, 4);

const ARENA_BYTES: usize = {
    let [first, second, third] = SMALL;
    first.0 * first.1 + second.0 * second.1 + third.0 * third.1 + LARGE.0 * LARGE.1
};

const fn class((bytes, count): (usize, usize)) -> Class {
    assert!(bytes.is_power_of_two() && count <= WORDS * 64);
    Class { bytes, count, used: [const { AtomicU64::new(0) }; WORDS] }
}

static CLASSES: [Class; 4] = {
    let [first, second, third] = SMALL;
    [class(first), class(second), class(third), class(LARGE)]
};

#[repr(align(4096))]
struct Arena(UnsafeCell<[u8; ARENA_BYTES]>);
// SAFETY: the bitmaps give every slot to at most one owner, and this module never accesses the
// arena itself.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_BYTES]));

fn arena() -> *mut u8 {
    const { assert!(align_of::<Arena>() == ALIGNMENT) };
    ARENA.0.get().cast()
}

/// Takes a slot for a small request, or returns NULL.
pub(super) fn take_small_slot(bytes: usize, alignment: usize) -> *mut u8 {
    take_slot(bytes.max(alignment), LARGE.0)
}

/// Takes a slot of the largest class, or returns NULL.
pub(super) fn take_large_slot(bytes: usize) -> *mut u8 {
    take_slot(bytes.max(LARGE.0), usize::MAX)
}

/// Takes a slot of at least `bytes` bytes and less than `limit` bytes. Slots are aligned to their
/// size, up to the alignment of the arena.
fn take_slot(bytes: usize, limit: usize) -> *mut u8 {
    let mut start = 0;
    for class in &CLASSES {
        if class.bytes >= bytes && class.bytes < limit {
            for (index, word) in class.used.iter().enumerate().take(class.count.div_ceil(64)) {
                if let Some(bit) = take_bit(word, (class.count - index * 64).min(64)) {
                    // The slot lies inside the arena.
                    return arena().wrapping_add(start + (index * 64 + bit) * class.bytes);
                }
            }
        }
        start += class.bytes * class.count;
    }
    null_mut()
}

/// Sets the first of the lowest `count` bits that is not set, and returns its index.
fn take_bit(word: &AtomicU64, count: usize) -> Option<usize> {
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let bit = (!seen).trailing_zeros() as usize;
        if bit >= count {
            return None;
        }
        let taken = seen | 1 << bit;
        match word.compare_exchange_weak(seen, taken, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return Some(bit),
            Err(now) => seen = now,
        }
    }
}

/// Returns the class of a slot and its number in the class, or `None` for other memory.
fn find_slot(memory: *mut u8) -> Option<(&'static Class, usize)> {
    let mut offset = memory.addr().wrapping_sub(arena().addr());
    if offset >= ARENA_BYTES {
        return None;
    }
    for class in &CLASSES {
        if offset < class.bytes * class.count {
            return Some((class, offset / class.bytes));
        }
        offset -= class.bytes * class.count;
    }
    None
}

/// Returns the size of a slot, or `None` for other memory.
pub(super) fn slot_bytes(memory: *mut u8) -> Option<usize> {
    find_slot(memory).map(|(class, _)| class.bytes)
}

/// Frees a slot. Returns false for other memory.
pub(super) fn free_slot(memory: *mut u8) -> bool {
    let Some((class, slot)) = find_slot(memory) else { return false };
    if let Some(word) = class.used.get(slot / 64) {
        word.fetch_and(!(1 << (slot % 64)), Ordering::Release);
    }
    true
}

/// Returns the number of slots in use.
#[cfg(test)]
pub(super) fn count_used_slots() -> u32 {
    let words = CLASSES.iter().flat_map(|class| &class.used);
    words.map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
}

/// Number of slots for small requests.
#[cfg(test)]
pub(super) const SMALL_SLOTS: usize = SMALL[0].1 + SMALL[1].1 + SMALL[2].1;
