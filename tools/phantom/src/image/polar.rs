//! Image formation on the polar grid of beams and samples.

use crate::body::beat::Beat;
use crate::body::echo::{Echo, compute_echo};
use crate::body::heart::{Heart, Snapshot};
use crate::body::vessel::Vessel;
use crate::image::conditions::{ImagingConditions, Lung};
use crate::image::other_content::OtherContent;
use crate::image::plane::Plane;
use crate::image::speckle::SpeckleField;
use crate::rng::Rng;
use crate::vector::{Vec3, add_scaled, dot, subtract};
use ndarray::{Array1, Array2, Zip};

/// Number of neighbouring beams on each side that contribute to a beam.
pub(crate) const LATERAL_REACH: usize = 5;

/// One frame on the polar grid. Every array has the shape `[beams, samples]`.
pub(crate) struct PolarFrame {
    /// Amplitude of the tissue at each sample.
    amplitude: Array2<f32>,
    /// `amplitude`, blurred with the lateral point-spread function.
    blurred: Array2<f32>,
    /// Amplitude of the speckle.
    speckle: Array2<f32>,
    /// Speed of the blood towards the probe, in metres per second.
    pub(crate) speed: Array2<f32>,
    /// Grey values, 0 to 255.
    pub(crate) grey: Array2<f32>,
}

impl PolarFrame {
    pub(crate) fn new(grid: [usize; 2]) -> Self {
        let plane = || Array2::zeros(grid);
        Self {
            amplitude: plane(),
            blurred: plane(),
            speckle: plane(),
            speed: plane(),
            grey: plane(),
        }
    }
}

/// A renderer for the frames of one cine on the polar grid.
pub(crate) struct PolarRenderer<'a> {
    heart: &'a Heart,
    plane: Plane,
    conditions: &'a ImagingConditions,
    content: Option<OtherContent>,
    /// The vessels that the plane can meet.
    vessels: Vec<Vessel>,
    speckle: SpeckleField,
    /// Gain of each beam. The gain falls at the edge of the aperture, behind a rib and where the
    /// probe loses contact.
    beam_gain: Array1<f32>,
    /// Amplitude that ring-down, haze and reverberations add to every beam at each depth.
    haze: Array1<f32>,
    /// Attenuation that remains at each depth after time gain compensation, in decibels.
    fade_db: Array1<f32>,
    /// Amplitude of the electronic noise at each depth.
    noise_floor: Array1<f32>,
    /// Lateral point-spread function, `[distance in beams, sample]`.
    lateral: Array2<f32>,
    /// Grey value of each level of the log compression.
    grey_map: Vec<f32>,
}

impl<'a> PolarRenderer<'a> {
    /// Prepares to render `heart` in `plane`, on a polar grid of `[beams, samples]`.
    pub(crate) fn new(
        heart: &'a Heart,
        plane: Plane,
        conditions: &'a ImagingConditions,
        [beams, samples]: [usize; 2],
        content: Option<OtherContent>,
        rng: &mut Rng,
    ) -> Self {
        let is_sweep = matches!(content, Some(OtherContent::Sweep { .. }));
        let can_meet = |vessel: &Vessel| is_sweep || vessel.can_meet(plane.probe, plane.normal());
        Self {
            heart,
            plane,
            conditions,
            content,
            vessels: heart.vessels.iter().copied().filter(can_meet).collect(),
            speckle: SpeckleField::draw(rng),
            beam_gain: compute_beam_gain(conditions, beams),
            haze: compute_haze(conditions, plane.depth_mm, samples),
            fade_db: Array1::from_shape_fn(samples, |s| {
                conditions.residual_attenuation_db * s as f32 / samples as f32
            }),
            noise_floor: Array1::from_shape_fn(samples, |s| 0.001 * (s as f32 / samples as f32)),
            lateral: compute_lateral_spread(conditions, &plane, [beams, samples]),
            grey_map: compute_grey_map(conditions),
        }
    }

    /// Renders the frame `t` seconds after end-diastole.
    pub(crate) fn render(&self, t: f32, frame: &mut PolarFrame) {
        let plane = self.content.map_or(self.plane, |content| content.sweep_plane(self.plane, t));
        self.sample_plane(&plane, self.heart.beat(t), frame);
        self.blur_laterally(frame);
        self.compress(frame);
    }

