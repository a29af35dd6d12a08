//! Events and counters
//!
//! A host can monitor a stream through its counters, an event descriptor and its last event.

use super::call::{observe, real_time};
use super::pointers::{get_handle, versioned, write_struct};
use super::stream::ttv_stream;
use super::types::ttv_status;
use crate::error::Status;

/// Counters of a stream since its creation. Initialize this struct with TTV_STATS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_stats {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Reserved; always 0.
    pub reserved: u32,
    /// Number of accepted frames.
    pub pushed: u64,
    /// Number of frames that were dropped because the ring was full.
    pub dropped: u64,
    /// Number of frames that were refused because they were not later than the previous accepted
    /// frame.
    pub refused: u64,
    /// Number of samples whose frame has been chosen.
    pub samples: u64,
    /// Number of chunks or windows on which the network has run.
    pub chunks: u64,
    /// Number of chunks or windows that were skipped because the network could not keep up.
    pub skipped_chunks: u64,
    /// Number of chunks or windows that failed: the runtime reported an error, or the logits were
    /// not finite. They are not part of `chunks`.
    pub failed_chunks: u64,
    /// Number of gaps; see `gap_ns` in ttv_stream_config.
    pub gaps: u64,
    /// Number of steps of the host's clock; see TTV_FRAME_REFUSED.
    pub clock_steps: u64,
    /// Number of changes: marks by the host and new frame geometries.
    pub changes: u64,
    /// Number of view changes that the library detected; see `view_change_margin` in
    /// ttv_stream_config.
    pub view_changes: u64,
    /// Window mode: number of samples from the start of one window to the start of the next. Stream
    /// mode: 0.
    pub window_hop_samples: u64,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers, for which every
// bit pattern is valid.
versioned!(ttv_stats {
    struct_size,
    reserved,
    pushed,
    dropped,
    refused,
    samples,
    chunks,
    skipped_chunks,
    failed_chunks,
    gaps,
    clock_steps,
    changes,
    view_changes,
    window_hop_samples
});

/// Reads the counters of a stream.
///
/// @param stream      The stream.
/// @param[out] stats  Receives the counters.
///
/// @return TTV_OK.
///
/// [any, rt, any state]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_stream_get_stats(
    stream: *const ttv_stream,
    stats: *mut ttv_stats,
) -> ttv_status {
    real_time(|| {
        let found = get_handle(stream)?.reader.stats();
        let counters = ttv_stats {
            struct_size: 0,
            reserved: 0,
            pushed: found.pushed,
            dropped: found.dropped,
            refused: found.refused,
            samples: found.samples,
            chunks: found.chunks,
            skipped_chunks: found.skipped_chunks,
            failed_chunks: found.failed_chunks,
            gaps: found.gaps,
            clock_steps: found.clock_steps,
            changes: found.changes,
            view_changes: found.view_changes,
            window_hop_samples: found.window_hop_samples,
        };
        write_struct(stats, counters)
    })
}

/// Returns a file descriptor for use with poll or epoll. It becomes readable when a result is
/// published. Read 8 bytes from the descriptor to clear it. The stream owns the descriptor, so the
/// host must not close it; ttv_stream_destroy closes it.
///
/// @param stream  The stream.
///
/// @return The descriptor, or -1 if `stream` is NULL or the system has no eventfd.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_event_fd(stream: *const ttv_stream) -> i32 {
    observe(-1, || {
        let event = get_handle(stream).ok().and_then(|stream| stream.event.as_ref());
        event.map_or(-1, |event| event.descriptor())
    })
}

/// Returns the most recent status other than TTV_OK that an `acq` call or the worker has recorded.
/// The library does not record TTV_ERR_WRONG_THREAD, or errors that it finds without looking at the
/// stream, such as a NULL pointer or an unknown pixel format.
///
/// @param stream  The stream.
///
/// @return The status, or TTV_OK if none has been recorded.
///
/// [any, rt, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_stream_last_event(stream: *const ttv_stream) -> ttv_status {
    observe(Status::Internal.code(), || match get_handle(stream) {
        Ok(stream) => stream.reader.last_event().code(),
        Err(status) => status.code(),
    })
}
