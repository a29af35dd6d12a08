//! Small copies of frames.

use tteview::frame::{Geometry, PixelFormat, Region};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// A small RGB image.
#[derive(Clone)]
pub(super) struct Thumbnail {
    pub(super) size: Size,
    pub(super) pixels: Vec<u8>,
}

impl Thumbnail {
    /// Returns a copy whose sides have at most `side_px` pixels.
    pub(super) fn fit(&self, side_px: usize) -> Self {
        let Size { width, height } = self.size;
        let target = fit(self.size, side_px);
        let read = |x: usize, y: usize| {
            let at = 3 * (y * width + x);
            [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
        };
        Self { size: target, pixels: average(Size { width, height }, target, read) }
    }
}

/// Copies the region of interest of a frame, upright, with sides of at most `side_px` pixels.
/// `pixels` are packed rows.
pub(super) fn shrink(geometry: &Geometry, pixels: &[u8], side_px: usize) -> Thumbnail {
    let Region { x_px, y_px, width_px, height_px } = geometry.region();
    let channels = if geometry.format() == PixelFormat::Gray8 { 1 } else { 3 };
    let (left, top, row) = (x_px as usize, y_px as usize, geometry.width_px() as usize);
    let from = Size { width: width_px as usize, height: height_px as usize };
    let orientation = geometry.orientation();
    let read = |x: usize, y: usize| {
        let x = if orientation.mirrored { from.width - 1 - x } else { x };
        let y = if orientation.upside_down { from.height - 1 - y } else { y };
        let at = channels * ((top + y) * row + left + x);
        match channels {
            1 => [pixels[at]; 3],
            _ => [pixels[at], pixels[at + 1], pixels[at + 2]],
        }
    };
    let size = fit(from, side_px);
    Thumbnail { size, pixels: average(from, size, read) }
}

/// Returns the size with the same shape whose sides have at most `side_px` pixels.
fn fit(Size { width, height }: Size, side_px: usize) -> Size {
    let longest = width.max(height).max(1);
    if longest <= side_px {
        return Size { width, height };
    }
    let scale = |side: usize| (side * side_px + longest / 2) / longest;
    Size { width: scale(width).max(1), height: scale(height).max(1) }
}

/// Averages the pixels that each pixel of the smaller image covers.
fn average(from: Size, to: Size, read: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    let edges = |from: usize, to: usize| (0..=to).map(|at| at * from / to).collect::<Vec<_>>();
    let (columns, rows) = (edges(from.width, to.width), edges(from.height, to.height));
    let mut pixels = Vec::with_capacity(3 * to.width * to.height);
    for row in rows.windows(2) {
        for column in columns.windows(2) {
            let mut sums = [0u32; 3];
            for y in row[0]..row[1] {
                for x in column[0]..column[1] {
                    let pixel = read(x, y);
                    sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u32::from(value));
                }
            }
            let count = ((row[1] - row[0]) * (column[1] - column[0])) as u32;
            pixels.extend(sums.map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;
    use tteview::frame::Orientation;

    #[test]
    fn the_region_is_averaged_and_turned_upright() {
        // The region is the second and the third row of the first four columns.
        let pixels = [9, 9, 9, 9, 10, 20, 30, 40, 50, 60, 70, 80];
        let region = Region { x_px: 0, y_px: 1, width_px: 4, height_px: 2 };
        let geometry = Geometry::new(PixelFormat::Gray8, 32, 32).unwrap();
        let geometry = geometry.with_region(region).unwrap();
        let mut frame = vec![0; 32 * 32];
        for (y, row) in pixels.chunks(4).enumerate() {
            frame[y * 32..y * 32 + 4].copy_from_slice(row);
        }
        let reds = |geometry: &Geometry, side_px| {
            let thumbnail = shrink(geometry, &frame, side_px);
            thumbnail.pixels.chunks(3).map(|pixel| pixel[0]).collect::<Vec<u8>>()
        };
        assert_eq!(reds(&geometry, 4), pixels[4..]);
        assert_eq!(reds(&geometry, 2), [35, 55]);
        let turned = Orientation { mirrored: true, upside_down: true };
        assert_eq!(reds(&geometry.with_orientation(turned), 4), [80, 70, 60, 50, 40, 30, 20, 10]);
    }

    #[test]
    fn sizes_keep_their_shape() {
        let fit = |width, height, side| fit(Size { width, height }, side);
        assert_eq!(fit(640, 480, 200), Size { width: 200, height: 150 });
        assert_eq!(fit(100, 50, 200), Size { width: 100, height: 50 });
        assert_eq!(fit(4096, 16, 64), Size { width: 64, height: 1 });
    }
}
