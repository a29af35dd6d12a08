//! Acquisition
//!
//! The acquisition thread begins an acquisition, pushes its frames and ends the acquisition.
//! ttv_stream_push copies a frame. To avoid the copy, the host can write the frame directly to a
//! slot that ttv_stream_loan lends.

use super::call::real_time;
use super::frame::{read_committed_frame, read_frame, ttv_frame};
use super::pointers::{get_handle, get_place, read_struct, versioned, write_struct};
use super::stream::ttv_stream;
use super::types::ttv_status;
use crate::stream::acquirer::PushError;

/// A slot of the ring that is lent to the host. Initialize this struct with TTV_SLOT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_slot {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Size of `data` in bytes.
    pub capacity_bytes: u32,
    /// Memory for one frame, with packed rows and one plane after the other. The host may write to
    /// this memory until the loan ends.
    pub data: *mut u8,
    /// Identifier of the loan, which ttv_stream_commit checks.
    pub token: u64,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers and a pointer,
// for which every bit pattern is valid.
versioned!(ttv_slot { struct_size, capacity_bytes, data, token });

/// Begins an acquisition. The worker may still be processing the previous one.
///
/// @param stream            The stream.
/// @param[out] acquisition  Receives the identifier of the acquisition, 1 or more.
///
/// @return TTV_OK; TTV_RING_FULL if no slot is free for the end of the acquisition, because the
/// worker has not yet processed the acquisitions before it: no acquisition has then begun, no
/// frame counts as dropped, and the host can call again later; TTV_ERR_WRONG_STATE if an
/// acquisition is in progress; TTV_ERR_SELF_TEST if the last ttv_engine_prepare failed its
/// self-test; TTV_ERR_WRONG_THREAD; TTV_ERR_POISONED.
///
/// [acq, rt, idle]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_begin(
    stream: *mut ttv_stream,
    acquisition: *mut u64,
) -> ttv_status {
    real_time(|| {
        let mut acquirer = get_handle(stream)?.lock_acquirer()?;
        let place = get_place(acquisition)?;
        *place = acquirer.begin()?;
        Ok(())
    })
}

/// Copies a frame into the ring.
///
/// Do not push the same frame again after TTV_RING_FULL: every attempt counts as a dropped frame
/// and, if `frame_period_ns` is set, moves the times of later frames by one period. Push at the
/// frame rate of the scanner. To push the frames of a stored cine faster, set `ring_slots` to at
/// least the number of its frames, or use TTV_DRIVE_HOST and call ttv_stream_process after each
/// push until it returns TTV_NOT_READY.
///
/// A frame that is not later than the last accepted one is late, and is refused. If the host's
/// clock has stepped back, or if one frame was far ahead in time, the library accepts the fifth
/// late frame in a row, if the times of the five frames increase by at most `gap_ns` from one to
/// the next. The label continues, and the result has TTV_RESULT_FLAG_CLOCK_STEP.
///
/// The call computes only with integers, so it neither depends on the floating-point environment of
/// the thread nor raises a floating-point exception.
///
/// @param stream  The stream.
/// @param frame   The frame. The library reads the struct and the pixels only during the call.
///
/// @return TTV_OK; TTV_RING_FULL if the frame was dropped because the ring was full;
/// TTV_FRAME_REFUSED if the frame is not later than the previous accepted frame; TTV_ERR_FRAME_*,
/// TTV_ERR_UNSUPPORTED_FORMAT, TTV_ERR_UNKNOWN_FLAGS or TTV_ERR_INVALID_ARGUMENT if the frame is
/// not valid; TTV_ERR_WRONG_STATE if no acquisition is in progress or a slot is lent to the host;
/// TTV_ERR_WRONG_THREAD; TTV_ERR_POISONED.
///
/// [acq, rt, acquiring]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_push(
    stream: *mut ttv_stream,
    frame: *const ttv_frame,
) -> ttv_status {
    real_time(|| {
        let mut acquirer = get_handle(stream)?.lock_acquirer()?;
        acquirer.push(&read_frame(frame)?).map_err(PushError::status)
    })
}

