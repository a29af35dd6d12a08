//! Engines over the C ABI.

use super::border::{Versioned, control, fill, handle, output, place, read, text};
use super::host::runtime_library;
use crate::engine::{Engine, EngineConfig};
use crate::model::{Mode, ModelPackage};
use crate::{Error, Result, Status};
use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

/// One model on one provider; shared by streams. Opaque.
#[allow(non_camel_case_types)]
pub struct ttv_engine {
    pub(super) engine: Engine,
    labels: Vec<CString>,
    self_test_error: parking_lot::Mutex<Option<f32>>,
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
    /// Providers in order of preference: "embedded", or of ONNX Runtime "cpu", "cuda" and "tensorrt".
    /// NULL: "embedded".
    pub providers: *const *const c_char,
    /// How many.
    pub provider_count: u32,
    /// Threads of the network; 0: one.
    pub threads: u32,
}
// SAFETY: repr(C); numbers and pointers.
unsafe impl Versioned for ttv_engine_config {}

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
}
// SAFETY: repr(C); numbers and arrays of them.
unsafe impl Versioned for ttv_engine_info {}

/// Loads and checks a model package on the first provider that can run it. [ctl]
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
        };
        let engine = Engine::new(package(&config)?, &settings)?;
        let labels =
            engine.spec().labels.iter().map(|l| CString::new(l.code.as_str()).unwrap_or_default()).collect();
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
    if config.provider_count > 16 {
        return Err(Error::new(
            Status::InvalidArgument,
            format!("provider_count is {}", config.provider_count),
        ));
    }
    if config.providers.is_null() {
        return match config.provider_count {
            0 => Ok(Vec::new()),
            _ => Err(Error::new(Status::NullArgument, "providers")),
        };
    }
    // SAFETY: the host promises `provider_count` pointers.
    let list = unsafe { std::slice::from_raw_parts(config.providers, config.provider_count as usize) };
    list.iter()
        .map(|&name| {
            let name = text(name, "providers")?;
            name.map(String::from).ok_or_else(|| Error::new(Status::NullArgument, "an entry of providers"))
        })
        .collect()
}

/// Runs the package's self-test on the provider that will really run, and so warms it up; then measures the time of a
/// step, the median of five. `ttv_engine_get_info` then says whether real time holds, and streams in window mode that
/// are created from now on choose their hop by it. May take long. [ctl]
///
/// # Safety
/// `engine` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_prepare(engine: *mut ttv_engine) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        let error = engine.engine.prepare()?;
        *engine.self_test_error.lock() = Some(error);
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
        let info = output(info).map_err(|status| Error::new(status, "info"))?;
        let (report, spec) = (engine.engine.report(), engine.engine.spec());
        fill(&mut info.provider, &report.provider);
        fill(&mut info.provider_version, &report.provider_version);
        fill(&mut info.runtime_version, &report.runtime_version);
        fill(&mut info.model_version, &spec.model_version);
        fill(&mut info.model_sha256, &spec.package_sha256);
        info.flags = 0;
        info.reserved = [0; 3];
        info.label_count = u32::try_from(spec.labels.len()).unwrap_or(u32::MAX);
        info.mode = u32::from(spec.mode == Mode::Stream);
        info.self_test_error_ppm =
            engine.self_test_error.lock().map_or(-1, |error| (f64::from(error) * 1e6).ceil() as i64);
        info.step_ns = engine.engine.step_ns.load(Relaxed);
        info.step_interval_ns = i64::try_from(engine.engine.step_interval().as_nanos()).unwrap_or(i64::MAX);
        Ok(Status::Ok)
    })
}

/// Code of a label, as "A4C"; lives as long as the engine. [any]
///
/// # Safety
/// `engine` is NULL or a live handle; `label` points to a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_label(
    engine: *const ttv_engine,
    index: u32,
    label: *mut *const c_char,
) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        let out = place(label, "label")?;
        let found = engine.labels.get(index as usize).ok_or_else(|| {
            Error::new(Status::InvalidArgument, format!("label {index} of {}", engine.labels.len()))
        })?;
        *out = found.as_ptr();
        Ok(Status::Ok)
    })
}

/// Gives the engine back. Streams made from it go on. NULL is fine. [ctl]
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
