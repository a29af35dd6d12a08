//! Stream
//!
//! A stream processes the acquisitions of one probe. The acquisition thread pushes frames into a
//! ring of slots, and a worker runs the network on the frames while they arrive.

use super::pointers::versioned;
use super::result::ttv_result;
use super::types::{ttv_drive, ttv_partial_chunk, ttv_stream_flags};
use crate::classifier::rules::{EarlyStop, ViewChange};
use crate::error::{Error, Result, Status};
use crate::sampling::PartialChunk;
use crate::stream::config::{Drive, StreamConfig};
use std::ffi::c_void;

bitflags::bitflags! {
    /// Options of a stream.
    #[derive(Clone, Copy)]
    pub struct StreamFlags: u32 {
        /// Locks the memory of the ring, so that the frames are never swapped out. If the system
        /// does not allow the process to lock that much memory, ttv_stream_create returns
        /// TTV_ERR_SYSTEM.
        const LOCK_MEMORY = 1 << 0;
        /// Publishes a provisional result after each sample instead of after each chunk. This has
        /// an effect only on packages with frame steps.
        const PUBLISH_EACH_SAMPLE = 1 << 1;
    }
}

/// Settings of a stream. Initialize this struct with TTV_STREAM_CONFIG_INIT and set the fields that
/// you need. In each field, the value 0 selects the default. docs/host/results.md in the repository
/// describes early stop and view change.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_stream_config {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Flags: TTV_STREAM_FLAG_* joined by `|`, or 0.
    pub flags: ttv_stream_flags,
    /// Number of frames that fit into the ring, 2 to 1024; 0 selects 16. While the worker
    /// keeps no previous frame in the ring, one more frame fits.
    pub ring_slots: u32,
    /// Maximum width of a frame in pixels, 32 to 4096; 0 selects 1024.
    pub max_width_px: u32,
    /// Maximum height of a frame in pixels, 32 to 4096; 0 selects 1024.
    pub max_height_px: u32,
    /// Maximum size in bytes of a frame with packed rows, at most 4 * `max_width_px` *
    /// `max_height_px`; 0 selects this limit.
    pub max_frame_bytes: u32,
    /// Thread that runs the worker: one of TTV_DRIVE_*.
    pub drive: ttv_drive,
    /// Treatment of a partial chunk: one of TTV_PARTIAL_CHUNK_*.
    pub partial_chunk: ttv_partial_chunk,
    /// Frame period for hosts without timestamps. The frames of an acquisition, including dropped
    /// ones, are numbered from 0, and frame n has the time n * `frame_period_ns`. If the period is
    /// 0, the time of a frame is its `time_ns`.
    pub frame_period_ns: i64,
    /// Maximum time between two consecutive accepted frames of one segment, at most 10 s; 0 selects
    /// 250 ms. A longer time is a gap, which restarts the temporal state.
    pub gap_ns: i64,
    /// Time span that the label covers, counted back from the newest chunk or window, at most an
    /// hour; 0 selects the whole time since the last change.
    pub label_span_ns: i64,
    /// Time span of past chunks or windows that ttv_stream_query can use, at least `label_span_ns`
    /// and at most an hour; 0 selects the longer of 60 s and `label_span_ns`.
    pub history_ns: i64,
    /// Time span of past samples that ttv_stream_query can use with TTV_QUERY_FLAG_EXACT, at most
    /// an hour; 0 disables exact queries. The stream keeps these samples as floats. The result of
    /// ttv_stream_get_memory includes their memory.
    pub exact_history_ns: i64,
    /// Window mode: number of samples from the start of one window to the start of the next, at
    /// most the number in a clip. If this is 0, the library chooses the hop from the time that
    /// ttv_engine_prepare measured.
    pub window_hop_samples: u32,
    /// Early stop: number of consecutive chunks or windows whose label must agree with that of the
    /// mean before the network stops, at most 1024. Values below the number of chunks (window mode:
    /// hops) in a clip are raised to that number.
    pub early_stop_outputs: u32,
    /// Early stop: margin, at most 1, that the mean must reach before the label is settled and the
    /// network stops; 0 disables early stop.
    pub early_stop_margin: f32,
    /// View change: margin, at most 1, by which the posterior of recent chunks or windows must
    /// favour another view before the mean restarts; 0 disables view change.
    pub view_change_margin: f32,
    /// View change: number of recent chunks or windows whose posterior is compared with that of the
    /// mean, at most 1024; 0 selects the number of chunks (window mode: hops) in a clip.
    pub view_change_span: u32,
    /// View change: number of comparisons in a row that must favour another view before the mean
    /// restarts, at most 1024. One comparison is made after each chunk or window. 0 selects the
    /// number of chunks (window mode: hops) in a clip.
    pub view_change_outputs: u32,
    /// Callback that receives the results, or NULL. The library calls it on the thread that runs
    /// the worker, after each result has been published, even if the `status` of the result is
    /// TTV_ERR_POISONED. `result` and its `scores` are valid only during the call. The callback
    /// must not block, throw exceptions, end its thread or destroy the stream. A call that would
    /// wait for a result of the same stream returns TTV_ERR_WRONG_THREAD.
    pub on_result: Option<unsafe extern "C" fn(user: *mut c_void, result: *const ttv_result)>,
    /// Pointer that the library passes to `on_result`.
    pub user: *mut c_void,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers, a pointer and
