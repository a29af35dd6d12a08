//! The echo of a point in the body: how strongly the tissue reflects and how fast the blood moves.

use crate::body::anatomy::{find_solid, is_moderator_band, is_papillary_muscle};
use crate::body::beat::Beat;
use crate::body::distances::{Distances, measure_liver};
use crate::body::heart::Snapshot;
use crate::body::structure::Structure;
use crate::body::tissue::Echogenicity;
use crate::body::valves::is_on_leaflet;
use crate::vector::{Vec3, dot, normalise};

/// The signal that a point sends back to the probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) amplitude: f32,
    /// Speed of the blood towards the probe in metres per second. It is 0 in tissue.
    pub(crate) speed: f32,
}

impl Echo {
    /// Builds the echo of tissue. The blood speed is 0.
    pub(crate) fn from_tissue(amplitude: f32) -> Self {
        Self { amplitude, speed: 0.0 }
    }
}

/// Computes the echo of the point `p` on a beam with the unit direction `beam`.
///
/// `p` is a point returned by `Heart::undo_descent`. `surroundings` is the amplitude of the tissue
/// around the heart at this point.
pub(crate) fn compute_echo(
    p: Vec3,
    beam: Vec3,
    snapshot: Snapshot<'_>,
    tissue: &Echogenicity,
    surroundings: f32,
) -> Echo {
    let Snapshot { heart, beat, .. } = snapshot;
    let distances = Distances::measure(p, snapshot);
    if is_on_leaflet(p, beat) {
        return Echo::from_tissue(0.7 * tissue.valve);
    }
    if distances.blood() < 0.0 {
        if is_papillary_muscle(p, beat, &distances) {
            return Echo::from_tissue(0.25 * tissue.muscle);
        }
        if is_moderator_band(p, &distances) {
            return Echo::from_tissue(0.2 * tissue.muscle);
        }
        let amplitude =
            if distances.vessel < 0.0 && distances.vessel > -1.0 { 0.02 } else { 0.003 };
        let speed = compute_blood_speed(p, beam, beat, &distances);
        return Echo { amplitude: amplitude * tissue.blood, speed };
    }
    // A surface reflects most where the beam meets it head-on. A wall that runs along the beam is
    // hardly visible.
    let outer = heart.lv_outer_radius(beat);
    let normal = normalise([
        p[0] / outer,
        p[1] / outer,
        (p[2] - 15.0) * outer / (heart.lv[2] * heart.lv[2]),
    ]);
    let facing = if p[2] > -5.0 { dot(normal, beam).abs() } else { 0.6 };
    let amplitude = match find_solid(p, &distances) {
        Structure::VesselWall => 0.4 * tissue.vessel_wall,
        Structure::Muscle => {
            let is_edge = distances.lv < 1.5 || distances.lv_outer > -1.2;
            let edge = if is_edge { 0.22 * facing * facing } else { 0.0 };
            (0.09 * tissue.edge_on + 0.14 * facing + edge) * tissue.muscle
        }
        Structure::ThinWall => (0.14 * tissue.edge_on + 0.16 * facing) * tissue.thin_wall,
        Structure::Pericardium => (0.25 * tissue.edge_on + 0.65 * facing) * tissue.pericardium,
        Structure::Liver if measure_liver(p) > -1.5 => 0.6 * tissue.liver,
        Structure::Liver => 0.17 * tissue.liver,
        _ => {
            // The echo of the fat and fibrous tissue in the atrioventricular groove fades with the
            // distance from the base and from the surface of the heart.
            let groove = (1.0 - p[2].abs() / 9.0).max(0.0)
                * (1.0 - distances.heart_surface() / 12.0).max(0.0);
            surroundings + 0.4 * groove * tissue.vessel_wall
        }
    };
    Echo::from_tissue(amplitude)
}

/// Computes the speed of the blood towards the probe in metres per second.
///
/// During filling, while the atrioventricular valves are open, the blood flows towards the apex.
/// During ejection, while the semilunar valves are open, it flows towards the base and along the
/// arteries.
fn compute_blood_speed(p: Vec3, beam: Vec3, beat: Beat, distances: &Distances<'_>) -> f32 {
    let (ventricle, vessel) = (distances.lv.min(distances.rv), distances.vessel);
    let velocity: Vec3 = match distances.nearest_vessel {
        // Blood flows through the veins all the time, and faster in systole.
        Some(vein) if vessel < 0.0 && p[1] < -20.0 && p[0] < -40.0 => {
            vein.direction().map(|v| -v * (0.2 + 0.2 * beat.systole))
        }
        Some(artery) if vessel < 0.0 => artery.direction().map(|v| v * 0.9 * beat.sl_open),
        _ => {
            let filling = 0.75
                * beat.av_open
                * if ventricle < 0.0 { 1.0 - p[2].max(0.0) / 90.0 } else { 0.7 };
            let ejection = if ventricle < 0.0 {
                0.6 * beat.sl_open * (1.0 - p[2].max(0.0) / 80.0)
            } else {
                0.0
            };
            [-0.1 * ejection, 0.3 * ejection, filling - ejection]
        }
    };
    -dot(velocity, beam)
}
