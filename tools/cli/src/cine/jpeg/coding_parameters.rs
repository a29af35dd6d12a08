//! The coding parameters of JPEG-LS (ITU T.87, C.2.4.1.1).

/// Number of samples after which the statistics of a context are halved.
const DEFAULT_RESET: i32 = 64;

/// Largest number of samples that is supported in place of the default. With this number, the
/// statistics of 16-bit samples fit into 32 bits.
const MAX_RESET: i32 = 4096;

/// The coding parameters: the presets of the image, and what follows from them (C.2.4.1.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parameters {
    pub(super) max: i32,
    pub(super) near: i32,
    pub(super) thresholds: [i32; 3],
    pub(super) reset: i32,
    pub(super) range: i32,
    pub(super) bits: u32,
    pub(super) limit: u32,
}

impl Parameters {
    /// Computes the parameters. A preset of 0 stands for its default value.
    pub(super) fn new(precision: u8, near: i32, presets: [i32; 5]) -> Result<Self, String> {
        let max = if presets[0] > 0 { presets[0] } else { (1 << precision) - 1 };
        let reset = if presets[4] > 0 { presets[4] } else { DEFAULT_RESET };
        if max >= 1 << precision || reset > MAX_RESET || near > 255.min(max / 2) {
            return Err("the parameters of the JPEG-LS image are invalid".into());
        }
        let clamp = |value: i32, low: i32| if value > max || value < low { low } else { value };
        let defaults = if max >= 128 {
            let factor = (max.min(4095) + 128) / 256;
            [factor + 2 + 3 * near, factor * 4 + 3 + 5 * near, factor * 17 + 4 + 7 * near]
        } else {
            let factor = 256 / (max + 1);
            [
                2.max(3 / factor + 3 * near),
                3.max(7 / factor + 5 * near),
                4.max(21 / factor + 7 * near),
            ]
        };
        let mut thresholds = [0; 3];
        let mut low = near + 1;
        for (index, place) in thresholds.iter_mut().enumerate() {
            let preset = presets[1 + index];
            *place = if preset > 0 { preset } else { clamp(defaults[index], low) };
            low = *place;
        }
        let range = (max + 2 * near) / (2 * near + 1) + 1;
        let count_bits = |values: i32| 32 - (values - 1).max(0).leading_zeros();
        let wide = count_bits(max + 1).max(2);
        Ok(Self {
            max,
            near,
            thresholds,
            reset,
            range,
            bits: count_bits(range),
            limit: 2 * (wide + wide.max(8)),
        })
    }

    pub(super) fn quantize(&self, gradient: i32) -> i32 {
        let [t1, t2, t3] = self.thresholds;
        let size = match gradient.abs() {
            size if size <= self.near => 0,
            size if size < t1 => 1,
            size if size < t2 => 2,
            size if size < t3 => 3,
            _ => 4,
        };
        size * gradient.signum()
    }

    /// Returns the sample for a prediction and a coded error (A.4.5, A.5.4).
    pub(super) fn reconstruct(&self, prediction: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut value = prediction + error * step;
        if value < -self.near {
            value += self.range * step;
        } else if value > self.max + self.near {
            value -= self.range * step;
        }
        value.clamp(0, self.max)
    }
}
