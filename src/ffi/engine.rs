//! Functions that create, prepare, transfer, pause and destroy engines.

use super::call::control;
use super::engine_config::{ttv_engine_config, ttv_prepare_config};
use super::label::LabelTexts;
use super::panics::install_hook;
use super::pointers::{argument_error, get_handle, get_place, read_required_path, read_struct};
use super::types::ttv_status;
use crate::engine::Engine;
use crate::engine::progress::Progress;
use crate::error::{Error, Result, Status};
use crate::memory::ReserveWatch;
use parking_lot::Mutex;
use std::ffi::c_char;

/// Opaque handle of an engine: one model package on one provider. Several streams can share an
/// engine.
#[allow(non_camel_case_types)]
pub struct ttv_engine {
    pub(super) engine: Engine,
    pub(super) labels: LabelTexts,
    /// Largest absolute error of a logit in the self-test; `None` until the engine is prepared, and
    /// after a self-test that failed.
    pub(super) self_test_error: Mutex<Option<f32>>,
}

pub(super) fn get_engine<'a>(engine: *const ttv_engine) -> Result<&'a ttv_engine> {
    get_handle(engine).map_err(argument_error("engine"))
}

/// Loads and checks a model package on the first provider in the list that can run the package. If
/// no provider can run it, the call returns the status for the last provider in the list, and
/// ttv_last_error explains why each provider failed.
///
/// For "tensorrt", this call checks the provider's library, the dependencies of that library, the
/// options, the driver and the GPU. ttv_engine_prepare then loads or builds the TensorRT engine.
///
/// @param config       The settings.
/// @param[out] engine  Receives the handle, or NULL after an error. The caller must destroy the
///                     handle with ttv_engine_destroy.
///
/// @return TTV_OK; TTV_ERR_MODEL_* if the package cannot be used; TTV_ERR_RUNTIME_* if the runtime
/// cannot be used; TTV_ERR_PROVIDER_UNAVAILABLE if the provider cannot run; TTV_ERR_ENGINE_CACHE;
/// TTV_ERR_ABI_VERSION; TTV_ERR_INVALID_ARGUMENT if a setting is not valid; TTV_ERR_UNSUPPORTED if
/// this build does not support the package or an option; TTV_ERR_SYSTEM if a thread cannot be
/// started; TTV_ERR_OUT_OF_MEMORY.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_create(
    config: *const ttv_engine_config,
    engine: *mut *mut ttv_engine,
) -> ttv_status {
    control(|| {
        install_hook();
        let place = get_place(engine).map_err(argument_error("engine"))?;
        *place = std::ptr::null_mut();
        let config = read_struct(config).map_err(argument_error("config"))?;
        let watch = ReserveWatch::new();
        let settings = config.parse()?;
        let engine = Engine::new(config.load_package()?, &settings)?;
        let labels = LabelTexts::new(&engine.spec().labels, &engine.spec().groups);
        let handle = ttv_engine { engine, labels, self_test_error: Mutex::new(None) };
        let handle = Box::new(handle);
        watch.check()?;
        *place = Box::into_raw(handle);
        Ok(Status::Ok)
    })
}

/// Prepares an engine for streams. The call loads or builds a TensorRT engine if the provider needs
/// one, runs the self-test of the package, and measures the time of a step or a window.
///
/// Building a TensorRT engine takes minutes; ttv_engine_prepare_with reports the progress. If the
/// engine was not prepared, ttv_stream_create loads or builds the TensorRT engine. In window mode,
/// the measured time determines the default hop of streams that are created after this call.
/// ttv_engine_get_info returns the measured time and the time that is available for a step or a
/// window.
///
/// If the self-test fails, the engine gives no labels until a later call succeeds:
/// ttv_stream_create, ttv_stream_begin and ttv_stream_query return TTV_ERR_SELF_TEST, and an
/// acquisition in progress ends with this status and without a label. Results that were already
/// published stay as they are.
///
/// @param engine  The engine.
///
/// @return TTV_OK; TTV_ERR_SELF_TEST if the provider computes wrong numbers, or numbers that are
/// not finite; TTV_ERR_WRONG_STATE if the engine is paused or if this process inherited it with
/// fork; TTV_ERR_ENGINE_CACHE if a TensorRT engine must be built but cannot be stored;
/// TTV_ERR_PROVIDER_UNAVAILABLE; TTV_ERR_INFERENCE; TTV_ERR_SYSTEM; TTV_ERR_OUT_OF_MEMORY.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_prepare(engine: *mut ttv_engine) -> ttv_status {
    control(|| prepare(engine, &mut |_| true))
}

