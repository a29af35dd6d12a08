//! Image formation on a polar grid of beams and samples.

use crate::doppler::ColourBox;
use crate::heart::{Beat, Echo, Heart, P3, Tube, along, dot, sub};
use crate::look::{Look, Scanner};
use crate::other::Other;
use crate::overlay::Overlay;
use crate::rng::Rng;
use crate::screen::{Pixel, mm_per_px, scan_map};
use crate::view::{Plane, View};

/// What to render.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Frame width, pixels.
    pub width: usize,
    /// Frame height, pixels.
    pub height: usize,
    /// Number of frames.
    pub frames: usize,
    /// Nanoseconds between frames.
    pub frame_period_ns: u64,
    /// Whose machine and what body.
    pub scanner: Scanner,
    /// Draw ECG, ticks, text and bars over the image.
    pub burn_in: bool,
    /// Colour Doppler: frames are RGB.
    pub colour: bool,
    /// Ejection fraction to use in place of the drawn one, 0 to 1.
    pub ejection_fraction: Option<f32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            width: 112,
            height: 112,
            frames: 32,
            frame_period_ns: 33_333_333,
            scanner: Scanner::Bench,
            burn_in: true,
            colour: false,
            ejection_fraction: None,
        }
    }
}

/// A rendered cine, 8 bits a channel, row-major, top row first.
#[derive(Clone, Debug)]
pub struct Cine {
    /// One buffer of `width * height * channels` bytes for each frame.
    pub frames: Vec<Vec<u8>>,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey) or 3 (RGB, colour Doppler).
    pub channels: usize,
    /// Nanoseconds between frames.
    pub frame_period_ns: u64,
    /// Micrometres a pixel spans, the same in both directions.
    pub um_per_px: u32,
    /// The label.
    pub view: View,
    /// The seed that made it.
    pub seed: u64,
    /// Machine and body.
    pub look: Look,
    /// Depth of the deepest sample, mm.
    pub depth_mm: f32,
    /// Angle of the sector, degrees.
    pub angle_deg: f32,
}

const TEX: usize = 256;

/// Complex circular Gaussian field low-passed by the point-spread function, unit variance, periodic.
pub(crate) fn speckle_field(rng: &mut Rng) -> Vec<[f32; 2]> {
    let mut f: Vec<[f32; 2]> = (0..TEX * TEX).map(|_| [rng.normal(), rng.normal()]).collect();
    for (step, sigma) in [(1usize, 1.0f32), (TEX, 1.2)] {
        let src = f.clone();
        for (i, out) in f.iter_mut().enumerate() {
            let (line, pos) = if step == 1 { (i - i % TEX, i % TEX) } else { (i % TEX, i / TEX) };
            *out = [0.0; 2];
            for d in -4i32..=4 {
                let w = (-(d as f32).powi(2) / (2.0 * sigma * sigma)).exp();
                let v = src[line + ((pos as i32 + d).rem_euclid(TEX as i32)) as usize * step];
                out[0] += w * v[0];
                out[1] += w * v[1];
            }
        }
    }
    let power = f.iter().map(|v| v[0] * v[0] + v[1] * v[1]).sum::<f32>() / f.len() as f32;
    let g = power.sqrt().recip();
    f.iter_mut().for_each(|v| *v = [v[0] * g, v[1] * g]);
    f
}

/// Bilinear in the complex field: interpolating before the modulus keeps Rayleigh statistics.
fn envelope(tex: &[[f32; 2]], u: f32, v: f32) -> f32 {
    let (uf, vf) = (u.floor(), v.floor());
    let (a, b) = (u - uf, v - vf);
    let (x, y) = (uf as i32 as usize & (TEX - 1), vf as i32 as usize & (TEX - 1));
    let (x1, y1) = ((x + 1) & (TEX - 1), (y + 1) & (TEX - 1));
    let (p, q, r, s) = (tex[y * TEX + x], tex[y * TEX + x1], tex[y1 * TEX + x], tex[y1 * TEX + x1]);
    let mix = |i: usize| (p[i] * (1.0 - a) + q[i] * a) * (1.0 - b) + (r[i] * (1.0 - a) + s[i] * a) * b;
    let norm = ((a * a + (1.0 - a) * (1.0 - a)) * (b * b + (1.0 - b) * (1.0 - b))).sqrt();
    // Partly undo the loss of variance between grid points (neighbours are correlated): the norm to the power -0.15,
    // to second order around 1.
    let lost = 1.0 - norm;
    (mix(0).powi(2) + mix(1).powi(2)).sqrt() * (1.0 + lost * (0.15 + 0.0863 * lost))
}

