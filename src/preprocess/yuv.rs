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

/// Converts regions; its rows are made once, for the widest frame.
pub(super) struct Converter {
    luma: Vec<[u8; 2]>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Converter {
    pub(super) fn new(max_width_px: u32) -> Self {
        let pairs = max_width_px as usize / 2;
        Self { luma: vec![[0; 2]; pairs], u: vec![0; pairs], v: vec![0; pairs] }
    }

    /// Writes red, green and blue of the region's rows into `target`, one plane after the other. A pixel takes the
    /// chroma sample that covers it.
    pub(super) fn planes(&mut self, geometry: &Geometry, packed: &[u8], pairs: &Pairs, target: &mut [u8]) {
        let plane = target.len() / 3;
        let (red, rest) = target.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let [red, green, blue] = [red, green, blue].map(|plane| plane.as_chunks_mut::<2>().0);
        let row = pairs.0.len();
        let rows = red.chunks_exact_mut(row).zip(green.chunks_exact_mut(row)).zip(blue.chunks_exact_mut(row));
        for (y, ((red, green), blue)) in (geometry.region.y_px as usize..).zip(rows) {
            let (luma, u, v) = self.row(geometry, packed, pairs, y);
            convert(luma, u, v, red, green, blue);
        }
    }

    /// Luma of both pixels, U and V of each pair of a row: where the frame has them, or gathered into rows of ours.
    fn row<'a>(
        &'a mut self,
        geometry: &Geometry,
        packed: &'a [u8],
        pairs: &Pairs,
        y: usize,
    ) -> (&'a [[u8; 2]], &'a [u8], &'a [u8]) {
        let (width, height) = (geometry.width_px as usize, geometry.height_px as usize);
        let (first, count) = (pairs.0.start, pairs.0.len());
        let (luma, u, v) = (&mut self.luma[..count], &mut self.u[..count], &mut self.v[..count]);
        if matches!(geometry.format, PixelFormat::Yuyv | PixelFormat::Uyvy) {
            let from = &packed[y * 2 * width..][..2 * width].as_chunks::<4>().0[pairs.0.clone()];
            if geometry.format == PixelFormat::Yuyv {
                gather(from, |&[y0, u, y1, v]| ([y0, y1], u, v), luma, u, v);
            } else {
                gather(from, |&[u, y0, v, y1]| ([y0, y1], u, v), luma, u, v);
            }
            return (luma, u, v);
        }
        let (whole, chroma) = packed.split_at(width * height);
        let whole = &whole[y * width..][..width].as_chunks::<2>().0[pairs.0.clone()];
        if geometry.format == PixelFormat::Nv12 {
            let from = &chroma[y / 2 * width..][..width].as_chunks::<2>().0[pairs.0.clone()];
            part(from, u, v);
            return (whole, u, v);
        }
        let (u, v) = chroma.split_at(width * height / 4);
        let [u, v] = [u, v].map(|plane| &plane[y / 2 * (width / 2) + first..][..count]);
        (whole, u, v)
    }
}

/// Parts the U and V of a row. Not inlined: see [`convert`].
#[inline(never)]
fn part(from: &[[u8; 2]], u: &mut [u8], v: &mut [u8]) {
    for ((u, v), &from) in u.iter_mut().zip(v).zip(from) {
        let both = u16::from_le_bytes(from);
        (*u, *v) = (both as u8, (both >> 8) as u8);
    }
}

/// Parts luma, U and V of a row. Not inlined: see [`convert`].
#[inline(never)]
fn gather(
    from: &[[u8; 4]],
    parts: impl Fn(&[u8; 4]) -> ([u8; 2], u8, u8),
    luma: &mut [[u8; 2]],
    u: &mut [u8],
    v: &mut [u8],
) {
    for (((luma, u), v), from) in luma.iter_mut().zip(u).zip(v).zip(from) {
        (*luma, *u, *v) = parts(from);
    }
}

/// Converts one row. Not inlined: as arguments the slices are known not to overlap, without which the compiler may
/// not use vectors here, and the row takes three times as long.
#[inline(never)]
fn convert(
    luma: &[[u8; 2]],
    u: &[u8],
    v: &[u8],
    red: &mut [[u8; 2]],
    green: &mut [[u8; 2]],
    blue: &mut [[u8; 2]],
) {
    let to = red.iter_mut().zip(green).zip(blue);
    for (((red, green), blue), ((&luma, &u), &v)) in to.zip(luma.iter().zip(u).zip(v)) {
        let chroma = chroma_of(u, v);
        for pixel in 0..2 {
            let [r, g, b] = rgb_of(luma[pixel], chroma);
            (red[pixel], green[pixel], blue[pixel]) = (r, g, b);
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
