//! Functions that describe what an engine runs, and return the labels and groups of its model.

use super::call::control;
use super::engine::{get_engine, ttv_engine};
use super::label::{ttv_group, ttv_label};
use super::pointers::{argument_error, copy_text, versioned, write_struct};
use super::types::{ttv_engine_origin, ttv_mode, ttv_status};
use crate::error::Status;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Description of what an engine actually runs, for the device's records. Initialize this struct
/// with TTV_ENGINE_INFO_INIT. The strings are NUL-terminated.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_engine_info {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Mode in which the network runs: one of TTV_MODE_*.
    pub mode: ttv_mode,
    /// Number of labels in the model.
    pub label_count: u32,
    /// Origin of the TensorRT engine, if the provider needs one: one of TTV_ENGINE_ORIGIN_*.
    pub engine_origin: ttv_engine_origin,
    /// Largest absolute error of a logit in the self-test, in millionths, rounded up; -1 until
    /// ttv_engine_prepare succeeds.
    pub self_test_error_ppm: i64,
    /// Time that a step (stream mode) or a window (window mode) takes, as measured by
    /// ttv_engine_prepare; -1 until that call succeeds. With frame steps, it is the sum of the
    /// times of the fast runs and of the slow run of a chunk.
    pub step_ns: i64,
    /// Time from one step or window to the next: the duration of a chunk (stream mode) or of the
    /// default hop of a new stream (window mode). The network keeps up with one stream, at any
    /// frame rate, if `step_ns` is less than this time. The network keeps up with N streams that
    /// acquire at the same time if N times `step_ns` is less than this time. With frame steps and
    /// a worker of the library, it is enough if this holds for `slow_run_ns` and for the rest of
    /// `step_ns`.
    pub step_interval_ns: i64,
    /// Name of the provider.
    pub provider: [c_char; 32],
    /// Version of the provider.
    pub provider_version: [c_char; 32],
    /// Name and version of the runtime.
    pub runtime_version: [c_char; 32],
    /// Version of the model, as recorded in the model package.
    pub model_version: [c_char; 64],
    /// SHA-256 of the model package in hexadecimal.
    pub model_sha256: [c_char; 72],
    /// Part of `step_ns` that the slow run of frame steps takes; 0 for other packages; -1 until
    /// ttv_engine_prepare succeeds.
    pub slow_run_ns: i64,
    /// Number of groups of labels in the model; 0 if the model has none.
    pub group_count: u32,
    /// Reserved; always 0.
    pub reserved: u32,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers and arrays of
// numbers, for which every bit pattern is valid.
versioned!(ttv_engine_info {
    struct_size,
    mode,
    label_count,
    engine_origin,
    self_test_error_ppm,
    step_ns,
    step_interval_ns,
    provider,
    provider_version,
    runtime_version,
    model_version,
    model_sha256,
    slow_run_ns,
    group_count,
    reserved
});

/// Returns a description of what an engine actually runs.
///
/// @param engine     The engine.
/// @param[out] info  Receives the information.
///
/// @return TTV_OK.
///
/// [any, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_get_info(
    engine: *const ttv_engine,
    info: *mut ttv_engine_info,
) -> ttv_status {
    control(|| {
        let handle = get_engine(engine)?;
        let engine = &handle.engine;
        let (report, spec) = (engine.report(), engine.spec());
        let to_ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let to_ppm = |error: f32| (f64::from(error) * 1e6).ceil() as i64;
        // SAFETY: the struct contains only numbers and arrays of numbers, for which zero is valid.
        let mut found: ttv_engine_info = unsafe { MaybeUninit::zeroed().assume_init() };
        found.mode = spec.mode.code();
        found.label_count = u32::try_from(spec.labels.len()).unwrap_or(u32::MAX);
        found.group_count = u32::try_from(spec.groups.len()).unwrap_or(u32::MAX);
        found.engine_origin = engine.origin().code();
        found.self_test_error_ppm = handle.self_test_error.lock().map_or(-1, to_ppm);
        found.step_ns = engine.step_time().map_or(-1, to_ns);
        found.step_interval_ns = to_ns(engine.step_interval());
        found.slow_run_ns = engine.slow_run_time().map_or(-1, to_ns);
        copy_text(&mut found.provider, &report.provider);
        copy_text(&mut found.provider_version, &report.provider_version);
        copy_text(&mut found.runtime_version, &report.runtime_version);
        copy_text(&mut found.model_version, &spec.model_version);
        copy_text(&mut found.model_sha256, &spec.package_sha256);
        write_struct(info, found).map_err(argument_error("info"))?;
        Ok(Status::Ok)
    })
}

/// Returns a label of the model with its code, its name and its DICOM code.
///
/// @param engine      The engine.
/// @param index       Index of the label, such as `label` of a result.
/// @param[out] label  Receives the label.
///
/// @return TTV_OK; TTV_ERR_INVALID_ARGUMENT if no label has this index.
///
/// [any, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_get_label(
    engine: *const ttv_engine,
    index: u32,
    label: *mut ttv_label,
) -> ttv_status {
    control(|| {
        let found = get_engine(engine)?.labels.label(index)?;
        write_struct(label, found).map_err(argument_error("label"))?;
        Ok(Status::Ok)
    })
}

/// Returns a group of labels of the model with its code, its name and its DICOM code.
///
/// @param engine      The engine.
/// @param index       Index of the group, such as `group` of a result or of a label.
/// @param[out] group  Receives the group.
///
/// @return TTV_OK; TTV_ERR_INVALID_ARGUMENT if no group has this index.
///
/// [any, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_engine_get_group(
    engine: *const ttv_engine,
    index: u32,
    group: *mut ttv_group,
) -> ttv_status {
    control(|| {
        let found = get_engine(engine)?.labels.group(index)?;
        write_struct(group, found).map_err(argument_error("group"))?;
        Ok(Status::Ok)
    })
}
