//! The random number generator of the self-test, `verify` and the tests.

/// A 32-bit xorshift generator with the shifts 13, 17 and 5 (G. Marsaglia, "Xorshift RNGs", 2003).
///
/// The field is the state, which must not be zero. `docs/model-package.md` specifies the sequence,
/// because the library fills the inputs of the self-test with the same numbers.
pub(crate) struct Xorshift(pub(crate) u32);

impl Xorshift {
    /// Advances the state and returns it.
    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Returns the next `count` numbers, each mapped to the range from -1 to 1 as `x / 2^31 - 1`.
    pub(crate) fn fill(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (f64::from(self.next()) / f64::from(1u32 << 31) - 1.0) as f32).collect()
    }
}
