//! Frames over the C ABI.

use super::border::{Versioned, read};
use crate::Status;
use crate::frame::{FrameView, Geometry, Orientation, PixelFormat, Region};

/// One byte of luma.
pub const TTV_FORMAT_GRAY8: u32 = 1;
/// Two bytes of luma, little-endian.
pub const TTV_FORMAT_GRAY16LE: u32 = 2;
/// Red, green, blue.
pub const TTV_FORMAT_RGB24: u32 = 3;
/// Blue, green, red.
pub const TTV_FORMAT_BGR24: u32 = 4;
/// Red, green, blue, ignored.
pub const TTV_FORMAT_RGBA32: u32 = 5;
/// Blue, green, red, ignored.
pub const TTV_FORMAT_BGRA32: u32 = 6;
/// 4:2:2 as Y U Y V; even width.
pub const TTV_FORMAT_YUYV: u32 = 7;
/// 4:2:2 as U Y V Y; even width.
pub const TTV_FORMAT_UYVY: u32 = 8;
/// 4:2:0, planes Y and UV; even sides.
pub const TTV_FORMAT_NV12: u32 = 9;
/// 4:2:0, planes Y, U and V; even sides.
pub const TTV_FORMAT_I420: u32 = 10;

/// Left and right are exchanged on the display.
pub const TTV_FRAME_MIRRORED: u32 = 1;
/// Top and bottom are exchanged on the display.
pub const TTV_FRAME_UPSIDE_DOWN: u32 = 2;
/// Text or graphics are burned into the frame. Carried for the device's records; nothing depends on it.
pub const TTV_FRAME_OVERLAY: u32 = 4;

/// Pixels are in host memory.
pub const TTV_MEMORY_HOST: u32 = 0;

/// One frame in memory of the host. Zero every field that is not set.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_frame {
    /// `sizeof(ttv_frame)`.
    pub struct_size: u32,
    /// `TTV_FRAME_*`, or 0.
    pub flags: u32,
    /// Planes; one for the packed formats.
    pub plane: [*const u8; 3],
    /// Bytes from one row to the next, per plane.
    pub stride_bytes: [u32; 3],
    /// `TTV_FORMAT_*`.
    pub format: u32,
    /// `TTV_MEMORY_HOST`.
    pub memory: u32,
    /// 0.
    pub reserved: u32,
    /// 32 to 4096.
    pub width_px: u32,
    /// 32 to 4096.
    pub height_px: u32,
    /// Region of interest; all four 0: the whole frame.
    pub roi_x_px: u32,
    /// Top edge.
    pub roi_y_px: u32,
    /// Width.
    pub roi_width_px: u32,
    /// Height.
    pub roi_height_px: u32,
    /// Microns per pixel; 0: unknown.
    pub um_per_px_x: f32,
    /// Microns per pixel; 0: unknown.
    pub um_per_px_y: f32,
    /// The host's number of the frame, carried into results.
    pub sequence: u64,
    /// Monotonic time in nanoseconds; not used if the stream has a frame period.
    pub time_ns: i64,
}
// SAFETY: repr(C); numbers and pointers.
unsafe impl Versioned for ttv_frame {}

fn format(number: u32) -> Option<PixelFormat> {
    Some(match number {
        TTV_FORMAT_GRAY8 => PixelFormat::Gray8,
        TTV_FORMAT_GRAY16LE => PixelFormat::Gray16Le,
        TTV_FORMAT_RGB24 => PixelFormat::Rgb24,
        TTV_FORMAT_BGR24 => PixelFormat::Bgr24,
        TTV_FORMAT_RGBA32 => PixelFormat::Rgba32,
        TTV_FORMAT_BGRA32 => PixelFormat::Bgra32,
        TTV_FORMAT_YUYV => PixelFormat::Yuyv,
        TTV_FORMAT_UYVY => PixelFormat::Uyvy,
        TTV_FORMAT_NV12 => PixelFormat::Nv12,
        TTV_FORMAT_I420 => PixelFormat::I420,
        _ => return None,
    })
}

/// The numbers of a frame, checked.
fn numbers(frame: *const ttv_frame) -> std::result::Result<(ttv_frame, Geometry), Status> {
    const FLAGS: u32 = TTV_FRAME_MIRRORED | TTV_FRAME_UPSIDE_DOWN | TTV_FRAME_OVERLAY;
    let frame = read(frame)?;
    if frame.flags & !FLAGS != 0 || frame.reserved != 0 {
        return Err(Status::UnknownFlags);
    }
    let in_memory = frame.memory == TTV_MEMORY_HOST;
    let format = format(frame.format).filter(|_| in_memory).ok_or(Status::UnsupportedFormat)?;
    let geometry = geometry(&frame, format)?;
    geometry.check()?;
    Ok((frame, geometry))
}

/// A frame that was written into a slot: no planes, and strides that are 0 or those of packed rows.
pub(super) fn committed(frame: *const ttv_frame) -> std::result::Result<(ttv_frame, Geometry), Status> {
    let (frame, geometry) = numbers(frame)?;
    for (plane, &stride) in frame.stride_bytes.iter().enumerate().take(geometry.format.planes()) {
        if stride != 0 && stride as usize != geometry.format.row_bytes(plane, geometry.width_px) {
            return Err(Status::FrameStride);
        }
    }
    Ok((frame, geometry))
}

/// The frame as the library knows it; every number is checked before a pointer is followed.
pub(super) fn view<'a>(frame: *const ttv_frame) -> std::result::Result<FrameView<'a>, Status> {
    let (frame, geometry) = numbers(frame)?;
    let format = geometry.format;
    let mut planes: [&[u8]; 3] = [&[]; 3];
    let mut strides = [0; 3];
    let given = frame.plane.iter().zip(frame.stride_bytes);
    for (index, ((plane, stride), (&pointer, stride_bytes))) in
        planes.iter_mut().zip(&mut strides).zip(given).take(format.planes()).enumerate()
    {
        if pointer.is_null() {
            return Err(Status::NullArgument);
        }
        let row = format.row_bytes(index, geometry.width_px);
        *stride = stride_bytes as usize;
        if *stride < row {
            return Err(Status::FrameStride);
        }
        let rows = format.rows(index, geometry.height_px);
        let bytes =
            stride.checked_mul(rows - 1).and_then(|b| b.checked_add(row)).ok_or(Status::FrameStride)?;
        // SAFETY: not NULL; the host promises rows of `stride_bytes`, of which the last need not be padded.
        *plane = unsafe { std::slice::from_raw_parts(pointer, bytes) };
    }
    Ok(FrameView { geometry, planes, strides, time_ns: frame.time_ns, sequence: frame.sequence })
}

fn geometry(frame: &ttv_frame, format: PixelFormat) -> std::result::Result<Geometry, Status> {
    let mut geometry = Geometry::whole(format, frame.width_px, frame.height_px);
    let region = [frame.roi_x_px, frame.roi_y_px, frame.roi_width_px, frame.roi_height_px];
    if region != [0; 4] {
        let [x_px, y_px, width_px, height_px] = region;
        geometry.region = Region { x_px, y_px, width_px, height_px };
    }
    geometry.set_pixel_size(frame.um_per_px_x, frame.um_per_px_y)?;
    geometry.orientation = Orientation {
        mirrored: frame.flags & TTV_FRAME_MIRRORED != 0,
        upside_down: frame.flags & TTV_FRAME_UPSIDE_DOWN != 0,
    };
    Ok(geometry)
}
