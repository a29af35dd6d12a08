//! Engines over the C ABI.

use super::border::{Versioned, control, deliver, fill, handle, place, read, text};
use super::gpu::GpuStream;
use super::host::{self, runtime_library};
use super::label::Labels;
use crate::engine::{Engine, EngineConfig, EngineOrigin, Progress, Stage};
use crate::model::{Mode, ModelPackage};
use crate::{Error, Result, Status};
use std::ffi::{c_char, c_void};
use std::mem::{MaybeUninit, offset_of};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

/// One model on one provider; shared by streams. Opaque.
#[allow(non_camel_case_types)]
pub struct ttv_engine {
    pub(super) engine: Engine,
    pub(super) labels: Labels,
    self_test_error: parking_lot::Mutex<Option<f32>>,
}

/// The provider builds no engine.
pub const TTV_ENGINE_NOT_NEEDED: u32 = 0;
/// It will be loaded or built by `ttv_engine_prepare`, or by the first stream.
pub const TTV_ENGINE_NOT_YET: u32 = 1;
/// Built in this process.
pub const TTV_ENGINE_BUILT: u32 = 2;
/// Loaded from the cache, where a start before this one left it.
pub const TTV_ENGINE_LOADED: u32 = 3;
/// Loaded from the cache, where `ttv_engine_import` brought it.
pub const TTV_ENGINE_IMPORTED: u32 = 4;

/// Looks into the cache of engines and checks what lies there.
pub const TTV_STAGE_READING_CACHE: u32 = 1;
/// The provider loads an engine, or builds one, which may take minutes.
pub const TTV_STAGE_BUILDING: u32 = 2;
/// Runs the package's self-test.
pub const TTV_STAGE_SELF_TEST: u32 = 3;
/// Measures the time of a step.
pub const TTV_STAGE_MEASURING: u32 = 4;

/// An option of a provider, by the provider's own documented key. This struct never grows.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_option {
    /// As "trt_max_workspace_size".
    pub key: *const c_char,
    /// As "1073741824".
    pub value: *const c_char,
}

/// What an engine is made of. Zero every field that is not set.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_engine_config {
    /// `sizeof(ttv_engine_config)`.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// Path of the package; or NULL, and the package in memory:
    pub model_path: *const c_char,
    /// The package's bytes; copied.
    pub model_data: *const c_void,
    /// How many.
    pub model_size: usize,
    /// 32 bytes that the SHA-256 of the package must be, or NULL.
    pub model_sha256: *const u8,
    /// Providers in order of preference: "embedded", or of ONNX Runtime "cpu", "cuda", "tensorrt" and, in builds with
    /// the feature of that name, "tensorrt-rtx". NULL: "embedded".
    pub providers: *const *const c_char,
    /// How many.
    pub provider_count: u32,
    /// Threads of the network; 0: one.
    pub threads: u32,
    /// Options of the providers; copied. Keys that begin with "trt_" go to "tensorrt", with "nv_" to "tensorrt-rtx",
    /// others to "cuda"; one that none of `providers` takes is refused with `TTV_INVALID_ARGUMENT`, as is one that the
    /// library sets itself: device, stream, caches, fp16. Addresses, and CUDA graphs of "tensorrt-rtx", are
    /// `TTV_UNSUPPORTED`.
    pub options: *const ttv_option,
    /// How many, at most 128.
    pub option_count: u32,
    /// Which GPU, as CUDA counts them.
    pub device_id: u32,
    /// Folder of the engines that "tensorrt" builds, so that the next start loads them; copied. It need not exist, and
    /// processes may share it. NULL: every start builds.
    pub cache_folder: *const c_char,
    /// A `cudaStream_t` of that GPU, made with the priority that the host wants: the provider works in it. The host keeps
    /// it until the engine and its streams are destroyed. NULL: the provider makes its own.
    pub gpu_stream: *mut c_void,
}
// SAFETY: repr(C); numbers and pointers.
unsafe impl Versioned for ttv_engine_config {
    const FIRST_SIZE: usize = offset_of!(Self, options);
}

/// How a preparation is watched. Zero every field that is not set.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_prepare_config {
    /// `sizeof(ttv_prepare_config)`.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// Called in the calling thread with each `TTV_STAGE_*` and about once a second while an engine is built, with the
    /// time since the call; or NULL. Anything but 0 ends the call with `TTV_CANCELLED`. It must not throw.
    pub progress: Option<unsafe extern "C" fn(user: *mut c_void, stage: u32, elapsed_ns: i64) -> i32>,
    /// Handed back to `progress`.
    pub user: *mut c_void,
}
// SAFETY: repr(C); numbers, a pointer and a nullable function pointer.
unsafe impl Versioned for ttv_prepare_config {}

