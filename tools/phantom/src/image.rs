//! Image formation on a polar grid of beams and samples, then scan conversion.

use crate::heart::{Heart, P3, along, dot, sub};
use crate::rng::Rng;
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
    /// Draw ECG and depth ticks over the image.
    pub burn_in: bool,
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
            burn_in: true,
            ejection_fraction: None,
        }
    }
}

/// A rendered cine, 8-bit grey, row-major, top row first.
#[derive(Clone, Debug, PartialEq)]
pub struct Cine {
    /// One buffer of `width * height` bytes for each frame.
    pub frames: Vec<Vec<u8>>,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Nanoseconds between frames.
    pub frame_period_ns: u64,
    /// Micrometres a pixel spans, the same in both directions.
    pub um_per_px: u32,
    /// The label.
    pub view: View,
    /// The seed that made it.
    pub seed: u64,
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
    // Partly undo the loss of variance between grid points (neighbours are correlated).
    (mix(0).powi(2) + mix(1).powi(2)).sqrt() / norm.powf(0.15)
}

/// Renders one cine. Pure: the same arguments give the same bytes on any thread.
pub fn render(view: View, seed: u64, settings: &Settings) -> Cine {
    let mut heart = Heart::draw(seed);
    if let Some(ef) = settings.ejection_fraction {
        heart.ejection_fraction = ef.clamp(0.05, 0.85);
    }
    let mut rng = Rng::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(view as u64));
    let mut plane = view.plane();
    for v in &mut plane.probe {
        *v += rng.normal().clamp(-2.0, 2.0) * 1.5;
    }
    plane.depth *= rng.range(0.94, 1.08);
    plane.half *= rng.range(0.94, 1.06);
    let other = if view == View::Other { rng.bits() % 3 } else { 9 };
    let (w, h) = (settings.width, settings.height);
    let (nb, ns) = if w > 200 { (160, 360) } else { (60, 100) };
    let tex = speckle_field(&mut rng);
    let gain_db = rng.range(-4.0, 5.0);
    let range_db = rng.range(46.0, 58.0);
    let gamma = rng.range(0.85, 1.2);
    let clutter = rng.range(0.01, 0.05);
    let phase = rng.range(0.0, 1.0);
    let rib = if rng.range(0.0, 1.0) < 0.3 { rng.range(-1.1, 1.1) } else { 9.0 };
    let dropout: Vec<f32> = {
        let (f, p, d) = (rng.range(2.0, 7.0), rng.range(0.0, 6.0), rng.range(0.1, 0.4));
        (0..nb)
            .map(|i| {
                let u = 2.0 * i as f32 / nb as f32 - 1.0;
                let edge = 1.0 - 0.4 * u.powi(4);
                let shadow = 1.0 - 0.9 * (-((u - rib) / 0.12).powi(2)).exp();
                (1.0 - d * (0.5 + 0.5 * (f * u + p).sin())) * edge * shadow
            })
            .collect()
    };
    let haze: Vec<f32> = (0..ns)
        .map(|s| {
            // Near-field ring-down, then reverberation that fades with depth.
            let r = (s as f32 + 0.5) / ns as f32 * plane.depth;
            clutter * (8.0 * (-r / 8.0).exp() + 0.15 * (-r / 60.0).exp())
        })
        .collect();
    // Attenuation left over after time-gain compensation, dB at full depth.
    let residual_db = rng.range(2.0, 9.0);
    let curve: Vec<f32> = (0..=255).map(|i| (i as f32 / 255.0).powf(gamma) * 255.0).collect();
    let map = scan_map(&plane, w, h, nb, ns);
    let n = [
        plane.axis[1] * plane.right[2] - plane.axis[2] * plane.right[1],
        plane.axis[2] * plane.right[0] - plane.axis[0] * plane.right[2],
        plane.axis[0] * plane.right[1] - plane.axis[1] * plane.right[0],
    ];
    let tubes: Vec<_> = heart.tubes.iter().copied().filter(|t| t.reaches(plane.probe, n)).collect();
    let mut polar = vec![0f32; nb * ns];
    let mut frames = Vec::with_capacity(settings.frames);
    for i in 0..settings.frames {
        let t = i as f32 * settings.frame_period_ns as f32 * 1e-9 + phase;
        let beat = heart.beat(t);
        let mut cut = plane;
        if other == 2 {
            cut.probe = along(plane.probe, plane.right, 60.0 * (t * 1.3).sin());
        }
        for b in 0..nb {
            let (sn, cs) = ((2.0 * (b as f32 + 0.5) / nb as f32 - 1.0) * plane.half).sin_cos();
            let dir: P3 = std::array::from_fn(|k| cut.axis[k] * cs + cut.right[k] * sn);
            for s in 0..ns {
                let r = (s as f32 + 0.5) / ns as f32 * plane.depth;
                let m = heart.material(along(cut.probe, dir, r), beat);
                let tissue = match other {
                    0 => 0.6 * (-r / 6.0).exp() + 0.002, // air: ring-down only
                    1 => 0.15 + 0.2 * ((r * 0.35).sin() * (b as f32 * 0.1).cos()).max(0.0),
                    _ => heart.echo(m, dir, beat, &tubes),
                };
                let q = sub(heart.scatterer(m, beat), cut.probe);
                let (ax, la) = (dot(q, cut.axis), dot(q, cut.right));
                // Texture in beam coordinates, so that lateral resolution falls with depth as in a phased array.
                let (u, v) = (la / ax.max(4.0) / plane.half * 36.0, dot(q, q).sqrt() * 64.0 / plane.depth);
                polar[b * ns + s] = envelope(&tex, u * 2.0 + 80.0, v * 2.0) * (tissue + haze[s]) * dropout[b]
                    + 0.001 * (r / plane.depth);
            }
        }
        // Side lobes: each beam hears its neighbours, 26 dB down.
        let src = polar.clone();
        for b in 2..nb - 2 {
            for s in 0..ns {
                polar[b * ns + s] += 0.05 * (src[(b - 2) * ns + s] + src[(b + 2) * ns + s]);
            }
        }
        for (i, v) in polar.iter_mut().enumerate() {
            let fade = residual_db * (i % ns) as f32 / ns as f32;
            let db = 6.0206 * (*v + 1e-5).log2() + gain_db - fade + range_db - 3.0;
            *v = curve[(db / range_db * 255.0).clamp(0.0, 255.0) as usize];
        }
        let mut frame = vec![0u8; w * h];
        for &(px, at, fa, fb) in &map {
            let at = at as usize;
            let l = polar[at] * (1.0 - fa) + polar[at + 1] * fa;
            let r = polar[at + ns] * (1.0 - fa) + polar[at + ns + 1] * fa;
            frame[px as usize] = (l * (1.0 - fb) + r * fb) as u8;
        }
        if settings.burn_in {
            overlay(&mut frame, w, h, i, settings, &heart, phase);
        }
        frames.push(frame);
    }
    Cine {
        frames,
        width: w,
        height: h,
        frame_period_ns: settings.frame_period_ns,
        um_per_px: (mm_per_px(&plane, h) * 1000.0) as u32,
        view,
        seed,
    }
}

