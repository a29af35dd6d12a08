//! The Huffman coding of lossless images (ITU T.81, annexes C and F).

use crate::cine::bytes::slice;

/// Number of bits of the longest code.
const MAX_BITS: usize = 16;

/// Number of bits that the lookup table decodes at once.
const LOOKUP_BITS: u32 = 9;

/// A Huffman table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Value and length of the code for each beginning of a code; the length is 0 if the code is
    /// longer than the lookup.
    lookup: Vec<(u8, u8)>,
    /// For each length, the last code plus one, aligned to 16 bits.
    limits: [u32; MAX_BITS + 1],
    /// For each length, the difference between the index of a value and its code.
    offsets: [i32; MAX_BITS + 1],
    values: Vec<u8>,
}

impl Table {
    /// Creates a table from the number of codes of each length and the values in the order of the
    /// codes.
    pub(super) fn new(counts: &[u8], values: &[u8]) -> Result<Self, String> {
        let invalid = || String::from("a Huffman table of the JPEG image is invalid");
        let mut lookup = vec![(0, 0); 1 << LOOKUP_BITS];
        let (mut limits, mut offsets) = ([0; MAX_BITS + 1], [0; MAX_BITS + 1]);
        let (mut code, mut index) = (0u32, 0usize);
        for (length, &count) in (1..).zip(counts.iter().take(MAX_BITS)) {
            offsets[length] = index as i32 - code as i32;
            for _ in 0..count {
                let value = *values.get(index).ok_or_else(invalid)?;
                if code >> length != 0 {
                    return Err(invalid());
                }
                if length as u32 <= LOOKUP_BITS {
                    let free = LOOKUP_BITS - length as u32;
                    let first = (code << free) as usize;
                    let entries = lookup.get_mut(first..first + (1 << free)).ok_or_else(invalid)?;
                    entries.fill((value, length as u8));
                }
                code += 1;
                index += 1;
            }
            limits[length] = code << (MAX_BITS - length);
            code <<= 1;
        }
        Ok(Self { lookup, limits, offsets, values: values.to_vec() })
    }

    /// Reads the tables of a segment with the marker DHT. Each table replaces the one in `tables`
    /// that has its number. Tables for coefficients are ignored.
    pub(super) fn read_segment(
        mut segment: &[u8],
        tables: &mut [Option<Self>; 4],
    ) -> Result<(), String> {
        while !segment.is_empty() {
            let truncated = || String::from("a Huffman table of the JPEG image is truncated");
            let selector = segment[0];
            let counts = slice(segment, 1, MAX_BITS).ok_or_else(truncated)?;
            let codes = counts.iter().map(|&count| usize::from(count)).sum();
            let values = slice(segment, 1 + MAX_BITS, codes).ok_or_else(truncated)?;
            if selector >> 4 == 0 {
                let place = tables.get_mut(usize::from(selector & 15));
                let place = place.ok_or("the number of a Huffman table must be 0 to 3")?;
                *place = Some(Self::new(counts, values)?);
            }
            segment = segment.get(1 + MAX_BITS + codes..).unwrap_or_default();
        }
        Ok(())
    }
}

/// A reader of the bits of a scan. It stops at a marker.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    bits: u64,
    count: u32,
    /// Number of zero bits that were appended after the last bit of the data.
    padding: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, bits: 0, count: 0, padding: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (Some(0xff), _) | (None, _) => {
                    self.padding += 8;
                    0
                }
                (Some(&byte), _) => {
                    self.at += 1;
                    byte
                }
            };
            self.bits = self.bits << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// Reads the next difference: a code for its number of bits, then the bits (ITU T.81, H.1.2.2).
    pub(super) fn read_difference(&mut self, table: &Table) -> Result<i32, String> {
        self.fill();
        let next = (self.bits >> (self.count - MAX_BITS as u32)) as u32 & 0xffff;
        let (value, length) = match table.lookup[(next >> (MAX_BITS as u32 - LOOKUP_BITS)) as usize]
        {
            (_, 0) => {
                let length = (1..=MAX_BITS).find(|&length| next < table.limits[length]);
                let length = length.ok_or("the JPEG image has an invalid Huffman code")?;
                let code = (next >> (MAX_BITS - length)) as i32;
                let index = usize::try_from(code + table.offsets[length]).unwrap_or(usize::MAX);
                let value = table.values.get(index).copied();
                (value.ok_or("the JPEG image has an invalid Huffman code")?, length as u32)
            }
            (value, length) => (value, u32::from(length)),
        };
        self.count -= length;
        let difference = match value {
            0 => 0,
            1..=15 => {
                let bits = u32::from(value);
                self.count -= bits;
                let extra = (self.bits >> self.count) as i32 & ((1 << bits) - 1);
                if extra < 1 << (bits - 1) { extra - (1 << bits) + 1 } else { extra }
            }
            16 => 1 << 15,
            _ => return Err("a difference of a lossless JPEG image has more than 16 bits".into()),
        };
        if self.padding > self.count {
            return Err("the data of the JPEG image end early".into());
        }
        Ok(difference)
    }

    /// Returns the offset of the next marker, or the length of the data.
    pub(super) fn find_marker(&self) -> usize {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let marker =
            rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
        marker.map_or(self.data.len(), |distance| self.at + distance)
    }

    /// Continues after the restart marker that follows the current interval.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        let at = self.find_marker();
        if !self.data.get(at + 1).is_some_and(|marker| (0xd0..=0xd7).contains(marker)) {
            return Err("the JPEG image has no restart marker where one is due".into());
        }
        *self = Self::new(self.data, at + 2);
        Ok(())
    }
}
