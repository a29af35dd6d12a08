//! Frame
//!
//! A frame is one image of the acquisition, in the host's memory.

use super::pointers::{read_struct, versioned};
use super::types::{ttv_frame_flags, ttv_pixel_format};
use crate::error::{Result, Status};
use crate::frame::{FrameView, Geometry, MAX_PLANES, Orientation, PixelFormat, Region};

bitflags::bitflags! {
    /// Flags of a frame.
    #[derive(Clone, Copy)]
    pub struct FrameFlags: u32 {
        /// The image is mirrored: left and right are swapped.
        const MIRRORED = 1 << 0;
        /// The image is upside down: top and bottom are swapped.
        const UPSIDE_DOWN = 1 << 1;
        /// Text or graphics are burned into the frame. The library ignores this flag.
        const OVERLAY = 1 << 2;
    }
}

/// A frame. Initialize this struct with TTV_FRAME_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_frame {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Flags: TTV_FRAME_FLAG_* joined by `|`, or 0.
    pub flags: ttv_frame_flags,
    /// Pixel format: one of TTV_FORMAT_*.
    pub format: ttv_pixel_format,
    /// Width in pixels, 32 to 4096.
    pub width_px: u32,
    /// Height in pixels, 32 to 4096.
    pub height_px: u32,
    /// Left edge of the region of interest, which is the part of the frame that shows the
    /// ultrasound image. If all four `roi_` fields are 0, the region is the whole frame.
    pub roi_x_px: u32,
    /// Top edge of the region of interest.
    pub roi_y_px: u32,
    /// Width of the region of interest.
    pub roi_width_px: u32,
    /// Height of the region of interest.
    pub roi_height_px: u32,
    /// Width of a pixel in micrometres; 0 if it is unknown.
    pub um_per_px_x: f32,
    /// Height of a pixel in micrometres; 0 if it is unknown. If the width or the height of a pixel
    /// is 0, the library assumes square pixels. Otherwise, the height must be 0.1 to 10 times the
    /// width.
    pub um_per_px_y: f32,
    /// Number of bytes from the start of one row to the start of the next, for each plane.
    pub stride_bytes: [u32; 3],
    /// Pointers to the planes. NV12 uses the first two entries, I420 uses all three, and any other
    /// format uses only the first.
    pub plane: [*const u8; 3],
    /// Sequence number of the frame. The host chooses it. A result contains the numbers of the
    /// first and last accepted frames.
    pub sequence: u64,
    /// Time of the frame on the host's monotonic clock. The library ignores this field if the
    /// stream's `frame_period_ns` is not 0.
    pub time_ns: i64,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers and pointers,
// for which every bit pattern is valid.
versioned!(ttv_frame {
    struct_size,
    flags,
    format,
    width_px,
    height_px,
    roi_x_px,
    roi_y_px,
    roi_width_px,
    roi_height_px,
    um_per_px_x,
    um_per_px_y,
    stride_bytes,
    plane,
    sequence,
    time_ns
});

impl ttv_frame {
    fn to_geometry(self) -> Result<Geometry, Status> {
        let flags = FrameFlags::from_bits(self.flags).ok_or(Status::UnknownFlags)?;
        let format = PixelFormat::from_code(self.format).ok_or(Status::UnsupportedFormat)?;
        let orientation = Orientation {
            mirrored: flags.contains(FrameFlags::MIRRORED),
            upside_down: flags.contains(FrameFlags::UPSIDE_DOWN),
        };
        let geometry = Geometry::new(format, self.width_px, self.height_px)?
            .with_pixel_size(self.um_per_px_x, self.um_per_px_y)?
            .with_orientation(orientation);
        match [self.roi_x_px, self.roi_y_px, self.roi_width_px, self.roi_height_px] {
            [0, 0, 0, 0] => Ok(geometry),
            [x_px, y_px, width_px, height_px] => {
                geometry.with_region(Region { x_px, y_px, width_px, height_px })
            }
        }
    }
}

/// Reads a frame with its pixels. All numbers are checked before any pointer is dereferenced.
pub(super) fn read_frame<'a>(frame: *const ttv_frame) -> Result<FrameView<'a>, Status> {
    let frame = read_struct(frame)?;
    let geometry = frame.to_geometry()?;
    let strides: [usize; MAX_PLANES] = frame.stride_bytes.map(|stride| stride as usize);
    let view = FrameView::with_planes(geometry, strides, |index, bytes| {
        let pointer = frame.plane.get(index).copied().unwrap_or(std::ptr::null());
        if pointer.is_null() {
            return Err(Status::NullArgument);
        }
        // SAFETY: the pointer is not NULL. The caller guarantees that it points to rows that are
        // `stride_bytes` apart. `bytes` is their total length, without padding after the last row.
        Ok(unsafe { std::slice::from_raw_parts(pointer, bytes) })
    })?;
    Ok(view.with_time_ns(frame.time_ns).with_sequence(frame.sequence))
}

/// Reads the description of a frame whose pixels are in a slot. The planes are ignored, and each
/// stride must be 0 or the size of a packed row.
pub(super) fn read_committed_frame(
    frame: *const ttv_frame,
) -> Result<(ttv_frame, Geometry), Status> {
    let frame = read_struct(frame)?;
    let geometry = frame.to_geometry()?;
    let strides = frame.stride_bytes.iter().enumerate().take(geometry.format().planes());
    for (plane, &stride) in strides {
        if stride != 0 && stride as usize != geometry.row_bytes(plane) {
            return Err(Status::FrameStride);
        }
    }
    Ok((frame, geometry))
}
