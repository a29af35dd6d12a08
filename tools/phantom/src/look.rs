//! The scanner and the patient's body: everything about the picture that is not anatomy.

use crate::rng::Rng;

/// Whose settings a cine is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scanner {
    /// One well-kept machine: the sector fills the frame, settings hardly vary. For pictures and bring-up.
    #[default]
    Bench,
    /// The machines a model is trained with.
    Training,
    /// Machines, bodies, frame rates and burned-in marks that `Training` does not have.
    Field,
    /// As `Training`, with tissues of any brightness, lung in the window, darker grey maps, smaller and narrower sectors,
    /// a probe further from where it should be and ventricles of any size: meant to be nearer to what clinics store.
    Broad,
}

impl Scanner {
    /// The name in a manifest and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bench => "bench",
            Self::Training => "training",
            Self::Field => "field",
            Self::Broad => "broad",
        }
    }

    /// Frame period drawn by the seed, nanoseconds: 30 Hz on the bench, 22 to 55 Hz in training; in the field 14
    /// to 20 Hz or 60 to 90 Hz.
    pub fn frame_period_ns(self, seed: u64) -> u64 {
        let mut rng = Rng::new(seed ^ 0xF4A3_E0C1);
        let (slow, fast) = (rng.range(14.0, 20.0), rng.range(60.0, 90.0));
        let rate = match self {
            Self::Bench => 30.0,
            Self::Training | Self::Broad => rng.range(22.0, 55.0),
            Self::Field if rng.range(0.0, 1.0) < 0.5 => slow,
            Self::Field => fast,
        };
        (1e9 / f64::from(rate)) as u64
    }
}

/// Settings of the machine and the state of the body for one cine.
#[derive(Clone, Debug)]
pub struct Look {
    /// Gain against the reference, dB.
    pub gain_db: f32,
    /// Dynamic range of the log compression, dB.
    pub range_db: f32,
    /// Exponent of the grey map.
    pub gamma: f32,
    /// 0 for a lean patient with a free window, 1 for one through whom next to nothing is seen.
    pub habitus: f32,
    /// Lateral resolution at mid-depth: standard deviation in degrees.
    pub lateral_deg: f32,
    /// Size of a speckle grain against the reference.
    pub grain: f32,
    /// Layout of the marks burned in; `None` for a clean picture.
    pub layout: Option<usize>,
    pub(crate) depth: f32,
    pub(crate) angle: f32,
    pub(crate) shift_mm: f32,
    pub(crate) tilt_rad: f32,
    /// Where in the plane the probe is besides: mm to the right, and radians that it is turned to the right. The plane is
    /// the view's still; what it shows at its sides changes.
    pub(crate) aside: (f32, f32),
    pub(crate) screen: Placement,
    pub(crate) clutter: f32,
    pub(crate) residual_db: f32,
    pub(crate) tissue: Tissue,
    /// Where lung covers the window: beyond which part of the sector's half angle to the left and right, and from which
    /// depth, mm.
    pub(crate) lung: [f32; 3],
    /// Position of a rib's shadow, -1 to 1 across the sector; beyond it there is none.
    pub(crate) rib: f32,
    pub(crate) dropout: [f32; 3],
    /// Depth in mm and amplitude of a reflector whose echo comes again and again.
    pub(crate) reverberation: (f32, f32),
    /// How much brightness varies from place to place in one tissue.
    pub(crate) mottle: f32,
    pub(crate) black: f32,
}

/// Amplitudes against the reference heart's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tissue {
    pub(crate) muscle: f32,
    pub(crate) thin_wall: f32,
    pub(crate) vessel_wall: f32,
    pub(crate) valve: f32,
    pub(crate) pericardium: f32,
    pub(crate) liver: f32,
    pub(crate) blood: f32,
    /// Of what lies around the heart; not relative.
    pub(crate) body: f32,
    /// Of walls that the beam runs along.
    pub(crate) edge_on: f32,
}

impl Tissue {
    fn reference(body: f32) -> Self {
        Self {
            muscle: 1.0,
            thin_wall: 1.0,
            vessel_wall: 1.0,
            valve: 1.0,
            pericardium: 1.0,
            liver: 1.0,
            blood: 1.0,
            body,
            edge_on: 1.0,
        }
    }

    /// Each by itself: no two machines and bodies show the same tissues equally bright, and what tells a structure is its
    /// shape and motion.
    fn draw(rng: &mut Rng) -> Self {
        let mut factor = |low: f32, high: f32| rng.range(low, high).exp();
        Self {
            muscle: factor(-0.7, 0.5),
            thin_wall: factor(-0.8, 0.5),
            vessel_wall: factor(-1.0, 0.4),
            valve: factor(-1.0, 0.4),
            pericardium: factor(-1.0, 0.4),
            liver: factor(-0.8, 0.5),
            blood: factor(-1.0, 1.3),
            body: factor(-6.2, -2.8),
            edge_on: factor(-2.5, 0.2),
        }
    }
}

/// Where the sector stands in the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// Height of the sector as a part of the frame's.
    pub(crate) scale: f32,
    /// Middle of the sector, as a part of the frame's width.
    pub(crate) middle: f32,
    /// Top of the sector, as a part of the frame's height.
    pub(crate) top: f32,
}

