//! The loop of a cine: its frames, one below the other in one PNG image. CSS shows one frame after
//! the other, so a browser can stop the loop, which it cannot do with a GIF.

use super::thumbnail::{Size, Thumbnail, shrink};
use crate::cine::{Facts, Frame};
use png::{BitDepth, ColorType, Compression, Encoder, Filter};
use std::io::{Error, Write};
use tteview::frame::Geometry;

/// Longest part of a cine that the loop shows, in nanoseconds: about two heartbeats.
const LONGEST_NS: i64 = 2_000_000_000;

/// Shortest time between two frames of the loop, in nanoseconds.
const SHORTEST_STEP_NS: i64 = 60_000_000;

/// Sizes of a loop, of which the first one is chosen that is small enough. Speckle hardly
/// compresses, so noisy cines get fewer and smaller frames.
const QUALITIES: [Quality; 7] = [
    Quality { side_px: 200, frames: 24, greys: 24 },
    Quality { side_px: 200, frames: 20, greys: 16 },
    Quality { side_px: 176, frames: 16, greys: 16 },
    Quality { side_px: 144, frames: 14, greys: 14 },
    Quality { side_px: 112, frames: 12, greys: 12 },
    Quality { side_px: 88, frames: 8, greys: 8 },
    Quality { side_px: 64, frames: 4, greys: 8 },
];

/// Levels of red, green and blue of a colour that is not grey.
const LEVELS: u8 = 6;

/// Difference between the components of a colour up to which it counts as grey. JPEG adds this much
/// colour to grey.
const GREY_SPREAD: u8 = 24;

#[derive(Clone, Copy)]
struct Quality {
    /// Maximum width and height of a frame.
    side_px: usize,
    frames: usize,
    greys: u8,
}

/// Collects the frames of a loop while the cine is read.
pub(crate) struct LoopBuilder {
    geometry: Geometry,
    thumbnails: Vec<Thumbnail>,
    step_ns: i64,
    /// Time of the next frame that is part of the loop.
    next_ns: i64,
    first_ns: Option<i64>,
    last_ns: i64,
}

/// A loop.
pub(crate) struct CineLoop {
    /// The frames, one below the other.
    pub(super) png: Vec<u8>,
    /// Size of one frame.
    pub(super) size: Size,
    pub(super) frames: usize,
    /// Time that the loop takes.
    pub(super) seconds: f64,
}

impl LoopBuilder {
    pub(crate) fn new(facts: &Facts) -> Self {
        let times = &facts.timing.times_ns;
        let span_ns = times.last().unwrap_or(&0).saturating_sub(*times.first().unwrap_or(&0));
        let step_ns = span_ns.min(LONGEST_NS) / QUALITIES[0].frames as i64;
        Self {
            geometry: *facts.geometry(),
            thumbnails: Vec::new(),
            step_ns: step_ns.max(SHORTEST_STEP_NS),
            next_ns: i64::MIN,
            first_ns: None,
            last_ns: 0,
        }
    }

    /// Keeps a frame if it is part of the loop.
    pub(crate) fn add(&mut self, frame: &Frame) {
        let first_ns = *self.first_ns.get_or_insert(frame.time_ns);
        let time_ns = frame.time_ns.saturating_sub(first_ns);
        let is_part = frame.time_ns >= self.next_ns
            && time_ns < LONGEST_NS
            && self.thumbnails.len() < QUALITIES[0].frames;
        if !is_part {
            return;
        }
        self.thumbnails.push(shrink(&self.geometry, &frame.pixels, QUALITIES[0].side_px));
        self.last_ns = time_ns;
        let steps = time_ns / self.step_ns + 1;
        self.next_ns = first_ns.saturating_add(steps.saturating_mul(self.step_ns));
    }

    /// Encodes the loop such that it has at most `max_bytes` bytes. Returns `None` if no frame was
    /// added or if no loop is small enough.
    pub(crate) fn finish(self, max_bytes: usize) -> Option<CineLoop> {
        let count = self.thumbnails.len();
        // The time of the last frame is that of the mean step.
        let seconds =
            self.last_ns as f64 / 1e9 * count as f64 / count.saturating_sub(1).max(1) as f64;
        let mut qualities = QUALITIES.iter();
        loop {
            let quality = qualities.next()?;
            let frames = count.min(quality.frames);
            let chosen = (0..frames).map(|index| &self.thumbnails[index * count / frames]);
            let chosen: Vec<Thumbnail> = chosen.map(|frame| frame.fit(quality.side_px)).collect();
            let size = chosen.first()?.size;
            let png = encode(&chosen, quality.greys).ok()?;
            if png.len() <= max_bytes {
                return Some(CineLoop { png, size, frames, seconds });
            }
        }
    }
}

