//! Frames that the host passes to the library.
//!
//! Every function that creates a [`Geometry`] or a [`FrameView`] checks its arguments, so other
//! code can rely on the values in these types.

mod pixel_aspect;
#[cfg(test)]
mod tests;

use crate::abi::abi_enum;
use crate::error::{Error, Result, Status};
use pixel_aspect::{divide_sizes, size_bits};
use std::ops::RangeInclusive;

/// Allowed width and height of a frame, in pixels.
pub const FRAME_SIDE_PX: RangeInclusive<u32> = 32..=4096;

/// Maximum number of planes in a pixel format.
pub const MAX_PLANES: usize = 3;

abi_enum! {
    /// Layout of the pixels of a frame in memory.
    pub enum PixelFormat: u32 {
        /// One byte per pixel: luma, full range.
        Gray8 = 1,
        /// Two bytes per pixel: luma, little-endian, full 16-bit range.
        Gray16Le = 2,
        /// Three bytes per pixel: red, green and blue.
        Rgb24 = 3,
        /// Three bytes per pixel: blue, green and red.
        Bgr24 = 4,
        /// Four bytes per pixel: red, green, blue and a byte that is ignored.
        Rgba32 = 5,
        /// Four bytes per pixel: blue, green, red and a byte that is ignored.
        Bgra32 = 6,
        /// Packed 4:2:2, video range: four bytes Y0 U Y1 V for two pixels. The width must be even.
        Yuyv = 7,
        /// Packed 4:2:2, video range: four bytes U Y0 V Y1 for two pixels. The width must be even.
        Uyvy = 8,
        /// 4:2:0, video range: a Y plane and a plane of interleaved U and V. The width and the
        /// height must be even.
        Nv12 = 9,
        /// 4:2:0, video range: a Y plane, a U plane and a V plane. The width and the height must be
        /// even.
        I420 = 10,
    }
}

impl PixelFormat {
    /// Returns the number of planes.
    #[must_use]
    pub const fn planes(self) -> usize {
        match self {
            Self::Nv12 => 2,
            Self::I420 => 3,
            _ => 1,
        }
    }

    /// Returns the size in bytes of one row of a plane, without padding, in a frame of this width.
    #[must_use]
    pub const fn row_bytes(self, plane: usize, width_px: u32) -> usize {
        let width = width_px as usize;
        match (self, plane) {
            (Self::Gray8 | Self::Nv12, _) | (Self::I420, 0) => width,
            (Self::Gray16Le | Self::Yuyv | Self::Uyvy, _) => 2 * width,
            (Self::Rgb24 | Self::Bgr24, _) => 3 * width,
            (Self::Rgba32 | Self::Bgra32, _) => 4 * width,
            (Self::I420, _) => width / 2,
        }
    }

    /// Returns the number of rows of a plane in a frame of this height.
    #[must_use]
    pub const fn rows(self, plane: usize, height_px: u32) -> usize {
        match (self, plane) {
            (Self::Nv12 | Self::I420, 1..) => height_px as usize / 2,
            _ => height_px as usize,
        }
    }

    /// Returns the size in bytes of a frame whose rows are packed and whose planes follow one
    /// another.
    #[must_use]
    pub const fn frame_bytes(self, width_px: u32, height_px: u32) -> usize {
        let mut bytes = 0;
        let mut plane = 0;
        while plane < self.planes() {
            bytes += self.row_bytes(plane, width_px) * self.rows(plane, height_px);
            plane += 1;
        }
        bytes
    }

    /// Returns whether the width must be even and whether the height must be even. A side must be
    /// even if adjacent pixels along that side share a chroma sample.
    const fn needs_even_sides(self) -> (bool, bool) {
        match self {
            Self::Yuyv | Self::Uyvy => (true, false),
            Self::Nv12 | Self::I420 => (true, true),
            _ => (false, false),
        }
    }
}

/// A rectangle in a frame, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// Left edge.
    pub x_px: u32,
    /// Top edge.
    pub y_px: u32,
    /// Width, at least 1.
    pub width_px: u32,
    /// Height, at least 1.
    pub height_px: u32,
}

/// Orientation of an image relative to the standard display orientation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Orientation {
    /// Whether left and right are swapped.
    pub mirrored: bool,
    /// Whether top and bottom are swapped.
    pub upside_down: bool,
}

