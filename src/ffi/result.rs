//! Results, queries and counters over the C ABI.

use super::border::{Versioned, control, deliver, handle, output, real_time};
use super::stream::ttv_stream;
use crate::result::ViewResult;
use crate::stream::Form;
use crate::{Error, Status};
use std::mem::offset_of;
use std::time::Duration;

/// The acquisition still runs.
pub const TTV_RESULT_PROVISIONAL: u32 = 1;
/// Nothing is left to compute.
pub const TTV_RESULT_FINAL: u32 = 2;
/// The confidence is under the model's threshold: the label is -1.
pub const TTV_RESULT_ABSTAINED: u32 = 4;
/// Fewer samples than a clip has.
pub const TTV_RESULT_SHORT: u32 = 8;
/// Frames were dropped because the ring was full.
pub const TTV_RESULT_DROPPED: u32 = 16;
/// A gap or change restarted the temporal state.
pub const TTV_RESULT_DISCONTINUITY: u32 = 32;
/// Work was thinned because the network was slower than the frames.
pub const TTV_RESULT_DEGRADED: u32 = 64;

/// The label was settled before the acquisition ended, and the network stopped (`early_stop_margin`).
pub const TTV_RESULT_SETTLED: u32 = 128;
/// The posterior said that the view had changed, and the label is that of the time since (`view_change_margin`).
pub const TTV_RESULT_VIEW_CHANGED: u32 = 256;

/// Query: the interval is run again over kept samples with fresh state. Not in real time.
pub const TTV_QUERY_EXACT: u32 = 1;

/// The label of an acquisition, so far or final. The caller sets `struct_size`, `scores` and `scores_capacity`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_result {
    /// `sizeof(ttv_result)`.
    pub struct_size: u32,
    /// 0, or what went wrong while inferring.
    pub status: i32,
    /// The id that begin gave.
    pub acquisition: u64,
    /// `TTV_RESULT_*`.
    pub flags: u32,
    /// Chunks or windows that the scores are the mean of.
    pub chunks: u32,
    /// Index into the model's labels; -1 if withheld or if there is none.
    pub label: i32,
    /// Largest score.
    pub confidence: f32,
    /// Largest minus second largest score.
    pub margin: f32,
    /// 0.
    pub reserved: u32,
    /// Sequence number of the first accepted frame.
    pub first_sequence: u64,
    /// Sequence number of the last accepted frame.
    pub last_sequence: u64,
    /// Frames accepted.
    pub frames_used: u64,
    /// Frames dropped because the ring was full.
    pub frames_dropped: u64,
    /// Grid time of the first sample covered.
    pub first_time_ns: i64,
    /// Grid time of the last sample covered.
    pub last_time_ns: i64,
    /// Final results: from end to the result being visible.
    pub latency_ns: i64,
    /// Final results: the part of it before the worker saw the end.
    pub queue_ns: i64,
    /// Preprocessing, over the acquisition.
    pub preprocess_ns: i64,
    /// Network, over the acquisition.
    pub inference_ns: i64,
    /// Memory of the caller for the posterior, or NULL.
    pub scores: *mut f32,
    /// Its room in values.
    pub scores_capacity: u32,
    /// Values that the posterior has; no more than the capacity are written.
    pub scores_length: u32,
}
// SAFETY: repr(C); numbers and a pointer.
unsafe impl Versioned for ttv_result {}

/// Counters since the stream was created.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_stats {
    /// `sizeof(ttv_stats)`.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// Frames accepted.
    pub pushed: u64,
    /// Frames dropped because the ring was full.
    pub dropped: u64,
    /// Frames refused because of their time.
    pub refused: u64,
    /// Samples decided.
    pub samples: u64,
    /// Chunks or windows run.
    pub chunks: u64,
    /// Chunks or windows left out because the network was slower than the frames.
    pub skipped_chunks: u64,
    /// Gaps in time.
    pub gaps: u64,
    /// Changes.
    pub changes: u64,
    /// Times that the posterior said that the view had changed (`view_change_margin`).
    pub view_changes: u64,
    /// Window mode: samples from one window to the next in this stream; else 0.
    pub window_hop_samples: u64,
}
// SAFETY: repr(C); numbers.
unsafe impl Versioned for ttv_stats {
    const FIRST_SIZE: usize = offset_of!(Self, view_changes);
}

