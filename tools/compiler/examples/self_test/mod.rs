//! What the writer of source networks takes its weights from.

/// 32-bit xorshift, as in the self-test.
pub(crate) struct Xorshift(pub(crate) u32);

impl Xorshift {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    pub(crate) fn fill(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (f64::from(self.next()) / f64::from(1u32 << 31) - 1.0) as f32).collect()
    }
}