/// Encodes frames of the same size, one below the other, with a palette.
fn encode(frames: &[Thumbnail], greys: u8) -> Result<Vec<u8>, Error> {
    let Some(Size { width, height }) = frames.first().map(|frame| frame.size) else {
        return Err(Error::other("the loop has no frames"));
    };
    let mut indices = Vec::with_capacity(width * height * frames.len());
    for frame in frames {
        // Where a pixel hardly changes, it keeps its grey. The image is then much smaller.
        let previous = indices.len().checked_sub(width * height);
        for (at, pixel) in frame.pixels.chunks_exact(3).enumerate() {
            let previous = previous.map(|start| indices[start + at]);
            indices.push(choose_index([pixel[0], pixel[1], pixel[2]], previous, greys));
        }
    }
    let is_grey = indices.iter().all(|&index| index < greys);
    let depth = if is_grey && greys <= 16 { BitDepth::Four } else { BitDepth::Eight };
    let colours = if is_grey { 0 } else { LEVELS };
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, width as u32, (height * frames.len()) as u32);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(depth);
    encoder.set_palette(create_palette(greys, colours));
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::NoFilter);
    let mut writer = encoder.write_header().map_err(Error::other)?;
    let mut stream = writer.stream_writer().map_err(Error::other)?;
    for row in indices.chunks_exact(width) {
        match depth {
            BitDepth::Four => {
                let pack = |pair: &[u8]| pair[0] << 4 | pair.get(1).unwrap_or(&0);
                stream.write_all(&row.chunks(2).map(pack).collect::<Vec<u8>>())?;
            }
            _ => stream.write_all(row)?,
        }
    }
    stream.finish().map_err(Error::other)?;
    drop(writer);
    Ok(png)
}

/// Returns the palette: first the greys, then the colours with `levels` levels of each component.
fn create_palette(greys: u8, levels: u8) -> Vec<u8> {
    let level = |index: u8, count: u8| (u32::from(index) * 255 / u32::from(count - 1)) as u8;
    let mut palette: Vec<u8> = (0..greys).flat_map(|index| [level(index, greys); 3]).collect();
    for red in 0..levels {
        for green in 0..levels {
            for blue in 0..levels {
                palette.extend([red, green, blue].map(|index| level(index, levels)));
            }
        }
    }
    palette
}

/// Returns the palette index of a pixel. `previous` is that of the same pixel in the previous
/// frame.
fn choose_index([red, green, blue]: [u8; 3], previous: Option<u8>, greys: u8) -> u8 {
    let (low, high) = (red.min(green).min(blue), red.max(green).max(blue));
    let nearest = |value: f32, levels: u8| (value / 255.0 * f32::from(levels - 1)).round() as u8;
    if high - low > GREY_SPREAD {
        let [red, green, blue] = [red, green, blue].map(|part| nearest(part.into(), LEVELS));
        return greys + (red * LEVELS + green) * LEVELS + blue;
    }
    let grey = f32::from(green) * 0.6 + f32::from(red) * 0.3 + f32::from(blue) * 0.1;
    let exact = grey / 255.0 * f32::from(greys - 1);
    match previous {
        Some(index) if index < greys && (f32::from(index) - exact).abs() < 0.8 => index,
        _ => exact.round() as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cine::Timing;
    use tteview::frame::PixelFormat;

    /// Builds the loop of a cine whose pixel `index` of a frame is `value(frame, index)`.
    fn build(frames: usize, max_bytes: usize, value: impl Fn(usize, usize) -> u8) -> CineLoop {
        let period_ns = 20_000_000;
        let timing = Timing::regular(frames, period_ns, None);
        let facts = Facts::new("test", PixelFormat::Gray8, [320, 240], timing).unwrap();
        let mut builder = LoopBuilder::new(&facts);
        for frame in 0..frames {
            let pixels = (0..320 * 240).map(|index| value(frame, index)).collect();
            builder.add(&Frame { pixels, time_ns: frame as i64 * period_ns });
        }
        builder.finish(max_bytes).unwrap()
    }

    fn decode(png: &[u8]) -> (u32, u32) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        reader.info().size()
    }

    #[test]
    fn a_loop_of_noise_is_small_enough() {
        let mut state = 1u32;
        let noise: Vec<u8> = (0..1 << 20)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        for max_bytes in [12_000, 40_000] {
            let cine = build(150, max_bytes, |frame, at| noise[(frame * 7919 + at) % noise.len()]);
            assert!(cine.png.len() <= max_bytes, "{}", cine.png.len());
            let size = (cine.size.width as u32, (cine.size.height * cine.frames) as u32);
            assert_eq!(decode(&cine.png), size);
        }
    }

    #[test]
    fn a_loop_has_the_speed_of_the_cine() {
        let cine = build(50, 40_000, |frame, _| frame as u8);
        // The 50 frames take 1 s, and every third one is part of the loop.
        assert_eq!((cine.frames, cine.size), (17, Size { width: 200, height: 150 }));
        assert!((cine.seconds - 1.02).abs() < 1e-6, "{}", cine.seconds);
        let one = build(1, 40_000, |_, _| 9);
        assert_eq!((one.frames, one.seconds), (1, 0.0));
    }

    #[test]
    fn colours_are_kept_and_greys_hardly_tinted() {
        let palette = create_palette(16, LEVELS);
        assert_eq!(palette.len(), 3 * (16 + 216));
        let shown = |colour| {
            let index = 3 * usize::from(choose_index(colour, None, 16));
            [palette[index], palette[index + 1], palette[index + 2]]
        };
        assert_eq!(shown([255, 0, 0]), [255, 0, 0]);
        assert_eq!(shown([0, 51, 255]), [0, 51, 255]);
        assert_eq!(shown([102, 104, 100]), [102; 3]);
        // A pixel keeps its grey if it hardly changes.
        assert_eq!(choose_index([110; 3], Some(6), 16), 6);
        assert_eq!(choose_index([119; 3], Some(6), 16), 7);
    }
}
