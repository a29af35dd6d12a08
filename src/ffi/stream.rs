//! Streams over the C ABI.

use super::border::{Versioned, control, handle, output, place, read, real_time};
use super::engine::ttv_engine;
use super::event::Event;
use super::frame::{committed, ttv_frame, view};
use super::host;
use super::memory;
use crate::result::ViewResult;
use crate::sampling::PartialChunk;
use crate::stream::{Drive, Hooks, Pin, Reader, Stream, StreamConfig};
use crate::worker::Worker;
use crate::{Error, Status};
use parking_lot::{Mutex, MutexGuard};
use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

/// One probe's stream. Opaque.
#[allow(non_camel_case_types)]
pub struct ttv_stream {
    /// Only ever tried, never waited for: a second thread gets a status.
    input: Mutex<Stream>,
    reader: Reader,
    /// The worker of a host-driven stream; only ever tried.
    driven: Option<Mutex<Worker>>,
    /// Readable when a result is new.
    event: Option<Arc<Event>>,
}

/// A partial chunk at the end is dropped unless it is the only one. Default: completed if at least half full.
pub const TTV_STREAM_PARTIAL_DROP: u32 = 1;
/// A partial chunk at the end is always completed.
pub const TTV_STREAM_PARTIAL_HOLD: u32 = 2;
/// The host drives the stream by `ttv_stream_process`; the library starts no thread.
pub const TTV_STREAM_HOST_DRIVEN: u32 = 4;
/// The worker looks into the ring every half millisecond, so that push makes no system call.
pub const TTV_STREAM_POLLING: u32 = 8;

/// The ring's frames are locked into memory. `TTV_SYSTEM` where the process may not lock so much.
pub const TTV_STREAM_LOCK_MEMORY: u32 = 16;

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

/// Settings of a stream. Zero every field that is not set.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_stream_config {
    /// `sizeof(ttv_stream_config)`.
    pub struct_size: u32,
    /// `TTV_STREAM_*`, or 0.
    pub flags: u32,
    /// Frames that the ring holds, 2 to 1024; 0: 16.
    pub ring_slots: u32,
    /// Width of the largest frame; 0: 1024.
    pub max_width_px: u32,
    /// Height of the largest frame; 0: 1024.
    pub max_height_px: u32,
    /// Bytes of the largest frame, rows packed; 0: four a pixel.
    pub max_frame_bytes: u32,
    /// The label speaks of the last so many nanoseconds; 0: of the whole acquisition.
    pub label_span_ns: i64,
    /// How far back `ttv_stream_query` can look, at least `label_span_ns`, at most an hour; 0: 60 s.
    pub history_ns: i64,
    /// Frames further apart restart the temporal state; 0: 250 ms.
    pub gap_ns: i64,
    /// For hosts without timestamps; 0: `ttv_frame.time_ns` is used.
    pub frame_period_ns: i64,
    /// Called in the worker's thread after every result, or NULL. `result` and its `scores` live through the call,
    /// which must neither throw nor call `ttv_stream_destroy`.
    pub on_result: Option<unsafe extern "C" fn(user: *mut c_void, result: *const ttv_result)>,
    /// Handed back to `on_result`.
    pub user: *mut c_void,
}
// SAFETY: repr(C); numbers, a pointer and a nullable function pointer.
unsafe impl Versioned for ttv_stream_config {}

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

/// A slot of the ring that the host writes a frame into. The caller sets `struct_size`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_slot {
    /// `sizeof(ttv_slot)`.
    pub struct_size: u32,
    /// Bytes at `data`.
    pub capacity_bytes: u32,
    /// Rows packed, planes one after the other.
    pub data: *mut u8,
    /// For `ttv_stream_commit`.
    pub token: u64,
}
// SAFETY: repr(C); numbers and a pointer.
unsafe impl Versioned for ttv_slot {}

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
}
// SAFETY: repr(C); numbers.
unsafe impl Versioned for ttv_stats {}

/// Allocates all memory of a stream and starts its worker thread. [ctl]
///
/// On success `*stream` is a handle for `ttv_stream_destroy`; on an error it is NULL and `ttv_last_error` says why.
///
/// # Safety
/// `engine` is NULL or a live handle; `config` points to a struct of the size its first field says; `stream` to a place
/// for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_create(
    engine: *mut ttv_engine,
    config: *const ttv_stream_config,
    stream: *mut *mut ttv_stream,
) -> i32 {
    control(|| {
        let out = place(stream, "stream")?;
        *out = std::ptr::null_mut();
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        let config = read(config).map_err(|status| Error::new(status, "config"))?;
        let settings = settings(&config)?;
        let event = Event::new()?.map(Arc::new);
        let hooks = Hooks {
            thread_start: Some(Box::new(host::thread_start)),
            on_result: Some(Box::new(announce(
                Caller { hook: config.on_result, user: config.user },
                event.clone(),
            ))),
        };
        let mut stream = Stream::with_hooks(&engine.engine, &settings, hooks)?;
        let (reader, driven) = (stream.reader(), stream.take_driven().map(Mutex::new));
        *out = Box::into_raw(Box::new(ttv_stream { input: Mutex::new(stream), reader, driven, event }));
        Ok(Status::Ok)
    })
}

