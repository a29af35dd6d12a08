//! Palette colour lookup tables (PS3.3, C.7.6.3.1.5 and C.7.6.3.1.6).

use super::data_set::Value;

/// The attributes of red, green and blue.
#[derive(Clone, Debug, Default)]
pub(super) struct PaletteAttributes {
    descriptors: [Vec<u16>; 3],
    bytes: [Vec<u8>; 3],
    words: [Vec<u16>; 3],
}

impl PaletteAttributes {
    /// Takes the element of group 0028 with this number.
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

/// Red, green and blue of 8 bits by pixel value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Palette([Channel; 3]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Channel {
    /// Pixel value of the first entry; lower ones have its colour too.
    first: u16,
    entries: Vec<u8>,
}

impl Palette {
    pub(super) fn new(attributes: &PaletteAttributes) -> Result<Self, String> {
        let channel = |channel: usize, name: &str| {
            let [entries, first, bits] = attributes.descriptors[channel][..] else {
                return Err(format!("no {name} palette descriptor"));
            };
            let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
            let (bytes, words) = (&attributes.bytes[channel], &attributes.words[channel]);
            let entries = match bytes.len() {
                0 => return Err(format!("no {name} palette; segmented palettes are not supported")),
                length if length >= 2 * entries => {
                    let words = &words[..entries];
                    // Entries of 8 bits may stand in words, also where the descriptor says 16.
                    let narrow = bits == 8 || words.iter().all(|&word| word < 256);
                    words.iter().map(|&word| if narrow { word as u8 } else { (word >> 8) as u8 }).collect()
                }
                length if length >= entries && bits == 8 => bytes[..entries].to_vec(),
                length => {
                    return Err(format!(
                        "{name} palette of {length} bytes for {entries} entries of {bits} bits"
                    ));
                }
            };
            Ok(Channel { first, entries })
        };
        Ok(Self([channel(0, "red")?, channel(1, "green")?, channel(2, "blue")?]))
    }

    pub(super) fn rgb(&self, value: u16) -> [u8; 3] {
        [0, 1, 2].map(|channel| {
            let Channel { first, entries } = &self.0[channel];
            let index = usize::from(value.saturating_sub(*first)).min(entries.len() - 1);
            entries[index]
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;

    fn palette(descriptor: [u16; 3], bytes: &[u8]) -> Result<Palette, String> {
        let words =
            bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect::<Vec<_>>();
        Palette::new(&PaletteAttributes {
            descriptors: [0; 3].map(|_| descriptor.to_vec()),
            bytes: [0; 3].map(|_| bytes.to_vec()),
            words: [0; 3].map(|_| words.clone()),
        })
    }

    #[test]
    fn values_outside_the_table_have_its_first_and_last_colour() {
        let palette = palette([2, 10, 16], &[0, 5, 0, 9]).unwrap();
        assert_eq!([9, 10, 11, 12].map(|value| palette.rgb(value)[0]), [5, 5, 9, 9]);
    }

    #[test]
    fn entries_of_eight_bits_may_be_packed_or_stand_in_words() {
        assert_eq!(palette([2, 0, 8], &[5, 9]).unwrap().rgb(1), [9; 3]);
        assert_eq!(palette([2, 0, 8], &[5, 0, 9, 0]).unwrap().rgb(1), [9; 3]);
        assert_eq!(palette([2, 0, 16], &[5, 0, 9, 0]).unwrap().rgb(1), [9; 3]);
    }

    #[test]
    fn a_table_shorter_than_its_descriptor_is_an_error() {
        assert!(palette([0, 0, 16], &[0; 100]).unwrap_err().contains("65536 entries"));
        assert!(palette([2, 0, 8], &[]).unwrap_err().contains("segmented"));
    }
}
