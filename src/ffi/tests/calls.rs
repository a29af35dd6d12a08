//! Calls of the C ABI on an engine with the stand-in network.

use super::init;
use crate::error::Status;
use crate::ffi::acquisition::{
    ttv_slot, ttv_stream_begin, ttv_stream_commit, ttv_stream_end, ttv_stream_loan,
    ttv_stream_mark, ttv_stream_push,
};
use crate::ffi::engine::{
    ttv_engine, ttv_engine_create, ttv_engine_destroy, ttv_engine_export, ttv_engine_import,
    ttv_engine_pause, ttv_engine_prepare, ttv_engine_prepare_with, ttv_engine_resume,
};
use crate::ffi::engine_config::{ttv_engine_config, ttv_prepare_config};
use crate::ffi::engine_info::{
    ttv_engine_get_group, ttv_engine_get_info, ttv_engine_get_label, ttv_engine_info,
};
use crate::ffi::events::{
    ttv_stats, ttv_stream_event_fd, ttv_stream_get_stats, ttv_stream_last_event,
};
use crate::ffi::frame::ttv_frame;
use crate::ffi::label::{ttv_group, ttv_label};
use crate::ffi::poll::{ttv_stream_poll, ttv_stream_wait};
use crate::ffi::query::ttv_stream_query;
use crate::ffi::result::ttv_result;
use crate::ffi::runtime::ttv_abi_version;
use crate::ffi::status::{ttv_last_error, ttv_status_string};
use crate::ffi::stream::{
    ttv_stream, ttv_stream_create, ttv_stream_destroy, ttv_stream_get_memory, ttv_stream_process,
};
use crate::ffi::stream_config::ttv_stream_config;
use crate::stream::config::Drive;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

pub(super) const SIDE: u32 = 32;
const TIMEOUT_NS: i64 = 60_000_000_000;

pub(super) fn create_engine() -> *mut ttv_engine {
    create_engine_of("standin.stream.onnx")
}

/// Creates an engine with a package in the folder `models`.
fn create_engine_of(package: &str) -> *mut ttv_engine {
    let path = format!("{}/models/{package}", env!("CARGO_MANIFEST_DIR"));
    let path = CString::new(path).unwrap();
    let mut config: ttv_engine_config = init();
    (config.abi_version, config.model_path) = (ttv_abi_version(), path.as_ptr());
    let mut engine = null_mut();
    // SAFETY: the configuration and the place are local variables.
    assert_eq!(unsafe { ttv_engine_create(&raw const config, &raw mut engine) }, 0);
    engine
}

/// Returns the message of the last error.
pub(super) fn last_error() -> String {
    let mut text = [0 as c_char; 512];
    // SAFETY: the buffer has the length that the call is told, and the message ends with NUL.
    unsafe {
        let length = ttv_last_error(text.as_mut_ptr(), text.len());
        let message = CStr::from_ptr(text.as_ptr()).to_str().unwrap().to_owned();
        assert_eq!(message.len(), length);
        message
    }
}

#[track_caller]
pub(super) fn check(status: i32, expected: Status) {
    assert_eq!(Status::from_code(status), Some(expected), "{}", last_error());
}

unsafe extern "C" fn count_results(user: *mut c_void, result: *const ttv_result) {
    // SAFETY: `user` points to the counter of the test, and the library passes a valid result.
    unsafe {
        *user.cast::<u32>() += 1;
        assert!(!(*result).scores.is_null());
    }
}