fn mm_per_px(plane: &Plane, h: usize) -> f32 {
    plane.depth / (0.96 * h as f32) / plane.zoom.map_or(1.0, |z| z.1)
}

/// For each pixel inside the sector: pixel index, polar index and the two interpolation weights.
fn scan_map(plane: &Plane, w: usize, h: usize, nb: usize, ns: usize) -> Vec<(u32, u32, f32, f32)> {
    let mm = mm_per_px(plane, h);
    let top = plane.zoom.map_or(-0.02 * h as f32 * mm, |z| z.0 - 0.5 * h as f32 * mm);
    let mut out = Vec::new();
    for y in 0..h {
        for x in 0..w {
            let (px, py) = ((x as f32 + 0.5 - w as f32 / 2.0) * mm, top + (y as f32 + 0.5) * mm);
            let (r, th) = (px.hypot(py), px.atan2(py));
            if py <= 0.0 || th.abs() >= plane.half || r >= plane.depth {
                continue;
            }
            let s = (r / plane.depth * ns as f32 - 0.5).clamp(0.0, ns as f32 - 1.01);
            let b = ((th / plane.half + 1.0) / 2.0 * nb as f32 - 0.5).clamp(0.0, nb as f32 - 1.01);
            let at = b as usize * ns + s as usize;
            out.push(((y * w + x) as u32, at as u32, s.fract(), b.fract()));
        }
    }
    out
}

/// ECG trace with a running marker along the bottom, depth ticks on the right edge.
fn overlay(f: &mut [u8], w: usize, h: usize, i: usize, s: &Settings, heart: &Heart, phase: f32) {
    for k in 0..=10 {
        let y = (h - 1) * k / 10;
        f[y * w + w - 2..y * w + w].fill(170);
    }
    let now = (i * 2) % w;
    for x in 0..w {
        let t = phase + (i as f32 - (now as f32 - x as f32) / 2.0) * s.frame_period_ns as f32 * 1e-9;
        let p = (t * heart.rate / 60.0 + 0.02).rem_euclid(1.0);
        let bump = |c: f32, wd: f32, a: f32| a * (-((p - c) / wd).powi(2)).exp();
        let v =
            bump(0.03, 0.012, 1.0) - bump(0.055, 0.012, 0.3) + bump(0.3, 0.05, 0.25) + bump(0.88, 0.03, 0.15);
        let y = (h as f32 * (0.96 - 0.06 * v)) as usize;
        f[y.min(h - 1) * w + x] = if x == now { 255 } else { 140 };
    }
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