/// Renders one cine. Pure: the same arguments give the same bytes on any thread.
pub fn render(view: View, seed: u64, settings: &Settings) -> Cine {
    let mut heart = Heart::draw(seed);
    if settings.scanner == Scanner::Broad {
        heart = heart.of_any_size(seed);
    }
    if let Some(ef) = settings.ejection_fraction {
        heart.ejection_fraction = ef.clamp(0.05, 0.85);
    }
    let mut rng = Rng::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(view as u64));
    let look = Look::draw(settings.scanner, settings.burn_in, &mut rng);
    let other = (view == View::Other).then(|| Other::draw(&mut rng));
    let plane = hand(view, other, &look, &mut rng);
    let size = [settings.width, settings.height];
    let grid = if settings.width > 200 { [160, 360] } else { [60, 100] };
    let phase = rng.range(0.0, 1.0);
    let former = Former::new(&heart, plane, &look, grid, other, &mut rng);
    let map = scan_map(&plane, look.screen, size, grid);
    let overlay = Overlay::draw(&look, size, &mut rng);
    let colour_box = settings.colour.then(|| ColourBox::draw(grid, &mut rng));
    let mut noise = Rng::new(rng.bits());
    let mut polar = Polar::new(grid);
    let frames = (0..settings.frames)
        .map(|i| {
            let t = i as f32 * settings.frame_period_ns as f32 * 1e-9;
            let mut grey = vec![0u8; settings.width * settings.height];
            let traced =
                other.is_some_and(|other| other.draw_trace(&mut grey, size, &heart, phase + t, &mut noise));
            if !traced {
                former.form(t + phase, &mut polar);
                for pixel in &map {
                    grey[pixel.at as usize] = pixel.between(&polar.grey, grid[1]) as u8;
                }
            }
            let mut frame = match &colour_box {
                None => grey,
                Some(colour) => coloured(&grey, colour, &map, &polar, &mut noise),
            };
            let channels = frame.len() / (settings.width * settings.height);
            overlay.put(&mut frame, channels, &heart, t, phase);
            frame
        })
        .collect();
    Cine {
        frames,
        width: settings.width,
        height: settings.height,
        channels: if settings.colour { 3 } else { 1 },
        frame_period_ns: settings.frame_period_ns,
        um_per_px: (mm_per_px(&plane, look.screen, settings.height) * 1000.0) as u32,
        view,
        seed,
        depth_mm: plane.depth,
        angle_deg: 2.0 * plane.half.to_degrees(),
        look,
    }
}

/// The plane that a hand really finds, at the depth and angle that were set.
fn hand(view: View, other: Option<Other>, look: &Look, rng: &mut Rng) -> Plane {
    let mut unsteady = |spread: f32| std::array::from_fn(|_| rng.normal().clamp(-2.0, 2.0) * spread);
    let (mut shift, mut tilt): (P3, P3) = (unsteady(look.shift_mm), unsteady(look.tilt_rad));
    // A zoom is aimed at its structure.
    if view.plane().zoom.is_none() {
        shift[1] += look.aside.0;
        tilt[1] += look.aside.1;
    }
    let mut plane = view.plane().moved(shift, tilt);
    plane.depth *= look.depth;
    plane.half *= look.angle;
    if let Some(zoom) = &mut plane.zoom {
        // A zoom is set on its structure, whatever the depth.
        zoom.1 *= look.depth * rng.range(0.92, 1.08);
    }
    other.map_or(plane, |other| other.plane(plane, rng))
}

/// RGB frame: the grey picture with the blood in the box coloured.
fn coloured(grey: &[u8], colour: &ColourBox, map: &[Pixel], polar: &Polar, noise: &mut Rng) -> Vec<u8> {
    let mut rgb: Vec<u8> = grey.iter().flat_map(|&v| [v; 3]).collect();
    for pixel in map {
        let at = pixel.at as usize;
        let toward = pixel.between(&polar.toward, polar.samples);
        if let Some(value) = colour.colour(pixel.polar, toward, grey[at], noise.range(-1.0, 1.0)) {
            rgb[at * 3..at * 3 + 3].copy_from_slice(&value);
        }
    }
    rgb
}

/// One frame on the polar grid, beam by beam.
struct Polar {
    samples: usize,
    /// Amplitude of the tissue, then smeared sideways.
    tissue: Vec<f32>,
    smeared: Vec<f32>,
    /// Speed of blood toward the probe, metres a second.
    toward: Vec<f32>,
    /// Grey, 0 to 255.
    grey: Vec<f32>,
}

impl Polar {
    fn new([beams, samples]: [usize; 2]) -> Self {
        let field = || vec![0f32; beams * samples];
        Self { samples, tissue: field(), smeared: field(), toward: field(), grey: field() }
    }
}

