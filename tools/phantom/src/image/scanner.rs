//! The kinds of scanners from which a cine can come.

use crate::body::organic::shape::Family;
use crate::rng::Rng;

/// A family of ultrasound scanners and patients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scanner {
    /// One well-adjusted scanner whose sector fills the frame, for figures and bring-up.
    #[default]
    Bench,
    /// The scanners whose cines are used for training.
    Training,
    /// Scanners with frame rates and burned-in marks that `Training` does not have, and with gains
    /// that are too low or too high.
    Field,
    /// `Training` with wider ranges: tissues of any brightness, lung in the acoustic window, darker
    /// grey maps, smaller and narrower sectors, a probe farther from its exact position, and
    /// ventricles of any size. These cines are meant to be more similar than those of `Training` to
    /// the cines that clinics store.
    Broad,
    /// Organic hearts with looks that vary far beyond those of real scanners, for training.
    Wild,
    /// Organic hearts with shapes, textures, grey maps, marks and capture artefacts that `Wild`
    /// does not have, for evaluation.
    Unlike,
}

impl Scanner {
    /// Every scanner.
    pub const ALL: [Scanner; 6] =
        [Self::Bench, Self::Training, Self::Field, Self::Broad, Self::Wild, Self::Unlike];

    /// Returns the family of the scanner's organic hearts, or `None` if its hearts are built from
    /// ellipsoids.
    pub(crate) fn family(self) -> Option<Family> {
        match self {
            Self::Wild => Some(Family::Wild),
            Self::Unlike => Some(Family::Unlike),
            Self::Bench | Self::Training | Self::Field | Self::Broad => None,
        }
    }

    /// Returns whether the scanner shows organic hearts.
    pub fn is_organic(self) -> bool {
        self.family().is_some()
    }

    /// Returns the name that is used in the manifest and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bench => "bench",
            Self::Training => "training",
            Self::Field => "field",
            Self::Broad => "broad",
            Self::Wild => "wild",
            Self::Unlike => "unlike",
        }
    }

    /// Chooses a random frame period in nanoseconds. The frame rate is 30 Hz for `Bench`, 22 to
    /// 55 Hz for `Training` and `Broad`, 14 to 20 Hz or 60 to 90 Hz for `Field`, and 14 to 90 Hz
    /// for `Wild` and `Unlike`.
    pub fn draw_frame_period_ns(self, seed: u64) -> u64 {
        let mut rng = Rng::new(seed ^ 0xF4A3_E0C1);
        let (slow, fast) = (rng.draw_uniform(14.0, 20.0), rng.draw_uniform(60.0, 90.0));
        let rate_hz = match self {
            Self::Bench => 30.0,
            Self::Training | Self::Broad => rng.draw_uniform(22.0, 55.0),
            // Half of the organic cines have a common rate.
            Self::Wild | Self::Unlike if rng.draw_uniform(0.0, 1.0) < 0.5 => {
                rng.draw_uniform(25.0, 60.0)
            }
            Self::Wild | Self::Unlike => rng.draw_uniform(14.0, 90.0),
            Self::Field if rng.draw_uniform(0.0, 1.0) < 0.5 => slow,
            Self::Field => fast,
        };
        (1e9 / f64::from(rate_hz)) as u64
    }
}