/// Properties of a frame that usually stay the same during an acquisition.
///
/// If the geometry differs from that of the previous frame, the stream treats the new geometry as a
/// change and starts a new segment.
///
/// ```
/// use tteview::frame::{Geometry, PixelFormat, Region};
///
/// let sector = Region { x_px: 80, y_px: 40, width_px: 480, height_px: 400 };
/// let geometry = Geometry::new(PixelFormat::Gray8, 640, 480)?.with_region(sector)?;
/// assert_eq!(geometry.frame_bytes(), 640 * 480);
/// assert!(Geometry::new(PixelFormat::Gray8, 16, 480).is_err());
/// # Ok::<(), tteview::Status>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    format: PixelFormat,
    width_px: u32,
    height_px: u32,
    region: Region,
    pixel_aspect: f32,
    orientation: Orientation,
}

impl Geometry {
    /// Creates the geometry of a frame with square pixels and standard orientation. The region of
    /// interest is the whole frame.
    ///
    /// # Errors
    /// Returns [`Status::FrameGeometry`] if the width or the height is outside [`FRAME_SIDE_PX`],
    /// or is odd although the format requires it to be even.
    pub fn new(format: PixelFormat, width_px: u32, height_px: u32) -> Result<Self, Status> {
        let (even_width, even_height) = format.needs_even_sides();
        let fits = FRAME_SIDE_PX.contains(&width_px)
            && FRAME_SIDE_PX.contains(&height_px)
            && !(even_width && width_px % 2 == 1)
            && !(even_height && height_px % 2 == 1);
        if !fits {
            return Err(Status::FrameGeometry);
        }
        let region = Region { x_px: 0, y_px: 0, width_px, height_px };
        let orientation = Orientation::default();
        Ok(Self { format, width_px, height_px, region, pixel_aspect: 1.0, orientation })
    }

    /// Sets the region of interest.
    ///
    /// # Errors
    /// Returns [`Status::FrameGeometry`] if the region is empty or extends beyond the frame.
    pub fn with_region(self, region: Region) -> Result<Self, Status> {
        let is_inside = |start: u32, length: u32, side: u32| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= side)
        };
        let fits = is_inside(region.x_px, region.width_px, self.width_px)
            && is_inside(region.y_px, region.height_px, self.height_px);
        if fits { Ok(Self { region, ..self }) } else { Err(Status::FrameGeometry) }
    }

    /// Sets the aspect ratio of the pixels from their width and height in micrometres. If either
    /// value is 0, which means unknown, the aspect ratio does not change. A new geometry has square
    /// pixels.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if a size is negative or not finite, and
    /// [`Status::FrameGeometry`] if the height divided by the width is outside 0.1 to 10.
    pub fn with_pixel_size(self, um_per_px_x: f32, um_per_px_y: f32) -> Result<Self, Status> {
        let size_bits = |size| size_bits(size).ok_or(Status::InvalidArgument);
        match (size_bits(um_per_px_x)?, size_bits(um_per_px_y)?) {
            (0, _) | (_, 0) => Ok(self),
            (width, height) => {
                let pixel_aspect = divide_sizes(height, width).ok_or(Status::FrameGeometry)?;
                Ok(Self { pixel_aspect, ..self })
            }
        }
    }

    /// Sets the orientation.
    #[must_use]
    pub fn with_orientation(self, orientation: Orientation) -> Self {
        Self { orientation, ..self }
    }

    /// Returns the pixel format.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Returns the width of the frame in pixels.
    #[must_use]
    pub const fn width_px(&self) -> u32 {
        self.width_px
    }

    /// Returns the height of the frame in pixels.
    #[must_use]
    pub const fn height_px(&self) -> u32 {
        self.height_px
    }

    /// Returns the region of interest.
    #[must_use]
    pub const fn region(&self) -> Region {
        self.region
    }

    /// Returns the height of a pixel divided by its width.
    #[must_use]
    pub const fn pixel_aspect(&self) -> f32 {
        self.pixel_aspect
    }

    /// Returns the orientation.
    #[must_use]
    pub const fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Returns the size in bytes of the frame with packed rows.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        self.format.frame_bytes(self.width_px, self.height_px)
    }

    /// Returns the size in bytes of one row of a plane, without padding.
    pub(crate) const fn row_bytes(&self, plane: usize) -> usize {
        self.format.row_bytes(plane, self.width_px)
    }
}

/// One frame in the host's memory.
///
/// ```
/// use tteview::frame::{FrameView, Geometry, PixelFormat};
///
/// let geometry = Geometry::new(PixelFormat::Gray8, 640, 480)?;
/// let pixels = vec![0; geometry.frame_bytes()];
/// let frame = FrameView::new(geometry, &pixels)?.with_time_ns(33_333_333).with_sequence(1);
/// # Ok::<(), tteview::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    geometry: Geometry,
    planes: [&'a [u8]; MAX_PLANES],
    strides: [usize; MAX_PLANES],
    time_ns: i64,
    sequence: u64,
}

