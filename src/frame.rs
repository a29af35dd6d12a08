//! Frames as the host hands them over, checked once at the border.

use crate::{Error, Result, Status};

/// Smallest and largest width and height of a frame, in pixels.
pub const FRAME_SIDE_PX: std::ops::RangeInclusive<u32> = 32..=4096;

/// Layout of the pixels in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// One byte of luma.
    Gray8,
    /// Two bytes of luma, little-endian, full 16-bit range.
    Gray16Le,
    /// Three bytes: red, green, blue.
    Rgb24,
    /// Three bytes: blue, green, red.
    Bgr24,
    /// Four bytes: red, green, blue, alpha; alpha is ignored.
    Rgba32,
    /// Four bytes: blue, green, red, alpha; alpha is ignored.
    Bgra32,
    /// Packed 4:2:2, two pixels as Y0 U Y1 V; even width.
    Yuyv,
    /// Packed 4:2:2, two pixels as U Y0 V Y1; even width.
    Uyvy,
    /// 4:2:0, a plane of Y and a plane of interleaved U and V; even width and height.
    Nv12,
    /// 4:2:0, three planes Y, U, V; even width and height.
    I420,
}

impl PixelFormat {
    /// Number of planes.
    #[must_use]
    pub const fn planes(self) -> usize {
        match self {
            Self::Nv12 => 2,
            Self::I420 => 3,
            _ => 1,
        }
    }

    /// Bytes of one row of a plane, without padding, for a frame of this width.
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

    /// Rows of a plane for a frame of this height.
    #[must_use]
    pub const fn rows(self, plane: usize, height_px: u32) -> usize {
        match (self, plane) {
            (Self::Nv12 | Self::I420, 1..) => height_px as usize / 2,
            _ => height_px as usize,
        }
    }

    /// Bytes of a whole frame with its rows packed and its planes one after the other.
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

    const fn even_sides(self) -> (bool, bool) {
        match self {
            Self::Yuyv | Self::Uyvy => (true, false),
            Self::Nv12 | Self::I420 => (true, true),
            _ => (false, false),
        }
    }
}

/// A rectangle in pixels of the frame.
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

/// How the display shows the heart: as the package's network knows it, or turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Orientation {
    /// Left and right exchanged.
    pub mirrored: bool,
    /// Top and bottom exchanged.
    pub upside_down: bool,
}

/// All that is constant while a probe and preset stay the same. A change of it starts a new segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Pixel format.
    pub format: PixelFormat,
    /// Width of the whole frame.
    pub width_px: u32,
    /// Height of the whole frame.
    pub height_px: u32,
    /// Region of interest, inside the frame; the whole frame if the host names none.
    pub region: Region,
    /// Height of a pixel over its width: 1 for square pixels or if unknown.
    pub pixel_aspect: f32,
    /// How the display is turned against the standard one.
    pub orientation: Orientation,
}

impl Geometry {
    /// A whole frame of square pixels in the standard orientation.
    #[must_use]
    pub fn whole(format: PixelFormat, width_px: u32, height_px: u32) -> Self {
        let region = Region { x_px: 0, y_px: 0, width_px, height_px };
        Self { format, width_px, height_px, region, pixel_aspect: 1.0, orientation: Orientation::default() }
    }

    /// Sets the aspect from the size of a pixel in microns; 0: unknown.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for a number that is negative or none.
    pub fn set_pixel_size(&mut self, um_per_px_x: f32, um_per_px_y: f32) -> std::result::Result<(), Status> {
        let sizes = [um_per_px_x, um_per_px_y];
        if sizes.iter().any(|size| !size.is_finite() || *size < 0.0) {
            return Err(Status::InvalidArgument);
        }
        if sizes.iter().all(|&size| size > 0.0) {
            self.pixel_aspect = um_per_px_y / um_per_px_x;
        }
        Ok(())
    }

