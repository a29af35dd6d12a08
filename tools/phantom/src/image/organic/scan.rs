//! Image formation of organic hearts on the polar grid of beams and samples.

use crate::body::organic::organ::{Moment, OrganicHeart};
use crate::body::organic::palette::Palette;
use crate::body::organic::structures::{Place, find_place};
use crate::body::structure::Structure;
use crate::body::vessel::Vessel;
use crate::image::conditions::ImagingConditions;
use crate::image::organic::levels::{LEAST_RANGE, find_range};
use crate::image::organic::look::Look;
use crate::image::organic::texture::Texture;
use crate::image::other::section::Section;
use crate::image::plane::Plane;
use crate::image::polar::{LATERAL_REACH, compute_lateral_spread};
use crate::rng::Rng;
use crate::vector::{Vec3, add_scaled, dot, subtract};
use ndarray::{Array2, Zip};

/// Half thickness of a reflecting boundary in millimetres.
const BOUNDARY_MM: f32 = 1.1;

/// Least distance from all that moves at which a sample is computed only once.
const STILL_MM: f32 = 14.0;

/// Largest speed of tissue in metres per second. It is below the speeds that colour Doppler shows.
pub(crate) const LARGEST_TISSUE_SPEED: f32 = 0.079;

/// What a scan shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    Heart(&'a OrganicHeart),
    Section(Section),
}