/// What really runs, for the device's records.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_engine_info {
    /// `sizeof(ttv_engine_info)`.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// Provider that runs the graph.
    pub provider: [c_char; 32],
    /// Its version.
    pub provider_version: [c_char; 32],
    /// Runtime and its version.
    pub runtime_version: [c_char; 32],
    /// Version that the package gives itself.
    pub model_version: [c_char; 64],
    /// SHA-256 of the package, hex.
    pub model_sha256: [c_char; 65],
    /// 0.
    pub reserved: [u8; 3],
    /// Number of labels.
    pub label_count: u32,
    /// 0 window, 1 stream.
    pub mode: u32,
    /// Largest absolute error of the self-test's logits in parts per million; -1 before `ttv_engine_prepare`.
    pub self_test_error_ppm: i64,
    /// Time of one step (stream mode) or clip (window mode) as `ttv_engine_prepare` measured it; -1 before.
    pub step_ns: i64,
    /// Time from one step to the next: a chunk or, in window mode, the hop that a stream chooses now. The network keeps
    /// up, at any frame rate, if `step_ns` is less; with N streams that acquire at once, if N times `step_ns` is.
    pub step_interval_ns: i64,
    /// Whether the provider had to build an engine, and where it came from: `TTV_ENGINE_*`.
    pub engine_origin: u32,
    /// 0.
    pub reserved2: u32,
}
// SAFETY: repr(C); numbers and arrays of them.
unsafe impl Versioned for ttv_engine_info {
    const FIRST_SIZE: usize = offset_of!(Self, engine_origin);
}

/// Loads and checks a model package on the first provider that can run it. On "tensorrt" all but the engine, which
/// `ttv_engine_prepare` loads or builds: the provider's library with all it needs, its options, the driver and the GPU
/// are checked here. [ctl]
///
/// On success `*engine` is a handle for `ttv_engine_destroy`; on an error it is NULL and `ttv_last_error` says why.
///
/// # Safety
/// `config` points to a struct of the size its first field says, whose pointers hold what their fields say; `engine` to
/// a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_create(
    config: *const ttv_engine_config,
    engine: *mut *mut ttv_engine,
) -> i32 {
    control(|| {
        let out = place(engine, "engine")?;
        *out = std::ptr::null_mut();
        let config = read(config).map_err(|status| Error::new(status, "config"))?;
        if config.flags != 0 {
            return Err(Error::new(Status::UnknownFlags, format!("config.flags is {:#x}", config.flags)));
        }
        let settings = EngineConfig {
            providers: providers(&config)?,
            threads: config.threads,
            runtime_library: runtime_library(),
            options: options(&config)?,
            cache_folder: text(config.cache_folder, "cache_folder")?.map(PathBuf::from),
            device_id: config.device_id,
            // SAFETY: the host promises that the stream lives as long as the engine and its streams.
            gpu_stream: unsafe { GpuStream::from_raw(config.gpu_stream) },
            thread_start: Some(host::thread_start),
        };
        let engine = Engine::new(package(&config)?, &settings)?;
        let labels = Labels::new(&engine.spec().labels);
        let handle = ttv_engine { engine, labels, self_test_error: parking_lot::Mutex::new(None) };
        *out = Box::into_raw(Box::new(handle));
        Ok(Status::Ok)
    })
}

fn package(config: &ttv_engine_config) -> Result<ModelPackage> {
    // SAFETY: NULL, or 32 bytes as the field says; an array of bytes has no alignment.
    let pinned = unsafe { config.model_sha256.cast::<[u8; 32]>().as_ref() }.copied();
    match (text(config.model_path, "model_path")?, config.model_data.is_null()) {
        (Some(path), true) => ModelPackage::from_path(Path::new(path), pinned),
        (None, false) => {
            if config.model_size == 0 || isize::try_from(config.model_size).is_err() {
                return Err(Error::new(Status::InvalidArgument, "model_size is 0 or absurd"));
            }
            // SAFETY: the host promises `model_size` bytes at `model_data`.
            let bytes =
                unsafe { std::slice::from_raw_parts(config.model_data.cast::<u8>(), config.model_size) };
            ModelPackage::from_bytes(bytes.to_vec(), pinned)
        }
        (None, true) => Err(Error::new(Status::NullArgument, "model_path and model_data are both NULL")),
        (Some(_), false) => {
            Err(Error::new(Status::InvalidArgument, "model_path and model_data are both given"))
        }
    }
}

