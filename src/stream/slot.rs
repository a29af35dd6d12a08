//! The slots of the ring. Each slot has memory for one frame and for the information that belongs
//! to that frame.

// Every range is in bounds, because `FrameBuffer::new` allocates enough memory.
#![cfg_attr(not(test), expect(clippy::indexing_slicing))]

use crate::error::{Error, Result, Status};
use crate::frame::Geometry;
use crate::memory::reserve_values;
use crate::sys::memory_lock::{self, page_bytes};
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// One slot of the ring. The slot contains a frame or the end of an acquisition.
#[derive(Default)]
pub(crate) struct Slot {
    /// Identifier of the acquisition that begins with this slot, or `None` if this slot begins no
    /// acquisition.
    pub(crate) begins: Option<u64>,
    /// Whether the host marked a change before this slot.
    pub(crate) is_changed: bool,
    /// Whether the frame is the first after a step of the host's clock.
    pub(crate) is_clock_step: bool,
    pub(crate) frame: Option<FrameHeader>,
    /// Time at which `end` was called; `None` if the slot contains a frame.
    pub(crate) ended: Option<Instant>,
    /// Number of frames dropped so far in this acquisition.
    pub(crate) dropped: u64,
    pub(crate) buffer: FrameBuffer,
}

/// A frame without its pixels.
#[derive(Clone, Copy)]
pub(crate) struct FrameHeader {
    pub(crate) geometry: Geometry,
    pub(crate) time_ns: i64,
    pub(crate) sequence: u64,
}

impl Slot {
    /// Allocates a slot for frames of at most `frame_bytes` bytes.
    ///
    /// # Errors
    /// Returns the same errors as [`FrameBuffer::new`].
    pub(crate) fn new(frame_bytes: usize, is_locked: bool) -> Result<Self> {
        Ok(Self { buffer: FrameBuffer::new(frame_bytes, is_locked)?, ..Self::default() })
    }

    /// Returns the size in bytes of a slot for frames of at most `frame_bytes` bytes.
    pub(crate) fn memory_bytes(frame_bytes: usize) -> usize {
        size_of::<Self>() + FrameBuffer::memory_bytes(frame_bytes)
    }
}

/// Memory for the bytes of one frame. The memory begins at a page boundary, and no other data
/// shares its pages, so unlocking these pages does not unlock anything else. `new` writes to every
/// page, so that no push causes a page fault.
///
/// All buffers have the same offset within a page, because some processors copy more slowly between
/// two addresses whose offsets differ slightly.
#[derive(Default)]
pub(crate) struct FrameBuffer {
    memory: Box<[u8]>,
    /// Index in `memory` at which the first page begins.
    first: usize,
    bytes: usize,
    is_locked: bool,
}

impl FrameBuffer {
    /// Allocates a buffer of `bytes` bytes, and locks it into memory if `is_locked` is true.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated, or [`Status::System`] if
    /// it cannot be locked.
    pub(crate) fn new(bytes: usize, is_locked: bool) -> Result<Self> {
        let size = Self::memory_bytes(bytes);
        let mut memory = reserve_values(size, "a frame of the ring")?;
        // The system maps zeroed pages only when they are first used, so write to every page now.
        memory.resize(size, 1);
        memory.fill(std::hint::black_box(0));
        let memory = memory.into_boxed_slice();
        let first = memory.as_ptr().align_offset(page_bytes()).min(page_bytes());
        let mut buffer = Self { memory, first, bytes, is_locked: false };
        if is_locked {
            memory_lock::lock(buffer.pages()).map_err(|error| {
                let message = format!(
                    "{bytes} bytes of a frame cannot be locked into memory: {error}; raise \
                     RLIMIT_MEMLOCK or leave TTV_STREAM_FLAG_LOCK_MEMORY unset"
                );
                Error::new(Status::System, message)
            })?;
            buffer.is_locked = true;
        }
        Ok(buffer)
    }

    /// Returns the number of bytes that are allocated for a buffer of `bytes` bytes.
    pub(crate) fn memory_bytes(bytes: usize) -> usize {
        bytes.next_multiple_of(page_bytes()) + page_bytes()
    }

    fn pages(&self) -> &[u8] {
        &self.memory[self.first..][..self.bytes.next_multiple_of(page_bytes())]
    }
}

impl Deref for FrameBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.first..][..self.bytes]
    }
}

impl DerefMut for FrameBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.first..][..self.bytes]
    }
}

impl Drop for FrameBuffer {
    fn drop(&mut self) {
        if self.is_locked {
            memory_lock::unlock(self.pages());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_lie_on_whole_pages_of_their_own() {
        let sizes = [1, 4095, 4096, 4097, 480_000];
        let mut buffers: Vec<FrameBuffer> =
            sizes.map(|bytes| FrameBuffer::new(bytes, false).unwrap()).into();
        let mut pages: Vec<(usize, usize)> = Vec::new();
        for (buffer, bytes) in buffers.iter_mut().zip(sizes) {
            buffer.fill(7);
            assert_eq!(buffer.len(), bytes);
            assert!(buffer.pages().as_ptr().addr().is_multiple_of(page_bytes()));
            assert!(buffer.pages().len().is_multiple_of(page_bytes()));
            pages.push((buffer.pages().as_ptr().addr(), buffer.pages().len()));
        }
        pages.sort_unstable();
        for pair in pages.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "two frames share a page");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn locked_buffers_are_unlocked_when_they_are_dropped() {
        let locked_kib = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
        };
        let before = locked_kib();
        let buffer = FrameBuffer::new(5000, true).expect("RLIMIT_MEMLOCK allows two pages");
        assert_eq!(locked_kib() - before, 5000usize.next_multiple_of(page_bytes()) / 1024);
        drop(buffer);
        assert_eq!(locked_kib(), before);
    }
}
