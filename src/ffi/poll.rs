//! Functions that read results.

use super::call::{control, real_time};
use super::callback::{is_in_callback, waits_for_itself};
use super::pointers::{argument_error, get_handle, read_struct, write_struct};
use super::result::{convert_result, ttv_result};
use super::stream::{get_stream, ttv_stream};
use super::types::ttv_status;
use crate::error::{Error, Status};
use std::time::Duration;

/// Reads the newest result, provisional or final. Until a new acquisition has a result, the newest
/// result is the final one of the previous acquisition. To tell them apart, compare `acquisition`
/// with the identifier from ttv_stream_begin.
///
/// @param stream       The stream.
/// @param[out] result  Receives the result. Unless the call returns TTV_OK, the struct and the
///                     values to which `scores` points are unchanged.
///
/// @return TTV_OK; TTV_NOT_READY if no result has been published, or if the call could not read the
/// result because the worker replaced it several times meanwhile. If the model has more than 1024
/// labels, TTV_NOT_READY also if another thread is in ttv_stream_poll at the same time.
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
        let found = reader.poll(buffer.as_slice(labels)?)?;
        write_struct(result, convert_result(&found, labels, 0, buffer))
    })
}

/// Waits for the final result of an acquisition. The stream keeps the last four final results. The
/// function does not run the worker of a host-driven stream: call ttv_stream_process first or on
/// another thread.
///
/// If a panic in the library makes the stream unusable, the acquisition in progress and the next
/// ones that have begun, at most four in all, get a final result whose `status` is
/// TTV_ERR_POISONED. For later ones, this function returns TTV_ERR_POISONED.
///
/// @param stream       The stream.
/// @param acquisition  Identifier that ttv_stream_begin returned.
/// @param timeout_ns   Maximum time to wait. A negative value means no limit.
/// @param[out] result  Receives the result. Unless the call returns TTV_OK, the struct and the
///                     values to which `scores` points are unchanged.
///
/// @return TTV_OK, even if the `status` of the result is an error; TTV_TIMED_OUT if the result was
/// not published in time; TTV_EMPTY if the results of later acquisitions have replaced it;
/// TTV_ERR_INVALID_ARGUMENT if no acquisition with this identifier has begun; TTV_ERR_POISONED if
/// a panic in the library ended the stream before this result; TTV_ERR_CANCELLED if the stream is
/// destroyed during the call; TTV_ERR_OUT_OF_MEMORY, which is possible only if the model has more
/// than 68 labels; TTV_ERR_WRONG_THREAD if the callback
/// `on_result` of the stream would have to wait, because its thread produces the results.
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
        let stream = get_stream(stream)?;
        // The call keeps a reader of its own, so that it can end while the stream is destroyed.
        let (reader, id) = (stream.reader.clone(), stream.id);
        let caller = read_struct(result).map_err(argument_error("result"))?;
        let (buffer, labels) = (caller.score_buffer(), reader.label_count());
        let scores = buffer.as_slice(labels).map_err(argument_error("result.scores"))?;
        let is_callback = is_in_callback(id);
        let timeout = if is_callback { Duration::ZERO } else { to_timeout(timeout_ns) };
        match reader.wait(acquisition, timeout, scores) {
            Ok(found) => {
                write_struct(result, convert_result(&found, labels, 0, buffer))
                    .map_err(argument_error("result"))?;
                Ok(Status::Ok)
            }
            Err(Status::TimedOut) if is_callback && timeout_ns != 0 => {
                Err(waits_for_itself("use a timeout of 0"))
            }
            Err(Status::InvalidArgument) => {
                let message = format!(
                    "acquisition must be an identifier that ttv_stream_begin returned, got \
                     {acquisition}"
                );
                Err(Error::new(Status::InvalidArgument, message))
            }
            Err(status) if status.is_error() => Err(status.into()),
            Err(status) => Ok(status),
        }
    })
}

/// Converts the host's timeout. A negative value means no limit.
pub(super) fn to_timeout(timeout_ns: i64) -> Duration {
    u64::try_from(timeout_ns).map_or(Duration::MAX, Duration::from_nanos)
}