    /// Computes the amplitude, the speed and the speckle at every sample of the plane.
    fn sample_plane(&self, plane: &Plane, beat: Beat, frame: &mut PolarFrame) {
        let (beams, samples) = frame.grey.dim();
        let Self { heart, conditions, .. } = *self;
        let snapshot = Snapshot { heart, beat, vessels: &self.vessels };
        let (normal, fineness) = (plane.normal(), 1.0 / conditions.grain);
        for b in 0..beams {
            let angle = (2.0 * (b as f32 + 0.5) / beams as f32 - 1.0) * plane.half_angle_rad;
            let (sin, cos) = angle.sin_cos();
            let beam: Vec3 = std::array::from_fn(|k| plane.axis[k] * cos + plane.right[k] * sin);
            let rows = Zip::indexed(frame.amplitude.row_mut(b));
            let rows = rows.and(frame.speed.row_mut(b)).and(frame.speckle.row_mut(b));
            rows.for_each(|s, amplitude, speed, speckle| {
                let r = (s as f32 + 0.5) / samples as f32 * plane.depth_mm;
                let p = heart.undo_descent(add_scaled(plane.probe, beam, r), beat);
                let echo = match self.content.and_then(|content| content.compute_echo(p, r, angle))
                {
                    Some(echo) => echo,
                    None => {
                        let free =
                            compute_free_window(conditions.lung, angle / plane.half_angle_rad, r);
                        let surroundings = conditions.tissue.surroundings * free;
                        let echo =
                            compute_echo(p, beam, snapshot, &conditions.tissue, surroundings);
                        Echo { amplitude: echo.amplitude * (1.0 - 0.7 * (1.0 - free)), ..echo }
                    }
                };
                let p = heart.undo_thickening(p, beat);
                let q = subtract(p, plane.probe);
                let (along, across) = (dot(q, plane.axis), dot(q, plane.right));
                // The speckle is looked up in beam coordinates, so that it becomes coarser with
                // depth, like the lateral resolution of a phased array. The term with `normal`
                // makes the speckle depend on the distance that the tissue had from the plane at
                // end-diastole.
                let u = (across / along.max(4.0) / plane.half_angle_rad * 36.0
                    + 0.6 * dot(q, normal))
                    * fineness;
                let v = dot(q, q).sqrt() * 64.0 / plane.depth_mm * fineness;
                *amplitude = echo.amplitude * self.vary_brightness(p);
                *speed = echo.speed;
                *speckle = self.speckle.envelope(u * 2.0 + 80.0, v * 2.0);
            });
        }
    }

    /// Returns a factor for the brightness of the tissue at `p`. The factor varies over distances
    /// of about 12 mm.
    fn vary_brightness(&self, p: Vec3) -> f32 {
        let (u, v) = (p[0] * 0.14 + p[1] * 0.1 + 99.0, p[2] * 0.14 - p[1] * 0.08 + 77.0);
        let value = self.speckle.real_part(u, v);
        (1.0 + 1.4 * self.conditions.heterogeneity * value).clamp(0.12, 3.0)
    }

    /// Applies the lateral point-spread function.
    fn blur_laterally(&self, frame: &mut PolarFrame) {
        let reach = LATERAL_REACH as isize;
        frame.blurred.fill(0.0);
        let beams = frame.blurred.nrows();
        for b in 0..beams {
            for d in -reach..=reach {
                let Some(from) = b.checked_add_signed(d).filter(|&from| from < beams) else {
                    continue;
                };
                Zip::from(frame.blurred.row_mut(b))
                    .and(frame.amplitude.row(from))
                    .and(self.lateral.row(d.unsigned_abs()))
                    .for_each(|sum, &amplitude, &weight| *sum += amplitude * weight);
            }
        }
    }

