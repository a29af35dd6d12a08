//! The imaging conditions of a cine: the scanner's settings and the patient's body.

use crate::body::tissue::Echogenicity;
use crate::image::scan_conversion::Placement;
use crate::image::scanner::Scanner;
use crate::rng::Rng;

/// Everything that determines the appearance of a cine, except the anatomy.
#[derive(Clone, Debug)]
pub struct ImagingConditions {
    /// Gain relative to the reference, in decibels.
    pub gain_db: f32,
    /// Dynamic range of the log compression, in decibels.
    pub dynamic_range_db: f32,
    /// Exponent of the grey map.
    pub gamma: f32,
    /// Body habitus: 0 for a lean patient with a free acoustic window, 1 for a patient in whom
    /// almost nothing can be seen.
    pub habitus: f32,
    /// Lateral resolution at mid-depth, as the standard deviation of the beam's profile in degrees.
    pub lateral_deg: f32,
    /// Size of a speckle grain relative to the reference.
    pub grain: f32,
    /// Layout of the burned-in marks, or `None` for an image without marks.
    pub layout: Option<usize>,
    /// Depth of the sector relative to that of the view's exact plane.
    pub(crate) depth_scale: f32,
    /// Angle of the sector relative to that of the view's exact plane.
    pub(crate) angle_scale: f32,
    /// Standard deviation of the probe's displacement from its exact position, in each direction.
    pub(crate) shift_mm: f32,
    /// Standard deviation of the probe's tilt about each axis.
    pub(crate) tilt_rad: f32,
    /// Shift of the probe to the right within the plane. The plane itself does not change, but the
    /// sides of the sector show other structures.
    pub(crate) in_plane_shift_mm: f32,
    /// Rotation of the probe to the right within the plane.
    pub(crate) in_plane_turn_rad: f32,
    pub(crate) placement: Placement,
    /// Amplitude of near-field clutter.
    pub(crate) clutter: f32,
    /// Attenuation that remains at full depth after time gain compensation.
    pub(crate) residual_attenuation_db: f32,
    pub(crate) tissue: Echogenicity,
    pub(crate) lung: Lung,
    /// Position of a rib's shadow across the sector, from -1 to 1. A value outside that range means
    /// that no rib casts a shadow.
    pub(crate) rib: f32,
    pub(crate) dropout: Dropout,
    pub(crate) reverberation: Reverberation,
    /// Variation of the brightness within one tissue.
    pub(crate) heterogeneity: f32,
    /// Offset that the grey map adds to every grey value.
    pub(crate) black_level: f32,
}

/// Lung that covers the acoustic window from both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lung {
    /// Lung-free fraction of the left half of the sector. A value of 1 or more leaves
    /// the whole half free.
    pub(crate) free_left: f32,
    /// Lung-free fraction of the right half of the sector. A value of 1 or more leaves
    /// the whole half free.
    pub(crate) free_right: f32,
    /// Depth at which the lung begins.
    pub(crate) depth_mm: f32,
}

impl Lung {
    const NONE: Self = Self { free_left: 2.0, free_right: 2.0, depth_mm: 0.0 };
}

/// Loss of contact with the skin. The loss varies like a sine wave across the sector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    pub(crate) frequency: f32,
    pub(crate) phase: f32,
    /// Largest loss, from 0 to 1.
    pub(crate) strength: f32,
}

/// A reflector whose echo returns at multiples of its depth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reverberation {
    pub(crate) depth_mm: f32,
    /// Amplitude of the first echo. A value of 0 or less means that there is no reverberation.
    pub(crate) amplitude: f32,
}

/// Number of layouts of burned-in marks for `Scanner::Training`. The layouts for `Scanner::Field`
/// are numbered from this value on.
pub(crate) const TRAINING_LAYOUTS: usize = 5;
const FIELD_LAYOUTS: usize = 4;

