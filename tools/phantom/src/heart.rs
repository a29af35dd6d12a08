//! The beating heart: ellipsoid chambers, capsule vessels and hinged leaflets.
//!
//! Millimetres. Origin at the left ventricular base, `z` to the apex, `x` to the lateral wall, `y` to the
//! anterior wall. The heart is the same for every view; a view only chooses the plane.

use crate::anatomy::Structure;
use crate::look::Tissue;
use crate::rhythm::{Rhythm, RhythmKind};
use crate::rng::Rng;

pub(crate) type P3 = [f32; 3];

pub(crate) fn sub(a: P3, b: P3) -> P3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}
pub(crate) fn along(a: P3, d: P3, t: f32) -> P3 {
    [a[0] + d[0] * t, a[1] + d[1] * t, a[2] + d[2] * t]
}
pub(crate) fn dot(a: P3, b: P3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
pub(crate) fn unit(a: P3) -> P3 {
    let n = dot(a, a).sqrt().max(1e-6);
    [a[0] / n, a[1] / n, a[2] / n]
}

/// Approximate signed distance to an ellipsoid, negative inside.
fn ellipsoid(p: P3, c: P3, s: P3) -> f32 {
    let q = [(p[0] - c[0]) / s[0], (p[1] - c[1]) / s[1], (p[2] - c[2]) / s[2]];
    (dot(q, q).sqrt() - 1.0) * s[0].min(s[1]).min(s[2])
}

/// Signed distance to the liver: right and left lobe.
fn liver(p: P3) -> f32 {
    let left = ellipsoid(p, [-112.0, -30.0, 22.0], [42.0, 46.0, 55.0]);
    ellipsoid(p, [-62.0, -118.0, 5.0], [88.0, 88.0, 88.0]).min(left)
}

/// Signed distance to the heart with its walls.
fn surface(d: &Depths) -> f32 {
    d.outer.min(d.rv_shell - 4.0).min(d.la.min(d.ra) - 2.5)
}

/// A tapered vessel segment and the thickness of its wall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tube {
    pub(crate) part: Structure,
    a: P3,
    b: P3,
    ra: f32,
    rb: f32,
    wall: f32,
}

impl Tube {
    fn distance(&self, p: P3) -> f32 {
        let (ab, ap) = (sub(self.b, self.a), sub(p, self.a));
        let t = (dot(ap, ab) / dot(ab, ab)).clamp(0.0, 1.0);
        let r = sub(ap, [ab[0] * t, ab[1] * t, ab[2] * t]);
        dot(r, r).sqrt() - (self.ra + (self.rb - self.ra) * t)
    }
    /// Direction of the blood, from the tube's start to its end.
    fn direction(&self) -> P3 {
        unit(sub(self.b, self.a))
    }
    /// Whether the tube can reach a plane through `o` with unit normal `n`, beat motion included.
    pub(crate) fn reaches(&self, o: P3, n: P3) -> bool {
        let (da, db) = (dot(sub(self.a, o), n), dot(sub(self.b, o), n));
        da * db < 0.0 || da.abs().min(db.abs()) < self.ra.max(self.rb) + 8.0
    }
}

/// One heart: geometry at end-diastole and how far it contracts.
#[derive(Clone, Debug)]
pub struct Heart {
    lv: P3,
    wall: f32,
    rv: P3,
    la: P3,
    ra: P3,
    /// Left ventricular ejection fraction, 0 to 1.
    pub ejection_fraction: f32,
    /// Beats a minute.
    pub rate: f32,
    descent: f32,
    rhythm: Rhythm,
    pub(crate) tubes: Vec<Tube>,
}

/// What a point sends back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) amplitude: f32,
    /// Speed of blood toward the probe, metres a second; zero in tissue.
    pub(crate) toward: f32,
}

impl Echo {
    pub(crate) fn tissue(amplitude: f32) -> Self {
        Self { amplitude, toward: 0.0 }
    }
}

