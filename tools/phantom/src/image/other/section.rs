//! Sections through parts of the body other than the heart.

use crate::body::organic::noise::compute_noise;
use crate::body::organic::palette::decibels;
use crate::image::other::kind::OtherKind;
use crate::rng::Rng;

/// Number of vessels or other bodies in a section.
const BODIES: usize = 7;

/// A section, in millimetres on the plane of the scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    kind: OtherKind,
    bodies: [Ellipse; BODIES],
    /// Depth of the first boundary: the organ's capsule, the pleura or the first layer.
    depth_mm: f32,
    /// Distance between layers, or the thickness of the cortex.
    spacing_mm: f32,
    tilt: f32,
    /// Strength of streaks, vessels' walls and other details, 0 to 1.
    detail: f32,
    tissue: f32,
    pulse_hz: f32,
    seed: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ellipse {
    middle: [f32; 2],
    axes: [f32; 2],
    /// Sine and cosine of the rotation.
    turn: (f32, f32),
}

impl Ellipse {
    /// Returns the approximate distance to the edge, negative inside.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x - self.middle[0], y - self.middle[1]);
        let (sin, cos) = self.turn;
        let (a, b) = ((x * cos + y * sin) / self.axes[0], (y * cos - x * sin) / self.axes[1]);
        (a.hypot(b) - 1.0) * self.axes[0].min(self.axes[1])
    }
}

impl Section {
    /// Draws a section for a sector that is `depth_mm` deep.
    pub(crate) fn draw(kind: OtherKind, depth_mm: f32, rng: &mut Rng) -> Self {
        let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
        let (size, aspect) = match kind {
            OtherKind::Kidney => ((0.26, 0.34), (1.6, 2.1)),
            OtherKind::Vessel => ((0.06, 0.16), (1.0, 7.0)),
            OtherKind::Fluid => ((0.16, 0.36), (1.0, 1.7)),
            _ => ((0.012, 0.05), (1.0, 9.0)),
        };
        let bodies = std::array::from_fn(|_| {
            let radius = depth_mm * pick(size.0, size.1);
            let turn = pick(-0.9, 0.9);
            Ellipse {
                middle: [depth_mm * pick(-0.4, 0.4), depth_mm * pick(0.35, 0.85)],
                axes: [radius * pick(aspect.0, aspect.1), radius],
                turn: turn.sin_cos(),
            }
        });
        let mut section = Self {
            kind,
            bodies,
            depth_mm: depth_mm * pick(0.1, 0.25),
            spacing_mm: pick(4.0, 18.0),
            tilt: pick(-0.5, 0.5),
            detail: pick(0.0, 1.0),
            tissue: decibels(pick(-10.0, 2.0)),
            pulse_hz: pick(0.9, 1.7),
            seed: pick(0.0, 1e6) as u32,
        };
        // The main body of these sections is near the middle.
        let middle = [depth_mm * pick(-0.12, 0.12), depth_mm * pick(0.4, 0.58)];
        match kind {
            OtherKind::Kidney => {
                section.bodies[0].middle = middle;
                section.bodies[0].axes = [depth_mm * pick(0.26, 0.36), depth_mm * pick(0.14, 0.2)];
            }
            OtherKind::Vessel | OtherKind::Fluid => section.bodies[0].middle = middle,
            _ => {}
        }
        section
    }

    /// Computes the amplitude at the depth `r` on a beam at `angle`, `t` seconds after the start.
    pub(crate) fn compute_amplitude(&self, r: f32, angle: f32, t: f32) -> f32 {
        let (sin, cos) = angle.sin_cos();
        let (x, y) = (r * sin, r * cos);
        let skin = if r < 3.0 { 2.0 } else { 0.0 };
        skin + match self.kind {
            OtherKind::Air => {
                let ripple = (r * 9.0 / self.spacing_mm).sin().abs();
                (3.0 + self.detail * ripple) * (-r / (3.0 + self.spacing_mm)).exp() + 0.002
            }
            OtherKind::Gel => {
                let wall = 1.4 * (-((y - 6.0 * self.depth_mm) / 2.0).powi(2)).exp();
                0.01 + 0.5 * (-r / 10.0).exp() + wall * self.detail
            }
            OtherKind::Lung => self.compute_lung(r, angle, t),
            OtherKind::Vessel => self.compute_vessel(x, y, t),
            OtherKind::Kidney => self.compute_kidney(x, y),
            OtherKind::Fluid => self.compute_fluid(x, y),
            OtherKind::Liver => self.compute_liver(x, y, t),
            _ => self.compute_layers(x, y),
        }
    }

