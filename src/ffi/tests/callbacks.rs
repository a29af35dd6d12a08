//! Calls that the callback for results makes with its own stream.

use super::calls::{SIDE, check, create_engine, last_error};
use super::init;
use crate::error::Status;
use crate::ffi::acquisition::{ttv_stream_begin, ttv_stream_end, ttv_stream_push};
use crate::ffi::engine::ttv_engine_destroy;
use crate::ffi::frame::ttv_frame;
use crate::ffi::poll::ttv_stream_wait;
use crate::ffi::query::ttv_stream_query;
use crate::ffi::result::ttv_result;
use crate::ffi::stream::{ttv_stream, ttv_stream_create, ttv_stream_destroy, ttv_stream_process};
use crate::ffi::stream_config::ttv_stream_config;
use crate::result::ResultFlags;
use crate::stream::config::Drive;
use std::ffi::c_void;
use std::ptr::null_mut;

/// What the callback of a test needs, and what its calls gave.
struct Asker {
    stream: *mut ttv_stream,
    answers: Vec<Answer>,
}

/// What the calls in one callback gave.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    is_final: bool,
    /// Status of the query up to any time, and whether the query wrote scores.
    query: (Status, bool),
    exact_query: Status,
    /// Status of a wait for the result without a limit, and of one with a timeout of 0.
    waits: [Status; 2],
    /// Advice in the messages of the exact query and of the destruction.
    advice: [String; 2],
}

/// Returns the advice at the end of the last error, which must be about the callback.
fn last_advice() -> String {
    let text = last_error();
    assert!(text.contains("the callback on_result"), "{text}");
    text.rsplit("; ").next().unwrap().to_owned()
}

/// Makes every call that would wait for a further result.
unsafe extern "C" fn call_the_stream(user: *mut c_void, result: *const ttv_result) {
    let (mut scores, mut own): ([f32; 64], ttv_result) = ([7.0; 64], init());
    (own.scores, own.scores_capacity) = (scores.as_mut_ptr(), 64);
    let to_status = |code| Status::from_code(code).unwrap();
    // SAFETY: `user` points to the value of the test, whose stream exists, and the library passes a
    // valid result.
    unsafe {
        let asker = &mut *user.cast::<Asker>();
        let stream = asker.stream;
        assert!((*result).chunks > 0);
        let status = ttv_stream_query(stream, 0, i64::MAX, 0, -1, &raw mut own);
        let query = (to_status(status), scores != [7.0; 64]);
        let exact_query = to_status(ttv_stream_query(stream, 0, 1, 1, 0, &raw mut own));
        let of_query = last_advice();
        ttv_stream_destroy(stream);
        let of_destroy = last_advice();
        let wait = |timeout_ns| {
            let mut own: ttv_result = init();
            let id = (*result).acquisition;
            to_status(ttv_stream_wait(stream, id, timeout_ns, &raw mut own))
        };
        asker.answers.push(Answer {
            is_final: (*result).flags & ResultFlags::FINAL.bits() != 0,
            query,
            exact_query,
            waits: [wait(-1), wait(0)],
            advice: [of_query, of_destroy],
        });
    }
}

#[test]
fn a_call_in_a_callback_fails_only_if_it_would_wait() {
    let engine = create_engine();
    let (mut asker, mut acquisition) = (Asker { stream: null_mut(), answers: Vec::new() }, 0);
    let mut config: ttv_stream_config = init();
    (config.max_width_px, config.max_height_px) = (SIDE, SIDE);
    (config.drive, config.ring_slots) = (Drive::Host.code(), 64);
    // The history keeps only the last outputs.
    (config.history_ns, config.exact_history_ns) = (1, 1_000_000_000);
    config.on_result = Some(call_the_stream);
    config.user = (&raw mut asker).cast();
    let pixels = vec![9_u8; (SIDE * SIDE) as usize];
    let mut frame: ttv_frame = init();
    (frame.width_px, frame.height_px, frame.plane[0]) = (SIDE, SIDE, pixels.as_ptr());
    frame.format = crate::frame::PixelFormat::Gray8.code();
    frame.stride_bytes[0] = SIDE;
    let mut result: ttv_result = init();
    // SAFETY: every pointer refers to a local variable that lives until the end of the block, and
    // the handles come from the create functions.
    unsafe {
        let place = &raw mut asker.stream;
        check(ttv_stream_create(engine, &raw const config, place), Status::Ok);
        check(ttv_stream_begin(asker.stream, &raw mut acquisition), Status::Ok);
        for index in 1..40 {
            frame.time_ns = index * 33_333_333;
            check(ttv_stream_push(asker.stream, &raw const frame), Status::Ok);
        }
        check(ttv_stream_end(asker.stream), Status::Ok);
        while ttv_stream_process(asker.stream) == 0 {}
        // The stream still exists, because the callback cannot destroy it.
        check(ttv_stream_wait(asker.stream, acquisition, 0, &raw mut result), Status::Ok);
        ttv_stream_destroy(asker.stream);
        ttv_engine_destroy(engine);
    }
    let answer = |is_final, query, waits| Answer {
        is_final,
        query,
        exact_query: Status::WrongThread,
        waits,
        advice: [
            "make exact queries on another thread".into(),
            "destroy the stream on another thread".into(),
        ],
    };
    let provisional =
        answer(false, (Status::WrongThread, false), [Status::WrongThread, Status::TimedOut]);
    // At the end, older outputs are forgotten, but no wait could bring them back.
    let at_end = answer(true, (Status::Partial, true), [Status::Ok, Status::Ok]);
    let (last, earlier) = asker.answers.split_last().unwrap();
    assert_eq!(*last, at_end);
    assert!(earlier.len() > 2);
    for found in earlier {
        assert_eq!(*found, provisional);
    }
}
