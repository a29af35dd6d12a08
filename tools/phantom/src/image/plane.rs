//! Scan planes.

use crate::vector::{Vec3, add_scaled, cross, normalise, orthogonalise, subtract};

/// A scan plane and the sector in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    pub(crate) probe: Vec3,
    /// Unit vector from the probe along the middle of the sector.
    pub(crate) axis: Vec3,
    /// Unit vector that points to the right on the screen.
    pub(crate) right: Vec3,
    /// Depth of the sector.
    pub(crate) depth_mm: f32,
    /// Half of the sector's angle.
    pub(crate) half_angle_rad: f32,
    pub(crate) zoom: Option<Zoom>,
}

/// A square part of the scan that the screen shows magnified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zoom {
    /// Depth of the centre of this part.
    pub(crate) centre_mm: f32,
    pub(crate) magnification: f32,
}

impl Plane {
    /// Builds the scan plane of a probe that is at `probe` and points to `target`. The direction
    /// `right` points to the right on the screen.
    pub(crate) fn aim(
        probe: Vec3,
        target: Vec3,
        right: Vec3,
        depth_mm: f32,
        half_angle_rad: f32,
    ) -> Self {
        let axis = normalise(subtract(target, probe));
        Self {
            probe,
            axis,
            right: orthogonalise(right, axis),
            depth_mm,
            half_angle_rad,
            zoom: None,
        }
    }

    /// Returns the unit vector perpendicular to the plane.
    pub(crate) fn normal(&self) -> Vec3 {
        cross(self.axis, self.right)
    }

    /// Moves the probe and tilts the plane, like an examiner who does not hold the probe exactly in
    /// place.
    ///
    /// `shift_mm` contains the distances along the axis, to the right and along the normal. The
    /// three angles, in radians, tilt the axis out of the plane, tilt it within the plane and turn
    /// the plane around the axis.
    pub(crate) fn displace(self, shift_mm: Vec3, [out, within, around]: Vec3) -> Self {
        let probe = add_scaled(
            add_scaled(add_scaled(self.probe, self.axis, shift_mm[0]), self.right, shift_mm[1]),
            self.normal(),
            shift_mm[2],
        );
        let axis =
            normalise(add_scaled(add_scaled(self.axis, self.normal(), out), self.right, within));
        let right = orthogonalise(add_scaled(self.right, self.normal(), around), axis);
        Self { probe, axis, right, ..self }
    }
}
