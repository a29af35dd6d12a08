//! Functions that create, drive and destroy streams.

use super::call::{control, drive};
use super::callback::{StreamId, is_in_callback, run_callback, waits_for_itself};
use super::engine::{get_engine, ttv_engine};
use super::pointers::{argument_error, get_handle, get_place, read_struct};
use super::result::{RESULT_SIZE, ScoreBuffer, convert_result, ttv_result};
use super::runtime::call_thread_start;
use super::stream_config::ttv_stream_config;
use super::types::ttv_status;
use crate::error::{Result, Status};
use crate::memory::ReserveWatch;
use crate::result::ViewResult;
use crate::stream::Stream;
use crate::stream::acquirer::Acquirer;
use crate::stream::driver::Driver;
use crate::stream::hooks::Hooks;
use crate::stream::reader::Reader;
use crate::sys::event::Event;
use parking_lot::{Mutex, MutexGuard};
use std::ffi::c_void;
use std::sync::Arc;

/// Opaque handle of a stream, which processes the acquisitions of one probe.
#[allow(non_camel_case_types)]
pub struct ttv_stream {
    /// The handle for the acquisition thread. It is locked only with `try_lock`, so that a second
    /// thread gets [`Status::WrongThread`] instead of waiting.
    acquirer: Mutex<Acquirer>,
    /// The driver, if the host drives the stream. Like `acquirer`, it is locked only with
    /// `try_lock`.
    driver: Option<Mutex<Driver>>,
    pub(super) reader: Reader,
    pub(super) id: StreamId,
    /// Descriptor that becomes readable when a result is published.
    pub(super) event: Option<Arc<Event>>,
}

impl ttv_stream {
    /// Locks the acquirer, which is the handle for the acquisition thread.
    ///
    /// # Errors
    /// Returns [`Status::WrongThread`] if another thread has locked it.
    pub(super) fn lock_acquirer(&self) -> Result<MutexGuard<'_, Acquirer>, Status> {
        self.acquirer.try_lock().ok_or(Status::WrongThread)
    }
}

pub(super) fn get_stream<'a>(stream: *const ttv_stream) -> Result<&'a ttv_stream> {
    get_handle(stream).map_err(argument_error("stream"))
}

/// Creates a stream, allocates all of its memory and, unless the host drives the stream, starts the
/// worker thread.
///
/// @param engine       The engine. It may be destroyed before the stream.
/// @param config       The settings. The library copies them.
/// @param[out] stream  Receives the handle, or NULL after an error. The caller must destroy the
///                     handle with ttv_stream_destroy.
///
/// @return TTV_OK; TTV_ERR_INVALID_ARGUMENT if a setting is out of range; TTV_ERR_UNKNOWN_FLAGS;
/// TTV_ERR_WRONG_STATE if this process inherited the engine with fork; TTV_ERR_OUT_OF_MEMORY if an
/// allocation fails, or if the size from ttv_stream_get_memory is more than 90 % of the memory that
/// is available to the process; TTV_ERR_SYSTEM if the system cannot start the worker thread, lock
/// the memory or create an event descriptor; TTV_ERR_SELF_TEST if the last ttv_engine_prepare
/// failed its self-test; an error of ttv_engine_prepare if the provider fails.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_create(
    engine: *mut ttv_engine,
    config: *const ttv_stream_config,
    stream: *mut *mut ttv_stream,
) -> ttv_status {
    control(|| {
        let place = get_place(stream).map_err(argument_error("stream"))?;
        *place = std::ptr::null_mut();
        let engine = get_engine(engine)?;
        let config = read_struct(config).map_err(argument_error("config"))?;
        let watch = ReserveWatch::new();
        let event = Event::new()?.map(Arc::new);
        let id = StreamId::new();
        let callback = Callback { stream: id, function: config.on_result, user: config.user };
        let hooks = Hooks {
            thread_start: Some(Arc::new(call_thread_start)),
            on_result: Some(Box::new(announce_results(callback, event.clone()))),
        };
        let opened = Stream::open_with_hooks(&engine.engine, &config.parse()?, hooks)?;
        let Stream { acquirer, driver, reader } = opened;
        let (acquirer, driver) = (Mutex::new(acquirer), driver.map(Mutex::new));
        let handle = Box::new(ttv_stream { acquirer, driver, reader, id, event });
        watch.check()?;
        *place = Box::into_raw(handle);
        Ok(Status::Ok)
    })
}