fn providers(config: &ttv_engine_config) -> Result<Vec<String>> {
    let list = array(config.providers, config.provider_count, 16, "providers")?;
    let name = |&name: &*const c_char| required(name, "an entry of providers");
    list.iter().map(name).collect()
}

fn options(config: &ttv_engine_config) -> Result<Vec<(String, String)>> {
    let list = array(config.options, config.option_count, 128, "options")?;
    let option = |option: &ttv_option| {
        Ok((required(option.key, "a key of options")?, required(option.value, "a value of options")?))
    };
    list.iter().map(option).collect()
}

/// An array of the caller, of at most so many; NULL is the empty one.
fn array<'a, T>(pointer: *const T, count: u32, most: u32, name: &str) -> Result<&'a [T]> {
    if count > most {
        let what = format!("there are {count} {name}, {most} are possible");
        return Err(Error::new(Status::InvalidArgument, what));
    }
    match (pointer.is_null(), count) {
        (true, 0) => Ok(&[]),
        (true, _) => Err(Error::new(Status::NullArgument, name)),
        // SAFETY: the host promises so many values.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(pointer, count as usize) }),
    }
}

/// Text of the caller that must be there.
fn required(pointer: *const c_char, name: &str) -> Result<String> {
    let found = text(pointer, name)?;
    found.map(String::from).ok_or_else(|| Error::new(Status::NullArgument, name))
}

/// Loads or builds the provider's engine, if it needs one (`engine_origin` of `ttv_engine_get_info`), which takes minutes
/// where TensorRT builds; `ttv_engine_prepare_with` tells how far it is. Runs the package's self-test on the provider
/// that will really run, and so warms it up; then measures the time of a step, the median of five.
/// `ttv_engine_get_info` then says whether real time holds, and streams in window mode that are created from now on
/// choose their hop by it. A stream that is created on an engine that was not prepared loads or builds there and then.
/// [ctl]
///
/// # Safety
/// `engine` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_prepare(engine: *mut ttv_engine) -> i32 {
    control(|| prepare(engine, &mut |_| true))
}

/// The same, telling the host how far it is; a non-zero return of `progress` cancels it with `TTV_CANCELLED`. A build
/// inside TensorRT cannot be interrupted: it goes on in the background and fills the cache, a later prepare joins it, and
/// `ttv_engine_destroy` (or the destruction of its last stream) waits for it. [ctl]
///
/// # Safety
/// `engine` is NULL or a live handle; `config` points to a struct of the size its first field says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_prepare_with(
    engine: *mut ttv_engine,
    config: *const ttv_prepare_config,
) -> i32 {
    control(|| {
        let config = read(config).map_err(|status| Error::new(status, "config"))?;
        if config.flags != 0 {
            return Err(Error::new(Status::UnknownFlags, format!("config.flags is {:#x}", config.flags)));
        }
        prepare(engine, &mut |Progress { stage, elapsed }| {
            let stage = match stage {
                Stage::ReadingCache => TTV_STAGE_READING_CACHE,
                Stage::Building => TTV_STAGE_BUILDING,
                Stage::SelfTest => TTV_STAGE_SELF_TEST,
                Stage::Measuring => TTV_STAGE_MEASURING,
            };
            let elapsed_ns = i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX);
            // SAFETY: the host's function, called as its type says.
            config.progress.is_none_or(|progress| unsafe { progress(config.user, stage, elapsed_ns) } == 0)
        })
    })
}

fn prepare(engine: *const ttv_engine, go_on: &mut dyn FnMut(Progress) -> bool) -> Result<Status> {
    let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
    let error = engine.engine.prepare_with(go_on)?;
    *engine.self_test_error.lock() = Some(error);
    Ok(Status::Ok)
}

/// Writes the engine that "tensorrt" built into a file, with all that it was built for: made in the factory, for
/// `ttv_engine_import` on devices with the same GPU and software. After `ttv_engine_prepare`, with a `cache_folder`;
/// `TTV_WRONG_STATE` before, `TTV_UNSUPPORTED` for providers that build none. Written under another name beside it and
/// renamed. [ctl]
///
/// # Safety
/// `engine` is NULL or a live handle; `path` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_export(engine: *const ttv_engine, path: *const c_char) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        engine.engine.export(Path::new(&required(path, "path")?)).map(|()| Status::Ok)
    })
}