/// Lends the next slot of the ring to the host, which writes a frame to the slot. Until the loan
/// ends, another call of ttv_stream_loan lends the same slot again. The loan ends with a successful
/// ttv_stream_commit, with ttv_stream_end or with ttv_stream_destroy. To skip a frame, do not
/// commit it; write the next frame to the same slot. ttv_stream_mark is allowed during a loan.
///
/// @param stream     The stream.
/// @param[out] slot  Receives the slot.
///
/// @return TTV_OK; TTV_RING_FULL if the ring was full, in which case the host's frame counts as
/// dropped; TTV_ERR_WRONG_STATE if no acquisition is in progress; TTV_ERR_WRONG_THREAD;
/// TTV_ERR_POISONED.
///
/// [acq, rt, acquiring]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_loan(
    stream: *mut ttv_stream,
    slot: *mut ttv_slot,
) -> ttv_status {
    real_time(|| {
        let mut acquirer = get_handle(stream)?.lock_acquirer()?;
        // The struct is checked first, so that no slot is lent if the struct is not valid.
        read_struct(slot)?;
        let loan = acquirer.loan().map_err(PushError::status)?;
        let capacity_bytes = u32::try_from(loan.pixels.len()).unwrap_or(u32::MAX);
        let (data, token) = (loan.pixels.as_mut_ptr(), loan.token);
        write_struct(slot, ttv_slot { struct_size: 0, capacity_bytes, data, token })
    })
}

/// Pushes the frame that the host has written to a slot. After an error, and after
/// TTV_FRAME_REFUSED, the slot stays lent to the host.
///
/// @param stream  The stream.
/// @param slot    The slot that ttv_stream_loan lent.
/// @param frame   Description of the frame. `plane` is ignored. Each stride must be 0 or the size
///                of a packed row.
///
/// @return The statuses of ttv_stream_push, with two differences: TTV_RING_FULL is never returned,
/// and TTV_ERR_WRONG_STATE means that no acquisition is in progress or that the slot is not lent
/// to the host.
///
/// [acq, rt, acquiring]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_commit(
    stream: *mut ttv_stream,
    slot: *const ttv_slot,
    frame: *const ttv_frame,
) -> ttv_status {
    real_time(|| {
        let mut acquirer = get_handle(stream)?.lock_acquirer()?;
        let slot = read_struct(slot)?;
        let (frame, geometry) = read_committed_frame(frame)?;
        acquirer
            .commit(slot.token, &geometry, frame.time_ns, frame.sequence)
            .map_err(PushError::status)
    })
}

/// Marks a change: for example, the end of a freeze, a new preset, a new probe or a new depth. The
/// label then covers only the frames after the mark. If no frame follows the mark, the acquisition
/// has no label, so do not mark a change directly before the end.
///
/// Until the network has run on the first chunk or window after the mark, ttv_stream_poll returns a
/// result from before the mark. A host that must not show such a result ignores every result whose
/// `last_time_ns` is not later than the time of the last frame before the mark.
///
/// @param stream  The stream.
///
/// @return TTV_OK; TTV_ERR_WRONG_STATE if no acquisition is in progress; TTV_ERR_WRONG_THREAD;
/// TTV_ERR_POISONED.
///
/// [acq, rt, acquiring]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_mark(stream: *mut ttv_stream) -> ttv_status {
    real_time(|| get_handle(stream)?.lock_acquirer()?.mark())
}

/// Ends the acquisition. The worker then publishes the final result; see ttv_stream_wait.
///
/// @param stream  The stream.
///
/// @return TTV_OK; TTV_ERR_WRONG_STATE if no acquisition is in progress; TTV_ERR_WRONG_THREAD;
/// TTV_ERR_POISONED.
///
/// [acq, rt, acquiring]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_end(stream: *mut ttv_stream) -> ttv_status {
    real_time(|| get_handle(stream)?.lock_acquirer()?.end())
}