/// A renderer for the frames of one sector.
pub(crate) struct Scan<'a> {
    subject: Subject<'a>,
    look: &'a Look,
    plane: Plane,
    vessels: Vec<Vessel>,
    texture: Texture,
    /// Unit vector along each beam.
    beams: Vec<Vec3>,
    /// Position of each sample in the undeformed body.
    points: Array2<Vec3>,
    /// Amplitude of the samples that nothing moves, or a negative number.
    still: Array2<f32>,
    gain: Array2<f32>,
    haze: Array2<f32>,
    /// Logarithm of the speckle that belongs to the haze.
    haze_texture: Array2<f32>,
    lateral: Array2<f32>,
    amplitude: Array2<f32>,
    /// Whether a sample is in blood or in the wall of the heart, or `None` for all others.
    is_blood: Array2<Option<bool>>,
    blurred: Array2<f32>,
    log_texture: Array2<f32>,
    /// Speed of the blood or of the tissue towards the probe, in metres per second.
    pub(crate) speed: Array2<f32>,
    level: Array2<f32>,
    /// Grey values, 0 to 255.
    pub(crate) grey: Array2<f32>,
    /// The levels, as binary logarithms, that are black and white. The first frame sets them.
    range: Option<[f32; 2]>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(
        subject: Subject<'a>,
        plane: Plane,
        conditions: &ImagingConditions,
        look: &'a Look,
        grid: [usize; 2],
        rng: &mut Rng,
    ) -> Self {
        let texture = Texture::draw(look.speckle, rng);
        let mut haze = look.haze.compute_amplitude(&plane, grid);
        if matches!(subject, Subject::Section(_)) {
            // Nothing in a section limits the haze, so it is lower from the start.
            haze.mapv_inplace(|haze| 0.35 * haze);
        }
        let gain = look.haze.compute_gain(conditions, &plane, grid);
        let [across, along] = look.grain;
        let haze_texture = Array2::from_shape_fn(grid, |(b, s)| {
            look.speckle_strength
                * texture.log_speckle(b as f32 / across + 31.0, s as f32 / along + 57.0)
        });
        let zeros = || Array2::zeros(grid);
        let vessels = match subject {
            Subject::Heart(organ) => organ.heart.vessels.clone(),
            Subject::Section(_) => Vec::new(),
        };
        let mut scan = Self {
            subject,
            look,
            plane,
            vessels,
            texture,
            beams: Vec::new(),
            points: Array2::from_elem(grid, [0.0; 3]),
            still: Array2::from_elem(grid, -1.0),
            gain,
            haze,
            haze_texture,
            lateral: compute_lateral_spread(conditions, &plane, grid),
            amplitude: zeros(),
            is_blood: Array2::from_elem(grid, None),
            blurred: zeros(),
            log_texture: zeros(),
            speed: zeros(),
            level: zeros(),
            grey: zeros(),
            range: None,
        };
        scan.set_plane(plane);
        if let Subject::Heart(organ) = subject {
            scan.find_still_samples(organ);
            scan.vessels.retain(|vessel| vessel.can_meet(plane.probe, plane.normal()));
        }
        scan
    }

    /// Returns the gain and the dynamic range in decibels that correspond to the levels of the
    /// first frame. A gain of 0 shows muscle at full brightness.
    pub(crate) fn find_levels(&self) -> (f32, f32) {
        let [black, white] = self.range.unwrap_or([-LEAST_RANGE, 0.0]);
        (-6.0206 * white, 6.0206 * (white - black))
    }

    /// Returns whether a sample of the current frame is in the wall of the heart.
    pub(crate) fn is_wall(&self, beam: usize, sample: usize) -> bool {
        self.is_blood[[beam, sample]] == Some(false)
    }

    /// Moves the scan to another plane of the same depth and angle.
    pub(crate) fn move_to(&mut self, plane: Plane) {
        self.still.fill(-1.0);
        if let Subject::Heart(organ) = self.subject {
            self.vessels.clone_from(&organ.heart.vessels);
            self.vessels.retain(|vessel| vessel.can_meet(plane.probe, plane.normal()));
        }
        self.set_plane(plane);
    }

    fn set_plane(&mut self, plane: Plane) {
        let (beams, samples) = self.grey.dim();
        self.plane = plane;
        self.beams = (0..beams)
            .map(|b| {
                let angle = (2.0 * (b as f32 + 0.5) / beams as f32 - 1.0) * plane.half_angle_rad;
                let (sin, cos) = angle.sin_cos();
                std::array::from_fn(|k| plane.axis[k] * cos + plane.right[k] * sin)
            })
            .collect();
        let normal = plane.normal();
        for (beam, points) in self.beams.iter().zip(self.points.rows_mut()) {
            for (s, point) in points.into_iter().enumerate() {
                let r = (s as f32 + 0.5) / samples as f32 * plane.depth_mm;
                let p = add_scaled(plane.probe, *beam, r);
                *point = match self.subject {
                    Subject::Heart(organ) => organ.deformation.undo_in_plane(p, normal),
                    Subject::Section(_) => p,
                };
            }
        }
    }

    /// Computes the amplitude of the samples in the body that are far from the heart.
    fn find_still_samples(&mut self, organ: &OrganicHeart) {
        let moment = organ.at(0.0, &self.vessels);
        let palette = &self.look.palette;
        self.still = self.points.map(|&p| {
            let place = find_place(p, &moment);
            let is_far = place.structure == Structure::Body
                && place.boundary_mm.min(place.outside_mm) > STILL_MM;
            if is_far { palette.scatter(&place) } else { -1.0 }
        });
    }

    /// Renders the frame `t` seconds after end-diastole into `grey`.
    pub(crate) fn render(&mut self, t: f32, noise: &mut Rng) {
        match self.subject {
            Subject::Heart(organ) => self.sample_heart(organ, t, noise),
            Subject::Section(section) => self.sample_section(section, t),
        }
        self.blur();
        if self.range.is_none() {
            self.limit_haze();
        }
        self.compress(noise);
    }

    /// Reduces the haze until blood and walls differ as much as the look demands, because an
    /// examiner does not record a cine in which nothing can be seen.
    fn limit_haze(&mut self) {
        for _ in 0..10 {
            let mut sums = [(0.0f32, 1e-3f32); 2];
            Zip::from(&self.is_blood).and(&self.blurred).and(&self.haze).for_each(
                |&is_blood, &tissue, &haze| {
                    if let Some(is_blood) = is_blood {
                        let (sum, count) = &mut sums[usize::from(is_blood)];
                        *sum += (tissue + haze + 1e-5).log2();
                        *count += 1.0;
                    }
                },
            );
            let [wall, blood] = sums.map(|(sum, count)| sum / count);
            let is_empty = sums.iter().any(|&(_, count)| count < 20.0);
            if is_empty || (wall - blood).abs() >= self.look.least_contrast {
                return;
            }
            self.haze.mapv_inplace(|haze| 0.7 * haze);
        }
    }

    fn sample_heart(&mut self, organ: &OrganicHeart, t: f32, noise: &mut Rng) {
        let vessels = std::mem::take(&mut self.vessels);
        let moment = organ.at(t, &vessels);
        let (beams, samples) = self.grey.dim();
        let step_mm = self.plane.depth_mm / samples as f32;
        let breathing = self.look.drift_mm * (1.5 * t).sin();
        let drift: Vec3 = self.plane.right.map(|v| v * breathing);
        let before = organ.at(t - 0.02, &[]);
        // The scatterers of blood are new in every frame.
        let fresh = noise.draw_uniform(0.0, 128.0);
        let mut places: Vec<Option<Place>> = vec![None; samples];
        for b in 0..beams {
            let beam = self.beams[b];
            for (s, place) in places.iter_mut().enumerate() {
                let at = [b, s];
                let p = add_scaled(self.points[at], drift, 1.0);
                if self.still[at] >= 0.0 {
                    *place = None;
                    self.is_blood[at] = None;
                    self.log_texture[at] = self.find_texture(p, 0.0);
                    self.speed[at] = 0.0;
                    continue;
                }
                let undone = organ.heart.undo_descent(p, moment.beat);
                let found = find_place(undone, &moment);
                let tissue = organ.heart.undo_thickening(undone, moment.beat);
                let is_blood = found.is_blood();
                self.is_blood[at] = (is_blood || found.outside_mm < 3.0).then_some(is_blood);
                self.log_texture[at] =
                    self.find_texture(tissue, if is_blood { fresh } else { 0.0 });
                self.speed[at] = if is_blood {
                    -dot(found.velocity, beam)
                } else {
                    self.measure_tissue_speed(organ, p, undone, &before, beam)
                };
                *place = Some(found);
            }
            self.set_amplitudes(b, &places, step_mm);
        }
        self.vessels = vessels;
    }

    /// Returns the speed of the tissue at `p` towards the probe. It stays below the speeds that
    /// colour Doppler of blood shows.
    fn measure_tissue_speed(
        &self,
        organ: &OrganicHeart,
        p: Vec3,
        undone: Vec3,
        before: &Moment<'_>,
        beam: Vec3,
    ) -> f32 {
        // Undoing less motion leaves the tissue ahead, so this difference is the motion since then.
        let moved = subtract(organ.heart.undo_descent(p, before.beat), undone);
        (-dot(moved, beam) / 20.0).clamp(-LARGEST_TISSUE_SPEED, LARGEST_TISSUE_SPEED)
    }

    /// Sets the amplitudes of one beam from the places of its samples.
    fn set_amplitudes(&mut self, b: usize, places: &[Option<Place>], step_mm: f32) {
        let palette: &Palette = &self.look.palette;
        for (s, place) in places.iter().enumerate() {
            let at = [b, s];
            let Some(place) = place else {
                self.amplitude[at] = self.still[at];
                continue;
            };
            // The distance to a boundary changes fastest where the beam meets it head-on.
            let neighbour = |s: usize| {
                places.get(s).copied().flatten().filter(|next| next.is_outer == place.is_outer)
            };
            let next = neighbour(s + 1).or_else(|| s.checked_sub(1).and_then(neighbour));
            let facing = next.map_or(0.5, |next| {
                ((next.boundary_mm - place.boundary_mm) / step_mm).abs().min(1.0)
            });
            let scatter = palette.scatter(place);
            let is_wall = matches!(
                place.structure,
                Structure::Muscle | Structure::ThinWall | Structure::Pericardium
            );
            let scatter = if is_wall && !place.is_fibrous {
                scatter * (palette.edge_on + (1.0 - palette.edge_on) * facing)
            } else {
                scatter
            };
            let near = place.boundary_mm / BOUNDARY_MM;
            let reflection = if near.abs() < 2.5 && place.structure != Structure::Valve {
                let strength = if place.is_outer {
                    palette.outer_reflection
                } else {
                    palette.inner_reflection
                };
                strength * facing * facing * (-near * near).exp()
            } else {
                0.0
            };
            self.amplitude[at] = scatter + reflection;
        }
    }

    fn sample_section(&mut self, section: Section, t: f32) {
        let (beams, samples) = self.grey.dim();
        for b in 0..beams {
            let angle = (2.0 * (b as f32 + 0.5) / beams as f32 - 1.0) * self.plane.half_angle_rad;
            for s in 0..samples {
                let at = [b, s];
                let r = (s as f32 + 0.5) / samples as f32 * self.plane.depth_mm;
                self.amplitude[at] = section.compute_amplitude(r, angle, t);
                self.log_texture[at] = self.find_texture(self.points[at], 0.0);
                self.speed[at] = 0.0;
            }
        }
    }

    /// Returns the logarithm of the factor by which speckle and slow variations of the tissue
    /// change the amplitude at `p`, where `p` is a position at end-diastole.
    fn find_texture(&self, p: Vec3, offset: f32) -> f32 {
        let (beams, samples) = self.grey.dim();
        let q = subtract(p, self.plane.probe);
        let (along, across) = (dot(q, self.plane.axis), dot(q, self.plane.right));
        let r = dot(q, q).sqrt();
        let angle = across / along.max(4.0) / self.plane.half_angle_rad;
        let [grain_across, grain_along] = self.look.grain;
        let u = angle * 0.5 * beams as f32 / grain_across + offset;
        let v = r / self.plane.depth_mm * samples as f32 / grain_along + 0.7 * offset;
        let scale = 1.0 / self.look.heterogeneity_mm;
        let slow = self.texture.smooth(across * 0.8 * scale + 40.0, r * scale + 11.0);
        self.look.speckle_strength * self.texture.log_speckle(u, v) + self.look.heterogeneity * slow
    }

    /// Applies the lateral point-spread function.
    fn blur(&mut self) {
        let beams = self.blurred.nrows();
        self.blurred.fill(0.0);
        for b in 0..beams {
            for d in -(LATERAL_REACH as isize)..=LATERAL_REACH as isize {
                let from = (b as isize + d).clamp(0, beams as isize - 1) as usize;
                Zip::from(self.blurred.row_mut(b))
                    .and(self.amplitude.row(from))
                    .and(self.lateral.row(d.unsigned_abs()))
                    .for_each(|sum, &amplitude, &weight| *sum += amplitude * weight);
            }
        }
    }

    /// Adds haze and noise, and maps the amplitudes to grey by log compression.
    fn compress(&mut self, noise: &mut Rng) {
        let offset = [noise.draw_below(128), noise.draw_below(128)];
        let look = self.look;
        let samples = self.grey.ncols();
        for ((b, s), level) in self.level.indexed_iter_mut() {
            let at = [b, s];
            let (tissue, haze) = (self.blurred[at], self.haze[at]);
            let share = tissue / (tissue + haze + 1e-6);
            let texture = share * self.log_texture[at] + (1.0 - share) * self.haze_texture[at];
            let signal = (self.gain[at] * (tissue + haze) + 1e-5).log2() + texture;
            // The noise grows with the time gain compensation.
            let grain = self.texture.noise(b + offset[0], s + offset[1]);
            let floor = look.log_noise + 1.6 * s as f32 / samples as f32 + grain;
            *level = signal.max(floor);
        }
        let is_first = self.range.is_none();
        let [black, white] = *self.range.get_or_insert_with(|| find_range(&self.level, look));
        let scale = 255.0 / (white - black);
        let kept = if is_first { 0.0 } else { look.persistence };
        Zip::from(&mut self.grey).and(&self.level).for_each(|grey, &level| {
            let index = ((level - black) * scale).clamp(0.0, 255.0) as usize;
            *grey = kept * *grey + (1.0 - kept) * look.grey_curve[index];
        });
    }
}
