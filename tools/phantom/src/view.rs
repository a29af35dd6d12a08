//! The views: where the probe stands, where it looks, and which way the screen runs.
//!
//! Display: apex up for apical views, the patient's left on screen right for short axes, the base on screen
//! right for parasternal long axes, head on screen right for the caval view. Tip of the sector on top.

use crate::heart::{P3, along, dot, sub, unit};

macro_rules! views {
    ($($name:ident $code:literal),* $(,)?) => {
        /// A view of the project's list; `code` is the stable label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum View { $($name),* }
        impl View {
            /// Every view, in label order.
            pub const ALL: &'static [View] = &[$(View::$name),*];
            /// The stable label, for instance `A4C`.
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

/// Scan plane and sector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    pub(crate) probe: P3,
    pub(crate) axis: P3,
    pub(crate) right: P3,
    /// Deepest sample, mm.
    pub(crate) depth: f32,
    /// Sector half angle, radians.
    pub(crate) half: f32,
    /// Zoom window: depth of its centre in mm and magnification.
    pub(crate) zoom: Option<(f32, f32)>,
}

impl View {
    /// The view with this code, or `None`.
    pub fn from_code(code: &str) -> Option<View> {
        View::ALL.iter().copied().find(|v| v.code() == code)
    }

    /// Nominal plane; `OTHER` has none of its own and starts from an oblique one.
    pub(crate) fn plane(self) -> Plane {
        let sax = [0.88, 0.476, 0.0];
        let base = [0.0, 0.0, -1.0];
        let (probe, target, right, depth, half, zoom): (P3, P3, P3, f32, f32, Option<(f32, f32)>) = match self
        {
            View::Plax => ([-29.0, 68.0, 8.0], [0.0, 0.0, 6.0], base, 145.0, 0.68, None),
            View::PlaxZav => ([-29.0, 68.0, 0.0], [-8.0, 18.0, -12.0], base, 145.0, 0.68, Some((54.0, 2.3))),
            View::PlaxZmv => ([-29.0, 68.0, 8.0], [4.0, -7.0, 4.0], base, 145.0, 0.68, Some((80.0, 2.2))),
            View::PlaxRvif => ([-18.0, 72.0, 30.0], [-42.0, 0.0, -6.0], base, 135.0, 0.68, None),
            View::PlaxRvof => ([-14.0, 76.0, 0.0], [12.0, 34.0, -18.0], [0.3, 0.0, -1.0], 125.0, 0.68, None),
            View::PsaxAv => ([-28.0, 68.0, -4.0], [-4.0, 6.0, -13.0], sax, 135.0, 0.68, None),
            View::PsaxPa => ([-20.0, 72.0, 8.0], [12.0, 12.0, -50.0], [0.95, 0.3, 0.0], 140.0, 0.68, None),
            View::PsaxMv => ([-29.0, 66.0, 10.0], [0.0, 0.0, 10.0], sax, 140.0, 0.68, None),
            View::PsaxPm => ([-29.0, 64.0, 36.0], [0.0, 0.0, 36.0], sax, 140.0, 0.68, None),
            View::PsaxAp => ([-27.0, 60.0, 66.0], [0.0, 0.0, 64.0], sax, 120.0, 0.68, None),
            View::A4c => ([0.0, -1.0, 98.0], [-14.0, -2.0, 0.0], [1.0, 0.0, 0.0], 165.0, 0.74, None),
            View::A4cRv => ([10.0, -2.0, 94.0], [-36.0, 1.0, 0.0], [1.0, 0.0, 0.0], 150.0, 0.6, None),
            View::A4cLa => {
                ([2.0, 0.0, 102.0], [0.0, -12.0, -18.0], [1.0, -0.05, 0.0], 175.0, 0.5, Some((114.0, 1.7)))
            }
            View::A5c => ([0.0, -8.0, 97.0], [-12.0, 19.0, -12.0], [1.0, 0.0, 0.0], 165.0, 0.74, None),
            View::A2c => ([2.0, 0.0, 98.0], [4.0, -6.0, 0.0], [-0.1, 1.0, 0.0], 160.0, 0.62, None),
            View::A3c => ([2.0, -2.0, 98.0], [-2.0, 5.0, -4.0], [-0.476, 0.88, 0.0], 160.0, 0.65, None),
            View::Sc4c => ([-112.0, -26.0, 26.0], [-6.0, -3.0, 2.0], [0.0, 0.0, 1.0], 185.0, 0.65, None),
            View::ScSax => ([-84.0, -58.0, 28.0], [-6.0, -1.0, 26.0], [-0.6, 0.8, 0.0], 175.0, 0.65, None),
            View::ScIvc => ([-62.0, -66.0, 62.0], [-48.0, -44.0, -25.0], [0.0, 1.0, 0.0], 150.0, 0.62, None),
            View::SsnAo => ([-2.0, 4.0, -142.0], [2.0, -6.0, -60.0], [0.43, -0.9, 0.0], 130.0, 0.7, None),
            View::Other => ([-70.0, 75.0, 60.0], [40.0, -20.0, 70.0], [0.5, 0.5, -0.7], 150.0, 0.65, None),
        };
        Plane { zoom, ..Plane::through(probe, target, right, depth, half) }
    }
}

impl Plane {
    /// The plane from `probe` through `target` in which `right` points to the right of the screen.
    pub(crate) fn through(probe: P3, target: P3, right: P3, depth: f32, half: f32) -> Self {
        let axis = unit(sub(target, probe));
        Self { probe, axis, right: square(right, axis), depth, half, zoom: None }
    }

    /// Normal of the plane.
    pub(crate) fn normal(&self) -> P3 {
        cross(self.axis, self.right)
    }

    /// The plane of a hand that is not quite there: the probe moved by `shift` mm a direction, and tilted out of the
    /// plane, within it and around its axis by the three angles in radians.
    pub(crate) fn moved(self, shift: P3, [out, within, around]: P3) -> Self {
        let probe = along(
            along(along(self.probe, self.axis, shift[0]), self.right, shift[1]),
            self.normal(),
            shift[2],
        );
        let axis = unit(along(along(self.axis, self.normal(), out), self.right, within));
        let right = square(along(self.right, self.normal(), around), axis);
        Self { probe, axis, right, ..self }
    }
}

fn cross(a: P3, b: P3) -> P3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The unit vector nearest to `v` that is perpendicular to the unit vector `axis`.
fn square(v: P3, axis: P3) -> P3 {
    unit(along(v, axis, -dot(v, axis)))
}
