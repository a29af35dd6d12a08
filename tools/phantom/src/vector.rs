//! Vectors in three dimensions.

/// A point in millimetres, or a direction.
pub(crate) type Vec3 = [f32; 3];

pub(crate) fn subtract(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// Returns `a + t * d`.
pub(crate) fn add_scaled(a: Vec3, d: Vec3, t: f32) -> Vec3 {
    [a[0] + d[0] * t, a[1] + d[1] * t, a[2] + d[2] * t]
}

pub(crate) fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Scales `a` to length 1.
pub(crate) fn normalise(a: Vec3) -> Vec3 {
    let n = dot(a, a).sqrt().max(1e-6);
    [a[0] / n, a[1] / n, a[2] / n]
}

/// Returns the unit vector nearest to `v` that is perpendicular to the unit vector `axis`.
pub(crate) fn orthogonalise(v: Vec3, axis: Vec3) -> Vec3 {
    normalise(add_scaled(v, axis, -dot(v, axis)))
}