#[test]
fn an_acquisition_runs_from_begin_to_its_final_result() {
    let engine = create_engine();
    let mut results = 0_u32;
    let mut config: ttv_stream_config = init();
    (config.max_width_px, config.max_height_px) = (SIDE, SIDE);
    (config.drive, config.ring_slots) = (Drive::Host.code(), 64);
    config.exact_history_ns = 1_000_000_000;
    config.on_result = Some(count_results);
    config.user = (&raw mut results).cast();
    let pixels = vec![9_u8; (SIDE * SIDE) as usize];
    let mut frame: ttv_frame = init();
    (frame.width_px, frame.height_px, frame.plane[0]) = (SIDE, SIDE, pixels.as_ptr());
    frame.format = crate::frame::PixelFormat::Gray8.code();
    frame.stride_bytes[0] = SIDE;
    let (mut stream, mut acquisition, mut bytes) = (null_mut(), 0, 0);
    let mut scores = [f32::NAN; 64];
    let mut result: ttv_result = init();
    (result.scores, result.scores_capacity) = (scores.as_mut_ptr(), 64);
    let (mut slot, mut stats): (ttv_slot, ttv_stats) = (init(), init());
    // SAFETY: every pointer refers to a local variable that lives until the end of the block, and
    // the handles come from the create functions.
    unsafe {
        check(ttv_stream_get_memory(engine, &raw const config, &raw mut bytes), Status::Ok);
        assert!(bytes > 64 * (SIDE * SIDE) as usize);
        check(ttv_stream_create(engine, &raw const config, &raw mut stream), Status::Ok);
        check(ttv_stream_poll(stream, &raw mut result), Status::NotReady);
        check(ttv_stream_process(stream), Status::NotReady);
        check(ttv_stream_begin(stream, &raw mut acquisition), Status::Ok);
        for index in 1..40 {
            frame.time_ns = index * 33_333_333;
            check(ttv_stream_push(stream, &raw const frame), Status::Ok);
        }
        check(ttv_stream_push(stream, &raw const frame), Status::FrameRefused);
        check(ttv_stream_last_event(stream), Status::FrameRefused);
        check(ttv_stream_mark(stream), Status::Ok);
        check(ttv_stream_loan(stream, &raw mut slot), Status::Ok);
        assert!(!slot.data.is_null() && slot.capacity_bytes >= SIDE * SIDE);
        frame.time_ns += 33_333_333;
        check(ttv_stream_commit(stream, &raw const slot, &raw const frame), Status::Ok);
        check(ttv_stream_commit(stream, &raw const slot, &raw const frame), Status::WrongState);
        check(ttv_stream_wait(stream, acquisition, 0, &raw mut result), Status::TimedOut);
        let unknown = ttv_stream_wait(stream, acquisition + 1, 0, &raw mut result);
        check(unknown, Status::InvalidArgument);
        let expected = "acquisition must be an identifier that ttv_stream_begin returned, got 2";
        assert!(last_error().ends_with(expected), "{}", last_error());
        check(ttv_stream_end(stream), Status::Ok);
        while ttv_stream_process(stream) == 0 {}
        check(ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &raw mut result), Status::Ok);
        assert_eq!((result.acquisition, result.frames_used), (acquisition, 40));
        assert!(result.scores_length > 0 && result.scores_length < 64);
        check(ttv_stream_poll(stream, &raw mut result), Status::Ok);
        assert_eq!(ttv_stream_wait(stream, acquisition, -1, &raw mut result), 0);
        let end = frame.time_ns;
        let query = |flags, from, to, result| ttv_stream_query(stream, from, to, flags, 0, result);
        check(query(0, 0, end, &raw mut result), Status::Ok);
        assert_eq!((result.acquisition, result.status), (0, 0));
        check(query(0, end + 1_000_000_000, end + 2_000_000_000, &raw mut result), Status::Empty);
        check(query(0, 2, 1, &raw mut result), Status::InvalidArgument);
        assert!(last_error().contains("from_ns"));
        check(query(2, 0, 1, &raw mut result), Status::UnknownFlags);
        assert!(last_error().contains("0x2"));
        check(ttv_stream_get_stats(stream, &raw mut stats), Status::Ok);
        assert_eq!((stats.pushed, stats.refused, stats.dropped), (40, 1, 0));
        assert!(stats.samples > 30 && stats.chunks > 0 && stats.changes > 0);
        assert_eq!((stats.gaps, stats.skipped_chunks, stats.view_changes), (0, 0, 0));
        assert!(ttv_stream_event_fd(stream) >= 0);
        ttv_stream_destroy(stream);
        ttv_engine_destroy(engine);
    }
    assert!(results > 0);
}