/// The host's callback.
struct Caller {
    hook: Option<unsafe extern "C" fn(*mut c_void, *const ttv_result)>,
    user: *mut c_void,
}
// SAFETY: the host promises that its callback may be called from the worker's thread.
unsafe impl Send for Caller {}

/// What happens after every result: the event becomes readable, the host's callback is called.
fn announce(caller: Caller, event: Option<Arc<Event>>) -> impl FnMut(&ViewResult) + Send {
    move |found| {
        // The whole of it moves into the closure, not its fields one by one.
        let caller = &caller;
        if let Some(event) = &event {
            event.signal();
        }
        if let Some(hook) = caller.hook {
            let count = u32::try_from(found.scores.len()).unwrap_or(u32::MAX);
            let scores = found.scores.as_ptr().cast_mut();
            let result =
                copied(found, found.scores.len(), Room { struct_size: RESULT_SIZE, scores, capacity: count });
            // SAFETY: the host's function, called as its type says.
            unsafe { hook(caller.user, &result) };
        }
    }
}

/// Writes the bytes that a stream of this configuration allocates by code of ours: ring, tensors, states, history. What
/// the runtime takes for itself comes on top. [ctl]
///
/// # Safety
/// As `ttv_stream_create`; `bytes` points to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_memory(
    engine: *const ttv_engine,
    config: *const ttv_stream_config,
    bytes: *mut usize,
) -> i32 {
    control(|| {
        let out = place(bytes, "bytes")?;
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        let config = read(config).map_err(|status| Error::new(status, "config"))?;
        *out = Stream::memory(&engine.engine, &settings(&config)?)?;
        Ok(Status::Ok)
    })
}

fn settings(config: &ttv_stream_config) -> crate::Result<StreamConfig> {
    let flags = config.flags;
    let refused = || Error::new(Status::UnknownFlags, format!("config.flags is {flags:#x}"));
    const PARTIAL: u32 = TTV_STREAM_PARTIAL_DROP | TTV_STREAM_PARTIAL_HOLD;
    const DRIVE: u32 = TTV_STREAM_HOST_DRIVEN | TTV_STREAM_POLLING;
    if flags & !(PARTIAL | DRIVE | TTV_STREAM_LOCK_MEMORY) != 0 {
        return Err(refused());
    }
    let partial = match flags & PARTIAL {
        0 => PartialChunk::Auto,
        TTV_STREAM_PARTIAL_DROP => PartialChunk::Drop,
        TTV_STREAM_PARTIAL_HOLD => PartialChunk::Hold,
        _ => return Err(refused()),
    };
    let drive = match flags & DRIVE {
        0 => Drive::Park,
        TTV_STREAM_HOST_DRIVEN => Drive::Host,
        TTV_STREAM_POLLING => Drive::Poll,
        _ => return Err(refused()),
    };
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    let default = StreamConfig::default();
    Ok(StreamConfig {
        ring_slots: if config.ring_slots == 0 { default.ring_slots } else { config.ring_slots as usize },
        max_width_px: or(config.max_width_px, default.max_width_px),
        max_height_px: or(config.max_height_px, default.max_height_px),
        max_frame_bytes: config.max_frame_bytes as usize,
        gap_ns: if config.gap_ns == 0 { default.gap_ns } else { config.gap_ns },
        label_span_ns: config.label_span_ns,
        history_ns: config.history_ns,
        frame_period_ns: config.frame_period_ns,
        partial,
        drive,
        pin: (flags & TTV_STREAM_LOCK_MEMORY != 0)
            .then_some(Pin { lock: memory::lock, unlock: memory::unlock }),
    })
}

/// Stops the worker after the step it is in and gives everything back. NULL is fine. [ctl]
///
/// # Safety
/// `stream` is NULL or a live handle, not used by any other thread or afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_destroy(stream: *mut ttv_stream) {
    control(|| {
        if !stream.is_null() {
            // SAFETY: made by Box::into_raw in create, and given back once.
            drop(unsafe { Box::from_raw(stream) });
        }
        Ok(Status::Ok)
    });
}

fn acquire<'a>(stream: *const ttv_stream) -> Result<MutexGuard<'a, Stream>, Status> {
    handle(stream)?.input.try_lock().ok_or(Status::WrongThread)
}

/// Begins an acquisition and writes its id. Allowed while the one before still drains. [acq rt]
///
/// # Safety
/// `stream` is NULL or a live handle; `acquisition` is NULL or points to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_begin(stream: *mut ttv_stream, acquisition: *mut u64) -> i32 {
    real_time(|| {
        let mut stream = acquire(stream)?;
        // SAFETY: NULL is refused; else a place for a number.
        let out = unsafe { acquisition.as_mut() }.ok_or(Status::NullArgument)?;
        *out = stream.begin()?;
        Ok(Status::Ok)
    })
}

