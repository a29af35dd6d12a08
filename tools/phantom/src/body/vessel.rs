//! The vessels of the heart: the aorta, the right ventricular outflow tract, the pulmonary arteries
//! and the large veins.

use crate::body::structure::Structure;
use crate::body::valves;
use crate::vector::{Vec3, dot, normalise, subtract};

/// A straight segment of a vessel. The radius changes linearly from the start of the segment to its
/// end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vessel {
    pub(crate) structure: Structure,
    start: Vec3,
    end: Vec3,
    start_radius_mm: f32,
    end_radius_mm: f32,
    pub(crate) wall_mm: f32,
}

impl Vessel {
    /// Builds the mouths of three pulmonary veins.
    pub(crate) fn build_pulmonary_veins() -> [Vessel; 3] {
        let vein = |start, end, start_radius_mm| Vessel {
            structure: Structure::PulmonaryVein,
            start,
            end,
            start_radius_mm,
            end_radius_mm: 0.8 * start_radius_mm,
            wall_mm: 1.2,
        };
        [
            vein([14.0, -18.0, -34.0], [34.0, -32.0, -50.0], 5.0),
            vein([-8.0, -20.0, -34.0], [-24.0, -40.0, -46.0], 5.0),
            vein([18.0, -16.0, -26.0], [38.0, -38.0, -30.0], 4.0),
        ]
    }

    /// Moves the lower end of the descending aorta, which is the end of its last segment in
    /// `vessels`.
    pub(crate) fn bend_descending_aorta(vessels: &mut [Vessel], end: Vec3) {
        let is_aorta = |vessel: &&mut Vessel| vessel.structure == Structure::DescendingAorta;
        if let Some(last) = vessels.iter_mut().rfind(is_aorta) {
            last.end = end;
        }
    }

    /// Multiplies the radius by `factor` and the thickness of the wall by `wall`.
    pub(crate) fn scale(&mut self, factor: f32, wall: f32) {
        self.start_radius_mm *= factor;
        self.end_radius_mm *= factor;
        self.wall_mm *= wall;
    }

    /// Returns the signed distance from `p` to the lumen in millimetres. The distance is negative
    /// inside the lumen.
    pub(crate) fn distance(&self, p: Vec3) -> f32 {
        let (axis, from_start) = (subtract(self.end, self.start), subtract(p, self.start));
        let t = (dot(from_start, axis) / dot(axis, axis)).clamp(0.0, 1.0);
        let across = subtract(from_start, [axis[0] * t, axis[1] * t, axis[2] * t]);
        dot(across, across).sqrt()
            - (self.start_radius_mm + (self.end_radius_mm - self.start_radius_mm) * t)
    }

    /// Returns the direction from the start of the segment to its end.
    pub(crate) fn direction(&self) -> Vec3 {
        normalise(subtract(self.end, self.start))
    }

    /// Returns whether, at any time of the beat, the vessel can meet the plane through `origin`
    /// with the unit normal `normal`.
    pub(crate) fn can_meet(&self, origin: Vec3, normal: Vec3) -> bool {
        let start = dot(subtract(self.start, origin), normal);
        let end = dot(subtract(self.end, origin), normal);
        let largest_motion_mm = 8.0;
        start * end < 0.0
            || start.abs().min(end.abs())
                < self.start_radius_mm.max(self.end_radius_mm) + largest_motion_mm
    }
}

/// Builds the vessels of a heart whose ascending aorta has the radius `aortic_radius_mm`.
pub(crate) fn build_vessels(aortic_radius_mm: f32) -> Vec<Vessel> {
    let segment = |structure, start, end, start_radius_mm, end_radius_mm, wall_mm| Vessel {
        structure,
        start,
        end,
        start_radius_mm,
        end_radius_mm,
        wall_mm,
    };
    // The course follows the aortic root, the ascending aorta, the arch and the descending aorta.
    // Each radius is relative to that of the ascending aorta.
    let course: [(Vec3, f32); 9] = [
        ([-5.0, 14.0, 5.0], 0.85),
        ([-9.0, 19.0, -12.0], 1.08),
        ([-15.0, 24.0, -45.0], 1.0),
        ([-14.0, 22.0, -72.0], 1.0),
        ([-4.0, 8.0, -92.0], 0.95),
        ([10.0, -18.0, -94.0], 0.88),
        ([17.0, -40.0, -70.0], 0.82),
        ([18.0, -46.0, -20.0], 0.8),
        ([14.0, -48.0, 60.0], 0.78),
    ];
    let mut vessels: Vec<Vessel> = course
        .windows(2)
        .enumerate()
        .map(|(i, ends)| {
            let structure = if i < 5 { Structure::Aorta } else { Structure::DescendingAorta };
            let [start_radius, end_radius] = [0, 1].map(|end| aortic_radius_mm * ends[end].1);
            segment(structure, ends[0].0, ends[1].0, start_radius, end_radius, 1.8)
        })
        .collect();
    use Structure::{
        ArchBranch, HepaticVein, InferiorVenaCava, LeftPulmonaryArtery, Outflow, PulmonaryArtery,
        RightPulmonaryArtery, SuperiorVenaCava,
    };
    let (conus, valve) = ([-10.0, 42.0, -6.0], valves::PULMONARY);
    let (trunk, bifurcation) = ([20.0, 25.0, -42.0], [16.0, 8.0, -56.0]);
    vessels.extend([
        segment(Outflow, [-28.0, 34.0, 20.0], conus, 13.0, 12.0, 3.0),
        segment(Outflow, conus, valve, 12.0, 11.0, 2.5),
        // This segment is the basal right ventricle, which curves around the aortic root towards
        // the tricuspid valve.
        segment(Outflow, [-38.0, 26.0, 1.0], conus, 10.0, 11.0, 2.5),
        segment(PulmonaryArtery, valve, trunk, 11.0, 11.0, 1.5),
        segment(PulmonaryArtery, trunk, bifurcation, 11.0, 9.0, 1.5),
        segment(RightPulmonaryArtery, bifurcation, [-34.0, 0.0, -58.0], 8.0, 7.0, 1.5),
        segment(LeftPulmonaryArtery, bifurcation, [38.0, -12.0, -54.0], 8.0, 7.0, 1.5),
        segment(InferiorVenaCava, [-46.0, -12.0, -26.0], [-50.0, -100.0, -24.0], 10.0, 9.0, 1.5),
        segment(HepaticVein, [-50.0, -48.0, -25.0], [-60.0, -75.0, 14.0], 4.0, 2.5, 0.8),
        segment(SuperiorVenaCava, [-44.0, 14.0, -36.0], [-40.0, 50.0, -90.0], 9.0, 8.0, 1.0),
        segment(ArchBranch, [-5.0, 10.0, -92.0], [-10.0, 20.0, -135.0], 5.0, 4.5, 1.2),
        segment(ArchBranch, [5.0, -8.0, -94.0], [4.0, -6.0, -135.0], 4.0, 3.8, 1.2),
        segment(ArchBranch, [11.0, -20.0, -94.0], [16.0, -24.0, -135.0], 4.5, 4.0, 1.2),
    ]);
    vessels
}