#[test]
fn exact_queries_are_unsupported_without_their_samples() {
    let engine = create_engine();
    let mut config: ttv_stream_config = init();
    (config.max_width_px, config.max_height_px) = (SIDE, SIDE);
    let (mut stream, mut result): (_, ttv_result) = (null_mut(), init());
    // SAFETY: every pointer refers to a local variable, and the handles come from the create
    // functions.
    unsafe {
        check(ttv_stream_create(engine, &raw const config, &raw mut stream), Status::Ok);
        check(ttv_stream_query(stream, 0, 1, 1, 0, &raw mut result), Status::Unsupported);
        assert!(last_error().contains("exact_history_ns"));
        check(ttv_stream_process(stream), Status::WrongState);
        ttv_stream_destroy(stream);
        config.ring_slots = 1;
        check(
            ttv_stream_create(engine, &raw const config, &raw mut stream),
            Status::InvalidArgument,
        );
        assert!(stream.is_null() && last_error().contains("ring_slots"));
        ttv_engine_destroy(engine);
    }
}

/// Stages that the progress callback received, and the stage at which it cancels.
struct Progress {
    calls: u32,
    cancels: bool,
}

unsafe extern "C" fn record_progress(user: *mut c_void, _stage: u32, elapsed_ns: i64) -> i32 {
    // SAFETY: `user` points to the record of the test.
    let progress = unsafe { &mut *user.cast::<Progress>() };
    assert!(elapsed_ns >= 0);
    progress.calls += 1;
    i32::from(progress.cancels)
}

#[test]
fn an_engine_is_prepared_paused_and_described() {
    let engine = create_engine();
    let mut info: ttv_engine_info = init();
    let mut label: ttv_label = init();
    let mut progress = Progress { calls: 0, cancels: true };
    let mut prepare: ttv_prepare_config = init();
    prepare.progress = Some(record_progress);
    prepare.user = (&raw mut progress).cast();
    // SAFETY: every pointer refers to a local variable, and the engine lives until it is destroyed.
    unsafe {
        check(ttv_engine_get_info(engine, &raw mut info), Status::Ok);
        assert_eq!((info.self_test_error_ppm, info.step_ns), (-1, -1));
        check(ttv_engine_prepare_with(engine, &raw const prepare), Status::Cancelled);
        progress.cancels = false;
        prepare.reserved = 1;
        check(ttv_engine_prepare_with(engine, &raw const prepare), Status::UnknownFlags);
        assert!(last_error().contains("reserved must be 0, got 1"));
        prepare.reserved = 0;
        check(ttv_engine_prepare_with(engine, &raw const prepare), Status::Ok);
        assert!(progress.calls > 1);
        check(ttv_engine_prepare(engine), Status::Ok);
        check(ttv_engine_get_info(engine, &raw mut info), Status::Ok);
        assert!(info.self_test_error_ppm >= 0 && info.step_ns > 0 && info.step_interval_ns > 0);
        assert!(info.label_count > 0);
        assert_eq!(CStr::from_ptr(info.provider.as_ptr()), c"embedded");
        assert_eq!(CStr::from_ptr(info.model_sha256.as_ptr()).to_bytes().len(), 64);
        check(ttv_engine_get_label(engine, 0, &raw mut label), Status::Ok);
        assert!(!label.code.is_null() && !label.name.is_null());
        let count = info.label_count;
        check(ttv_engine_get_label(engine, count, &raw mut label), Status::InvalidArgument);
        check(ttv_engine_pause(engine), Status::Ok);
        check(ttv_engine_resume(engine), Status::Ok);
        check(ttv_engine_export(engine, c"/tmp/engine".as_ptr()), Status::Unsupported);
        check(ttv_engine_import(engine, c"/tmp/engine".as_ptr()), Status::Unsupported);
        check(ttv_engine_export(engine, null()), Status::NullArgument);
        assert!(last_error().contains("path"));
        ttv_engine_destroy(engine);
    }
}

