//! The sequence parameters of an H.264 stream (ITU-T H.264, 7.3.2.1.1 and annex E).

use crate::cine::ybr::VideoColours;

/// Profiles whose parameters contain the chroma format.
const HIGH_PROFILES: [u32; 12] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134];

/// Maximum number of reference frames of a stream.
const MAX_REFERENCES: u32 = 16;

/// The parameters that the reader needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SequenceParameters {
    pub(super) size: [u32; 2],
    pub(super) colours: VideoColours,
}

impl SequenceParameters {
    /// Reads a unit with sequence parameters.
    ///
    /// # Errors
    /// Returns an error if the unit is damaged or describes an unsupported stream.
    pub(super) fn read(unit: &[u8]) -> Result<Self, String> {
        let mut bits = BitReader::new(unit.get(1..).unwrap_or_default());
        let profile = bits.read(8)?;
        bits.read(16)?; // Constraints and level.
        bits.read_code()?;
        if HIGH_PROFILES.contains(&profile) {
            let chroma_format = bits.read_code()?;
            let depths = [bits.read_code()?, bits.read_code()?];
            if chroma_format != 1 || depths != [0, 0] {
                return Err("H.264 is supported only with 8 bits and 4:2:0 chroma".into());
            }
            bits.read(1)?;
            if bits.read(1)? == 1 {
                (0..8).try_for_each(|list| skip_scaling_list(&mut bits, list))?;
            }
        }
        bits.read_code()?; // Bits of the frame number.
        match bits.read_code()? {
            0 => drop(bits.read_code()?),
            1 => {
                bits.read(1)?;
                bits.read_code()?;
                bits.read_code()?;
                let count = bits.read_code()?;
                for _ in 0..count.min(256) {
                    bits.read_code()?;
                }
            }
            _ => {}
        }
        let references = bits.read_code()?;
        bits.read(1)?;
        let (width, height) = (bits.read_code()?, bits.read_code()?);
        if bits.read(1)? == 0 {
            return Err("interlaced H.264 is not supported".into());
        }
        bits.read(1)?;
        let mut crop = [0; 4];
        if bits.read(1)? == 1 {
            for side in &mut crop {
                *side = bits.read_code()?;
            }
        }
        let side = |blocks: u32, crop: [u32; 2]| {
            let pixels = blocks.checked_add(1)?.checked_mul(16)?;
            let crop = crop[0].checked_add(crop[1])?.checked_mul(2)?;
            pixels.checked_sub(crop).filter(|&pixels| pixels > 0)
        };
        let size = side(width, [crop[0], crop[1]]).zip(side(height, [crop[2], crop[3]]));
        let (width, height) = size.ok_or("the size of the H.264 stream is invalid")?;
        if references > MAX_REFERENCES {
            return Err(format!(
                "an H.264 stream has at most {MAX_REFERENCES} reference frames, got {references}"
            ));
        }
        let colours = read_colours(&mut bits).unwrap_or(DEFAULT_COLOURS);
        Ok(Self { size: [width, height], colours })
    }
}

/// The colours of a stream that does not specify them.
const DEFAULT_COLOURS: VideoColours = VideoColours { is_full_range: false, is_bt_709: false };

/// Value of the aspect ratio that is followed by two numbers.
const EXTENDED_ASPECT_RATIO: u32 = 255;

/// Value of the matrix coefficients for BT.709.
const BT_709: u32 = 1;

/// Reads the colours from the usability information (E.1.1).
fn read_colours(bits: &mut BitReader<'_>) -> Result<VideoColours, String> {
    let mut colours = DEFAULT_COLOURS;
    if bits.read(1)? == 0 {
        return Ok(colours);
    }
    if bits.read(1)? == 1 && bits.read(8)? == EXTENDED_ASPECT_RATIO {
        bits.read(16)?;
        bits.read(16)?;
    }
    if bits.read(1)? == 1 {
        bits.read(1)?;
    }
    if bits.read(1)? == 1 {
        bits.read(3)?;
        colours.is_full_range = bits.read(1)? == 1;
        if bits.read(1)? == 1 {
            bits.read(16)?;
            colours.is_bt_709 = bits.read(8)? == BT_709;
        }
    }
    Ok(colours)
}

fn skip_scaling_list(bits: &mut BitReader<'_>, list: usize) -> Result<(), String> {
    if bits.read(1)? == 0 {
        return Ok(());
    }
    let (mut last, mut next) = (8, 8);
    for _ in 0..if list < 6 { 16 } else { 64 } {
        if next != 0 {
            let code = bits.read_code()?;
            let delta = if code % 2 == 1 { i64::from(code / 2) + 1 } else { -i64::from(code / 2) };
            next = (last + delta).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

/// A reader of the bits of a unit, which skips the bytes that prevent start codes.
struct BitReader<'a> {
    data: &'a [u8],
    /// Number of bits read.
    at: usize,
    zeros: u32,
    byte: u8,
}

impl<'a> BitReader<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, zeros: 0, byte: 0 }
    }

    fn read_bit(&mut self) -> Result<u32, String> {
        if self.at.is_multiple_of(8) {
            let truncated = "the sequence parameters of the H.264 stream are truncated";
            let (mut byte, mut rest) = self.data.split_first().ok_or(truncated)?;
            if self.zeros >= 2 && *byte == 3 {
                self.zeros = 0;
                (byte, rest) = rest.split_first().ok_or(truncated)?;
            }
            self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
            (self.byte, self.data) = (*byte, rest);
        }
        let bit = self.byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit.into())
    }

    fn read(&mut self, bits: u32) -> Result<u32, String> {
        (0..bits).try_fold(0, |value, _| Ok(value << 1 | self.read_bit()?))
    }

    /// Reads an Exp-Golomb code (9.1).
    fn read_code(&mut self) -> Result<u32, String> {
        let mut zeros = 0;
        while self.read_bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return Err("the sequence parameters of the H.264 stream are invalid".into());
            }
        }
        Ok((1 << zeros) - 1 + self.read(zeros)?)
    }
}