impl<'a> FrameView<'a> {
    /// Creates a frame whose rows are packed and whose planes follow one another in `pixels`.
    ///
    /// # Errors
    /// Returns [`Status::FrameGeometry`] if `pixels` is shorter than [`Geometry::frame_bytes`].
    pub fn new(geometry: Geometry, pixels: &'a [u8]) -> Result<Self> {
        let strides = std::array::from_fn(|plane| geometry.row_bytes(plane));
        let mut rest = pixels;
        Self::with_planes(geometry, strides, |_, bytes| {
            let plane;
            (plane, rest) = rest.split_at_checked(bytes).ok_or(Status::FrameGeometry)?;
            Ok(plane)
        })
        .map_err(|status| {
            let Geometry { format, width_px, height_px, .. } = geometry;
            let needed = geometry.frame_bytes();
            let message = format!(
                "a {width_px} x {height_px} frame of format {format:?} has {needed} bytes, got {}",
                pixels.len()
            );
            Error::new(status, message)
        })
    }

    /// Creates a frame with strides: each row of plane `i` begins `strides[i]` bytes after the
    /// previous row. Only the first [`PixelFormat::planes`] entries of `planes` and `strides` are
    /// used. The last row of a plane need not be padded.
    ///
    /// # Errors
    /// Returns [`Status::FrameStride`] if a stride is smaller than a row, and
    /// [`Status::FrameGeometry`] if a plane is too short.
    pub fn with_strides(
        geometry: Geometry,
        planes: [&'a [u8]; MAX_PLANES],
        strides: [usize; MAX_PLANES],
    ) -> Result<Self, Status> {
        Self::with_planes(geometry, strides, |index, bytes| {
            planes.get(index).and_then(|plane| plane.get(..bytes)).ok_or(Status::FrameGeometry)
        })
    }

    /// Creates a frame from the planes that `plane(index, bytes)` returns. Each plane must have
    /// exactly `bytes` bytes. All constructors call this function, and only this function checks
    /// strides.
    pub(crate) fn with_planes(
        geometry: Geometry,
        strides: [usize; MAX_PLANES],
        mut plane: impl FnMut(usize, usize) -> Result<&'a [u8], Status>,
    ) -> Result<Self, Status> {
        let mut planes: [&[u8]; MAX_PLANES] = [&[]; MAX_PLANES];
        let count = geometry.format.planes();
        for (index, (slot, &stride)) in planes.iter_mut().zip(&strides).take(count).enumerate() {
            let row = geometry.row_bytes(index);
            let rows = geometry.format.rows(index, geometry.height_px);
            if stride < row {
                return Err(Status::FrameStride);
            }
            let bytes = stride.checked_mul(rows - 1).and_then(|bytes| bytes.checked_add(row));
            *slot = plane(index, bytes.ok_or(Status::FrameStride)?)?;
        }
        Ok(Self { geometry, planes, strides, time_ns: 0, sequence: 0 })
    }

    /// Sets the time in nanoseconds on the host's monotonic clock. Streams with a frame period
    /// ignore this time.
    #[must_use]
    pub fn with_time_ns(self, time_ns: i64) -> Self {
        Self { time_ns, ..self }
    }

    /// Sets the sequence number. The host chooses the number. A result contains the numbers of the
    /// first and last accepted frames.
    #[must_use]
    pub fn with_sequence(self, sequence: u64) -> Self {
        Self { sequence, ..self }
    }

    /// Returns the geometry.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Returns the time in nanoseconds.
    #[must_use]
    pub const fn time_ns(&self) -> i64 {
        self.time_ns
    }

    /// Returns the sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Copies the planes to `target` with packed rows, one plane after the other. `target` must
    /// have at least [`Geometry::frame_bytes`] bytes.
    pub(crate) fn copy_packed(&self, target: &mut [u8]) {
        let Self { geometry, planes, strides, .. } = self;
        let mut rest = target;
        for (index, (plane, &stride)) in
            planes.iter().zip(strides).take(geometry.format.planes()).enumerate()
        {
            let row = geometry.row_bytes(index);
            let rows = geometry.format.rows(index, geometry.height_px);
            let (packed, tail) = std::mem::take(&mut rest).split_at_mut(row * rows);
            rest = tail;
            if stride == row {
                packed.copy_from_slice(plane.split_at(row * rows).0);
            } else {
                for (to, from) in packed.chunks_exact_mut(row).zip(plane.chunks(stride)) {
                    to.copy_from_slice(from.split_at(row).0);
                }
            }
        }
    }
}
