//! Palette colour lookup tables (PS3.3, C.7.6.3.1.5 and C.7.6.3.1.6).

use super::value::Value;

/// The palette attributes for red, green and blue.
#[derive(Clone, Debug, Default)]
pub(super) struct PaletteAttributes {
    descriptors: [Vec<u16>; 3],
    bytes: [Vec<u8>; 3],
    words: [Vec<u16>; 3],
}

impl PaletteAttributes {
    /// Keeps an element of group 0028 if it belongs to a palette.
    pub(super) fn set(&mut self, element: u16, value: Value<'_>) {
        let channel = usize::from(element & 0xf).wrapping_sub(1);
        if channel > 2 {
            return;
        }
        match element & 0xfff0 {
            0x1100 => self.descriptors[channel] = value.u16s(),
            0x1200 => {
                self.bytes[channel] = value.bytes.to_vec();
                self.words[channel] = value.u16s();
            }
            _ => {}
        }
    }
}

/// A palette: the 8-bit values of red, green and blue for each pixel value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Palette([Channel; 3]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Channel {
    /// Pixel value of the first entry. Smaller pixel values use this entry, too.
    first: u16,
    entries: Vec<u8>,
}

impl Palette {
    pub(super) fn new(attributes: &PaletteAttributes) -> Result<Self, String> {
        let channel = |channel: usize, name: &str| {
            let [entries, first, bits] = attributes.descriptors[channel][..] else {
                return Err(format!("the file has no {name} palette descriptor"));
            };
            let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
            let (bytes, words) = (&attributes.bytes[channel], &attributes.words[channel]);
            let entries = match bytes.len() {
                0 => {
                    return Err(format!(
                        "the file has no {name} palette; segmented palettes are not supported, so convert \
                         the pixels to RGB"
                    ));
                }
                length if length >= 2 * entries => {
                    let words = &words[..entries];
                    // Words may contain 8-bit entries, even if the descriptor specifies 16 bits.
                    let is_narrow = bits == 8 || words.iter().all(|&word| word < 256);
                    words
                        .iter()
                        .map(|&word| if is_narrow { word as u8 } else { (word >> 8) as u8 })
                        .collect()
                }
                length if length >= entries && bits == 8 => bytes[..entries].to_vec(),
                length => {
                    return Err(format!(
                        "the {name} palette must have {entries} entries of {bits} bits, got {length} bytes"
                    ));
                }
            };
            Ok(Channel { first, entries })
        };
        Ok(Self([channel(0, "red")?, channel(1, "green")?, channel(2, "blue")?]))
    }

    /// Returns the colour of a pixel value. A value beyond the last entry has the colour of the
    /// last entry.
    pub(super) fn rgb(&self, value: u16) -> [u8; 3] {
        [0, 1, 2].map(|channel| {
            let Channel { first, entries } = &self.0[channel];
            let index = usize::from(value.saturating_sub(*first)).min(entries.len() - 1);
            entries[index]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create_palette(descriptor: [u16; 3], bytes: &[u8]) -> Result<Palette, String> {
        let words = bytes
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect::<Vec<_>>();
        Palette::new(&PaletteAttributes {
            descriptors: [0; 3].map(|_| descriptor.to_vec()),
            bytes: [0; 3].map(|_| bytes.to_vec()),
            words: [0; 3].map(|_| words.clone()),
        })
    }

    #[test]
    fn values_outside_the_table_have_its_first_or_last_colour() {
        let palette = create_palette([2, 10, 16], &[0, 5, 0, 9]).unwrap();
        assert_eq!([9, 10, 11, 12].map(|value| palette.rgb(value)[0]), [5, 5, 9, 9]);
    }

    #[test]
    fn eight_bit_entries_may_be_bytes_or_words() {
        assert_eq!(create_palette([2, 0, 8], &[5, 9]).unwrap().rgb(1), [9; 3]);
        assert_eq!(create_palette([2, 0, 8], &[5, 0, 9, 0]).unwrap().rgb(1), [9; 3]);
        assert_eq!(create_palette([2, 0, 16], &[5, 0, 9, 0]).unwrap().rgb(1), [9; 3]);
    }

    #[test]
    fn a_table_shorter_than_its_descriptor_is_refused() {
        assert!(create_palette([0, 0, 16], &[0; 100]).unwrap_err().contains("65536 entries"));
        assert!(create_palette([2, 0, 8], &[]).unwrap_err().contains("segmented"));
    }
}
