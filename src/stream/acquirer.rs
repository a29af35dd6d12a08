//! The handle through which the acquisition thread uses a stream. Its functions do not allocate,
//! lock or log.

use super::config::StreamConfig;
use super::frame_order::{FrameOrder, TimeCheck};
use super::ring::Producer;
use super::shared::Shared;
use super::slot::{FrameHeader, Slot};
use super::stats::count;
use super::worker_thread::WorkerThread;
use crate::clock;
use crate::error::{Result, Status};
use crate::frame::{FrameView, Geometry};
use std::fmt;
use std::sync::Arc;

/// The reason why a frame was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// The ring was full. The frame was dropped and counted.
    Dropped,
    /// The time of the frame is not later than that of the previous accepted frame. The frame was
    /// refused and counted. If the host's clock has stepped back, the fifth frame in a row whose
    /// times agree with one another is accepted.
    Refused,
    /// The frame is not valid for this stream, or the call is not allowed in this state.
    Invalid(Status),
}

impl PushError {
    /// Returns the status that the C ABI reports for this error.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Dropped => Status::RingFull,
            Self::Refused => Status::FrameRefused,
            Self::Invalid(status) => status,
        }
    }
}

impl From<Status> for PushError {
    fn from(status: Status) -> Self {
        match status {
            Status::RingFull => Self::Dropped,
            Status::FrameRefused => Self::Refused,
            status => Self::Invalid(status),
        }
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status().fmt(f)
    }
}

impl std::error::Error for PushError {}

/// A ring slot that is lent to the host.
pub struct Loan<'a> {
    /// Memory for the frame. Write the planes one after another, without padding between rows.
    pub pixels: &'a mut [u8],
    /// Token that identifies the loan in [`Acquirer::commit`].
    pub token: u64,
}

/// The time of a frame that can be accepted.
#[derive(Clone, Copy)]
struct FrameTime {
    time_ns: i64,
    /// Whether the frame is the first after a step of the host's clock.
    is_clock_step: bool,
}

/// The handle through which the acquisition thread uses a stream.
///
/// Only one thread at a time may use the handle. Every call returns within a bounded time, does not
/// allocate, lock or log, and makes at most one system call, which wakes the worker.
///
/// Dropping the acquirer closes the stream. The worker thread ends after the step in progress.
/// Acquisitions that it has not finished get no final result, and waiting for one of them returns
/// [`Status::Cancelled`]. If the stream is host-driven, dropping the acquirer ends the acquisition
/// in progress, and the driver can still process everything that is waiting in the ring.
pub struct Acquirer {
    producer: Producer<Slot>,
    shared: Arc<Shared>,
    thread: Option<WorkerThread>,
    max_width_px: u32,
    max_height_px: u32,
    max_frame_bytes: usize,
    frame_period_ns: i64,
    /// Identifier of the newest acquisition.
    acquisition: u64,
    is_acquiring: bool,
    /// Identifier of the acquisition that begins with the next slot, or `None` if the next slot
    /// begins no acquisition.
    begins: Option<u64>,
    /// Whether a change precedes the next slot.
    is_changed: bool,
    /// Number of accepted and dropped frames in this acquisition, from which times are computed for
    /// hosts without timestamps.
    frames: i64,
    order: FrameOrder,
    /// Number of frames dropped in this acquisition.
    dropped: u64,
    /// Number of frames published since the stream was opened.
    published: u64,
    /// Token of the slot that is lent to the host.
    loan: Option<u64>,
}

impl Acquirer {
    /// Creates an acquirer. `thread` is `None` for a host-driven stream.
    pub(super) fn new(
        producer: Producer<Slot>,
        shared: Arc<Shared>,
        thread: Option<WorkerThread>,
        config: &StreamConfig,
    ) -> Self {
        Self {
            producer,
            shared,
            thread,
            max_width_px: config.max_width_px,
            max_height_px: config.max_height_px,
            max_frame_bytes: config.frame_bytes(),
            frame_period_ns: config.frame_period_ns,
            acquisition: 0,
            is_acquiring: false,
            begins: None,
            is_changed: false,
            frames: 0,
            order: FrameOrder::new(config.gap_ns),
            dropped: 0,
            published: 0,
            loan: None,
        }
    }

