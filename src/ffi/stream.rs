//! Streams over the C ABI.

use super::border::{Versioned, control, handle, output, place, read, real_time};
use super::engine::ttv_engine;
use super::event::Event;
use super::frame::{committed, ttv_frame, view};
use super::host;
use super::memory;
use super::result::{RESULT_SIZE, Room, copied, ttv_result};
use crate::result::ViewResult;
use crate::sampling::PartialChunk;
use crate::stream::{Drive, Hooks, Pin, Reader, Stream, StreamConfig};
use crate::worker::Worker;
use crate::{EarlyStop, Error, Status, ViewChange};
use parking_lot::{Mutex, MutexGuard};
use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::Arc;

/// One probe's stream. Opaque.
#[allow(non_camel_case_types)]
pub struct ttv_stream {
    /// Only ever tried, never waited for: a second thread gets a status.
    input: Mutex<Stream>,
    pub(super) reader: Reader,
    /// The worker of a host-driven stream; only ever tried.
    driven: Option<Mutex<Worker>>,
    /// Readable when a result is new.
    pub(super) event: Option<Arc<Event>>,
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
    /// How far back `ttv_stream_query` with `TTV_QUERY_EXACT` can look, at most an hour; 0: not at all. All of it is
    /// allocated when the stream is created: float samples, one every sample interval, and a second session;
    /// `ttv_stream_memory` says how much.
    pub exact_history_ns: i64,
    /// Window mode: samples from one window to the next, at most a clip. 0: chosen now, from the time of a clip that
    /// `ttv_engine_prepare` measured: so that windows take half of the time at most, but at least a quarter of a clip
    /// and at most a clip; half of a clip if nothing was measured. `ttv_stats` says which it is. N streams that acquire
    /// at once need N times as much. Whatever the hop, the last window ends at the last sample.
    pub window_hop_samples: u32,
    /// Early stop, with `early_stop_margin`: outputs (chunks or windows) in a row that must agree, at most 1024; those
    /// of a clip if that is more.
    pub early_stop_outputs: u32,
    /// Early stop; 0: off. The network stops when the label is settled, and the end leaves nothing to run. Settled:
    /// after each of the last `early_stop_outputs` outputs, which are a clip at least, the output's own label was that
    /// of the mean, and the mean's largest score was at least `early_stop_margin` (at most 1) above its second and not
    /// under the model's threshold. The result then has `TTV_RESULT_SETTLED` and `last_time_ns` of the last output that
    /// ran; queries find nothing after it but with `TTV_QUERY_EXACT`. Where nothing runs nothing is seen: another view
    /// goes unnoticed until the host marks a change or the geometry changes, which arms the rule and the network again.
    pub early_stop_margin: f32,
    /// View change by posterior; 0: off. For a probe that moves in mid-acquisition without a mark. The view has changed
    /// when after each of the last `view_change_outputs` outputs the posterior of the last `view_change_span` outputs
    /// (of those in the mean) had another label than the mean, with a score at least `view_change_margin` (at most 1)
    /// above its score for the mean's label. The mean begins anew at the first of these outputs, the result has
    /// `TTV_RESULT_VIEW_CHANGED` until the acquisition ends. The temporal state goes on: the first outputs of the new
    /// mean have the old view in their look-back. Off while nothing runs after an early stop.
    pub view_change_margin: f32,
    /// Outputs whose posterior is held against the mean's, at most 1024; 0: those of a clip.
    pub view_change_span: u32,
    /// Outputs in a row that must disagree, at most 1024; 0: those of a clip.
    pub view_change_outputs: u32,
}
// SAFETY: repr(C); numbers, a pointer and a nullable function pointer.
unsafe impl Versioned for ttv_stream_config {
    const FIRST_SIZE: usize = offset_of!(Self, exact_history_ns);
}

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

/// Writes the bytes that a stream of this configuration allocates by code of ours: ring, tensors, states, history,
/// samples for exact queries. What the runtime takes for itself comes on top. [ctl]
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
        exact_history_ns: config.exact_history_ns,
        window_hop_samples: config.window_hop_samples as usize,
        early_stop: (config.early_stop_margin != 0.0)
            .then_some(EarlyStop { outputs: config.early_stop_outputs, margin: config.early_stop_margin }),
        view_change: (config.view_change_margin != 0.0).then_some(ViewChange {
            span: config.view_change_span,
            outputs: config.view_change_outputs,
            margin: config.view_change_margin,
        }),
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

/// Begins an acquisition and writes its id. Allowed while the one before still drains. Without a place for the id nothing
/// begins: `TTV_NULL_ARGUMENT`. [acq rt]
///
/// # Safety
/// `stream` is NULL or a live handle; `acquisition` is NULL or points to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_begin(stream: *mut ttv_stream, acquisition: *mut u64) -> i32 {
    real_time(|| {
        let mut stream = acquire(stream)?;
        // SAFETY: NULL is refused; else a place for a number, as the contract says.
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

/// Marks a change (freeze, preset, probe, depth): the label speaks of the frames after it, so an acquisition that ends
/// before the next frame has none; end it without a mark to keep the label. [acq rt]
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

/// Handles what waits in the ring of a host-driven stream, one frame or end a call; `TTV_NOT_READY` if nothing
/// waits or the engine is paused. One thread at a time. [wrk]
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