    /// Adds haze and noise, and maps the amplitudes to grey by log compression.
    fn compress(&self, frame: &mut PolarFrame) {
        let (gain_db, range_db) = (self.conditions.gain_db, self.conditions.dynamic_range_db);
        for (b, &beam_gain) in self.beam_gain.iter().enumerate() {
            Zip::from(frame.grey.row_mut(b))
                .and(frame.speckle.row(b))
                .and(frame.blurred.row(b))
                .and(&self.haze)
                .and(&self.fade_db)
                .and(&self.noise_floor)
                .for_each(|grey, &speckle, &amplitude, &haze, &fade_db, &noise| {
                    let amplitude = speckle * (amplitude + haze) * beam_gain + noise;
                    // 6.0206 log2(x) equals 20 log10(x).
                    let db = 6.0206 * (amplitude + 1e-5).log2() + gain_db - fade_db;
                    let level = (db + range_db - 3.0) / range_db * 255.0;
                    *grey = self.grey_map[level.clamp(0.0, 255.0) as usize];
                });
        }
    }
}

pub(crate) fn compute_beam_gain(conditions: &ImagingConditions, beams: usize) -> Array1<f32> {
    let dropout = conditions.dropout;
    Array1::from_shape_fn(beams, |b| {
        let across = 2.0 * (b as f32 + 0.5) / beams as f32 - 1.0;
        let edge = 1.0 - (0.3 + 0.5 * conditions.habitus) * across.powi(4);
        let shadow = 1.0 - 0.9 * (-((across - conditions.rib) / 0.12).powi(2)).exp();
        let wave = (dropout.frequency * across + dropout.phase).sin();
        (1.0 - dropout.strength * (0.5 + 0.5 * wave)) * edge * shadow
    })
}

fn compute_haze(conditions: &ImagingConditions, depth_mm: f32, samples: usize) -> Array1<f32> {
    let reverberation = conditions.reverberation;
    Array1::from_shape_fn(samples, |s| {
        let r = (s as f32 + 0.5) / samples as f32 * depth_mm;
        let order = (r / reverberation.depth_mm).round().max(1.0);
        let line = reverberation.amplitude.max(0.0) / order
            * (-((r - order * reverberation.depth_mm) / 1.2).powi(2)).exp();
        let ring_down = 8.0 * (-r / 8.0).exp();
        let haze = (0.1 + 0.5 * conditions.habitus) * (-r / 60.0).exp();
        conditions.clutter * (ring_down + haze) + line
    })
}

/// Computes the weights of the neighbouring beams at each depth: the main lobe, which widens with
/// depth, and side lobes at least 30 dB below it.
pub(crate) fn compute_lateral_spread(
    conditions: &ImagingConditions,
    plane: &Plane,
    [beams, samples]: [usize; 2],
) -> Array2<f32> {
    let beam_deg = 2.0 * plane.half_angle_rad.to_degrees() / beams as f32;
    let mut weights = Array2::zeros([LATERAL_REACH + 1, samples]);
    for (s, mut column) in weights.columns_mut().into_iter().enumerate() {
        // The last factor is 1 at mid-depth, so `lateral_deg` is the resolution at that depth.
        let sigma = conditions.lateral_deg / beam_deg * (0.75 + 0.5 * (s as f32 / samples as f32));
        let lobes: [f32; LATERAL_REACH + 1] = std::array::from_fn(|d| {
            (-((d as f32 / sigma).powi(2)) / 2.0).exp() + if d > 2 { 0.015 } else { 0.0 }
        });
        let sum = lobes[0] + 2.0 * lobes[1..].iter().sum::<f32>();
        for (weight, lobe) in column.iter_mut().zip(lobes) {
            *weight = lobe / sum;
        }
    }
    weights
}

fn compute_grey_map(conditions: &ImagingConditions) -> Vec<f32> {
    let map = |level: f32| (level / 255.0).powf(conditions.gamma) * 255.0 + conditions.black_level;
    (0..=255).map(|level| map(level as f32).clamp(0.0, 255.0)).collect()
}

/// Returns the fraction of the sound that reaches the depth `r`: 1 where no lung is in the way, and
/// almost 0 behind the lung. `across` runs from -1 to 1 over the sector.
pub(crate) fn compute_free_window(lung: Lung, across: f32, r: f32) -> f32 {
    let covered = (-lung.free_left - across).max(across - lung.free_right);
    let behind =
        (covered / 0.15 + 0.5).clamp(0.0, 1.0) * ((r - lung.depth_mm) / 15.0).clamp(0.0, 1.0);
    1.0 - 0.97 * behind
}
