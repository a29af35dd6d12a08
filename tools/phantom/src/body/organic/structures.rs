//! The structure at a point of an organic heart.

use crate::body::distances::measure_liver;
use crate::body::organic::organ::Moment;
use crate::body::organic::surfaces::Surfaces;
use crate::body::structure::Structure;
use crate::body::valves::is_on_semilunar_cusp;
use crate::vector::Vec3;

/// What is at one point of the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) structure: Structure,
    /// Whether the point lies on one of the fibrous rings or in the fat around them.
    pub(crate) is_fibrous: bool,
    /// Signed distance to the nearest boundary that reflects, negative in blood.
    pub(crate) boundary_mm: f32,
    /// Whether that boundary is the outer surface of the heart and not the edge of blood.
    pub(crate) is_outer: bool,
    /// Signed distance to the outer surface of the heart.
    pub(crate) outside_mm: f32,
    /// Velocity of the blood in metres per second.
    pub(crate) velocity: Vec3,
}

impl Place {
    /// Returns whether the point is in blood.
    pub(crate) fn is_blood(&self) -> bool {
        use Structure::{Body, Liver, Muscle, Pericardium, ThinWall, Valve, VesselWall};
        !matches!(
            self.structure,
            Muscle | ThinWall | VesselWall | Valve | Pericardium | Liver | Body
        )
    }
}

/// Returns what is at `p`, a point without the deformation and the motion of the heart.
pub(crate) fn find_place(p: Vec3, moment: &Moment<'_>) -> Place {
    let surfaces = Surfaces::measure(p, moment);
    let shape = &moment.organ.shape;
    let blood = surfaces.blood();
    let outside_mm = surfaces
        .lv_outer
        .min(surfaces.rv_whole - shape.rv_wall_mm)
        .min(surfaces.la.min(surfaces.ra) - shape.atrial_wall_mm);
    let is_outer = outside_mm.abs() < blood.abs();
    let place = |structure| Place {
        structure,
        is_fibrous: false,
        boundary_mm: if is_outer { outside_mm } else { blood },
        is_outer,
        outside_mm,
        velocity: [0.0; 3],
    };
    let leaflet = moment.valves[0].distance(p).min(moment.valves[1].distance(p));
    if leaflet < 0.0 || is_on_semilunar_cusp(p, moment.beat) {
        return place(Structure::Valve);
    }
    let ring = moment.valves[0].measure_ring(p).min(moment.valves[1].measure_ring(p));
    if ring < shape.annulus_mm {
        return Place { is_fibrous: true, ..place(Structure::ThinWall) };
    }
    if blood < 0.0 {
        if surfaces.lv < 0.0 && p[2] > 0.0 {
            let papillary = moment.papillary[0].distance(p).min(moment.papillary[1].distance(p));
            if papillary < 0.0 {
                return Place { boundary_mm: -papillary, ..place(Structure::Muscle) };
            }
            if moment.chordae.iter().any(|chorda| chorda.distance(p) < 0.0) {
                return place(Structure::Valve);
            }
        }
        if is_moderator_band(p, &surfaces) {
            return place(Structure::Muscle);
        }
        let structure = match surfaces.nearest_vessel {
            _ if surfaces.lv < 0.0 => Structure::LeftVentricle,
            _ if surfaces.la < 0.0 => Structure::LeftAtrium,
            _ if surfaces.ra < 0.0 => Structure::RightAtrium,
            Some(vessel) if surfaces.vessel < 0.0 => vessel.structure,
            _ => Structure::RightVentricle,
        };
        return Place { velocity: find_velocity(p, moment, &surfaces), ..place(structure) };
    }
    // The tissue between the atria and the fat in the grooves belong to the heart.
    let is_septum = surfaces.la.max(surfaces.ra) < 9.0;
    let is_groove = p[2].abs() < 7.0 && outside_mm < 5.0 && outside_mm > -6.0;
    if surfaces.vessel_wall < f32::MAX {
        place(Structure::VesselWall)
    } else if surfaces.lv_outer < 0.0 {
        place(Structure::Muscle)
    } else if is_septum
        || surfaces.rv_whole.max(-surfaces.lv_outer) < shape.rv_wall_mm
        || surfaces.la.min(surfaces.ra) < shape.atrial_wall_mm
    {
        place(Structure::ThinWall)
    } else if outside_mm < 2.0 {
        place(Structure::Pericardium)
    } else if measure_liver(p) < 0.0 {
        Place { boundary_mm: measure_liver(p).abs(), is_outer: true, ..place(Structure::Liver) }
    } else {
        Place { is_fibrous: is_groove, ..place(Structure::Body) }
    }
}

/// Returns whether a point inside the ventricles belongs to the moderator band.
fn is_moderator_band(p: Vec3, surfaces: &Surfaces<'_>) -> bool {
    let height = p[2] - 42.0 - 0.3 * (p[0] + 40.0) + 0.01 * (p[0] + 35.0) * (p[0] + 35.0);
    surfaces.rv < 0.0 && surfaces.vessel > 0.0 && height.abs() < 2.2
}

/// Returns the velocity of the blood: into the ventricles while the atrioventricular valves are
/// open, and along the arteries while the semilunar valves are open.
fn find_velocity(p: Vec3, moment: &Moment<'_>, surfaces: &Surfaces<'_>) -> Vec3 {
    let beat = moment.beat;
    let is_ventricle = surfaces.lv.min(surfaces.rv) < 0.0;
    match surfaces.nearest_vessel {
        Some(vessel) if surfaces.vessel < 0.0 && !is_ventricle => {
            let speed = match vessel.structure {
                Structure::InferiorVenaCava
                | Structure::SuperiorVenaCava
                | Structure::HepaticVein
                | Structure::PulmonaryVein => -0.2 - 0.2 * beat.systole,
                _ => 0.9 * beat.sl_open,
            };
            vessel.direction().map(|v| v * speed)
        }
        _ => {
            let depth = p[2].max(0.0);
            let filling = 0.75 * beat.av_open * (1.0 - depth / 95.0);
            let ejection =
                if is_ventricle { 0.6 * beat.sl_open * (1.0 - depth / 85.0) } else { 0.0 };
            [-0.1 * ejection, 0.3 * ejection, filling - ejection]
        }
    }
}