/// The host's callback for results.
struct Callback {
    stream: StreamId,
    function: Option<unsafe extern "C" fn(*mut c_void, *const ttv_result)>,
    user: *mut c_void,
}
// SAFETY: the host guarantees that its callback may be called on the worker thread.
unsafe impl Send for Callback {}

/// Returns the function that the stream calls after each result. That function makes the event
/// descriptor readable and calls the host's callback.
fn announce_results(
    callback: Callback,
    event: Option<Arc<Event>>,
) -> impl FnMut(&ViewResult, &[f32]) + Send {
    move |result, posterior| {
        // Without this line, the closure would capture the fields of `Callback` separately, and one
        // of them, the pointer `user`, is not `Send`.
        let callback = &callback;
        if let Some(event) = &event {
            event.signal();
        }
        if let Some(function) = callback.function {
            let buffer = ScoreBuffer {
                scores: posterior.as_ptr().cast_mut(),
                capacity: u32::try_from(posterior.len()).unwrap_or(u32::MAX),
            };
            let result = convert_result(result, posterior.len(), RESULT_SIZE, buffer);
            run_callback(callback.stream, || {
                // SAFETY: the host guarantees that `on_result` points to a function of this type
                // and may be called with `user`. The result and its scores outlive the call.
                unsafe { function(callback.user, &result) };
            });
        }
    }
}

/// Computes how much memory a stream with these settings allocates for the ring, the preprocessing,
/// the tensors, the states, the history and the samples for exact queries. The memory that the
/// inference runtime allocates is not included.
///
/// @param engine      The engine.
/// @param config      The settings.
/// @param[out] bytes  Receives the number of bytes.
///
/// @return TTV_OK; TTV_ERR_INVALID_ARGUMENT if a setting is out of range; TTV_ERR_UNKNOWN_FLAGS.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_get_memory(
    engine: *const ttv_engine,
    config: *const ttv_stream_config,
    bytes: *mut usize,
) -> ttv_status {
    control(|| {
        let place = get_place(bytes).map_err(argument_error("bytes"))?;
        let engine = get_engine(engine)?;
        let config = read_struct(config).map_err(argument_error("config"))?;
        *place = Stream::memory_bytes(&engine.engine, &config.parse()?)?;
        Ok(Status::Ok)
    })
}

/// Destroys a stream. The call waits until the worker has finished the step in progress.
/// Acquisitions that have no final result yet do not get one. If another thread is waiting in
/// ttv_stream_wait or ttv_stream_query, its call ends, with TTV_ERR_CANCELLED if it has no result.
///
/// The callback `on_result` of the stream must not destroy the stream, because the call would wait
/// for the callback. In the callback, the call has no effect except that ttv_last_error gives the
/// reason.
///
/// @param stream  The stream, or NULL. No other thread may begin a call with it at this time, and
///                no other thread may be in any other call with it.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_destroy(stream: *mut ttv_stream) {
    control(|| {
        if !stream.is_null() {
            if is_in_callback(get_stream(stream)?.id) {
                let error = waits_for_itself("destroy the stream on another thread");
                log::error!("ttv_stream_destroy had no effect: {error}");
                return Err(error);
            }
            // SAFETY: `ttv_stream_create` created the pointer with `Box::into_raw`, and the caller
            // destroys each handle only once.
            drop(unsafe { Box::from_raw(stream) });
        }
        Ok(Status::Ok)
    });
}

/// Processes the oldest entry that is waiting in the ring of a host-driven stream: a frame or the
/// end of an acquisition. With frame steps, a call for which no entry is waiting makes one slow run
/// if one is due. The network runs on the calling thread, in the default floating-point
/// environment, which the call restores at its end. If the network fails, the result of the
/// acquisition reports the error.
///
/// @param stream  A stream with TTV_DRIVE_HOST.
///
/// @return TTV_OK; TTV_NOT_READY if nothing is waiting or the engine is paused;
/// TTV_ERR_WRONG_STATE if the library drives the stream; TTV_ERR_WRONG_THREAD if another thread is
/// already calling this function for the same stream; TTV_ERR_POISONED.
///
/// [drv, any state]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_process(stream: *mut ttv_stream) -> ttv_status {
    drive(|| {
        let driver = get_handle(stream)?.driver.as_ref().ok_or(Status::WrongState)?;
        driver.try_lock().ok_or(Status::WrongThread)?.process()
    })
}
