//! The curved leaflets of the mitral and the tricuspid valve.

use crate::body::beat::Beat;
use crate::body::organic::shape::Shape;
use crate::vector::Vec3;

/// A valve between an atrium and a ventricle. Its leaflets hang on a ring and meet at a point that
/// is not the middle of the ring, so one leaflet is longer than the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Valve {
    /// The point of the ring's plane above which the leaflets meet.
    meeting: Vec3,
    centre: Vec3,
    ring_mm: f32,
    /// Direction of the middle of the longer leaflet in the ring's plane.
    long: [f32; 2],
    /// Distance of `meeting` from the centre, relative to the radius of the ring.
    eccentricity: f32,
    /// Sine and cosine of the angle between the leaflets and the ring's plane.
    hang: (f32, f32),
    half_thickness_mm: f32,
    bow: f32,
}

impl Valve {
    pub(crate) fn new(
        centre: Vec3,
        ring_mm: f32,
        long: [f32; 2],
        eccentricity: f32,
        beat: Beat,
        shape: &Shape,
    ) -> Self {
        let offset = eccentricity * ring_mm;
        Self {
            meeting: [centre[0] - long[0] * offset, centre[1] - long[1] * offset, centre[2]],
            centre,
            ring_mm,
            long,
            eccentricity,
            hang: (shape.tenting + (1.2 - shape.tenting) * beat.av_open).sin_cos(),
            half_thickness_mm: shape.leaflet_mm,
            // A closed leaflet bulges towards the atrium.
            bow: shape.bow - 0.1 * (1.0 - beat.av_open),
        }
    }

    /// Returns the signed distance from `p` to the nearest leaflet. A point far from the valve has
    /// a large distance that is not exact.
    pub(crate) fn distance(&self, p: Vec3) -> f32 {
        let z = p[2] - self.centre[2];
        if !(-8.0..24.0).contains(&z) {
            return f32::MAX;
        }
        let (x, y) = (p[0] - self.meeting[0], p[1] - self.meeting[1]);
        let rho = x.hypot(y);
        let length = self.measure_leaflet(if rho > 1e-3 {
            (x * self.long[0] + y * self.long[1]) / rho
        } else {
            0.0
        });
        let (sin, cos) = self.hang;
        let inward = length - rho;
        let along = inward * cos + z * sin;
        if !(-1.0..=length + 1.0).contains(&along) {
            return f32::MAX;
        }
        let t = (along / length).clamp(0.0, 1.0);
        let curve = self.bow * length * 4.0 * t * (1.0 - t);
        (z * cos - inward * sin - curve).abs() - self.half_thickness_mm * (0.8 + 0.5 * t)
    }

    /// Returns the distance from `p` to the fibrous ring.
    pub(crate) fn measure_ring(&self, p: Vec3) -> f32 {
        let rho = (p[0] - self.centre[0]).hypot(p[1] - self.centre[1]);
        (rho - self.ring_mm).hypot(p[2] - self.centre[2])
    }

    /// Returns the tips of the longer and the shorter leaflet.
    pub(crate) fn find_tips(&self) -> [Vec3; 2] {
        [1.0, -1.0].map(|side: f32| {
            let length = self.measure_leaflet(side);
            let (inward, z) = (length * self.hang.1, length * self.hang.0);
            let out = side * (length - inward);
            [
                self.meeting[0] + self.long[0] * out,
                self.meeting[1] + self.long[1] * out,
                self.meeting[2] + z,
            ]
        })
    }

    /// Returns the distance from the meeting point to the ring in a direction whose angle to the
    /// longer leaflet has the cosine `cosine`.
    fn measure_leaflet(&self, cosine: f32) -> f32 {
        let e = self.eccentricity;
        self.ring_mm * ((1.0 - e * e * (1.0 - cosine * cosine)).sqrt() + e * cosine)
    }
}
