//! The anatomical structure at a point.

use crate::body::beat::Beat;
use crate::body::distances::{Distances, measure_liver};
use crate::body::heart::Snapshot;
use crate::body::structure::Structure;
use crate::body::valves::is_on_leaflet;
use crate::vector::Vec3;

/// Returns the structure at `p`, a point returned by `Heart::undo_descent`.
pub(crate) fn find_structure(p: Vec3, snapshot: Snapshot<'_>) -> Structure {
    let distances = Distances::measure(p, snapshot);
    if is_on_leaflet(p, snapshot.beat) {
        return Structure::Valve;
    }
    if distances.blood() >= 0.0 {
        return find_solid(p, &distances);
    }
    if is_papillary_muscle(p, snapshot.beat, &distances) || is_moderator_band(p, &distances) {
        return Structure::Muscle;
    }
    // A vessel can begin or end inside a chamber. A point inside both belongs to the chamber,
    // except that a vessel takes precedence over the right ventricle, because part of the outflow
    // tract lies inside that ventricle.
    match distances.nearest_vessel {
        _ if distances.lv < 0.0 => Structure::LeftVentricle,
        _ if distances.la < 0.0 => Structure::LeftAtrium,
        _ if distances.ra < 0.0 => Structure::RightAtrium,
        Some(vessel) if distances.vessel < 0.0 => vessel.structure,
        _ => Structure::RightVentricle,
    }
}

/// Returns the structure at a point that lies neither in blood nor on a valve.
pub(crate) fn find_solid(p: Vec3, distances: &Distances<'_>) -> Structure {
    if distances.vessel_wall < f32::MAX {
        Structure::VesselWall
    } else if distances.lv_outer < 0.0 {
        Structure::Muscle
    } else if distances.rv_whole.max(-distances.lv_outer) < 4.0
        || distances.la.min(distances.ra) < 2.5
    {
        Structure::ThinWall
    } else if distances.heart_surface() < 2.0 {
        Structure::Pericardium
    } else if measure_liver(p) < 0.0 {
        Structure::Liver
    } else {
        Structure::Body
    }
}

/// Returns whether a point inside the ventricles belongs to a papillary muscle.
pub(crate) fn is_papillary_muscle(p: Vec3, beat: Beat, distances: &Distances<'_>) -> bool {
    let (radius, along) = (4.5 + beat.systole, (p[2] - 36.0) / 15.0);
    let is_near = |centre: [f32; 2]| {
        let across = (p[0] - centre[0] * beat.cavity_scale).powi(2)
            + (p[1] - centre[1] * beat.cavity_scale).powi(2);
        across < radius * radius * (1.0 - along * along)
    };
    distances.lv < 0.0 && along.abs() < 1.0 && [[14.0, 7.0], [-1.0, -16.0]].into_iter().any(is_near)
}

/// Returns whether a point inside the ventricles belongs to the moderator band near the right
/// ventricular apex.
pub(crate) fn is_moderator_band(p: Vec3, distances: &Distances<'_>) -> bool {
    distances.rv < 0.0 && distances.vessel > 0.0 && (p[2] - 40.0 - 0.3 * (p[0] + 40.0)).abs() < 2.5
}