impl Placement {
    /// The sector fills the frame.
    pub(crate) const FULL: Self = Self { scale: 1.0, middle: 0.5, top: 0.0 };
}

/// No lung in the window.
const CLEAR: [f32; 3] = [2.0, 2.0, 0.0];

/// Layouts of burned-in marks of training machines; those of the field come after them.
pub(crate) const TRAINING_LAYOUTS: usize = 5;
pub(crate) const FIELD_LAYOUTS: usize = 4;

impl Look {
    /// Draws machine and body. `burn_in` off leaves the picture clean.
    pub(crate) fn draw(scanner: Scanner, burn_in: bool, rng: &mut Rng) -> Self {
        let field = scanner == Scanner::Field;
        let mut pick = |bench: (f32, f32), training: (f32, f32), far: (f32, f32)| {
            let (lo, hi) = match scanner {
                Scanner::Bench => bench,
                Scanner::Training | Scanner::Broad => training,
                Scanner::Field => far,
            };
            rng.range(lo, hi)
        };
        let habitus = pick((0.0, 0.3), (0.0, 0.65), (0.35, 0.9));
        // In the field the gain is set too low or too high.
        let low = pick((-3.0, 4.0), (-8.0, 8.0), (-10.0, -6.0));
        let high = pick((-3.0, 4.0), (-8.0, 8.0), (6.0, 11.0));
        let gain_db = if field && pick((0.0, 1.0), (0.0, 1.0), (0.0, 1.0)) < 0.5 { low } else { high };
        let scale = pick((1.0, 1.0), (0.72, 1.0), (0.62, 0.95));
        let mut look = Self {
            gain_db,
            range_db: pick((48.0, 58.0), (42.0, 68.0), (38.0, 76.0)),
            gamma: pick((0.9, 1.15), (0.75, 1.35), (0.65, 1.5)),
            habitus,
            lateral_deg: pick((0.9, 1.2), (0.8, 2.1), (1.2, 2.6)) * (1.0 + 0.5 * habitus),
            grain: pick((0.95, 1.05), (0.75, 1.4), (0.65, 1.6)),
            layout: None,
            depth: pick((0.97, 1.05), (0.88, 1.22), (0.85, 1.32)),
            angle: pick((0.96, 1.04), (0.8, 1.12), (0.75, 1.16)),
            shift_mm: pick((0.7, 0.7), (2.0, 2.0), (2.4, 2.4)),
            tilt_rad: pick((0.01, 0.01), (0.035, 0.035), (0.04, 0.04)),
            aside: (0.0, 0.0),
            screen: Placement {
                scale,
                middle: 0.5 + 0.5 * (1.0 - scale) * pick((0.0, 0.0), (-0.6, 0.6), (-0.9, 0.9)),
                top: (1.0 - scale) * pick((0.0, 0.0), (0.1, 0.9), (0.0, 1.0)),
            },
            clutter: pick((0.01, 0.02), (0.008, 0.05), (0.015, 0.06)) * (1.0 + habitus),
            residual_db: pick((2.0, 5.0), (0.0, 10.0), (2.0, 12.0)) + 10.0 * habitus * habitus,
            tissue: Tissue::reference(pick((0.025, 0.035), (0.012, 0.06), (0.012, 0.08))),
            lung: CLEAR,
            rib: pick((2.0, 2.0), (-3.0, 3.0), (-2.4, 2.4)),
            dropout: [
                pick((2.0, 5.0), (2.0, 7.0), (2.0, 7.0)),
                pick((0.0, 6.0), (0.0, 6.2), (0.0, 6.2)),
                pick((0.1, 0.2), (0.1, 0.5), (0.2, 0.6)),
            ],
            reverberation: (
                pick((9.0, 14.0), (7.0, 22.0), (7.0, 26.0)),
                pick((0.0, 0.01), (-0.03, 0.06), (-0.02, 0.09)),
            ),
            mottle: pick((0.2, 0.3), (0.15, 0.65), (0.3, 0.8)),
            black: pick((0.0, 0.0), (-8.0, 10.0), (-7.0, 14.0)),
        };
        if burn_in {
            look.layout = match scanner {
                Scanner::Bench => Some(0),
                Scanner::Training | Scanner::Broad => Some(rng.below(TRAINING_LAYOUTS)),
                Scanner::Field => Some(TRAINING_LAYOUTS + rng.below(FIELD_LAYOUTS)),
            };
        }
        if scanner == Scanner::Broad {
            look.tissue = Tissue::draw(rng);
            look.lung = [rng.range(0.25, 1.6), rng.range(0.25, 1.6), rng.range(10.0, 70.0)];
            look.gamma = rng.range(0.75, 1.9);
            look.screen.scale *= rng.range(0.8, 1.0);
            // Half of the sectors are narrow: what clinics do for frame rate, at the price of what lies aside.
            look.angle *= rng.range(0.5, 1.5).min(1.0);
            look.depth *= rng.range(0.85, 1.05);
            look.aside = (rng.range(-6.0, 6.0), rng.range(-0.12, 0.12));
        }
        look
    }
}
