//! Functions that read results.

use super::call::{control, real_time};
use super::pointers::{argument_error, get_handle, read_struct, write_struct};
use super::result::{convert_result, ttv_result};
use super::stream::{get_stream, ttv_stream};
use super::types::ttv_status;
use crate::error::Status;
use std::time::Duration;

/// Reads the newest result, provisional or final. Until a new acquisition has a result, the newest
/// result is the final one of the previous acquisition. To tell them apart, compare `acquisition`
/// with the identifier from ttv_stream_begin.
///
/// @param stream       The stream.
/// @param[out] result  Receives the result. If the call does not return TTV_OK, it leaves the struct
///                     unchanged, but the values to which `scores` points are undefined.
///
/// @return TTV_OK; TTV_NOT_READY if no result has been published.
///
/// [any, rt, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_poll(
    stream: *const ttv_stream,
    result: *mut ttv_result,
) -> ttv_status {
    real_time(|| {
        let reader = &get_handle(stream)?.reader;
        let caller = read_struct(result)?;
        let (buffer, labels) = (caller.score_buffer(), reader.label_count());
        let found = reader.poll(buffer.as_slice(labels))?;
        write_struct(result, convert_result(&found, labels, 0, buffer))
    })
}

/// Waits for the final result of an acquisition. The stream keeps the last four final results. The
/// function also waits for an acquisition that has not begun. It does not run the worker of a
/// host-driven stream: call ttv_stream_process first or on another thread.
///
/// @param stream       The stream.
/// @param acquisition  Identifier of the acquisition.
/// @param timeout_ns   Maximum time to wait. A negative value means no limit.
/// @param[out] result  Receives the result. If the call does not return TTV_OK, it leaves the struct
///                     unchanged, but the values to which `scores` points are undefined.
///
/// @return TTV_OK, even if the `status` of the result is an error; TTV_TIMED_OUT if the result was
/// not published in time; TTV_EMPTY if the results of later acquisitions have replaced it.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_wait(
    stream: *mut ttv_stream,
    acquisition: u64,
    timeout_ns: i64,
    result: *mut ttv_result,
) -> ttv_status {
    control(|| {
        let reader = &get_stream(stream)?.reader;
        let caller = read_struct(result).map_err(argument_error("result"))?;
        let (buffer, labels) = (caller.score_buffer(), reader.label_count());
        let timeout = to_timeout(timeout_ns);
        match reader.wait(acquisition, timeout, buffer.as_slice(labels)) {
            Ok(found) => {
                write_struct(result, convert_result(&found, labels, 0, buffer))
                    .map_err(argument_error("result"))?;
                Ok(Status::Ok)
            }
            Err(status) => Ok(status),
        }
    })
}

/// Converts the host's timeout. A negative value means no limit.
pub(super) fn to_timeout(timeout_ns: i64) -> Duration {
    u64::try_from(timeout_ns).map_or(Duration::MAX, Duration::from_nanos)
}
