//! Video-range YUV with halved chroma to planes of red, green and blue.

use crate::frame::{Geometry, PixelFormat, Region};
use std::ops::Range;

/// Two pixels side by side share their chroma, so a region is converted in whole pairs.
pub(super) struct Pairs(Range<usize>);

impl Pairs {
    /// The pairs that cover a region. The first pixel of the region is the `x_px % 2`th of them.
    pub(super) fn of(region: &Region) -> Self {
        let (first, end) = (region.x_px as usize, (region.x_px + region.width_px) as usize);
        Self(first / 2..end.div_ceil(2))
    }

    /// Width of the converted region.
    pub(super) fn width_px(&self) -> usize {
        2 * self.0.len()
    }
}

/// Writes red, green and blue of the region's rows into `target`, one plane after the other. A pixel takes the
/// chroma sample that covers it.
pub(super) fn planes(geometry: &Geometry, packed: &[u8], pairs: &Pairs, target: &mut [u8]) {
    let (width, height) = (geometry.width_px as usize, geometry.height_px as usize);
    let plane = target.len() / 3;
    let (red, rest) = target.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    let row_bytes = pairs.width_px();
    let rows = red.chunks_exact_mut(row_bytes).zip(green.chunks_exact_mut(row_bytes));
    let rows = rows.zip(blue.chunks_exact_mut(row_bytes));
    for (y, ((red, green), blue)) in (geometry.region.y_px as usize..).zip(rows) {
        let to = Row { red, green, blue };
        // The planes of luma and of chroma; a format with one plane has all of it in the first.
        let (first, rest) = packed.split_at(width * height);
        let luma = |row: usize| &first[row * width..][..width].as_chunks::<2>().0[pairs.0.clone()];
        let interleaved = || &packed[y * 2 * width..][..2 * width].as_chunks::<4>().0[pairs.0.clone()];
        match geometry.format {
            PixelFormat::Yuyv => to.fill(interleaved().iter().map(|&[y0, u, y1, v]| ([y0, y1], u, v))),
            PixelFormat::Uyvy => to.fill(interleaved().iter().map(|&[u, y0, v, y1]| ([y0, y1], u, v))),
            PixelFormat::Nv12 => {
                let chroma = &rest[y / 2 * width..][..width].as_chunks::<2>().0[pairs.0.clone()];
                to.fill(luma(y).iter().zip(chroma).map(|(&luma, &[u, v])| (luma, u, v)));
            }
            _ => {
                let (u, v) = rest.split_at(width * height / 4);
                let [u, v] = [u, v].map(|plane| &plane[y / 2 * (width / 2)..][pairs.0.clone()]);
                to.fill(luma(y).iter().zip(u).zip(v).map(|((&luma, &u), &v)| (luma, u, v)));
            }
        }
    }
}

/// One row of the three planes.
struct Row<'a> {
    red: &'a mut [u8],
    green: &'a mut [u8],
    blue: &'a mut [u8],
}

impl Row<'_> {
    /// Takes the luma of both pixels, U and V of each pair.
    #[inline]
    fn fill(self, pairs: impl Iterator<Item = ([u8; 2], u8, u8)>) {
        let (red, green) = (self.red.as_chunks_mut::<2>().0, self.green.as_chunks_mut::<2>().0);
        let blue = self.blue.as_chunks_mut::<2>().0;
        for (((red, green), blue), (luma, u, v)) in red.iter_mut().zip(green).zip(blue).zip(pairs) {
            let chroma = chroma_of(u, v);
            for pixel in 0..2 {
                let [r, g, b] = rgb_of(luma[pixel], chroma);
                (red[pixel], green[pixel], blue[pixel]) = (r, g, b);
            }
        }
    }
}

/// What U and V add to red, green and blue, in 1/8192.
///
/// BT.601 with U and V from 16 to 240 around 128: 1.402 and 1.772 times 255/224, less for green by the shares of red
/// and blue in luma. 13 bits keep every factor in 16, which halves the work of processors without wide multipliers;
/// no value is more than 0.02 from the equations before it is rounded.
#[inline]
fn chroma_of(u: u8, v: u8) -> [i32; 3] {
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [13_075 * v, -3_209 * u - 6_660 * v, 16_525 * u]
}

/// Red, green and blue, rounded and clamped: video-range Y (16 black, 235 white) times 255/219, and the chroma.
#[inline]
fn rgb_of(y: u8, chroma: [i32; 3]) -> [u8; 3] {
    let luma = 9_539 * (i32::from(y) - 16) + (1 << 12);
    chroma.map(|chroma| ((luma + chroma) >> 13).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_y_u_and_v_gives_the_rgb_of_the_equations_of_bt_601() {
        for (y, u, v) in
            (0..=255).flat_map(|y| (0..=255).step_by(3).flat_map(move |u| (0..=255).map(move |v| (y, u, v))))
        {
            let luma = (f64::from(y) - 16.0) * 255.0 / 219.0;
            let (cb, cr) = ((f64::from(u) - 128.0) / 224.0 * 255.0, (f64::from(v) - 128.0) / 224.0 * 255.0);
            let green = (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587;
            let exact = [luma + 1.402 * cr, luma - green, luma + 1.772 * cb];
            for (got, exact) in rgb_of(y, chroma_of(u, v)).into_iter().zip(exact) {
                let apart = (f64::from(got) - exact.clamp(0.0, 255.0)).abs();
                assert!(apart < 0.53, "{y} {u} {v}: {got}, exactly {exact}");
            }
        }
    }

    #[test]
    fn black_white_and_values_out_of_range_end_at_0_and_255() {
        let grey = |y| rgb_of(y, chroma_of(128, 128));
        assert_eq!([0, 16, 235, 255].map(grey), [[0; 3], [0; 3], [255; 3], [255; 3]]);
    }
}