/// Signed distances of a point to the surfaces around it, mm, negative inside.
struct Depths<'a> {
    outer: f32,
    lv: f32,
    rv_shell: f32,
    rv: f32,
    la: f32,
    ra: f32,
    vessel: f32,
    vessel_wall: f32,
    /// The nearest vessel.
    course: Option<&'a Tube>,
}

impl Depths<'_> {
    fn blood(&self) -> f32 {
        self.lv.min(self.rv).min(self.la).min(self.ra).min(self.vessel)
    }
}

/// State of the heart at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    /// 0 at end-diastole, 1 at end-systole.
    pub(crate) systole: f32,
    /// Opening of the atrioventricular valves, 0 to 1.
    av_open: f32,
    /// Opening of the semilunar valves, 0 to 1.
    sl_open: f32,
    /// Sine and cosine of the angle at which the leaflets of the atrioventricular valves hang.
    leaflet: (f32, f32),
    /// Radial scale of the left ventricular cavity against end-diastole.
    squeeze: f32,
}

const MV: P3 = [4.0, -6.0, 0.0];
const TV: P3 = [-42.0, 2.0, 2.0];
const AOV: P3 = [-8.0, 18.0, -9.0];
const PV: P3 = [13.0, 34.0, -18.0];

impl Heart {
    /// Draws a heart; the seed fixes chamber sizes, wall, rate and ejection fraction.
    pub fn draw(seed: u64) -> Self {
        let mut r = Rng::new(seed ^ 0xA11C_E0DE);
        let mut j = |v: f32, spread: f32| v * (1.0 + spread * r.normal().clamp(-2.0, 2.0));
        let (w, ao) = (j(22.5, 0.09), j(13.0, 0.08));
        let (rv, at) = (j(1.0, 0.09), j(1.0, 0.11));
        let t = |part, a, b, ra, rb, wall| Tube { part, a, b, ra, rb, wall };
        let arch: [P3; 9] = [
            [-5.0, 14.0, 5.0],
            [-9.0, 19.0, -12.0],
            [-15.0, 24.0, -45.0],
            [-14.0, 22.0, -72.0],
            [-4.0, 8.0, -92.0],
            [10.0, -18.0, -94.0],
            [17.0, -40.0, -70.0],
            [18.0, -46.0, -20.0],
            [14.0, -48.0, 60.0],
        ];
        let mut tubes: Vec<Tube> = arch
            .windows(2)
            .enumerate()
            .map(|(i, s)| {
                let k = |n: usize| ao * [0.85, 1.08, 1.0, 1.0, 0.95, 0.88, 0.82, 0.8, 0.78][n];
                let part = if i < 5 { Structure::Aorta } else { Structure::DescendingAorta };
                t(part, s[0], s[1], k(i), k(i + 1), 1.8)
            })
            .collect();
        tubes.extend([
            t(Structure::Outflow, [-28.0, 34.0, 20.0], [-10.0, 42.0, -6.0], 13.0, 12.0, 3.0),
            t(Structure::Outflow, [-10.0, 42.0, -6.0], PV, 12.0, 11.0, 2.5),
            // Basal right ventricle that wraps the aortic root towards the tricuspid valve.
            t(Structure::Outflow, [-38.0, 26.0, 1.0], [-10.0, 42.0, -6.0], 10.0, 11.0, 2.5),
            t(Structure::PulmonaryArtery, PV, [20.0, 25.0, -42.0], 11.0, 11.0, 1.5),
            t(Structure::PulmonaryArtery, [20.0, 25.0, -42.0], [16.0, 8.0, -56.0], 11.0, 9.0, 1.5),
            t(Structure::RightPulmonaryArtery, [16.0, 8.0, -56.0], [-34.0, 0.0, -58.0], 8.0, 7.0, 1.5),
            t(Structure::LeftPulmonaryArtery, [16.0, 8.0, -56.0], [38.0, -12.0, -54.0], 8.0, 7.0, 1.5),
            t(Structure::InferiorVenaCava, [-46.0, -12.0, -26.0], [-50.0, -100.0, -24.0], 10.0, 9.0, 1.5),
            t(Structure::HepaticVein, [-50.0, -48.0, -25.0], [-60.0, -75.0, 14.0], 4.0, 2.5, 0.8),
            t(Structure::SuperiorVenaCava, [-44.0, 14.0, -36.0], [-40.0, 50.0, -90.0], 9.0, 8.0, 1.0),
            t(Structure::ArchBranch, [-5.0, 10.0, -92.0], [-10.0, 20.0, -135.0], 5.0, 4.5, 1.2),
            t(Structure::ArchBranch, [5.0, -8.0, -94.0], [4.0, -6.0, -135.0], 4.0, 3.8, 1.2),
            t(Structure::ArchBranch, [11.0, -20.0, -94.0], [16.0, -24.0, -135.0], 4.5, 4.0, 1.2),
        ]);
        Self {
            lv: [w, w, 65.0],
            wall: j(9.5, 0.16),
            rv: [30.0 * rv, 35.0 * rv, 47.0],
            la: [20.0 * at, 18.0 * at, 25.0],
            ra: [21.0 * at, 21.0 * at, 25.0],
            ejection_fraction: j(0.57, 0.17),
            rate: j(74.0, 0.2),
            descent: j(12.0, 0.2),
            rhythm: Rhythm::draw(&mut Rng::new(seed ^ 0x5EED_BEA7)),
            tubes,
        }
    }