    /// Begins an acquisition and returns its identifier. This is allowed while the worker is still
    /// processing the previous acquisition.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] if an acquisition is in progress, [`Status::SelfTest`] if the
    /// last self-test of the engine failed, or [`Status::Poisoned`] after an internal error.
    /// Returns [`Status::RingFull`] if no slot is free for the end of the acquisition, because the
    /// worker has not yet processed the acquisitions before it. No acquisition has then begun and
    /// no frame was dropped. Try again after the worker has released a slot.
    pub fn begin(&mut self) -> Result<u64, Status> {
        self.try_begin().map_err(|status| self.shared.record_event(status))
    }

    fn try_begin(&mut self) -> Result<u64, Status> {
        self.check_alive()?;
        if self.is_acquiring {
            return Err(Status::WrongState);
        }
        if self.shared.self_test.has_failed() {
            return Err(Status::SelfTest);
        }
        if self.producer.free() == 0 {
            return Err(Status::RingFull);
        }
        self.acquisition += 1;
        self.shared.set_newest_acquisition(self.acquisition);
        self.is_acquiring = true;
        self.begins = Some(self.acquisition);
        self.is_changed = false;
        self.frames = 0;
        self.order.begin();
        self.dropped = 0;
        Ok(self.acquisition)
    }

    /// Copies a frame into the ring.
    ///
    /// # Errors
    /// Returns [`PushError::Dropped`] if the ring is full, or [`PushError::Refused`] if the time of
    /// the frame is not later than that of the previous accepted frame. Returns
    /// [`PushError::Invalid`] with [`Status::FrameTooLarge`] if the frame is too large, with
    /// [`Status::WrongState`] outside an acquisition or while a slot is lent to the host, or with
    /// [`Status::Poisoned`] after an internal error.
    pub fn push(&mut self, frame: &FrameView<'_>) -> Result<(), PushError> {
        self.try_push(frame).map_err(|status| self.shared.record_event(status).into())
    }

    fn try_push(&mut self, frame: &FrameView<'_>) -> Result<(), Status> {
        self.check_acquiring()?;
        if self.loan.is_some() {
            return Err(Status::WrongState);
        }
        let time = self.admit_frame(frame.geometry(), frame.time_ns())?;
        frame.copy_packed(self.next_buffer()?);
        self.publish_frame(*frame.geometry(), time, frame.sequence())
    }