/// Beams to the side that a beam hears.
const REACH: usize = 5;

/// Forms frames of one cine.
struct Former<'a> {
    heart: &'a Heart,
    plane: Plane,
    look: &'a Look,
    other: Option<Other>,
    grid: [usize; 2],
    tubes: Vec<Tube>,
    tex: Vec<[f32; 2]>,
    /// Loss of each beam: edge of the aperture, ribs, contact.
    gain: Vec<f32>,
    /// What each depth adds to every beam: ring-down, haze, repeated echoes.
    haze: Vec<f32>,
    /// Gain left over after time-gain compensation, dB.
    fade_db: Vec<f32>,
    /// Lateral point-spread function by depth, with side lobes: weight by distance in beams.
    lateral: Vec<[f32; REACH + 1]>,
    /// Grey map.
    curve: Vec<f32>,
}

impl<'a> Former<'a> {
    fn new(
        heart: &'a Heart,
        plane: Plane,
        look: &'a Look,
        grid: [usize; 2],
        other: Option<Other>,
        rng: &mut Rng,
    ) -> Self {
        let [beams, samples] = grid;
        let [f, p, d] = look.dropout;
        let gain = (0..beams)
            .map(|i| {
                let u = 2.0 * (i as f32 + 0.5) / beams as f32 - 1.0;
                let edge = 1.0 - (0.3 + 0.5 * look.habitus) * u.powi(4);
                let shadow = 1.0 - 0.9 * (-((u - look.rib) / 0.12).powi(2)).exp();
                (1.0 - d * (0.5 + 0.5 * (f * u + p).sin())) * edge * shadow
            })
            .collect();
        let depth = |s: usize| (s as f32 + 0.5) / samples as f32 * plane.depth;
        let (every, strength) = look.reverberation;
        let haze = (0..samples)
            .map(|s| {
                let r = depth(s);
                let order = (r / every).round().max(1.0);
                let line = strength.max(0.0) / order * (-((r - order * every) / 1.2).powi(2)).exp();
                look.clutter * (8.0 * (-r / 8.0).exp() + (0.1 + 0.5 * look.habitus) * (-r / 60.0).exp())
                    + line
            })
            .collect();
        let fade_db = (0..samples).map(|s| look.residual_db * s as f32 / samples as f32).collect();
        let lateral = (0..samples).map(|s| spread(look, &plane, beams, s as f32 / samples as f32)).collect();
        let curve = (0..=255)
            .map(|i| ((i as f32 / 255.0).powf(look.gamma) * 255.0 + look.black).clamp(0.0, 255.0))
            .collect();
        let tubes =
            heart.tubes.iter().copied().filter(|t| {
                matches!(other, Some(Other::Sweep { .. })) || t.reaches(plane.probe, plane.normal())
            });
        let tubes = tubes.collect();
        let tex = speckle_field(rng);
        Self { heart, plane, look, other, grid, tubes, tex, gain, haze, fade_db, lateral, curve }
    }

    /// Forms the frame `t` seconds after an end-diastole.
    fn form(&self, t: f32, out: &mut Polar) {
        let beat = self.heart.beat(t);
        let cut = self.other.map_or(self.plane, |other| other.moved(self.plane, t));
        self.cut(&cut, beat, out);
        self.smear(out);
        let [beams, samples] = self.grid;
        for b in 0..beams {
            for s in 0..samples {
                let at = b * samples + s;
                let v = out.grey[at] * (out.smeared[at] + self.haze[s]) * self.gain[b]
                    + 0.001 * (s as f32 / samples as f32);
                let db = 6.0206 * (v + 1e-5).log2() + self.look.gain_db - self.fade_db[s];
                let level = (db + self.look.range_db - 3.0) / self.look.range_db * 255.0;
                out.grey[at] = self.curve[level.clamp(0.0, 255.0) as usize];
            }
        }
    }