    /// The same with ventricles and atria of any size and any function, from hypertrophy to dilation: one draw per heart, the
    /// same in all views.
    #[must_use]
    pub fn of_any_size(mut self, seed: u64) -> Self {
        let mut r = Rng::new(seed ^ 0xD11A_7ED0);
        let wide = r.range(0.8, 1.35);
        for side in &mut self.lv[..2] {
            *side *= wide;
        }
        self.wall *= r.range(0.75, 1.3);
        let (right, atria) = (r.range(0.75, 1.1), r.range(0.85, 1.2));
        for side in &mut self.rv[..2] {
            *side *= right;
        }
        for side in self.la.iter_mut().chain(&mut self.ra) {
            *side *= atria;
        }
        self.ejection_fraction = (self.ejection_fraction * r.range(0.35, 1.15)).clamp(0.12, 0.75);
        self.descent *= r.range(0.4, 1.1);
        self
    }

    /// The rhythm's kind.
    pub fn rhythm(&self) -> RhythmKind {
        self.rhythm.kind
    }

    /// Position within the beat `t` seconds after an end-diastole, 0 to 1.
    pub(crate) fn position(&self, t: f32) -> f32 {
        self.rhythm.position(t * self.rate / 60.0)
    }

    /// Beat state `t` seconds after end-diastole.
    pub(crate) fn beat(&self, t: f32) -> Beat {
        let f = self.position(t);
        let ramp = |a: f32, b: f32| {
            let u = ((f - a) / (b - a)).clamp(0.0, 1.0);
            u * u * (3.0 - 2.0 * u)
        };
        let e_wave = ramp(0.42, 0.5) * (1.0 - 0.55 * ramp(0.55, 0.68) + 0.4 * ramp(0.8, 0.88));
        let systole = ramp(0.03, 0.36) - 0.75 * ramp(0.42, 0.6) - 0.25 * ramp(0.8, 0.95);
        let av_open = (e_wave * (1.0 - ramp(0.92, 0.99))).clamp(0.0, 1.0);
        Beat {
            systole,
            squeeze: self.squeeze(systole),
            av_open,
            sl_open: ramp(0.05, 0.1) * (1.0 - ramp(0.36, 0.41)),
            leaflet: (0.3 + 0.95 * av_open).sin_cos(),
        }
    }