/// Writes the newest result, provisional or final; `TTV_NOT_READY` before the first. [any rt]
///
/// # Safety
/// `stream` is NULL or a live handle; `result` points to a struct of the size its first field says, and its `scores`
/// to `scores_capacity` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_poll(stream: *const ttv_stream, result: *mut ttv_result) -> i32 {
    real_time(|| {
        let reader = &handle(stream)?.reader;
        let out = output(result)?;
        let found = reader.poll_into(scores(out, reader.labels()))?;
        write(&found, reader.labels(), out);
        Ok(Status::Ok)
    })
}

/// Waits for the final result of an acquisition; `TTV_TIMED_OUT` after `timeout_ns` (negative: wait for ever), `TTV_EMPTY`
/// if four newer acquisitions have taken its place. [ctl]
///
/// # Safety
/// As `ttv_stream_poll`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_wait(
    stream: *mut ttv_stream,
    acquisition: u64,
    timeout_ns: i64,
    result: *mut ttv_result,
) -> i32 {
    control(|| {
        let reader = &handle(stream).map_err(|status| Error::new(status, "stream"))?.reader;
        let out = output(result).map_err(|status| Error::new(status, "result"))?;
        match reader.wait_into(acquisition, duration(timeout_ns), scores(out, reader.labels())) {
            Ok(found) => write(&found, reader.labels(), out),
            Err(status) => return Ok(status),
        }
        Ok(Status::Ok)
    })
}

/// A file descriptor that is readable while there is a result that was not announced before; read its 8 bytes to clear it.
/// It belongs to the stream. -1 where the system has no eventfd. [ctl]
///
/// # Safety
/// `stream` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_event_fd(stream: *const ttv_stream) -> i32 {
    handle(stream).ok().and_then(|stream| stream.event.as_ref()).map_or(-1, |event| event.descriptor())
}

/// The last status other than `TTV_OK` of a call of the acquisition thread, or of a failure in the worker; `TTV_OK`
/// before the first. [any rt]
///
/// # Safety
/// `stream` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_last_event(stream: *const ttv_stream) -> i32 {
    real_time(|| Ok(handle(stream)?.reader.last_event()))
}

/// Writes the label of a past interval, from grid time `from_ns` to `to_ns`, both included; it may still go on. `result`
/// carries the times really covered; acquisition and frame counts are 0. [any]
///
/// `flags` 0: of the chunks (or windows) that lie inside with both ends, a few additions over what the network said while
/// frames came. The network also knew what came up to its look-back before. `timeout_ns` (negative: wait for ever)
/// bounds the wait for a chunk that is still to come.
///
/// `TTV_QUERY_EXACT`: of the samples inside, as if they were an acquisition of their own. The network runs again over
/// them with initial state at the first of them and wherever the stream had a gap or a change; a partial chunk is
/// treated as at an end. Nothing before the interval counts: the look-back is 0. Not in real time: it runs in the
/// calling thread, one step at a time, and every step lets the live streams of the engine go first, so a live step
/// waits for one exact step at most: give that thread the workers' priority, for a live step waits for it. `timeout_ns` bounds the whole call, so 0 is too little. One such query at a time
/// runs on a stream; another waits. Needs `exact_history_ns`, else `TTV_UNSUPPORTED`.
///
/// `TTV_PARTIAL`: older chunks or samples are forgotten (see `history_ns`, `exact_history_ns`), or one is still to come and
/// did not within `timeout_ns`. `TTV_EMPTY`: nothing lies inside. `TTV_TIMED_OUT`: the exact form was not through;
/// `result` is as it was, as after every status but `TTV_OK` and `TTV_PARTIAL`. Other flags: `TTV_UNKNOWN_FLAGS`.
///
/// # Safety
/// As `ttv_stream_poll`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_query(
    stream: *const ttv_stream,
    from_ns: i64,
    to_ns: i64,
    flags: u32,
    timeout_ns: i64,
    result: *mut ttv_result,
) -> i32 {
    control(|| {
        let reader = &handle(stream).map_err(|status| Error::new(status, "stream"))?.reader;
        let out = output(result).map_err(|status| Error::new(status, "result"))?;
        let form = match flags {
            0 => Form::Plain,
            TTV_QUERY_EXACT => Form::Exact,
            _ => return Err(Error::new(Status::UnknownFlags, format!("flags is {flags:#x}"))),
        };
        if from_ns > to_ns {
            return Err(Error::new(Status::InvalidArgument, format!("from {from_ns} is after to {to_ns}")));
        }
        let mut posterior = vec![0.0; reader.labels()];
        Ok(match reader.query_into(form, from_ns, to_ns, duration(timeout_ns), &mut posterior) {
            Ok((status, found)) => {
                scores(out, posterior.len()).iter_mut().zip(&posterior).for_each(|(to, from)| *to = *from);
                write(&found, posterior.len(), out);
                status
            }
            Err(Status::Unsupported) => {
                return Err(Error::new(Status::Unsupported, "the stream has no exact_history_ns"));
            }
            Err(status) => status,
        })
    })
}

