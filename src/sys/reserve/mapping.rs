//! Mappings: blocks that replace failed allocations, and ballast.

use super::constants::{ALIGNMENT, IS_ACTIVE};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::atomic::{Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

/// Maximum number of blocks at the same time.
const MAX_BLOCKS: usize = 256;

/// Maximum number of engines that hold ballast.
const MAX_BALLASTS: usize = 64;

/// Value of [`Mapping::address`] while a mapping has an owner but no memory.
const NO_MEMORY: usize = 1;

/// Value of [`Mapping::address`] while a thread returns the memory of a ballast to the system. The
/// owner waits for the end, because the length of the mapping is still needed.
const RELEASING: usize = 2;

/// Address and length of a mapping. The address is 0 if there is no owner.
struct Mapping {
    address: AtomicUsize,
    bytes: AtomicUsize,
}

impl Mapping {
    const fn new() -> Self {
        Self { address: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Takes ownership if there is no owner.
    fn take(&self) -> bool {
        self.address.compare_exchange(0, NO_MEMORY, AcqRel, Relaxed).is_ok()
    }
}

static BLOCKS: [Mapping; MAX_BLOCKS] = [const { Mapping::new() }; MAX_BLOCKS];
/// Number of entries in `BLOCKS` that have an owner.
static BLOCK_COUNT: AtomicUsize = AtomicUsize::new(0);
static BALLASTS: [Mapping; MAX_BALLASTS] = [const { Mapping::new() }; MAX_BALLASTS];

/// Maps zeroed memory, or returns NULL.
fn map(bytes: usize) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the call creates a new mapping and has no effect on existing ones.
    let memory = unsafe { libc::mmap(null_mut(), bytes.max(1), protection, flags, -1, 0) };
    if memory == libc::MAP_FAILED { null_mut() } else { memory.cast() }
}

/// Unmaps memory that [`map`] has mapped and that nothing uses any more.
fn unmap(address: usize, bytes: usize) {
    // SAFETY: all callers own the mapping, and give up their ownership.
    unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(address), bytes.max(1)) };
}

/// Returns whether the system can map this number of bytes. The bytes are not touched.
pub(crate) fn can_map(bytes: usize) -> bool {
    let address = map(bytes).expose_provenance();
    if address != 0 {
        unmap(address, bytes);
    }
    address != 0
}

/// Creates a mapping that replaces a failed allocation, or returns NULL.
pub(super) fn map_block(bytes: usize) -> *mut u8 {
    let Some(block) = BLOCKS.iter().find(|block| block.take()) else { return null_mut() };
    // The count grows before any other thread knows the address, so no thread overlooks the block.
    BLOCK_COUNT.fetch_add(1, Ordering::Release);
    let memory = map(bytes);
    block.bytes.store(bytes, Relaxed);
    block.address.store(memory.expose_provenance(), Ordering::Release);
    if memory.is_null() {
        BLOCK_COUNT.fetch_sub(1, Ordering::Release);
    }
    memory
}

fn find_block(memory: *mut u8) -> Option<&'static Mapping> {
    if !memory.addr().is_multiple_of(ALIGNMENT) || BLOCK_COUNT.load(Acquire) == 0 {
        return None;
    }
    let address = memory.addr();
    BLOCKS.iter().find(|block| address > RELEASING && block.address.load(Acquire) == address)
}

/// Returns the size of a block, or `None` for other memory.
pub(super) fn block_bytes(memory: *mut u8) -> Option<usize> {
    find_block(memory).map(|block| block.bytes.load(Relaxed))
}

/// Frees a block. Returns false for other memory.
pub(super) fn free_block(memory: *mut u8) -> bool {
    let Some(block) = find_block(memory) else { return false };
    // The entry gives up the address before the system can give it to another mapping, whose entry
    // `find_block` would otherwise confuse with this one. It stays owned until the end.
    let bytes = block.bytes.load(Relaxed);
    block.address.store(NO_MEMORY, Ordering::Release);
    unmap(memory.addr(), bytes);
    block.address.store(0, Ordering::Release);
    BLOCK_COUNT.fetch_sub(1, Ordering::Release);
    true
}

/// Returns the number of blocks.
#[cfg(test)]
pub(super) fn count_blocks() -> usize {
    BLOCK_COUNT.load(Relaxed)
}

/// Returns all ballast to the system. Returns false if there was none.
pub(super) fn release_ballast() -> bool {
    let mut is_released = false;
    for ballast in &BALLASTS {
        let address = ballast.address.load(Acquire);
        let is_owner = address > RELEASING
            && ballast.address.compare_exchange(address, RELEASING, AcqRel, Relaxed).is_ok();
        if is_owner {
            unmap(address, ballast.bytes.load(Acquire));
            ballast.address.store(NO_MEMORY, Ordering::Release);
            is_released = true;
        }
    }
    is_released
}

/// Address space that the reserve returns to the system when an allocation fails. The pages are
/// never touched, so ballast takes no physical memory unless the host locks all of its memory.
pub(crate) struct Ballast(Option<&'static Mapping>);

impl Ballast {
    /// Reserves `bytes` bytes. Returns `None` if the system cannot reserve them. In a build without
    /// the reserve, or beyond the maximum number of ballasts, nothing is reserved.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let mapping = BALLASTS.iter().find(|mapping| IS_ACTIVE && mapping.take());
        if let Some(mapping) = mapping {
            mapping.bytes.store(bytes, Ordering::Release);
        }
        let ballast = Self(mapping);
        ballast.restore().then_some(ballast)
    }

    /// Reserves the bytes again if they have been returned to the system. Returns false if the
    /// system cannot reserve them now.
    pub(crate) fn restore(&self) -> bool {
        let Some(mapping) = self.0.filter(|mapping| mapping.address.load(Relaxed) == NO_MEMORY)
        else {
            return true;
        };
        let bytes = mapping.bytes.load(Relaxed);
        let address = map(bytes).expose_provenance();
        if address == 0 {
            return false;
        }
        if mapping.address.compare_exchange(NO_MEMORY, address, AcqRel, Relaxed).is_err() {
            // Another thread has restored the ballast.
            unmap(address, bytes);
        }
        true
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let Some(mapping) = self.0 else { return };
        let bytes = mapping.bytes.load(Relaxed);
        loop {
            let address = mapping.address.load(Acquire);
            if address == RELEASING {
                // Another thread is inside `munmap`. Sleeping lets it run, whatever its priority.
                std::thread::sleep(std::time::Duration::from_micros(50));
            } else if mapping.address.compare_exchange(address, 0, AcqRel, Relaxed).is_ok() {
                if address > RELEASING {
                    unmap(address, bytes);
                }
                return;
            }
        }
    }
}