impl ImagingConditions {
    /// Chooses the conditions of one cine at random. Without `burn_in`, the image has no marks.
    pub(crate) fn draw(scanner: Scanner, burn_in: bool, rng: &mut Rng) -> Self {
        let mut pick = |bench: (f32, f32), training: (f32, f32), field: (f32, f32)| {
            let (low, high) = match scanner {
                Scanner::Bench => bench,
                Scanner::Training | Scanner::Broad | Scanner::Wild | Scanner::Unlike => training,
                Scanner::Field => field,
            };
            rng.draw_uniform(low, high)
        };
        let habitus = pick((0.0, 0.3), (0.0, 0.65), (0.35, 0.9));
        // For `Scanner::Field`, the gain is set too low or too high.
        let low = pick((-3.0, 4.0), (-8.0, 8.0), (-10.0, -6.0));
        let high = pick((-3.0, 4.0), (-8.0, 8.0), (6.0, 11.0));
        let is_low = scanner == Scanner::Field && pick((0.0, 1.0), (0.0, 1.0), (0.0, 1.0)) < 0.5;
        let scale = pick((1.0, 1.0), (0.72, 1.0), (0.62, 0.95));
        // Drawing the fields in another order would change every cine.
        let mut conditions = Self {
            gain_db: if is_low { low } else { high },
            dynamic_range_db: pick((48.0, 58.0), (42.0, 68.0), (38.0, 76.0)),
            gamma: pick((0.9, 1.15), (0.75, 1.35), (0.65, 1.5)),
            habitus,
            lateral_deg: pick((0.9, 1.2), (0.8, 2.1), (1.2, 2.6)) * (1.0 + 0.5 * habitus),
            grain: pick((0.95, 1.05), (0.75, 1.4), (0.65, 1.6)),
            layout: None,
            depth_scale: pick((0.97, 1.05), (0.88, 1.22), (0.85, 1.32)),
            angle_scale: pick((0.96, 1.04), (0.8, 1.12), (0.75, 1.16)),
            shift_mm: pick((0.7, 0.7), (2.0, 2.0), (2.4, 2.4)),
            tilt_rad: pick((0.01, 0.01), (0.035, 0.035), (0.04, 0.04)),
            in_plane_shift_mm: 0.0,
            in_plane_turn_rad: 0.0,
            placement: Placement {
                scale,
                middle: 0.5 + 0.5 * (1.0 - scale) * pick((0.0, 0.0), (-0.6, 0.6), (-0.9, 0.9)),
                top: (1.0 - scale) * pick((0.0, 0.0), (0.1, 0.9), (0.0, 1.0)),
                stretch: 1.0,
            },
            clutter: pick((0.01, 0.02), (0.008, 0.05), (0.015, 0.06)) * (1.0 + habitus),
            residual_attenuation_db: pick((2.0, 5.0), (0.0, 10.0), (2.0, 12.0))
                + 10.0 * habitus * habitus,
            tissue: Echogenicity::reference(pick((0.025, 0.035), (0.012, 0.06), (0.012, 0.08))),
            lung: Lung::NONE,
            rib: pick((2.0, 2.0), (-3.0, 3.0), (-2.4, 2.4)),
            dropout: Dropout {
                frequency: pick((2.0, 5.0), (2.0, 7.0), (2.0, 7.0)),
                phase: pick((0.0, 6.0), (0.0, 6.2), (0.0, 6.2)),
                strength: pick((0.1, 0.2), (0.1, 0.5), (0.2, 0.6)),
            },
            reverberation: Reverberation {
                depth_mm: pick((9.0, 14.0), (7.0, 22.0), (7.0, 26.0)),
                amplitude: pick((0.0, 0.01), (-0.03, 0.06), (-0.02, 0.09)),
            },
            heterogeneity: pick((0.2, 0.3), (0.15, 0.65), (0.3, 0.8)),
            black_level: pick((0.0, 0.0), (-8.0, 10.0), (-7.0, 14.0)),
        };
        if burn_in {
            conditions.layout = match scanner {
                Scanner::Bench => Some(0),
                Scanner::Training | Scanner::Broad | Scanner::Wild | Scanner::Unlike => {
                    Some(rng.draw_below(TRAINING_LAYOUTS))
                }
                Scanner::Field => Some(TRAINING_LAYOUTS + rng.draw_below(FIELD_LAYOUTS)),
            };
        }
        if matches!(scanner, Scanner::Broad | Scanner::Wild | Scanner::Unlike) {
            conditions.broaden(rng);
        }
        conditions
    }

    /// Widens the conditions of `Scanner::Training` to those of `Scanner::Broad`.
    fn broaden(&mut self, rng: &mut Rng) {
        self.tissue = Echogenicity::draw(rng);
        self.lung = Lung {
            free_left: rng.draw_uniform(0.25, 1.6),
            free_right: rng.draw_uniform(0.25, 1.6),
            depth_mm: rng.draw_uniform(10.0, 70.0),
        };
        self.gamma = rng.draw_uniform(0.75, 1.9);
        self.placement.scale *= rng.draw_uniform(0.8, 1.0);
        // Half of the sectors are narrower, because clinics often narrow the sector for a higher
        // frame rate.
        self.angle_scale *= rng.draw_uniform(0.5, 1.5).min(1.0);
        self.depth_scale *= rng.draw_uniform(0.85, 1.05);
        self.in_plane_shift_mm = rng.draw_uniform(-6.0, 6.0);
        self.in_plane_turn_rad = rng.draw_uniform(-0.12, 0.12);
    }
}
