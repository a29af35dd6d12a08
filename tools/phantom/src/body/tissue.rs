//! The echogenicity of each tissue: how strongly the tissue reflects ultrasound.

use crate::rng::Rng;

/// Echo amplitudes of the tissues. All except `surroundings` are relative to the amplitudes of the
/// reference body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echogenicity {
    pub(crate) muscle: f32,
    pub(crate) thin_wall: f32,
    pub(crate) vessel_wall: f32,
    pub(crate) valve: f32,
    pub(crate) pericardium: f32,
    pub(crate) liver: f32,
    pub(crate) blood: f32,
    /// Absolute amplitude of the tissue around the heart.
    pub(crate) surroundings: f32,
    /// Amplitude of walls that run along the beam.
    pub(crate) edge_on: f32,
}

impl Echogenicity {
    /// Returns the amplitudes of the reference body. `surroundings` is the amplitude of the tissue
    /// around the heart.
    pub(crate) fn reference(surroundings: f32) -> Self {
        Self {
            muscle: 1.0,
            thin_wall: 1.0,
            vessel_wall: 1.0,
            valve: 1.0,
            pericardium: 1.0,
            liver: 1.0,
            blood: 1.0,
            surroundings,
            edge_on: 1.0,
        }
    }

    /// Chooses each amplitude at random, independently of the others. A model that is trained on
    /// such bodies must recognise a structure by its shape and motion, because no structure has a
    /// typical brightness.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let mut factor = |low: f32, high: f32| rng.draw_uniform(low, high).exp();
        Self {
            muscle: factor(-0.7, 0.5),
            thin_wall: factor(-0.8, 0.5),
            vessel_wall: factor(-1.0, 0.4),
            valve: factor(-1.0, 0.4),
            pericardium: factor(-1.0, 0.4),
            liver: factor(-0.8, 0.5),
            blood: factor(-1.0, 1.3),
            surroundings: factor(-6.2, -2.8),
            edge_on: factor(-2.5, 0.2),
        }
    }
}