#[test]
fn the_groups_of_a_model_are_described() {
    let (mut info, mut group): (ttv_engine_info, ttv_group) = (init(), init());
    let [demo, standin] = ["demo.stream.onnx", "standin.stream.onnx"].map(create_engine_of);
    // SAFETY: every pointer refers to a local variable or is NULL, and the engines live until they
    // are destroyed.
    unsafe {
        check(ttv_engine_get_info(demo, &raw mut info), Status::Ok);
        for index in 0..info.group_count {
            check(ttv_engine_get_group(demo, index, &raw mut group), Status::Ok);
            assert!(!CStr::from_ptr(group.code).is_empty());
        }
        let count = info.group_count;
        assert!(count > 1);
        check(ttv_engine_get_group(demo, count, &raw mut group), Status::InvalidArgument);
        check(ttv_engine_get_group(demo, 0, null_mut()), Status::NullArgument);
        check(ttv_engine_get_group(standin, 0, &raw mut group), Status::InvalidArgument);
        assert!(last_error().contains("no groups"));
        ttv_engine_destroy(demo);
        ttv_engine_destroy(standin);
    }
}

#[test]
fn null_handles_and_places_get_a_status() {
    let stream: *mut ttv_stream = null_mut();
    let engine: *mut ttv_engine = null_mut();
    let mut result: ttv_result = init();
    let (mut frame, mut slot): (ttv_frame, ttv_slot) = (init(), init());
    let (mut stats, mut info): (ttv_stats, ttv_engine_info) = (init(), init());
    let (mut label, mut group): (ttv_label, ttv_group) = (init(), init());
    let (mut acquisition, mut bytes) = (0, 0);
    let config: ttv_stream_config = init();
    // SAFETY: every pointer is NULL or refers to a local variable.
    let statuses = unsafe {
        [
            ttv_stream_begin(stream, &raw mut acquisition),
            ttv_stream_push(stream, &raw mut frame),
            ttv_stream_loan(stream, &raw mut slot),
            ttv_stream_commit(stream, &raw const slot, &raw const frame),
            ttv_stream_mark(stream),
            ttv_stream_end(stream),
            ttv_stream_process(stream),
            ttv_stream_poll(stream, &raw mut result),
            ttv_stream_wait(stream, 1, 0, &raw mut result),
            ttv_stream_query(stream, 0, 1, 0, 0, &raw mut result),
            ttv_stream_get_stats(stream, &raw mut stats),
            ttv_stream_last_event(stream),
            ttv_stream_create(engine, &raw const config, null_mut()),
            ttv_stream_get_memory(engine, &raw const config, &raw mut bytes),
            ttv_engine_create(null(), null_mut()),
            ttv_engine_prepare(engine),
            ttv_engine_prepare_with(engine, null()),
            ttv_engine_pause(engine),
            ttv_engine_resume(engine),
            ttv_engine_export(engine, null()),
            ttv_engine_import(engine, null()),
            ttv_engine_get_info(engine, &raw mut info),
            ttv_engine_get_label(engine, 0, &raw mut label),
            ttv_engine_get_group(engine, 0, &raw mut group),
        ]
    };
    for (index, status) in statuses.into_iter().enumerate() {
        assert_eq!(Status::from_code(status), Some(Status::NullArgument), "call {index}");
    }
    // SAFETY: these calls accept NULL.
    unsafe {
        assert_eq!(ttv_stream_event_fd(stream), -1);
        ttv_stream_destroy(stream);
        ttv_engine_destroy(engine);
        assert!(ttv_last_error(null_mut(), 9) > 0);
        assert_eq!(CStr::from_ptr(ttv_status_string(0)), c"success");
        assert_eq!(CStr::from_ptr(ttv_status_string(12345)), c"unknown status");
    }
}
