//! The bits and the Golomb codes of JPEG-LS (ITU T.87, annex A).

/// Largest value of a code. The error of a 16-bit sample needs 17 bits.
const MAX_VALUE: i32 = 1 << 17;

/// A reader of the bits of a scan. After a byte of ones, the next byte has only seven bits. The
/// reader stops at a marker.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    bits: u64,
    count: u32,
    is_after_ones: bool,
    /// Number of zero bits that were appended after the last bit of the data.
    padding: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, bits: 0, count: 0, is_after_ones: false, padding: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let (byte, bits) = match self.data.get(self.at) {
                Some(&byte) if self.is_after_ones && byte < 0x80 => (byte, 7),
                Some(&byte) if !self.is_after_ones && !self.is_at_marker() => (byte, 8),
                _ => {
                    self.padding += 8;
                    self.bits <<= 8;
                    self.count += 8;
                    continue;
                }
            };
            self.is_after_ones = byte == 0xff;
            self.at += 1;
            self.bits = self.bits << bits | u64::from(byte);
            self.count += bits;
        }
    }

    fn is_at_marker(&self) -> bool {
        matches!(self.data.get(self.at..), Some([0xff, 0x80..=0xff, ..]))
    }

    pub(super) fn read_bits(&mut self, bits: u32) -> Result<u32, String> {
        self.fill();
        self.count -= bits;
        if self.padding > self.count {
            return Err("the data of the JPEG-LS image end early".into());
        }
        Ok((self.bits >> self.count) as u32 & (((1u64 << bits) - 1) as u32))
    }

    /// Reads a Golomb code with the parameter `k` and a limited length (A.5.3). The value of a code
    /// with more than `max_zeros` zeros is stored in `wide_bits` bits.
    pub(super) fn read_golomb(
        &mut self,
        k: u32,
        max_zeros: u32,
        wide_bits: u32,
    ) -> Result<i32, String> {
        let mut zeros = 0;
        while self.read_bits(1)? == 0 {
            zeros += 1;
            if zeros > max_zeros {
                return Err("the JPEG-LS image has an invalid code".into());
            }
        }
        let value = match zeros < max_zeros {
            true => zeros << k | self.read_bits(k)?,
            false => self.read_bits(wide_bits)? + 1,
        };
        let value = i32::try_from(value).ok().filter(|&value| value <= MAX_VALUE);
        value.ok_or_else(|| "the JPEG-LS image has an invalid code".into())
    }

    /// Returns the offset of the next marker, or the length of the data.
    pub(super) fn find_marker(&self) -> usize {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let marker = rest.windows(2).position(|pair| pair[0] == 0xff && pair[1] >= 0x80);
        marker.map_or(self.data.len(), |distance| self.at + distance)
    }

    /// Continues after the restart marker that follows the current interval.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        let at = self.find_marker();
        if !self.data.get(at + 1).is_some_and(|marker| (0xd0..=0xd7).contains(marker)) {
            return Err("the JPEG-LS image has no restart marker where one is due".into());
        }
        *self = Self::new(self.data, at + 2);
        Ok(())
    }
}