    /// Radial scale of the cavity, solved so that the volume falls by the ejection fraction at end-systole.
    fn squeeze(&self, systole: f32) -> f32 {
        let long = 1.0 - self.descent * systole / 80.0;
        ((1.0 - self.ejection_fraction * systole) / long).sqrt()
    }

    /// Left ventricular cavity volume in millilitres `t` seconds after end-diastole, by summing 1 mm discs.
    pub fn lv_volume_ml(&self, t: f32) -> f32 {
        let b = self.beat(t);
        let (k, long) = (b.squeeze, 1.0 - self.descent * b.systole / 80.0);
        let disc = |z: i32| (1.0 - ((z as f32 + 0.5 - 15.0) / self.lv[2]).powi(2)).max(0.0);
        (0..80).map(disc).sum::<f32>() * std::f32::consts::PI * (self.lv[0] * k).powi(2) * long / 1000.0
    }

    /// Undoes base-to-apex shortening: where the tissue now at `p` was at end-diastole.
    pub(crate) fn material(&self, p: P3, b: Beat) -> P3 {
        let d = self.descent * b.systole;
        let fade = if p[2] < -20.0 { ((p[2] + 70.0) / 50.0).clamp(0.0, 1.0) } else { 1.0 };
        let z = if p[2] < 80.0 { p[2] - fade * d * (1.0 - (p[2].max(0.0) / 80.0)) } else { p[2] };
        [p[0], p[1], z]
    }

    /// Where speckle that is now at material point `m` sat at end-diastole, radial thickening included.
    pub(crate) fn scatterer(&self, m: P3, b: Beat) -> P3 {
        let r2 = (m[0] * m[0] + m[1] * m[1]) / (self.lv[0] * self.lv[0]);
        let g = if m[2] > 0.0 { 1.0 + (1.0 / b.squeeze - 1.0) * (-0.5 * r2).exp() } else { 1.0 };
        [m[0] * g, m[1] * g, m[2]]
    }

