//! The state of the heart at one position within the beat.

/// Contraction of the chambers and opening of the valves at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    /// Degree of contraction: 0 at end-diastole, 1 at end-systole.
    pub(crate) systole: f32,
    /// Opening of the atrioventricular valves, 0 to 1.
    pub(crate) av_open: f32,
    /// Opening of the semilunar valves, 0 to 1.
    pub(crate) sl_open: f32,
    /// Sine and cosine of the angle at which the leaflets of the atrioventricular valves hang.
    pub(crate) leaflet: (f32, f32),
    /// Radius of the left ventricular cavity relative to its radius at end-diastole.
    pub(crate) cavity_scale: f32,
}

impl Beat {
    /// Returns the state at `position`, which runs from 0 at one end-diastole to 1 at the next.
    ///
    /// `descent_mm` is the distance that the base moves towards the apex in systole.
    pub(crate) fn new(position: f32, ejection_fraction: f32, descent_mm: f32) -> Self {
        let ramp = |a: f32, b: f32| {
            let u = ((position - a) / (b - a)).clamp(0.0, 1.0);
            u * u * (3.0 - 2.0 * u)
        };
        // The atrioventricular valves open fully for early filling, close partly, and open again
        // for atrial contraction.
        let filling = ramp(0.42, 0.5) * (1.0 - 0.55 * ramp(0.55, 0.68) + 0.4 * ramp(0.8, 0.88));
        let systole = ramp(0.03, 0.36) - 0.75 * ramp(0.42, 0.6) - 0.25 * ramp(0.8, 0.95);
        let av_open = (filling * (1.0 - ramp(0.92, 0.99))).clamp(0.0, 1.0);
        // The radius is chosen so that, at end-systole, the volume has fallen by the ejection
        // fraction.
        let length = compute_relative_length(systole, descent_mm);
        Self {
            systole,
            cavity_scale: ((1.0 - ejection_fraction * systole) / length).sqrt(),
            av_open,
            sl_open: ramp(0.05, 0.1) * (1.0 - ramp(0.36, 0.41)),
            leaflet: (0.3 + 0.95 * av_open).sin_cos(),
        }
    }
}

/// Returns the length of the left ventricle relative to its length at end-diastole.
pub(crate) fn compute_relative_length(systole: f32, descent_mm: f32) -> f32 {
    1.0 - descent_mm * systole / 80.0
}