    /// Muscle with fascia that becomes thinner and less regular with depth.
    fn compute_layers(&self, x: f32, y: f32) -> f32 {
        let bend = 5.0 * compute_noise([x * 0.03, y * 0.03, 0.0], self.seed);
        let place = (y + self.tilt * x + bend) / self.spacing_mm;
        let line = (place - place.floor() - 0.5).abs();
        let fascia = if line < 0.08 { 1.6 } else { 0.0 };
        let fibres = compute_noise([x * 0.05, (y + self.tilt * x) * 0.5, 1.0], self.seed).max(0.0);
        self.tissue * (0.35 + 0.8 * fibres * self.detail) + fascia * (-y / 90.0).exp()
    }

    fn compute_liver(&self, x: f32, y: f32, t: f32) -> f32 {
        if y < self.depth_mm {
            return self.compute_layers(x, y);
        }
        let pulse = 0.6 * (std::f32::consts::TAU * self.pulse_hz * t).sin();
        for vessel in &self.bodies {
            let d = vessel.distance(x, y) + pulse;
            if d < 0.0 {
                return 0.06;
            }
            if d < 1.6 && self.detail > 0.4 {
                return 2.0;
            }
        }
        // The diaphragm is a bright arc, behind which the liver appears once more.
        let diaphragm =
            y - (8.0 + self.tilt * 10.0) * self.depth_mm.min(14.0) * 0.8 + 0.004 * x * x - 0.3 * x;
        let arc = 3.0 * (-(diaphragm / 1.8).powi(2)).exp();
        let behind = if diaphragm > 0.0 { 0.5 } else { 1.0 };
        self.tissue * behind * (0.9 + 0.2 * compute_noise([x * 0.1, y * 0.1, 0.0], self.seed)) + arc
    }

    fn compute_kidney(&self, x: f32, y: f32) -> f32 {
        let kidney = &self.bodies[0];
        let d = kidney.distance(x, y) + 2.0 * compute_noise([x * 0.06, y * 0.06, 0.0], self.seed);
        if d > 0.0 {
            let capsule = 2.2 * (-(d / 1.3).powi(2)).exp();
            let organ = if y < kidney.middle[1] { 1.0 } else { 0.7 };
            return capsule + self.tissue * organ;
        }
        let depth = -d / kidney.axes[1];
        if depth > 0.55 + 0.15 * compute_noise([x * 0.12, y * 0.12, 2.0], self.seed) {
            return 2.0 * self.tissue.max(0.6);
        }
        // The pyramids are dark triangles around the bright sinus.
        let around = (y - kidney.middle[1]).atan2(x - kidney.middle[0]);
        let is_pyramid = depth > 0.25 && (7.0 * around).sin() > 0.35;
        self.tissue * if is_pyramid { 0.18 } else { 0.55 }
    }

    fn compute_lung(&self, r: f32, angle: f32, t: f32) -> f32 {
        let order = (r / self.depth_mm).floor();
        let repeat = r / self.depth_mm - order;
        let line = if repeat < 0.05 && order >= 1.0 { 4.0 / order.powf(1.4) } else { 0.0 };
        let slide = angle * 11.0 + 0.5 * (1.3 * t).sin();
        let streak = compute_noise([slide, 0.5, 0.0], self.seed);
        let comet = if streak > 0.75 - 0.6 * self.detail { 1.4 * self.detail } else { 0.0 };
        let rib = (9.0 * (angle + self.tilt)).cos() > 0.8 && self.detail < 0.6;
        if r < self.depth_mm {
            if rib && r > 0.7 * self.depth_mm { 2.5 } else { 0.8 * self.tissue }
        } else if rib {
            0.02
        } else {
            line + 0.07 + comet
        }
    }

    fn compute_vessel(&self, x: f32, y: f32, t: f32) -> f32 {
        let pulse = (std::f32::consts::TAU * self.pulse_hz * t).sin().max(0.0);
        for (index, vessel) in self.bodies[..3].iter().enumerate() {
            if index > 0 && self.detail < 0.3 * index as f32 {
                break;
            }
            let d = vessel.distance(x, y) - 0.8 * pulse;
            if d < 0.0 {
                return 0.05;
            }
            if d < 1.8 {
                return 1.8;
            }
        }
        self.compute_layers(x, y)
    }

    fn compute_fluid(&self, x: f32, y: f32) -> f32 {
        let cyst = &self.bodies[0];
        let d = cyst.distance(x, y)
            + 3.0 * self.detail * compute_noise([x * 0.07, y * 0.07, 0.0], self.seed);
        if d < 0.0 {
            return 0.03;
        }
        let wall = 1.5 * (-(d / 1.8).powi(2)).exp();
        // Sound that passed through fluid is stronger.
        let is_behind = y > cyst.middle[1] && (x - cyst.middle[0]).abs() < cyst.axes[0];
        let around =
            self.tissue * (0.7 + 0.4 * compute_noise([x * 0.08, y * 0.08, 1.0], self.seed));
        wall + around * if is_behind { 2.2 } else { 1.0 }
    }
}
