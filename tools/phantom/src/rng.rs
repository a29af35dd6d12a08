//! Seeded random numbers.

/// The SplitMix64 generator (Steele, Lea and Flood 2014). Equal seeds give equal bits on every
/// machine.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws 64 random bits.
    pub(crate) fn draw_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Draws a number uniformly from `[low, high)`.
    pub(crate) fn draw_uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.draw_bits() >> 40) as f32 / (1u32 << 24) as f32)
    }

    /// Draws a standard normal number using the Box-Muller transform.
    pub(crate) fn draw_normal(&mut self) -> f32 {
        let u = self.draw_uniform(1e-7, 1.0);
        (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * self.draw_uniform(0.0, 1.0)).cos()
    }

    /// Draws an integer uniformly from `0..n`, or returns 0 if `n` is 0.
    pub(crate) fn draw_below(&mut self, n: usize) -> usize {
        (self.draw_bits() % n.max(1) as u64) as usize
    }
}
