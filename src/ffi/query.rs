//! Query
//!
//! A query returns the label of a past interval. The acquisition may still be in progress.

use super::call::control;
use super::callback::{is_in_callback, waits_for_itself};
use super::pointers::{argument_error, read_struct, write_struct};
use super::poll::to_timeout;
use super::result::{convert_result, ttv_result};
use super::stream::{get_stream, ttv_stream};
use super::types::{ttv_query_flags, ttv_status};
use crate::error::{Error, Status};
use crate::stream::history::Coverage;

bitflags::bitflags! {
    /// Options of a query.
    #[derive(Clone, Copy)]
    pub struct QueryFlags: u32 {
        /// Exact query: the network runs again on the samples in the interval, starting from the
        /// initial temporal state.
        const EXACT = 1 << 0;
    }
}

/// Returns the label of a past interval.
///
/// Without flags, the label is computed from the mean over the chunks or windows whose first and
/// last samples both lie in the interval. The network processed these chunks or windows while the
/// frames arrived. In stream mode, the network already had a temporal state at the start of the
/// interval, so the label also depends on earlier samples, up to the look-back of the network.
///
/// The call waits until all chunks or windows of the interval have arrived, the newest acquisition
/// that has begun ends, the timeout expires, or a panic ends the stream. If the worker has not yet
/// processed a frame of that acquisition, the call expects its frames to be later than those of the
/// acquisition before it, unless `frame_period_ns` is set, with which times start again at 0.
///
/// A query does not end at a mark, a gap or the beginning of an acquisition: it covers all chunks
/// or windows in the interval, including those of earlier acquisitions on the same clock. To
/// exclude everything before a mark or an acquisition, begin the interval at the first frame after
/// the mark or at the first frame of the acquisition.
///
/// With TTV_QUERY_FLAG_EXACT, the network runs again on the samples in the interval, as if they
/// were a whole acquisition. Earlier samples have no influence on the label. The network runs on
/// the calling thread, but only while no live stream of the engine needs it, so the call is not a
/// real-time operation. The `exact_history_ns` of the stream must not be 0. A stream runs one exact
/// query at a time, and other exact queries wait.
///
/// @param stream       The stream.
/// @param from_ns      Start of the interval, inclusive, on the clock of the frame times.
/// @param to_ns        End of the interval, inclusive, on the clock of the frame times.
/// @param flags        TTV_QUERY_FLAG_*, or 0.
/// @param timeout_ns   Maximum time to wait for a chunk or window that is still to come; for an
///                     exact query, maximum duration of the whole call. A negative value means no
///                     limit.
/// @param[out] result  Receives the result. `first_time_ns` and `last_time_ns` are the times that
///                     the result actually covers. The identifier, the sequence numbers, the frame
///                     counts and the durations are 0, and the only flags are those for the
///                     reasons why a label is withheld, TTV_RESULT_FLAG_NO_NOVELTY,
///                     TTV_RESULT_FLAG_FAILED_CHUNKS and TTV_RESULT_FLAG_DEGRADED. The struct and
///                     the values to which `scores` points are unchanged unless TTV_OK or
///                     TTV_PARTIAL is returned.
///
/// @return TTV_OK; TTV_PARTIAL if the history no longer contains the beginning of the interval, if
/// the host's clock has stepped back since the beginning of the interval, or if the end of the
/// interval did not arrive before the timeout or the end of the stream; TTV_EMPTY if the interval
/// contains no chunk or window (for an exact query: no sample); TTV_TIMED_OUT if an exact query did
/// not finish in time, or if the worker added outputs faster than the call could read them;
/// TTV_ERR_UNSUPPORTED if exact queries are disabled; TTV_ERR_INVALID_ARGUMENT if `from_ns` is
/// greater than `to_ns`; TTV_ERR_UNKNOWN_FLAGS; TTV_ERR_INFERENCE if all chunks or windows in the
/// interval failed; TTV_ERR_SELF_TEST if the last ttv_engine_prepare failed its self-test;
/// TTV_ERR_OUT_OF_MEMORY; TTV_ERR_POISONED or TTV_ERR_CANCELLED if a panic or ttv_stream_destroy
/// ended the stream before the interval had a chunk or window; TTV_ERR_WRONG_THREAD in the callback
/// `on_result` of the stream, for an exact query, and for a query with a timeout other than 0 if a
/// chunk or window of the interval is still to come, because the thread of the callback produces
/// the results.
///
/// [any, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_query(
    stream: *const ttv_stream,
    from_ns: i64,
    to_ns: i64,
    flags: ttv_query_flags,
    timeout_ns: i64,
    result: *mut ttv_result,
) -> ttv_status {
    control(|| {
        let stream = get_stream(stream)?;
        // The call keeps a reader of its own, so that it can end while the stream is destroyed.
        let (reader, id) = (stream.reader.clone(), stream.id);
        let caller = read_struct(result).map_err(argument_error("result"))?;
        let Some(query_flags) = QueryFlags::from_bits(flags) else {
            let message = format!("flags must be TTV_QUERY_FLAG_* or 0, got {flags:#x}");
            return Err(Error::new(Status::UnknownFlags, message));
        };
        if from_ns > to_ns {
            let message = format!("from_ns must be at most to_ns ({to_ns}), got {from_ns}");
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let (buffer, labels) = (caller.score_buffer(), reader.label_count());
        let scores = buffer.as_slice(labels).map_err(argument_error("result.scores"))?;
        let is_exact = query_flags.contains(QueryFlags::EXACT);
        let is_callback = is_in_callback(id);
        if is_callback && is_exact {
            return Err(waits_for_itself("make exact queries on another thread"));
        }
        let timeout = to_timeout(timeout_ns);
        let answer = if is_exact {
            reader.query_exact(from_ns, to_ns, timeout, scores)
        } else if is_callback && timeout_ns != 0 {
            reader.query_without_wait(from_ns, to_ns, scores)
        } else {
            reader.query(from_ns, to_ns, timeout, scores)
        };
        match answer {
            Ok(answer) => {
                write_struct(result, convert_result(&answer.result, labels, 0, buffer))
                    .map_err(argument_error("result"))?;
                Ok(match answer.coverage {
                    Coverage::Complete => Status::Ok,
                    Coverage::Partial => Status::Partial,
                })
            }
            Err(Status::WrongThread) => Err(waits_for_itself("use a timeout of 0")),
            Err(Status::Unsupported) => {
                let message = "exact queries are disabled; set exact_history_ns of the stream";
                Err(Error::new(Status::Unsupported, message))
            }
            Err(status) if status.is_error() => Err(status.into()),
            Err(status) => Ok(status),
        }
    })
}