// an optional function pointer. The host guarantees that the function pointer is NULL or valid.
versioned!(ttv_stream_config {
    struct_size,
    flags,
    ring_slots,
    max_width_px,
    max_height_px,
    max_frame_bytes,
    drive,
    partial_chunk,
    frame_period_ns,
    gap_ns,
    label_span_ns,
    history_ns,
    exact_history_ns,
    window_hop_samples,
    early_stop_outputs,
    early_stop_margin,
    view_change_margin,
    view_change_span,
    view_change_outputs,
    on_result,
    user
});

impl ttv_stream_config {
    /// Converts the settings. In each field, the value 0 selects the default.
    pub(super) fn parse(&self) -> Result<StreamConfig> {
        let flags = StreamFlags::from_bits(self.flags).ok_or_else(|| {
            let message = format!("flags must be TTV_STREAM_FLAG_* or 0, got {:#x}", self.flags);
            Error::new(Status::UnknownFlags, message)
        })?;
        let drive = Drive::from_code(self.drive)
            .ok_or_else(|| unknown_value("drive", "TTV_DRIVE_*", self.drive))?;
        let partial_chunk = PartialChunk::from_code(self.partial_chunk).ok_or_else(|| {
            unknown_value("partial_chunk", "TTV_PARTIAL_CHUNK_*", self.partial_chunk)
        })?;
        let default = StreamConfig::default();
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        Ok(StreamConfig {
            ring_slots: match self.ring_slots {
                0 => default.ring_slots,
                slots => slots as usize,
            },
            max_width_px: or(self.max_width_px, default.max_width_px),
            max_height_px: or(self.max_height_px, default.max_height_px),
            max_frame_bytes: self.max_frame_bytes as usize,
            gap_ns: if self.gap_ns == 0 { default.gap_ns } else { self.gap_ns },
            label_span_ns: self.label_span_ns,
            history_ns: self.history_ns,
            exact_history_ns: self.exact_history_ns,
            window_hop_samples: self.window_hop_samples as usize,
            early_stop: (self.early_stop_margin != 0.0).then_some(EarlyStop {
                outputs: self.early_stop_outputs,
                margin: self.early_stop_margin,
            }),
            view_change: (self.view_change_margin != 0.0).then_some(ViewChange {
                span: self.view_change_span,
                outputs: self.view_change_outputs,
                margin: self.view_change_margin,
            }),
            frame_period_ns: self.frame_period_ns,
            partial_chunk,
            drive,
            publish_each_sample: flags.contains(StreamFlags::PUBLISH_EACH_SAMPLE),
            lock_memory: flags.contains(StreamFlags::LOCK_MEMORY),
        })
    }
}

fn unknown_value(name: &str, values: &str, value: u32) -> Error {
    Error::new(Status::InvalidArgument, format!("{name} must be one of {values}, got {value}"))
}