/// Copies a frame. Positive statuses say that it was not taken: `TTV_RING_FULL`, `TTV_FRAME_REFUSED`. [acq rt]
///
/// # Safety
/// `stream` is NULL or a live handle; `frame` points to a struct of the size its first field says, whose planes hold
/// what its sizes and strides say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_push(stream: *mut ttv_stream, frame: *const ttv_frame) -> i32 {
    real_time(|| {
        let mut stream = acquire(stream)?;
        Ok(stream.push(&view(frame)?))
    })
}

/// Gives the next slot of the ring to write a frame into, rows packed, planes one after the other: no copy is made of
/// it. Asking again gives the same slot. `TTV_RING_FULL`: the frame that was to come is dropped and counted. [acq rt]
///
/// # Safety
/// `stream` is NULL or a live handle; `slot` points to a struct of the size its first field says. `slot->data` may be
/// written until commit, end, begin or destroy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_acquire(stream: *mut ttv_stream, slot: *mut ttv_slot) -> i32 {
    real_time(|| {
        let mut stream = acquire(stream)?;
        let out = output(slot)?;
        let (pixels, token) = stream.acquire()?;
        out.capacity_bytes = u32::try_from(pixels.len()).unwrap_or(u32::MAX);
        out.data = pixels.as_mut_ptr();
        out.token = token;
        Ok(Status::Ok)
    })
}

/// Hands over the frame written into an acquired slot. `frame->plane` is not read; strides are 0 or those of packed
/// rows. After an error, `TTV_FRAME_REFUSED` too, the slot stays acquired. [acq rt]
///
/// # Safety
/// `stream` is NULL or a live handle; `slot` and `frame` point to structs of the size their first field says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_commit(
    stream: *mut ttv_stream,
    slot: *const ttv_slot,
    frame: *const ttv_frame,
) -> i32 {
    real_time(|| {
        let mut stream = acquire(stream)?;
        let slot = read(slot)?;
        let (frame, geometry) = committed(frame)?;
        Ok(stream.commit(slot.token, &geometry, frame.time_ns, frame.sequence))
    })
}

/// Marks a change (freeze, preset, probe, depth): the label speaks of the frames after it. [acq rt]
///
/// # Safety
/// `stream` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_mark(stream: *mut ttv_stream) -> i32 {
    real_time(|| Ok(acquire(stream)?.mark()))
}

/// Ends the acquisition; its final result comes. [acq rt]
///
/// # Safety
/// `stream` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_end(stream: *mut ttv_stream) -> i32 {
    real_time(|| Ok(acquire(stream)?.end()))
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

/// Handles what waits in the ring of a host-driven stream, one frame or end a call; `TTV_NOT_READY` if nothing
/// waits. One thread at a time. [wrk]
///
/// # Safety
/// `stream` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_process(stream: *mut ttv_stream) -> i32 {
    real_time(|| {
        let driven = handle(stream)?.driven.as_ref().ok_or(Status::WrongState)?;
        Ok(driven.try_lock().ok_or(Status::WrongThread)?.process_guarded())
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

/// Writes the label of the chunks (or windows) that lie in [`from_ns`, `to_ns`] with both ends: a few additions over
/// what the network said while frames came. `result` carries the times really covered; acquisition and frame counts
/// are 0. The network also knew what came up to its look-back before. [any]
///
/// `TTV_PARTIAL`: older chunks are forgotten (see `history_ns`), or one is still to come and did not within `timeout_ns`
/// (negative: wait for ever). `TTV_EMPTY`: no chunk lies inside. `flags` is 0.
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
        if flags != 0 {
            return Err(Error::new(Status::UnknownFlags, format!("flags is {flags:#x}")));
        }
        if from_ns > to_ns {
            return Err(Error::new(Status::InvalidArgument, format!("from {from_ns} is after to {to_ns}")));
        }
        let mut posterior = vec![0.0; reader.labels()];
        Ok(match reader.query_into(from_ns, to_ns, duration(timeout_ns), &mut posterior) {
            Ok((status, found)) => {
                scores(out, posterior.len()).iter_mut().zip(&posterior).for_each(|(to, from)| *to = *from);
                write(&found, posterior.len(), out);
                status
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
        let out = output(stats)?;
        *out = ttv_stats {
            struct_size: out.struct_size,
            flags: 0,
            pushed: counted.pushed,
            dropped: counted.dropped,
            refused: counted.refused,
            samples: counted.samples,
            chunks: counted.chunks,
            skipped_chunks: counted.skipped_chunks,
            gaps: counted.gaps,
            changes: counted.changes,
        };
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

const RESULT_SIZE: u32 = size_of::<ttv_result>() as u32;

/// What the caller set in its result.
struct Room {
    struct_size: u32,
    scores: *mut f32,
    capacity: u32,
}

fn write(found: &ViewResult, labels: usize, out: &mut ttv_result) {
    let room = Room { struct_size: out.struct_size, scores: out.scores, capacity: out.scores_capacity };
    *out = copied(found, labels, room);
}

fn copied(found: &ViewResult, labels: usize, room: Room) -> ttv_result {
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
