//! Uncompressed pixels: bitmaps, and the YUV formats of capture cards.

use crate::cine::ybr::VideoColours;
use tteview::frame::PixelFormat;

/// The colours of YUV frames, which AVI does not specify. Capture cards use these.
const COLOURS: VideoColours = VideoColours { is_full_range: false, is_bt_709: false };

/// Chroma without colour.
const NEUTRAL: u8 = 128;

/// The arrangement of the pixels of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// Grey values, beginning with the top row.
    Grey,
    /// Indices of a palette that contains only grey values.
    GreyIndexed,
    Indexed,
    Bgr,
    /// Blue, green and red, and an unused byte.
    Bgrx,
    /// Planes of Y, Cb and Cr with 4:2:0 chroma.
    I420,
    /// Planes of Y, Cr and Cb with 4:2:0 chroma.
    Yv12,
    /// A plane of Y, and a plane of Cb and Cr with 4:2:0 chroma.
    Nv12,
    /// Y, Cb, Y and Cr of two pixels.
    Yuy2,
    /// Cb, Y, Cr and Y of two pixels.
    Uyvy,
}

impl Arrangement {
    pub(super) fn format(self) -> PixelFormat {
        match self {
            Self::Grey | Self::GreyIndexed => PixelFormat::Gray8,
            _ => PixelFormat::Rgb24,
        }
    }
}

/// The properties of uncompressed frames.
pub(super) struct Bitmap {
    pub(super) size: [u32; 2],
    /// Whether the first row in the file is the bottom row of the image.
    pub(super) is_bottom_up: bool,
    /// RGB colours by palette index.
    pub(super) palette: Vec<[u8; 3]>,
}

impl Bitmap {
    /// Converts a frame to grey or RGB pixels, beginning with the top row of the image.
    pub(super) fn convert(&self, data: &[u8], arrangement: Arrangement) -> Result<Vec<u8>, String> {
        let rows = |bytes, is_bitmap| self.find_rows(data, bytes, is_bitmap);
        Ok(match arrangement {
            Arrangement::Grey => rows(1, false)?.concat(),
            Arrangement::GreyIndexed => {
                rows(1, true)?.concat().iter().map(|&index| self.colour(index)[0]).collect()
            }
            Arrangement::Indexed => {
                rows(1, true)?.concat().iter().flat_map(|&index| self.colour(index)).collect()
            }
            Arrangement::Bgr => reverse_colours(&rows(3, true)?, 3),
            Arrangement::Bgrx => reverse_colours(&rows(4, true)?, 4),
            Arrangement::Yuy2 => self.convert_pairs(&rows(2, false)?, [0, 2, 1, 3]),
            Arrangement::Uyvy => self.convert_pairs(&rows(2, false)?, [1, 3, 0, 2]),
            Arrangement::I420 | Arrangement::Yv12 | Arrangement::Nv12 => {
                self.convert_planes(data, arrangement)?
            }
        })
    }

    /// Returns an entry of the palette. An index outside the palette is used as a grey value.
    fn colour(&self, index: u8) -> [u8; 3] {
        self.palette.get(usize::from(index)).copied().unwrap_or([index; 3])
    }

    /// Returns the rows of a frame, beginning with the top row. `bytes` is the number of bytes per
    /// pixel. In the file, the rows of a bitmap may be in reverse order, and they are padded to
    /// multiples of four bytes. Some writers omit the padding, which the length shows.
    fn find_rows<'a>(
        &self,
        data: &'a [u8],
        bytes: usize,
        is_bitmap: bool,
    ) -> Result<Vec<&'a [u8]>, String> {
        let [width, height] = self.size.map(|side| side as usize);
        let row = width * bytes;
        let padded = row.next_multiple_of(4);
        let last = height.saturating_sub(1);
        let has_padding = match is_bitmap {
            true => data.len() >= padded * last + row,
            false => data.len() >= padded * height,
        };
        let stride = if has_padding { padded } else { row };
        if data.len() < stride * last + row {
            let needed = stride * height;
            return Err(format!("the frame must have {needed} bytes, got {}", data.len()));
        }
        let rows = data.chunks(stride.max(1)).take(height).map(|stored| &stored[..row]);
        Ok(match is_bitmap && self.is_bottom_up {
            true => rows.rev().collect(),
            false => rows.collect(),
        })
    }

    /// Converts rows of pairs of pixels. `order` contains the positions of the two luma samples and
    /// of both chroma samples in a pair.
    fn convert_pairs(&self, rows: &[&[u8]], order: [usize; 4]) -> Vec<u8> {
        let width = self.size[0] as usize;
        let convert_row = |row: &&[u8]| {
            let pairs = row.as_chunks::<4>().0.iter();
            let mut pixels: Vec<u8> = pairs
                .flat_map(|pair| {
                    let [first, second, cb, cr] = order.map(|place| pair[place]);
                    [COLOURS.convert([first, cb, cr]), COLOURS.convert([second, cb, cr])]
                })
                .flatten()
                .collect();
            // The last pixel of an odd row has no partner.
            pixels.resize(3 * width, 0);
            pixels
        };
        rows.iter().flat_map(convert_row).collect()
    }

    /// Converts a frame with planes and 4:2:0 chroma.
    fn convert_planes(&self, data: &[u8], arrangement: Arrangement) -> Result<Vec<u8>, String> {
        let [width, height] = self.size.map(|side| side as usize);
        let [half_width, half_height] = [width.div_ceil(2), height.div_ceil(2)];
        let (luma, chroma) = (width * height, half_width * half_height);
        if data.len() < luma + 2 * chroma {
            let needed = luma + 2 * chroma;
            return Err(format!("the frame must have {needed} bytes, got {}", data.len()));
        }
        // Offsets of the first Cb and Cr, and the distance between two samples.
        let ([cb, cr], step) = match arrangement {
            Arrangement::Nv12 => ([luma, luma + 1], 2),
            Arrangement::Yv12 => ([luma + chroma, luma], 1),
            _ => ([luma, luma + chroma], 1),
        };
        let sample = |at: usize| data.get(at).copied().unwrap_or(NEUTRAL);
        let mut pixels = Vec::with_capacity(3 * luma);
        for y in 0..height {
            for x in 0..width {
                let at = step * (y / 2 * half_width + x / 2);
                let colours = [sample(y * width + x), sample(cb + at), sample(cr + at)];
                pixels.extend(COLOURS.convert(colours));
            }
        }
        Ok(pixels)
    }
}

/// Converts rows of blue, green and red to RGB. `bytes` is the number of bytes per pixel.
fn reverse_colours(rows: &[&[u8]], bytes: usize) -> Vec<u8> {
    let pixels = rows.iter().flat_map(|row| row.chunks_exact(bytes));
    pixels.flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect()
}
