//! Memory of one frame in the ring.

// The ranges are those that `new` made.
#![cfg_attr(not(test), expect(clippy::indexing_slicing))]

use crate::stream::Pin;
use crate::{Error, Result, Status};
use std::ops::{Deref, DerefMut};

/// What the system brings in and locks as a whole.
const PAGE_BYTES: usize = 4096;

/// The bytes of one frame, on pages of their own and every page brought in before the first frame.
///
/// Unlocking them so unlocks nothing of a neighbour, and where they lie does not depend on what was allocated before:
/// a copy between addresses that are a little apart modulo a page takes longer.
pub(crate) struct Pixels {
    memory: Box<[u8]>,
    /// Where the first page begins in `memory`.
    first: usize,
    bytes: usize,
    pinned: Option<Pin>,
}

impl Pixels {
    pub(crate) fn new(bytes: usize, pin: Option<Pin>) -> Result<Self> {
        let most = Self::memory(bytes);
        let mut memory = Vec::new();
        memory
            .try_reserve_exact(most)
            .map_err(|_| Error::new(Status::OutOfMemory, format!("{bytes} bytes for a frame of the ring")))?;
        // Written, not only promised zero: a page that is not there yet would fault in the first push.
        memory.resize(most, 1);
        memory.fill(std::hint::black_box(0));
        let memory = memory.into_boxed_slice();
        let first = memory.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        let mut pixels = Self { memory, first, bytes, pinned: None };
        if let Some(pin) = pin {
            (pin.lock)(pixels.pages())
                .map_err(|cause| Error::new(Status::System, format!("memory lock: {cause}")))?;
            pixels.pinned = Some(pin);
        }
        Ok(pixels)
    }

    /// Bytes allocated for a frame of `bytes`.
    pub(crate) fn memory(bytes: usize) -> usize {
        bytes.next_multiple_of(PAGE_BYTES) + PAGE_BYTES
    }

    fn pages(&self) -> &[u8] {
        &self.memory[self.first..][..self.bytes.next_multiple_of(PAGE_BYTES)]
    }
}

impl Default for Pixels {
    /// No memory at all.
    fn default() -> Self {
        Self { memory: Box::default(), first: 0, bytes: 0, pinned: None }
    }
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.first..][..self.bytes]
    }
}

impl DerefMut for Pixels {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.first..][..self.bytes]
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        if let Some(pin) = self.pinned {
            (pin.unlock)(self.pages());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    static LOCKED: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

    fn range(pages: &[u8]) -> (usize, usize) {
        (pages.as_ptr() as usize, pages.len())
    }

    #[test]
    fn frames_lie_on_whole_pages_of_their_own_and_are_unlocked_as_they_were_locked() {
        let pin = Pin {
            lock: |pages| {
                LOCKED.lock().unwrap().push(range(pages));
                Ok(())
            },
            unlock: |pages| LOCKED.lock().unwrap().retain(|&locked| locked != range(pages)),
        };
        let sizes = [1, 4095, 4096, 4097, 480_000];
        let mut frames: Vec<Pixels> = sizes.map(|bytes| Pixels::new(bytes, Some(pin)).unwrap()).into();
        let mut locked = LOCKED.lock().unwrap().clone();
        for (frame, bytes) in frames.iter_mut().zip(sizes) {
            frame.fill(7);
            assert_eq!(frame.len(), bytes);
            assert!(locked.contains(&(frame.as_ptr() as usize, bytes.next_multiple_of(PAGE_BYTES))));
        }
        locked.sort_unstable();
        for pair in locked.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "two frames share a page");
        }
        assert!(locked.iter().all(|(first, bytes)| first % PAGE_BYTES == 0 && bytes % PAGE_BYTES == 0));
        drop(frames);
        assert!(LOCKED.lock().unwrap().is_empty());
    }
}