/// Prepares an engine like ttv_engine_prepare, and reports the progress to the host, which may
/// cancel the call.
///
/// A build inside TensorRT cannot be interrupted. After a cancellation, the build continues in the
/// background, and the library stores the TensorRT engine in the cache. A later call of
/// ttv_engine_prepare or ttv_engine_prepare_with joins the build, and ttv_engine_destroy waits
/// until the build has ended.
///
/// @param engine  The engine.
/// @param config  The settings.
///
/// @return The statuses of ttv_engine_prepare; TTV_ERR_CANCELLED if the host cancelled the call;
/// TTV_ERR_UNKNOWN_FLAGS if `reserved` is not 0.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_prepare_with(
    engine: *mut ttv_engine,
    config: *const ttv_prepare_config,
) -> ttv_status {
    control(|| {
        let config = read_struct(config).map_err(argument_error("config"))?;
        if config.reserved != 0 {
            let message = format!("config.reserved must be 0, got {}", config.reserved);
            return Err(Error::new(Status::UnknownFlags, message));
        }
        prepare(engine, &mut |Progress { stage, elapsed }| {
            let elapsed_ns = i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX);
            config.progress.is_none_or(|progress| {
                // SAFETY: the host guarantees that `progress` points to a function of this type
                // and may be called with `user`.
                unsafe { progress(config.user, stage.code(), elapsed_ns) == 0 }
            })
        })
    })
}

fn prepare(
    engine: *const ttv_engine,
    callback: &mut dyn FnMut(Progress) -> bool,
) -> Result<Status> {
    let engine = get_engine(engine)?;
    let watch = ReserveWatch::new();
    let outcome = engine.engine.prepare_with(callback);
    match &outcome {
        Ok(error) => *engine.self_test_error.lock() = Some(*error),
        Err(error) if error.status() == Status::SelfTest => *engine.self_test_error.lock() = None,
        Err(_) => {}
    }
    outcome?;
    watch.check()?;
    Ok(Status::Ok)
}

/// Exports the TensorRT engine of the provider "tensorrt" to a file that ttv_engine_import can read
/// on devices with the same GPU and software versions. The call requires a prepared engine with a
/// `cache_folder`.
///
/// @param engine  The engine.
/// @param path    Path of the file. The library writes a temporary file in the same folder and then
///                renames it.
///
/// @return TTV_OK; TTV_ERR_WRONG_STATE if the TensorRT engine has not been loaded or built yet, if
/// no cache folder is set, or if the TensorRT engine is no longer in the cache; TTV_ERR_UNSUPPORTED
/// if the provider does not support export; TTV_ERR_SYSTEM if the file cannot be written.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_export(
    engine: *const ttv_engine,
    path: *const c_char,
) -> ttv_status {
    control(|| {
        let engine = get_engine(engine)?;
        engine.engine.export(&read_required_path(path, "path")?)?;
        Ok(Status::Ok)
    })
}

/// Imports an exported TensorRT engine into the cache, from which ttv_engine_prepare loads it. The
/// call requires a `cache_folder` and must precede ttv_engine_prepare.
///
/// @param engine  The engine.
/// @param path    Path of the file.
///
/// @return TTV_OK; TTV_ERR_ENGINE_MISMATCH if the TensorRT engine in the file was built for another
/// model, GPU, software version or set of options, in which case ttv_last_error lists the
/// differences; TTV_ERR_ENGINE_FILE if the file cannot be read or is damaged; TTV_ERR_ENGINE_CACHE
/// if the cache folder cannot be written; TTV_ERR_WRONG_STATE if the TensorRT engine has been built
/// or is being built, or if no cache folder is set; TTV_ERR_UNSUPPORTED if the provider does not
/// support import.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_import(
    engine: *mut ttv_engine,
    path: *const c_char,
) -> ttv_status {
    control(|| {
        let engine = get_engine(engine)?;
        engine.engine.import(&read_required_path(path, "path")?)?;
        Ok(Status::Ok)
    })
}

/// Pauses an engine, for example while the beamformer needs the GPU. The call waits until no step
/// is in progress. After that, no step begins until ttv_engine_resume is called. Pauses are not
/// counted: however often ttv_engine_pause was called, a single call of ttv_engine_resume ends the
/// pause.
///
/// During a pause, streams accept frames and can be created and destroyed. Results that need the
/// network are delayed until the pause ends, exact queries wait until the pause ends or their
/// timeout expires, and ttv_stream_process returns TTV_NOT_READY. A build of a TensorRT engine
/// continues.
///
/// @param engine  The engine.
///
/// @return TTV_OK; TTV_ERR_WRONG_THREAD if this function is called from the callback of a
/// host-driven stream; TTV_ERR_WRONG_STATE if another thread called ttv_engine_resume while this
/// call was still waiting for a step to finish.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_pause(engine: *mut ttv_engine) -> ttv_status {
    control(|| {
        get_engine(engine)?.engine.pause()?;
        Ok(Status::Ok)
    })
}

/// Ends a pause. Streams then process the waiting frames, and skip chunks or windows if the network
/// cannot keep up. If the engine is not paused, the call has no effect.
///
/// @param engine  The engine.
///
/// @return TTV_OK.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_resume(engine: *mut ttv_engine) -> ttv_status {
    control(|| {
        get_engine(engine)?.engine.resume();
        Ok(Status::Ok)
    })
}

/// Destroys an engine. If the engine is paused, the call ends the pause. If a build is in progress
/// in the background, the call waits until the build has ended. The streams of the engine continue
/// to work.
///
/// @param engine  The engine, or NULL. No other thread may use it during the call.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_destroy(engine: *mut ttv_engine) {
    control(|| {
        if !engine.is_null() {
            get_engine(engine)?;
            // SAFETY: `ttv_engine_create` created the pointer with `Box::into_raw`, and the caller
            // destroys each handle only once.
            drop(unsafe { Box::from_raw(engine) });
        }
        Ok(Status::Ok)
    });
}