    /// Checks every number against its range. Allocates nothing unless something is wrong.
    pub fn check(&self) -> std::result::Result<(), Status> {
        let sides = FRAME_SIDE_PX;
        let (even_width, even_height) = self.format.even_sides();
        let region = &self.region;
        let inside = |start: u32, length: u32, whole: u32| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= whole)
        };
        let fits = sides.contains(&self.width_px)
            && sides.contains(&self.height_px)
            && !(even_width && self.width_px % 2 == 1)
            && !(even_height && self.height_px % 2 == 1)
            && inside(region.x_px, region.width_px, self.width_px)
            && inside(region.y_px, region.height_px, self.height_px)
            && self.pixel_aspect.is_finite()
            && (0.1..=10.0).contains(&self.pixel_aspect);
        if fits { Ok(()) } else { Err(Status::FrameGeometry) }
    }

    /// Bytes of the frame with its rows packed.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        self.format.frame_bytes(self.width_px, self.height_px)
    }
}

/// One frame in memory of the host: borrowed planes, each row `stride` bytes after the one before.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    /// Size, format and region.
    pub geometry: Geometry,
    /// Planes; only the first [`PixelFormat::planes`] are read. A plane holds at least
    /// `stride * (rows - 1) + row_bytes` bytes.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one row to the next, per plane.
    pub strides: [usize; 3],
    /// Monotonic time in nanoseconds.
    pub time_ns: i64,
    /// The host's number of the frame, carried into results.
    pub sequence: u64,
}

impl<'a> FrameView<'a> {
    /// A frame of one plane with packed rows.
    pub fn packed(geometry: Geometry, pixels: &'a [u8], time_ns: i64) -> Result<Self> {
        let mut rest = pixels;
        let mut planes: [&[u8]; 3] = [&[]; 3];
        let mut strides = [0; 3];
        let format = geometry.format;
        for (index, (plane, stride)) in planes.iter_mut().zip(&mut strides).take(format.planes()).enumerate()
        {
            *stride = format.row_bytes(index, geometry.width_px);
            let bytes = *stride * format.rows(index, geometry.height_px);
            (*plane, rest) = rest.split_at_checked(bytes).ok_or_else(|| {
                Error::new(
                    Status::FrameGeometry,
                    format!(
                        "{} bytes of pixels, a {format:?} frame of {} x {} has {}",
                        pixels.len(),
                        geometry.width_px,
                        geometry.height_px,
                        geometry.frame_bytes()
                    ),
                )
            })?;
        }
        Ok(Self { geometry, planes, strides, time_ns, sequence: 0 })
    }

    /// Checks geometry, strides and the length of every plane.
    pub fn check(&self) -> std::result::Result<(), Status> {
        self.geometry.check()?;
        let format = self.geometry.format;
        for (index, (plane, &stride)) in
            self.planes.iter().zip(&self.strides).take(format.planes()).enumerate()
        {
            let row = format.row_bytes(index, self.geometry.width_px);
            if stride < row {
                return Err(Status::FrameStride);
            }
            let rows = format.rows(index, self.geometry.height_px);
            let needed =
                stride.checked_mul(rows - 1).and_then(|b| b.checked_add(row)).ok_or(Status::FrameStride)?;
            if plane.len() < needed {
                return Err(Status::FrameGeometry);
            }
        }
        Ok(())
    }

    /// Copies the planes into `target`, rows packed, planes one after the other. `target` holds at least
    /// [`Geometry::frame_bytes`]; the frame has passed [`Self::check`].
    pub(crate) fn copy_packed(&self, target: &mut [u8]) {
        let format = self.geometry.format;
        let mut rest = target;
        for (index, (plane, &stride)) in
            self.planes.iter().zip(&self.strides).take(format.planes()).enumerate()
        {
            let row = format.row_bytes(index, self.geometry.width_px);
            let rows = format.rows(index, self.geometry.height_px);
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(row * rows);
            rest = tail;
            if stride == row {
                head.copy_from_slice(plane.split_at(row * rows).0);
            } else {
                for (to, from) in head.chunks_exact_mut(row).zip(plane.chunks(stride)) {
                    to.copy_from_slice(from.split_at(row).0);
                }
            }
        }
    }
}
