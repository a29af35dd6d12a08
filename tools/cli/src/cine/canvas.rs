//! The canvas on which the frames of an animated PNG or WebP file are painted.

use super::alpha;

/// Number of bytes of a pixel: red, green, blue and opacity.
pub(super) const PIXEL_BYTES: usize = 4;

/// The part of the canvas that a frame paints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The pixels of the whole image.
pub(super) struct Canvas {
    width: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// Creates a transparent canvas.
    pub(super) fn new([width, height]: [usize; 2]) -> Self {
        Self { width, pixels: vec![0; PIXEL_BYTES * width * height] }
    }

    /// Paints RGBA pixels. With `blends`, transparent pixels keep what is below.
    pub(super) fn paint(&mut self, part: Part, pixels: &[u8], blends: bool) {
        let stride = PIXEL_BYTES * part.width;
        self.for_each_row(part, |y, row| {
            let from = pixels.get(y * stride..(y + 1) * stride).unwrap_or_default();
            let pairs = row.as_chunks_mut::<PIXEL_BYTES>().0.iter_mut().zip(from.as_chunks().0);
            for (to, &from) in pairs {
                *to = if blends { blend(*to, from) } else { from };
            }
        });
    }

    /// Makes a part transparent.
    pub(super) fn clear(&mut self, part: Part) {
        self.for_each_row(part, |_, row| row.fill(0));
    }

    /// Returns a copy of the pixels, which [`Self::restore`] accepts.
    pub(super) fn save(&self) -> Vec<u8> {
        self.pixels.clone()
    }

    pub(super) fn restore(&mut self, pixels: Vec<u8>) {
        self.pixels = pixels;
    }

    /// Returns the image over black, as RGB pixels.
    pub(super) fn to_rgb(&self) -> Vec<u8> {
        alpha::over_black::<PIXEL_BYTES>(&self.pixels)
    }

    /// Calls `change` with the index and the pixels of each row of a part. A part that is not
    /// inside the canvas is ignored.
    fn for_each_row(&mut self, part: Part, mut change: impl FnMut(usize, &mut [u8])) {
        let rows = self.pixels.chunks_mut((PIXEL_BYTES * self.width).max(1)).skip(part.top);
        let right = part.left.saturating_add(part.width);
        for (y, row) in rows.take(part.height).enumerate() {
            if let Some(pixels) = row.get_mut(PIXEL_BYTES * part.left..PIXEL_BYTES * right) {
                change(y, pixels);
            }
        }
    }
}

/// Paints a pixel over another one.
fn blend(below: [u8; 4], above: [u8; 4]) -> [u8; 4] {
    let (opacity, rest) = (u32::from(above[3]), 255 - u32::from(above[3]));
    let below_opacity = u32::from(below[3]) * rest / 255;
    let total = opacity + below_opacity;
    if total == 0 {
        return [0; 4];
    }
    let mix = |index: usize| {
        let sum = u32::from(above[index]) * opacity + u32::from(below[index]) * below_opacity;
        ((sum + total / 2) / total) as u8
    };
    [mix(0), mix(1), mix(2), total as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opaque_pixels_replace_and_transparent_ones_keep() {
        assert_eq!(blend([9, 8, 7, 255], [1, 2, 3, 255]), [1, 2, 3, 255]);
        assert_eq!(blend([9, 8, 7, 255], [1, 2, 3, 0]), [9, 8, 7, 255]);
        assert_eq!(blend([100, 0, 0, 255], [0, 100, 0, 51]), [80, 20, 0, 255]);
    }

    #[test]
    fn a_part_outside_the_canvas_is_ignored() {
        let mut canvas = Canvas::new([2, 1]);
        canvas.paint(Part { left: 1, top: 0, width: 1, height: 1 }, &[5, 6, 7, 255], true);
        canvas.paint(Part { left: 1, top: 0, width: 2, height: 1 }, &[9; 8], true);
        canvas.clear(Part { left: 0, top: 5, width: 1, height: 1 });
        assert_eq!(canvas.to_rgb(), [0, 0, 0, 5, 6, 7]);
    }
}
