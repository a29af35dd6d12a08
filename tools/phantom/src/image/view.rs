//! The views, with the position and direction of the probe and the orientation of the screen.
//!
//! The tip of the sector is at the top of the screen. The right side of the screen shows the
//! patient's left in apical four-chamber and parasternal short-axis views, the base of the heart in
//! parasternal long-axis views, the apex in the subcostal four-chamber view and the head in the
//! caval view.

use crate::image::plane::{Plane, Zoom};
use crate::vector::Vec3;

macro_rules! views {
    ($($name:ident $code:literal),* $(,)?) => {
        /// A view of a transthoracic echo examination.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum View { $($name),* }
        impl View {
            /// Every view, in the order of the labels.
            pub const ALL: &'static [View] = &[$(View::$name),*];
            /// Returns the label of the view, for instance `A4C`. A label never changes.
            pub fn code(self) -> &'static str {
                match self { $(View::$name => $code),* }
            }
        }
    };
}
views! {
    Plax "PLAX", PlaxRvif "PLAX-RVIF", PlaxRvof "PLAX-RVOF", PlaxZav "PLAX-ZAV", PlaxZmv "PLAX-ZMV",
    PsaxAv "PSAX-AV", PsaxPa "PSAX-PA", PsaxMv "PSAX-MV", PsaxPm "PSAX-PM", PsaxAp "PSAX-AP",
    A4c "A4C", A4cRv "A4C-RV", A4cLa "A4C-LA", A5c "A5C", A2c "A2C", A3c "A3C",
    Sc4c "SC4C", ScSax "SC-SAX", ScIvc "SC-IVC", SsnAo "SSN-AO", Other "OTHER",
}

impl View {
    /// Returns the view with this code, or `None` if there is no such view.
    pub fn from_code(code: &str) -> Option<View> {
        View::ALL.iter().copied().find(|view| view.code() == code)
    }

    /// Returns the exact plane of the view. `OTHER` has an oblique plane, but a cine with
    /// `OtherContent::OffPlane` starts in a random plane instead.
    pub(crate) fn plane(self) -> Plane {
        // The direction `left` points to the right side of the screen in most parasternal
        // short-axis views, and the direction `base` does so in most parasternal long-axis views.
        let left = [0.88, 0.476, 0.0];
        let base = [0.0, 0.0, -1.0];
        let (probe, target, right, depth_mm, half_angle_rad): (Vec3, Vec3, Vec3, f32, f32) =
            match self {
                View::Plax => ([-29.0, 68.0, 8.0], [0.0, 0.0, 6.0], base, 145.0, 0.68),
                View::PlaxZav => ([-29.0, 68.0, 0.0], [-8.0, 18.0, -12.0], base, 145.0, 0.68),
                View::PlaxZmv => ([-29.0, 68.0, 8.0], [4.0, -7.0, 4.0], base, 145.0, 0.68),
                View::PlaxRvif => ([-18.0, 72.0, 30.0], [-42.0, 0.0, -6.0], base, 135.0, 0.68),
                View::PlaxRvof => {
                    ([-14.0, 76.0, 0.0], [12.0, 34.0, -18.0], [0.3, 0.0, -1.0], 125.0, 0.68)
                }
                View::PsaxAv => ([-28.0, 68.0, -4.0], [-4.0, 6.0, -13.0], left, 135.0, 0.68),
                View::PsaxPa => {
                    ([-20.0, 72.0, 8.0], [12.0, 12.0, -50.0], [0.95, 0.3, 0.0], 140.0, 0.68)
                }
                View::PsaxMv => ([-29.0, 66.0, 10.0], [0.0, 0.0, 10.0], left, 140.0, 0.68),
                View::PsaxPm => ([-29.0, 64.0, 36.0], [0.0, 0.0, 36.0], left, 140.0, 0.68),
                View::PsaxAp => ([-27.0, 60.0, 66.0], [0.0, 0.0, 64.0], left, 120.0, 0.68),
                View::A4c => ([0.0, -1.0, 98.0], [-14.0, -2.0, 0.0], [1.0, 0.0, 0.0], 165.0, 0.74),
                View::A4cRv => ([10.0, -2.0, 94.0], [-36.0, 1.0, 0.0], [1.0, 0.0, 0.0], 150.0, 0.6),
                View::A4cLa => {
                    ([2.0, 0.0, 102.0], [0.0, -12.0, -18.0], [1.0, -0.05, 0.0], 175.0, 0.5)
                }
                View::A5c => {
                    ([0.0, -8.0, 97.0], [-12.0, 19.0, -12.0], [1.0, 0.0, 0.0], 165.0, 0.74)
                }
                View::A2c => ([2.0, 0.0, 98.0], [4.0, -6.0, 0.0], [-0.1, 1.0, 0.0], 160.0, 0.62),
                View::A3c => {
                    ([2.0, -2.0, 98.0], [-2.0, 5.0, -4.0], [-0.476, 0.88, 0.0], 160.0, 0.65)
                }
                View::Sc4c => {
                    ([-112.0, -26.0, 26.0], [-6.0, -3.0, 2.0], [0.0, 0.0, 1.0], 185.0, 0.65)
                }
                View::ScSax => {
                    ([-84.0, -58.0, 28.0], [-6.0, -1.0, 26.0], [-0.6, 0.8, 0.0], 175.0, 0.65)
                }
                View::ScIvc => {
                    ([-62.0, -66.0, 62.0], [-48.0, -44.0, -25.0], [0.0, 1.0, 0.0], 150.0, 0.62)
                }
                View::SsnAo => {
                    ([-2.0, 4.0, -142.0], [2.0, -6.0, -60.0], [0.43, -0.9, 0.0], 130.0, 0.7)
                }
                View::Other => {
                    ([-70.0, 75.0, 60.0], [40.0, -20.0, 70.0], [0.5, 0.5, -0.7], 150.0, 0.65)
                }
            };
        let zoom = match self {
            View::PlaxZav => Some(Zoom { centre_mm: 54.0, magnification: 2.3 }),
            View::PlaxZmv => Some(Zoom { centre_mm: 80.0, magnification: 2.2 }),
            View::A4cLa => Some(Zoom { centre_mm: 114.0, magnification: 1.7 }),
            _ => None,
        };
        Plane { zoom, ..Plane::aim(probe, target, right, depth_mm, half_angle_rad) }
    }
}
