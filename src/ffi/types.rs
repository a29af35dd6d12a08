//! C names of the ABI's integer types. `cargo xtask header` writes a typedef for each name. Rust
//! enumerations and flags define the values of each type.
#![allow(non_camel_case_types)]

/// Outcome of a call. From ABI version 1.0 on, status numbers never change and are never reused.
pub type ttv_status = i32;
/// Severity of a log message.
pub type ttv_log_level = i32;
/// Stage of ttv_engine_prepare_with.
pub type ttv_stage = u32;
/// Mode in which the network runs. The model package defines the mode.
pub type ttv_mode = u32;
/// Origin of a TensorRT engine, which is a network that TensorRT has compiled for one GPU.
pub type ttv_engine_origin = u32;
/// Thread that runs the worker of a stream.
pub type ttv_drive = u32;
/// Treatment of a partial chunk, which is a chunk that is not full when its segment ends. To
/// complete a partial chunk, the library repeats the chunk's last sample. Window mode has no
/// partial chunks.
pub type ttv_partial_chunk = u32;
/// Options of a stream: TTV_STREAM_FLAG_* joined by `|`, or 0.
pub type ttv_stream_flags = u32;
/// Pixel format of a frame. In YUYV and UYVY, each pair of adjacent pixels shares one chroma
/// sample, so the width must be even. In NV12 and I420, each block of 2 x 2 pixels shares one
/// chroma sample, so the width and the height must be even. YUV values follow BT.601 in video
/// range.
pub type ttv_pixel_format = u32;
/// Flags of a frame: TTV_FRAME_FLAG_* joined by `|`, or 0.
pub type ttv_frame_flags = u32;
/// Flags of a result: TTV_RESULT_FLAG_* joined by `|`, or 0.
pub type ttv_result_flags = u32;
/// Options of a query: TTV_QUERY_FLAG_* joined by `|`, or 0.
pub type ttv_query_flags = u32;
