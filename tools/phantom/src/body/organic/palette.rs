//! The brightness of the structures of an organic heart.

use crate::body::organic::shape::Family;
use crate::body::organic::structures::Place;
use crate::body::structure::Structure;
use crate::rng::Rng;

/// Echo amplitudes relative to that of muscle in a plausible body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    pub(crate) blood: f32,
    pub(crate) muscle: f32,
    thin_wall: f32,
    vessel_wall: f32,
    valve: f32,
    pericardium: f32,
    fibrous: f32,
    liver: f32,
    body: f32,
    /// Amplitude of a wall along the beam, relative to that of a wall across the beam.
    pub(crate) edge_on: f32,
    /// Reflection at the edge of blood.
    pub(crate) inner_reflection: f32,
    /// Reflection at the outer surface of the heart.
    pub(crate) outer_reflection: f32,
    /// Increase of the brightness of the body at the surface of the heart, relative to `body`.
    halo: f32,
    /// Depth of the bright layer around the heart.
    halo_mm: f32,
}

impl Palette {
    /// Draws the amplitudes. In two of five `Wild` bodies, the tissues have any order of
    /// brightness, so a network cannot learn an order.
    pub(crate) fn draw(family: Family, rng: &mut Rng) -> Self {
        let is_any_order = family == Family::Wild && rng.draw_uniform(0.0, 1.0) < 0.4;
        let is_unlike = family == Family::Unlike;
        // The arguments are decibels.
        let mut pick = |low: f32, high: f32| decibels(rng.draw_uniform(low, high));
        let mut palette = if is_any_order {
            Self {
                blood: pick(-26.0, 0.0),
                muscle: pick(-8.0, 4.0),
                thin_wall: pick(-14.0, 6.0),
                vessel_wall: pick(-14.0, 8.0),
                valve: pick(-8.0, 10.0),
                pericardium: pick(-10.0, 12.0),
                fibrous: pick(-10.0, 10.0),
                liver: pick(-14.0, 6.0),
                body: pick(-30.0, 6.0),
                edge_on: pick(-20.0, 0.0),
                inner_reflection: pick(-14.0, 8.0),
                outer_reflection: pick(-14.0, 12.0),
                halo: rng.draw_uniform(0.0, 8.0),
                halo_mm: rng.draw_uniform(3.0, 40.0),
            }
        } else {
            let blood = if is_unlike { pick(-20.0, -9.0) } else { pick(-28.0, -7.0) };
            let body = if is_unlike { pick(-9.0, 3.0) } else { pick(-18.0, 0.0) };
            Self {
                blood,
                muscle: 1.0,
                thin_wall: pick(-4.0, 3.0),
                vessel_wall: pick(-2.0, 6.0),
                valve: pick(2.0, 9.0),
                pericardium: pick(2.0, 11.0),
                fibrous: pick(1.0, 9.0),
                liver: pick(-6.0, 4.0),
                body,
                edge_on: pick(-16.0, -2.0),
                inner_reflection: pick(-6.0, 7.0),
                outer_reflection: pick(0.0, 11.0),
                halo: rng.draw_uniform(0.0, 6.0),
                halo_mm: rng.draw_uniform(4.0, 35.0),
            }
        };
        // The chambers of a body in which blood and muscle are equally bright could not be seen.
        let contrast_db = 20.0 * (palette.blood / palette.muscle).log10();
        if contrast_db.abs() < 4.0 {
            palette.blood = palette.muscle * decibels(-4.0 - 4.0 * rng.draw_uniform(0.0, 1.0));
        }
        palette
    }

    /// Returns the amplitude of the scattering at a place, without reflections.
    pub(crate) fn scatter(&self, place: &Place) -> f32 {
        use Structure::{Body, Liver, Muscle, Pericardium, ThinWall, Valve, VesselWall};
        if place.is_fibrous {
            return self.fibrous;
        }
        match place.structure {
            Muscle => self.muscle,
            ThinWall => self.thin_wall,
            VesselWall => self.vessel_wall,
            Valve => self.valve,
            Pericardium => self.pericardium,
            Liver => self.liver,
            Body => {
                let halo = self.halo * (-place.outside_mm.max(0.0) / self.halo_mm).exp();
                self.body * (1.0 + halo)
            }
            _ => self.blood,
        }
    }
}

/// Returns the amplitude that corresponds to a level in decibels.
pub(crate) fn decibels(level: f32) -> f32 {
    10f32.powf(level / 20.0)
}