    /// Cuts the heart: tissue, blood and the speckle's envelope (left in `grey`) at every sample.
    fn cut(&self, cut: &Plane, beat: Beat, out: &mut Polar) {
        let [beams, samples] = self.grid;
        let (normal, fine) = (cut.normal(), 1.0 / self.look.grain);
        for b in 0..beams {
            let angle = (2.0 * (b as f32 + 0.5) / beams as f32 - 1.0) * cut.half;
            let (sn, cs) = angle.sin_cos();
            let dir: P3 = std::array::from_fn(|k| cut.axis[k] * cs + cut.right[k] * sn);
            for s in 0..samples {
                let r = (s as f32 + 0.5) / samples as f32 * cut.depth;
                let window = window(self.look.lung, angle / cut.half, r);
                let m = self.heart.material(along(cut.probe, dir, r), beat);
                let organ = self.other.and_then(|other| other.echo(m, r, angle));
                let echo: Echo = match organ {
                    Some(echo) => echo,
                    None => {
                        let body = self.look.tissue.body * window;
                        let echo = self.heart.echo(m, dir, beat, &self.tubes, &self.look.tissue, body);
                        Echo { amplitude: echo.amplitude * (1.0 - 0.7 * (1.0 - window)), ..echo }
                    }
                };
                let place = self.heart.scatterer(m, beat);
                let q = sub(place, cut.probe);
                let (ax, la) = (dot(q, cut.axis), dot(q, cut.right));
                // Texture in beam coordinates, so that lateral resolution falls with depth as in a phased array; a
                // slice further out of the plane meets other scatterers.
                let u = (la / ax.max(4.0) / cut.half * 36.0 + 0.6 * dot(q, normal)) * fine;
                let v = dot(q, q).sqrt() * 64.0 / cut.depth * fine;
                let at = b * samples + s;
                out.tissue[at] = echo.amplitude * self.mottle(place);
                out.toward[at] = echo.toward;
                out.grey[at] = envelope(&self.tex, u * 2.0 + 80.0, v * 2.0);
            }
        }
    }

    /// Brightness of one tissue from place to place: the real part of the speckle field, 12 mm wide.
    fn mottle(&self, p: P3) -> f32 {
        let (u, v) = (p[0] * 0.14 + p[1] * 0.1 + 99.0, p[2] * 0.14 - p[1] * 0.08 + 77.0);
        let (uf, vf) = (u.floor(), v.floor());
        let (a, b) = (u - uf, v - vf);
        let (x, y) = (uf as i32 as usize & (TEX - 1), vf as i32 as usize & (TEX - 1));
        let (x1, y1) = ((x + 1) & (TEX - 1), (y + 1) & (TEX - 1));
        let value = (self.tex[y * TEX + x][0] * (1.0 - a) + self.tex[y * TEX + x1][0] * a) * (1.0 - b)
            + (self.tex[y1 * TEX + x][0] * (1.0 - a) + self.tex[y1 * TEX + x1][0] * a) * b;
        (1.0 + 1.4 * self.look.mottle * value).clamp(0.12, 3.0)
    }

    /// Lateral point-spread function: each beam hears its neighbours.
    fn smear(&self, out: &mut Polar) {
        let [beams, samples] = self.grid;
        out.smeared.fill(0.0);
        for b in 0..beams {
            for d in -(REACH as i32)..=REACH as i32 {
                let Some(from) = b.checked_add_signed(d as isize).filter(|&from| from < beams) else {
                    continue;
                };
                let source = &out.tissue[from * samples..][..samples];
                let target = &mut out.smeared[b * samples..][..samples];
                for ((to, from), weights) in target.iter_mut().zip(source).zip(&self.lateral) {
                    *to += from * weights[d.unsigned_abs() as usize];
                }
            }
        }
    }
}

/// What passes where lung covers the window: 1 in the clear, next to nothing behind air. `across` runs from -1 to 1
/// over the sector.
fn window([left, right, depth]: [f32; 3], across: f32, r: f32) -> f32 {
    let beside = (-left - across).max(across - right);
    let behind = (beside / 0.15 + 0.5).clamp(0.0, 1.0) * ((r - depth) / 15.0).clamp(0.0, 1.0);
    1.0 - 0.97 * behind
}

/// Weight of a beam by its distance: the main lobe, wider with depth, and side lobes 30 dB down and less.
fn spread(look: &Look, plane: &Plane, beams: usize, down: f32) -> [f32; REACH + 1] {
    let beam_deg = 2.0 * plane.half.to_degrees() / beams as f32;
    // The focus is at mid-depth: before it the beam is nearly as narrow, behind it diverges.
    let sigma = look.lateral_deg / beam_deg * (0.75 + 0.5 * down);
    let lobes: [f32; REACH + 1] = std::array::from_fn(|d| {
        (-((d as f32 / sigma).powi(2)) / 2.0).exp() + if d > 2 { 0.015 } else { 0.0 }
    });
    let sum = lobes[0] + 2.0 * lobes[1..].iter().sum::<f32>();
    lobes.map(|w| w / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speckle_is_fully_developed_before_log_compression() {
        let tex = speckle_field(&mut Rng::new(5));
        let e: Vec<f32> =
            (0..40_000).map(|i| envelope(&tex, i as f32 * 0.77, (i / 200) as f32 * 1.3)).collect();
        let mean = e.iter().sum::<f32>() / e.len() as f32;
        let var = e.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / e.len() as f32;
        let snr = mean / var.sqrt();
        assert!((snr - 1.91).abs() < 0.1, "envelope SNR {snr}");
    }
}