    /// Lends the next ring slot to the host. The host writes a frame to the slot and hands the
    /// frame over with [`Self::commit`], which takes the token of the loan. A second call before
    /// the loan ends lends the same slot again. The loan ends with a successful `commit` or with
    /// [`Self::end`].
    ///
    /// # Errors
    /// Returns [`PushError::Dropped`] if the ring is full; the frame that the host wanted to write
    /// counts as dropped. Returns [`PushError::Invalid`] with [`Status::WrongState`] outside an
    /// acquisition, or with [`Status::Poisoned`] after an internal error.
    pub fn loan(&mut self) -> Result<Loan<'_>, PushError> {
        match self.try_loan() {
            Ok(token) => {
                let slot = self.producer.slot().ok_or(PushError::Invalid(Status::Internal))?;
                Ok(Loan { pixels: &mut slot.buffer, token })
            }
            Err(status) => Err(self.shared.record_event(status).into()),
        }
    }

    fn try_loan(&mut self) -> Result<u64, Status> {
        self.check_acquiring()?;
        if let Err(full) = self.next_buffer().map(|_| ()) {
            // If the host has no timestamps, the dropped frame must still advance the times of
            // later frames.
            self.frames += 1;
            return Err(full);
        }
        let token = self.published + 1;
        self.loan = Some(token);
        Ok(token)
    }

    /// Hands the worker the frame that the host wrote to a lent slot. `token` identifies the loan.
    /// After an error, the slot remains lent to the host.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::push`], except [`PushError::Dropped`].
    /// [`Status::WrongState`] means that no acquisition is in progress or that `token` is not the
    /// token of the newest loan.
    pub fn commit(
        &mut self,
        token: u64,
        geometry: &Geometry,
        time_ns: i64,
        sequence: u64,
    ) -> Result<(), PushError> {
        self.try_commit(token, geometry, time_ns, sequence)
            .map_err(|status| self.shared.record_event(status).into())
    }

    fn try_commit(
        &mut self,
        token: u64,
        geometry: &Geometry,
        time_ns: i64,
        sequence: u64,
    ) -> Result<(), Status> {
        self.check_acquiring()?;
        if self.loan != Some(token) {
            return Err(Status::WrongState);
        }
        let time = self.admit_frame(geometry, time_ns)?;
        self.loan = None;
        self.publish_frame(*geometry, time, sequence)
    }

    /// Marks a change, such as the end of a freeze or a new preset, probe or depth. The label then
    /// covers only the frames after the mark.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] outside an acquisition, or [`Status::Poisoned`] after an
    /// internal error.
    pub fn mark(&mut self) -> Result<(), Status> {
        self.check_acquiring().map_err(|status| self.shared.record_event(status))?;
        self.is_changed = true;
        Ok(())
    }

    /// Ends the acquisition. The worker publishes the final result later.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::mark`].
    pub fn end(&mut self) -> Result<(), Status> {
        self.try_end().map_err(|status| self.shared.record_event(status))
    }

    fn try_end(&mut self) -> Result<(), Status> {
        self.check_acquiring()?;
        // The last free slot is reserved for the end, so a slot is always free here.
        let slot = self.producer.slot().ok_or(Status::Internal)?;
        slot.begins = self.begins.take();
        slot.is_changed = std::mem::take(&mut self.is_changed);
        slot.is_clock_step = false;
        slot.frame = None;
        slot.ended = Some(clock::now());
        slot.dropped = self.dropped;
        self.is_acquiring = false;
        self.loan = None;
        self.publish_slot();
        Ok(())
    }

    /// Returns the number of frames that [`Self::push`] can accept now. Hosts that can wait, such
    /// as programs that read files, can use this number to push frames no faster than the worker
    /// processes them.
    #[must_use]
    pub fn free_slots(&mut self) -> usize {
        self.producer.free().saturating_sub(1)
    }

    fn check_alive(&self) -> Result<(), Status> {
        if self.shared.is_poisoned() { Err(Status::Poisoned) } else { Ok(()) }
    }

    fn check_acquiring(&self) -> Result<(), Status> {
        self.check_alive()?;
        if self.is_acquiring { Ok(()) } else { Err(Status::WrongState) }
    }

    /// Checks the size and the time of a frame, and returns the time. For hosts without timestamps,
    /// this function computes the time.
    fn admit_frame(&mut self, geometry: &Geometry, time_ns: i64) -> Result<FrameTime, Status> {
        if geometry.width_px() > self.max_width_px
            || geometry.height_px() > self.max_height_px
            || geometry.frame_bytes() > self.max_frame_bytes
        {
            return Err(Status::FrameTooLarge);
        }
        let time_ns = match self.frame_period_ns {
            0 => time_ns,
            period => self.frames.saturating_mul(period),
        };
        let check = self.order.check(time_ns);
        if check == TimeCheck::Late {
            count(&self.shared.counters.refused);
            return Err(Status::FrameRefused);
        }
        self.frames += 1;
        Ok(FrameTime { time_ns, is_clock_step: check == TimeCheck::ClockStep })
    }

    /// Returns the memory of the next slot. Counts the frame as dropped if no slot is free except
    /// the one that is reserved for the end of the acquisition.
    fn next_buffer(&mut self) -> Result<&mut [u8], Status> {
        let has_room = self.producer.free() > 1;
        let slot = if has_room { self.producer.slot() } else { None };
        let Some(slot) = slot else {
            self.dropped += 1;
            count(&self.shared.counters.dropped);
            return Err(Status::RingFull);
        };
        Ok(&mut slot.buffer)
    }

    /// Publishes the next slot, whose pixels have been written.
    fn publish_frame(
        &mut self,
        geometry: Geometry,
        FrameTime { time_ns, is_clock_step }: FrameTime,
        sequence: u64,
    ) -> Result<(), Status> {
        let slot = self.producer.slot().ok_or(Status::Internal)?;
        slot.begins = self.begins.take();
        slot.is_changed = std::mem::take(&mut self.is_changed);
        slot.is_clock_step = is_clock_step;
        slot.frame = Some(FrameHeader { geometry, time_ns, sequence });
        slot.ended = None;
        slot.dropped = self.dropped;
        self.order.accept(time_ns);
        count(&self.shared.counters.pushed);
        self.published += 1;
        self.publish_slot();
        Ok(())
    }

    fn publish_slot(&mut self) {
        self.producer.commit();
        if let Some(thread) = &self.thread {
            thread.wake();
        }
    }
}

impl Drop for Acquirer {
    fn drop(&mut self) {
        match self.thread.take() {
            Some(thread) => {
                // The worker may publish results until its thread has ended.
                drop(thread);
                self.shared.end_waits();
            }
            // A slot is reserved for the end, so the driver can finish every acquisition. If it is
            // dropped, it ends the waits itself.
            None => drop(self.try_end()),
        }
    }
}
