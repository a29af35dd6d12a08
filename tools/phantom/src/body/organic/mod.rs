//! Organic hearts: the anatomy of the scanners `wild` and `unlike`.
//!
//! An organic heart has the sizes, the rhythm and the motion of `Heart`, but its chambers taper and
//! wrap around each other, its leaflets curve, and a smooth deformation changes the whole body.

pub(crate) mod deformation;
pub(crate) mod leaflets;
pub(crate) mod noise;
pub(crate) mod organ;
pub(crate) mod palette;
pub(crate) mod shape;
pub(crate) mod structures;
pub(crate) mod surfaces;
