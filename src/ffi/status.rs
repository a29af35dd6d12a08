//! Status
//!
//! Every function that can fail returns a status. 0 means success, a positive number is an outcome
//! of normal operation, and a negative number is an error. ttv_last_error provides a message
//! that explains the cause of an error, except after real-time calls and ttv_stream_process.

use super::call::{observe, with_last_error};
use super::pointers::copy_text;
use super::types::ttv_status;
use crate::error::Status;
use std::ffi::c_char;

/// Returns a short description of a status, for example "timed out".
///
/// @param status  Any number.
///
/// @return A static string, never NULL.
///
/// [any, rt, any state]
#[unsafe(no_mangle)]
pub extern "C" fn ttv_status_string(status: ttv_status) -> *const c_char {
    Status::from_code(status).map_or(c"unknown status", Status::c_text).as_ptr()
}

/// Copies the message of the last call that failed on this thread. Use the message only directly
/// after a call that returned a negative status. Real-time calls, ttv_stream_process and positive
/// statuses set no message and leave an earlier message unchanged. A message has at most 2047
/// bytes; a longer one ends with "...". The copy is NUL-terminated, and truncated if the buffer is
/// too small.
///
/// The function also works in destructors of thread-local and static objects, and in functions that
/// `atexit` has registered.
///
/// @param buffer    Memory for the message, or NULL to get only the length.
/// @param capacity  Size of the buffer in bytes.
///
/// @return Length of the whole message in bytes without the NUL, or 0 if no call has failed on this
/// thread.
///
/// [any, any state]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    observe(0, || {
        with_last_error(|message| {
            if !buffer.is_null() && capacity > 0 {
                // SAFETY: the caller guarantees that `buffer` points to `capacity` writable bytes.
                copy_text(unsafe { std::slice::from_raw_parts_mut(buffer, capacity) }, message);
            }
            message.len()
        })
    })
}