/// Negative: for ever.
fn duration(timeout_ns: i64) -> Duration {
    u64::try_from(timeout_ns).map_or(Duration::MAX, Duration::from_nanos)
}

/// Writes the counters. [any rt]
///
/// # Safety
/// `stream` is NULL or a live handle; `stats` points to a struct of the size its first field says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_get_stats(stream: *const ttv_stream, stats: *mut ttv_stats) -> i32 {
    real_time(|| {
        let counted = handle(stream)?.reader.stats();
        let counters = ttv_stats {
            struct_size: 0,
            flags: 0,
            pushed: counted.pushed,
            dropped: counted.dropped,
            refused: counted.refused,
            samples: counted.samples,
            chunks: counted.chunks,
            skipped_chunks: counted.skipped_chunks,
            gaps: counted.gaps,
            changes: counted.changes,
            view_changes: counted.view_changes,
            window_hop_samples: counted.window_hop_samples,
        };
        deliver(stats, counters)?;
        Ok(Status::Ok)
    })
}

/// The caller's memory for scores.
fn scores<'a>(result: &ttv_result, labels: usize) -> &'a mut [f32] {
    if result.scores.is_null() {
        return &mut [];
    }
    // SAFETY: not NULL; the caller promises `scores_capacity` values, used by no one else during the call.
    unsafe { std::slice::from_raw_parts_mut(result.scores, labels.min(result.scores_capacity as usize)) }
}

pub(super) const RESULT_SIZE: u32 = size_of::<ttv_result>() as u32;

/// What the caller set in its result.
pub(super) struct Room {
    pub(super) struct_size: u32,
    pub(super) scores: *mut f32,
    pub(super) capacity: u32,
}

fn write(found: &ViewResult, labels: usize, out: &mut ttv_result) {
    let room = Room { struct_size: out.struct_size, scores: out.scores, capacity: out.scores_capacity };
    *out = copied(found, labels, room);
}

pub(super) fn copied(found: &ViewResult, labels: usize, room: Room) -> ttv_result {
    ttv_result {
        struct_size: room.struct_size,
        status: found.status.code(),
        acquisition: found.acquisition,
        flags: found.flags,
        chunks: found.chunks,
        label: found.label.and_then(|label| i32::try_from(label).ok()).unwrap_or(-1),
        confidence: found.confidence,
        margin: found.margin,
        reserved: 0,
        first_sequence: found.first_sequence,
        last_sequence: found.last_sequence,
        frames_used: found.frames_used,
        frames_dropped: found.frames_dropped,
        first_time_ns: found.first_time_ns,
        last_time_ns: found.last_time_ns,
        latency_ns: found.latency_ns,
        queue_ns: found.queue_ns,
        preprocess_ns: found.preprocess_ns,
        inference_ns: found.inference_ns,
        scores: room.scores,
        scores_capacity: room.capacity,
        scores_length: u32::try_from(labels).unwrap_or(u32::MAX),
    }
}
