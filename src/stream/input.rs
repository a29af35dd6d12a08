//! The acquisition thread's end of the ring.

use super::{FrameHeader, Shared, Slot};
use crate::Status;
use crate::frame::{FrameView, Geometry};
use crate::ring::Producer;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::Thread;

/// The acquisition thread's end: no call of it allocates, locks or logs.
pub(super) struct Input {
    pub(super) producer: Producer<Slot>,
    pub(super) shared: Arc<Shared>,
    pub(super) worker: Option<Thread>,
    pub(super) max_width_px: u32,
    pub(super) max_height_px: u32,
    pub(super) max_frame_bytes: usize,
    pub(super) frame_period_ns: i64,
    pub(super) acquisition: u64,
    pub(super) acquiring: bool,
    pub(super) begins: Option<u64>,
    pub(super) changed: bool,
    pub(super) frames: i64,
    pub(super) last_time_ns: Option<i64>,
    pub(super) dropped: u64,
    /// Frames published since the stream was created.
    pub(super) sent: u64,
    /// Token of the slot that the host writes into.
    pub(super) acquired: Option<u64>,
}

impl Input {
    pub(super) fn begin(&mut self) -> std::result::Result<u64, Status> {
        self.alive()?;
        if self.acquiring {
            return Err(Status::WrongState);
        }
        if self.producer.free() == 0 {
            return Err(Status::RingFull);
        }
        self.acquisition += 1;
        self.acquiring = true;
        self.acquired = None;
        self.begins = Some(self.acquisition);
        self.changed = false;
        self.frames = 0;
        self.last_time_ns = None;
        self.dropped = 0;
        Ok(self.acquisition)
    }

    pub(super) fn push(&mut self, frame: &FrameView<'_>) -> Status {
        self.try_push(frame).err().unwrap_or(Status::Ok)
    }

    fn try_push(&mut self, frame: &FrameView<'_>) -> std::result::Result<(), Status> {
        self.open()?;
        if self.acquired.is_some() {
            return Err(Status::WrongState);
        }
        frame.check()?;
        let time_ns = self.admit(&frame.geometry, frame.time_ns)?;
        frame.copy_packed(self.room()?);
        self.send(frame.geometry, time_ns, frame.sequence)
    }

    pub(super) fn acquire(&mut self) -> std::result::Result<(&mut [u8], u64), Status> {
        self.open()?;
        if let Err(full) = self.room().map(|_| ()) {
            // The frame that did not find room counts in the times of a host without timestamps.
            self.frames += 1;
            return Err(full);
        }
        let token = self.sent + 1;
        self.acquired = Some(token);
        Ok((self.room()?, token))
    }

    pub(super) fn commit(
        &mut self,
        token: u64,
        geometry: &Geometry,
        time_ns: i64,
        sequence: u64,
    ) -> std::result::Result<(), Status> {
        self.open()?;
        if self.acquired != Some(token) {
            return Err(Status::WrongState);
        }
        geometry.check()?;
        let time_ns = self.admit(geometry, time_ns)?;
        self.acquired = None;
        self.send(*geometry, time_ns, sequence)
    }

    /// An acquisition is open.
    fn open(&self) -> std::result::Result<(), Status> {
        self.alive()?;
        if self.acquiring { Ok(()) } else { Err(Status::WrongState) }
    }

    /// The frame's time, if its size fits and it is later than the frame before.
    fn admit(&mut self, geometry: &Geometry, time_ns: i64) -> std::result::Result<i64, Status> {
        if geometry.width_px > self.max_width_px
            || geometry.height_px > self.max_height_px
            || geometry.frame_bytes() > self.max_frame_bytes
        {
            return Err(Status::FrameTooLarge);
        }
        let time_ns = match self.frame_period_ns {
            0 => time_ns,
            period => self.frames.saturating_mul(period),
        };
        if self.last_time_ns.is_some_and(|last| time_ns <= last) {
            self.shared.stats.refused.fetch_add(1, Relaxed);
            return Err(Status::FrameRefused);
        }
        self.frames += 1;
        Ok(time_ns)
    }

    /// Pixels of the next slot, or the frame is dropped. The last free slot belongs to the end.
    fn room(&mut self) -> std::result::Result<&mut [u8], Status> {
        let free = self.producer.free() > 1;
        let slot = if free { self.producer.slot() } else { None };
        let Some(slot) = slot else {
            self.dropped += 1;
            self.shared.stats.dropped.fetch_add(1, Relaxed);
            return Err(Status::RingFull);
        };
        Ok(&mut slot.pixels)
    }

    /// Publishes the next slot, whose pixels are written.
    fn send(&mut self, geometry: Geometry, time_ns: i64, sequence: u64) -> std::result::Result<(), Status> {
        let slot = self.producer.slot().ok_or(Status::Internal)?;
        slot.begins = self.begins.take();
        slot.changed = std::mem::take(&mut self.changed);
        slot.frame = Some(FrameHeader { geometry, time_ns, sequence });
        slot.ended = None;
        slot.dropped = self.dropped;
        self.last_time_ns = Some(time_ns);
        self.shared.stats.pushed.fetch_add(1, Relaxed);
        self.sent += 1;
        self.publish();
        Ok(())
    }

    pub(super) fn mark(&mut self) -> Status {
        match self.alive() {
            Err(status) => status,
            Ok(()) if !self.acquiring => Status::WrongState,
            Ok(()) => {
                self.changed = true;
                Status::Ok
            }
        }
    }

    pub(super) fn end(&mut self) -> Status {
        if let Err(status) = self.alive() {
            return status;
        }
        if !self.acquiring {
            return Status::WrongState;
        }
        let Some(slot) = self.producer.slot() else { return Status::Internal };
        slot.begins = self.begins.take();
        slot.changed = std::mem::take(&mut self.changed);
        slot.frame = None;
        slot.ended = Some(crate::clock::now());
        slot.dropped = self.dropped;
        self.acquiring = false;
        self.acquired = None;
        self.publish();
        Status::Ok
    }

    fn publish(&mut self) {
        self.producer.commit();
        if let Some(worker) = &self.worker {
            worker.unpark();
        }
    }

    fn alive(&self) -> std::result::Result<(), Status> {
        if self.shared.poisoned.load(Relaxed) { Err(Status::Poisoned) } else { Ok(()) }
    }
}