/// Brings an exported engine into the cache, so that `ttv_engine_prepare` loads it; before that, with a `cache_folder`.
/// `TTV_ENGINE_MISMATCH` if it was built for another model, GPU, version or option, and the last error says which;
/// `TTV_ENGINE_FILE` if the file is damaged, `TTV_ENGINE_CACHE` if the folder cannot be written. [ctl]
///
/// # Safety
/// `engine` is NULL or a live handle; `path` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_import(engine: *mut ttv_engine, path: *const c_char) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        engine.engine.import(Path::new(&required(path, "path")?)).map(|()| Status::Ok)
    })
}

/// Lets no step of this engine begin from now on, and returns when none runs: the beamformer needs the GPU. Streams go
/// on taking frames; after `ttv_engine_resume` the rules for overload apply. While the engine is paused final results do
/// not come (`ttv_stream_wait` has its timeout), exact queries wait until theirs, `ttv_stream_process` returns
/// `TTV_NOT_READY`, `ttv_engine_prepare` `TTV_WRONG_STATE`; streams may be created and destroyed. A call of
/// `ttv_stream_process` that is under way is finished first. The building of an engine goes on. Pausing twice is pausing
/// once. `TTV_WRONG_THREAD` from the callback of a host-driven stream, `TTV_WRONG_STATE` if another thread resumed before
/// the engine had come to rest. [ctl]
///
/// # Safety
/// `engine` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_pause(engine: *mut ttv_engine) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        engine.engine.pause().map(|()| Status::Ok)
    })
}

/// Ends a pause; nothing if there is none. [ctl]
///
/// # Safety
/// `engine` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_resume(engine: *mut ttv_engine) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        engine.engine.resume();
        Ok(Status::Ok)
    })
}

/// What really runs. [any]
///
/// # Safety
/// `engine` is NULL or a live handle; `info` points to a struct of the size its first field says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_get_info(engine: *const ttv_engine, info: *mut ttv_engine_info) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        let (report, spec) = (engine.engine.report(), engine.engine.spec());
        // SAFETY: numbers and arrays of them, for which zero is a value.
        let mut found: ttv_engine_info = unsafe { MaybeUninit::zeroed().assume_init() };
        fill(&mut found.provider, &report.provider);
        fill(&mut found.provider_version, &report.provider_version);
        fill(&mut found.runtime_version, &report.runtime_version);
        fill(&mut found.model_version, &spec.model_version);
        fill(&mut found.model_sha256, &spec.package_sha256);
        found.label_count = u32::try_from(spec.labels.len()).unwrap_or(u32::MAX);
        found.mode = u32::from(spec.mode == Mode::Stream);
        found.self_test_error_ppm =
            engine.self_test_error.lock().map_or(-1, |error| (f64::from(error) * 1e6).ceil() as i64);
        found.step_ns = engine.engine.step_ns.load(Relaxed);
        found.step_interval_ns = i64::try_from(engine.engine.step_interval().as_nanos()).unwrap_or(i64::MAX);
        found.engine_origin = number(engine.engine.origin());
        deliver(info, found).map_err(|status| Error::new(status, "info"))?;
        Ok(Status::Ok)
    })
}

/// An origin as C knows it.
pub(super) fn number(origin: EngineOrigin) -> u32 {
    match origin {
        EngineOrigin::NotNeeded => TTV_ENGINE_NOT_NEEDED,
        EngineOrigin::NotYet => TTV_ENGINE_NOT_YET,
        EngineOrigin::Built => TTV_ENGINE_BUILT,
        EngineOrigin::Loaded => TTV_ENGINE_LOADED,
        EngineOrigin::Imported => TTV_ENGINE_IMPORTED,
    }
}

/// Gives the engine back. Streams made from it go on, also those of a paused engine. Waits for a build that goes on in the
/// background, unless a stream keeps the engine. NULL is fine. [ctl]
///
/// # Safety
/// `engine` is NULL or a live handle, not used by any other thread or afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_destroy(engine: *mut ttv_engine) {
    control(|| {
        if !engine.is_null() {
            // SAFETY: made by Box::into_raw in create, and given back once.
            drop(unsafe { Box::from_raw(engine) });
        }
        Ok(Status::Ok)
    });
}