    /// Distances from end-diastolic point `p`; `tubes` is the culled list.
    fn depths<'a>(&self, p: P3, b: Beat, tubes: &'a [Tube]) -> Depths<'a> {
        let k = b.squeeze;
        let c = [0.0, 0.0, 15.0];
        let cav = [self.lv[0] * k, self.lv[1] * k, self.lv[2]];
        let o = self.outer_radius(b);
        let outer = ellipsoid(p, c, [o, o, self.lv[2] + self.wall]).max(-p[2] - 5.0);
        let lv = ellipsoid(p, c, cav).max(-p[2]);
        let rk = 1.0 - 0.16 * b.systole;
        let rv_s = [self.rv[0] * rk, self.rv[1] * rk, self.rv[2]];
        let rv_shell = ellipsoid(p, [-30.0, 9.0, 14.0], rv_s).max(-p[2]);
        let rv = rv_shell.max(-outer);
        let ak = 1.0 + 0.08 * b.systole;
        let la = ellipsoid(p, [3.0, -13.0, -19.0], self.la.map(|v| v * ak)).max(p[2]);
        let ra = ellipsoid(p, [-43.0, 0.0, -18.0], self.ra.map(|v| v * ak)).max(p[2]);
        let (mut vessel, mut vessel_wall, mut course) = (f32::MAX, f32::MAX, None);
        for t in tubes {
            let d = t.distance(p);
            if d < vessel {
                (vessel, course) = (d, Some(t));
            }
            vessel_wall = vessel_wall.min(if d > 0.0 && d < t.wall { d } else { f32::MAX });
        }
        Depths { outer, lv, rv_shell, rv, la, ra, vessel, vessel_wall, course }
    }

    /// Short radius of the left ventricle with its wall.
    fn outer_radius(&self, b: Beat) -> f32 {
        (self.lv[0] + self.wall) * (1.0 - 0.05 * b.systole)
    }

    /// Whether a point of the blood lies in a papillary muscle.
    fn papillary(p: P3, b: Beat, d: &Depths) -> bool {
        let (r, along_z) = (4.5 + b.systole, (p[2] - 36.0) / 15.0);
        let near = |q: [f32; 2]| {
            let across = (p[0] - q[0] * b.squeeze).powi(2) + (p[1] - q[1] * b.squeeze).powi(2);
            across < r * r * (1.0 - along_z * along_z)
        };
        d.lv < 0.0 && along_z.abs() < 1.0 && [[14.0, 7.0], [-1.0, -16.0]].into_iter().any(near)
    }

    /// Whether a point of the blood lies in the moderator band of the right apex.
    fn moderator_band(p: P3, d: &Depths) -> bool {
        d.rv < 0.0 && d.vessel > 0.0 && (p[2] - 40.0 - 0.3 * (p[0] + 40.0)).abs() < 2.5
    }

    /// Echo at end-diastolic point `p`, seen along unit direction `dir`; `tubes` is the culled list, `body` the amplitude
    /// of what lies around the heart here.
    pub(crate) fn echo(&self, p: P3, dir: P3, b: Beat, tubes: &[Tube], tissue: &Tissue, body: f32) -> Echo {
        let d = self.depths(p, b, tubes);
        if self.leaflet(p, b) {
            return Echo::tissue(0.7 * tissue.valve);
        }
        if d.blood() < 0.0 {
            if Self::papillary(p, b, &d) {
                return Echo::tissue(0.25 * tissue.muscle);
            }
            if Self::moderator_band(p, &d) {
                return Echo::tissue(0.2 * tissue.muscle);
            }
            let amplitude = if d.vessel < 0.0 && d.vessel > -1.0 { 0.02 } else { 0.003 };
            return Echo { amplitude: amplitude * tissue.blood, toward: self.flow(p, dir, b, &d) };
        }
        // Surfaces reflect most when the beam meets them head on; walls along the beam drop out.
        let o = self.outer_radius(b);
        let n = unit([p[0] / o, p[1] / o, (p[2] - 15.0) * o / (self.lv[2] * self.lv[2])]);
        let facing = if p[2] > -5.0 { dot(n, dir).abs() } else { 0.6 };
        let amplitude = match self.solid(p, &d) {
            Structure::VesselWall => 0.4 * tissue.vessel_wall,
            Structure::Muscle => {
                let edge = if d.lv < 1.5 || d.outer > -1.2 { 0.22 * facing * facing } else { 0.0 };
                (0.09 * tissue.edge_on + 0.14 * facing + edge) * tissue.muscle
            }
            Structure::ThinWall => (0.14 * tissue.edge_on + 0.16 * facing) * tissue.thin_wall,
            Structure::Pericardium => (0.25 * tissue.edge_on + 0.65 * facing) * tissue.pericardium,
            Structure::Liver if liver(p) > -1.5 => 0.6 * tissue.liver,
            Structure::Liver => 0.17 * tissue.liver,
            // Fat and fibrous tissue of the atrioventricular groove, thinning out.
            _ => {
                let groove = (1.0 - p[2].abs() / 9.0).max(0.0) * (1.0 - surface(&d) / 12.0).max(0.0);
                body + 0.4 * groove * tissue.vessel_wall
            }
        };
        Echo::tissue(amplitude)
    }

    /// What lies at end-diastolic point `p`; `tubes` is the culled list.
    pub(crate) fn structure(&self, p: P3, b: Beat, tubes: &[Tube]) -> Structure {
        let d = self.depths(p, b, tubes);
        if self.leaflet(p, b) {
            return Structure::Valve;
        }
        if d.blood() >= 0.0 {
            return self.solid(p, &d);
        }
        if Self::papillary(p, b, &d) || Self::moderator_band(p, &d) {
            return Structure::Muscle;
        }
        // Vessels begin and end inside chambers, which have the name there; the outflow of the right ventricle has its
        // own.
        match d.course {
            _ if d.lv < 0.0 => Structure::LeftVentricle,
            _ if d.la < 0.0 => Structure::LeftAtrium,
            _ if d.ra < 0.0 => Structure::RightAtrium,
            Some(course) if d.vessel < 0.0 => course.part,
            _ => Structure::RightVentricle,
        }
    }

    /// What of the solid lies at a point that is not blood.
    fn solid(&self, p: P3, d: &Depths) -> Structure {
        if d.vessel_wall < f32::MAX {
            Structure::VesselWall
        } else if d.outer < 0.0 {
            Structure::Muscle
        } else if d.rv_shell.max(-d.outer) < 4.0 || d.la.min(d.ra) < 2.5 {
            Structure::ThinWall
        } else if surface(d) < 2.0 {
            Structure::Pericardium
        } else if liver(p) < 0.0 {
            Structure::Liver
        } else {
            Structure::Body
        }
    }

    /// Speed of the blood toward the probe, metres a second: filling flow runs to the apex while the inlet valves
    /// are open, ejection to the base while the outlet valves are, great vessels follow ejection along their course.
    fn flow(&self, p: P3, dir: P3, b: Beat, d: &Depths) -> f32 {
        let (ventricle, vessel) = (d.lv.min(d.rv), d.vessel);
        let velocity: P3 = match d.course {
            // Veins bring blood back all the time, faster in systole.
            Some(tube) if vessel < 0.0 && p[1] < -20.0 && p[0] < -40.0 => {
                tube.direction().map(|v| -v * (0.2 + 0.2 * b.systole))
            }
            Some(tube) if vessel < 0.0 => tube.direction().map(|v| v * 0.9 * b.sl_open),
            _ => {
                let filling =
                    0.75 * b.av_open * if ventricle < 0.0 { 1.0 - p[2].max(0.0) / 90.0 } else { 0.7 };
                let ejection =
                    if ventricle < 0.0 { 0.6 * b.sl_open * (1.0 - p[2].max(0.0) / 80.0) } else { 0.0 };
                [-0.1 * ejection, 0.3 * ejection, filling - ejection]
            }
        };
        -dot(velocity, dir)
    }

    /// Whether `p` lies on a valve leaflet.
    fn leaflet(&self, p: P3, b: Beat) -> bool {
        for (c, r) in [(MV, 17.0f32), (TV, 16.0)] {
            if (p[2] - c[2]).abs() < 22.0 {
                let rho = ((p[0] - c[0]).powi(2) + (p[1] - c[1]).powi(2)).sqrt();
                let (sn, cs) = b.leaflet;
                let t = ((r - rho) * cs + (p[2] - c[2]) * sn).clamp(0.0, r);
                let d = (r - rho - t * cs).powi(2) + (p[2] - c[2] - t * sn).powi(2);
                if d < 1.1 {
                    return true;
                }
            }
        }
        for (c, axis, r) in [(AOV, [-0.17, 0.15, -0.97], 12.5f32), (PV, [0.27, -0.34, -0.9], 11.0)] {
            let q = sub(p, c);
            let h = dot(q, axis);
            if h.abs() > 7.0 {
                continue;
            }
            let v = along(q, axis, -h);
            let rho = dot(v, v).sqrt();
            if rho > r {
                continue;
            }
            if b.sl_open > 0.5 {
                if (rho - 0.78 * r).abs() < 0.7 {
                    return true;
                }
            } else {
                // Three commissures 120 degrees apart, and cusp bellies that hang below the closure line.
                let a = (v[1] - 0.3 * v[0]).atan2(v[0]);
                let s = (a * 1.5).cos().abs() * rho * 0.66;
                if s < 0.8 && (-2.0..6.0).contains(&h)
                    || (h + 6.0 - 7.0 * (1.0 - rho / r).powi(2)).abs() < 0.7
                {
                    return true;
                }
            }
        }
        false
    }
}
