//! Rendering of one cine, from the choice of a random heart to the finished frames.

use crate::body::heart::Heart;
use crate::cine::{Cine, HEART, Settings};
use crate::image::colour_doppler::ColourBox;
use crate::image::conditions::ImagingConditions;
use crate::image::other_content::OtherContent;
use crate::image::overlay::Overlay;
use crate::image::plane::Plane;
use crate::image::polar::{PolarFrame, PolarRenderer};
use crate::image::scan_conversion::{SectorPixel, compute_mm_per_px, map_sector};
use crate::image::scanner::Scanner;
use crate::image::view::View;
use crate::render_organic::render_organic;
use crate::rng::Rng;
use crate::vector::Vec3;
use ndarray::{Array2, Array3, Axis};

/// Renders one cine. The same arguments give the same bytes in every run and on every thread.
pub fn render(view: View, seed: u64, settings: &Settings) -> Cine {
    if let Some(family) = settings.scanner.family() {
        return render_organic(view, seed, settings, family);
    }
    let heart = draw_heart(seed, settings);
    // The order of the random draws must not change, because it determines which cine each seed
    // gives.
    let mut rng = Rng::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(view as u64));
    let conditions = ImagingConditions::draw(settings.scanner, settings.burn_in, &mut rng);
    let content = (view == View::Other).then(|| OtherContent::draw(&mut rng));
    let plane = place_probe(view, content, &conditions, &mut rng);
    let size = [settings.height, settings.width];
    let grid = if settings.width > 200 { [160, 360] } else { [60, 100] };
    let phase = rng.draw_uniform(0.0, 1.0);
    let renderer = PolarRenderer::new(&heart, plane, &conditions, grid, content, &mut rng);
    let pixels = map_sector(&plane, conditions.placement, size, grid);
    let overlay = Overlay::draw(&conditions, size, &mut rng);
    let colour_box = settings.colour.then(|| ColourBox::draw(grid, &mut rng));
    let mut noise = Rng::new(rng.draw_bits());
    let mut polar = PolarFrame::new(grid);
    let render_frame = |i: usize| {
        let t = i as f32 * settings.frame_period_ns as f32 * 1e-9;
        let grey = match content {
            Some(OtherContent::Trace(trace)) => trace.render(size, &heart, phase + t, &mut noise),
            _ => {
                renderer.render(phase + t, &mut polar);
                convert_scan(&polar.grey, &pixels, size)
            }
        };
        let mut frame = match &colour_box {
            None => grey.insert_axis(Axis(2)),
            Some(colour_box) => colour_blood(&grey, colour_box, &pixels, &polar.speed, &mut noise),
        };
        overlay.paint(&mut frame, &heart, t, phase);
        frame.into_raw_vec_and_offset().0
    };
    Cine {
        frames: (0..settings.frames).map(render_frame).collect(),
        width: settings.width,
        height: settings.height,
        channels: if settings.colour { 3 } else { 1 },
        frame_period_ns: settings.frame_period_ns,
        um_per_px: (compute_mm_per_px(&plane, conditions.placement, settings.height) * 1000.0)
            as u32,
        view,
        seed,
        content: content.map_or(HEART, OtherContent::name),
        depth_mm: plane.depth_mm,
        angle_deg: 2.0 * plane.half_angle_rad.to_degrees(),
        conditions,
    }
}

fn draw_heart(seed: u64, settings: &Settings) -> Heart {
    let mut heart = Heart::draw(seed);
    if settings.scanner == Scanner::Broad {
        heart = heart.vary_size(seed);
    }
    if let Some(fraction) = settings.ejection_fraction {
        heart.ejection_fraction = fraction.clamp(0.05, 0.85);
    }
    heart
}

/// Returns the plane in which an examiner holds the probe, with the depth and the angle that the
/// conditions specify.
fn place_probe(
    view: View,
    content: Option<OtherContent>,
    conditions: &ImagingConditions,
    rng: &mut Rng,
) -> Plane {
    let exact = view.plane();
    let mut draw =
        |spread: f32| std::array::from_fn(|_| rng.draw_normal().clamp(-2.0, 2.0) * spread);
    let (mut shift, mut tilt): (Vec3, Vec3) =
        (draw(conditions.shift_mm), draw(conditions.tilt_rad));
    // The additional shift and rotation within the plane are not applied to a zoomed view, because
    // the view's structure must stay in the window.
    if exact.zoom.is_none() {
        shift[1] += conditions.in_plane_shift_mm;
        tilt[1] += conditions.in_plane_turn_rad;
    }
    let mut plane = exact.displace(shift, tilt);
    plane.depth_mm *= conditions.depth_scale;
    plane.half_angle_rad *= conditions.angle_scale;
    if let Some(zoom) = &mut plane.zoom {
        // This factor keeps the size of the window about the same at every depth.
        zoom.magnification *= conditions.depth_scale * rng.draw_uniform(0.92, 1.08);
    }
    content.map_or(plane, |content| content.choose_plane(plane, rng))
}

/// Converts grey values on the polar grid to a frame of `[height, width]` pixels.
fn convert_scan(polar: &Array2<f32>, pixels: &[SectorPixel], size: [usize; 2]) -> Array2<u8> {
    let mut frame = Array2::zeros(size);
    for pixel in pixels {
        frame[[pixel.row, pixel.column]] = pixel.interpolate(polar) as u8;
    }
    frame
}

/// Returns an RGB frame, `[height, width, 3]`, in which the moving blood inside the colour box is
/// coloured.
fn colour_blood(
    grey: &Array2<u8>,
    colour_box: &ColourBox,
    pixels: &[SectorPixel],
    speed: &Array2<f32>,
    noise: &mut Rng,
) -> Array3<u8> {
    let (height, width) = grey.dim();
    let mut frame = Array3::zeros([height, width, 3]);
    for mut channel in frame.axis_iter_mut(Axis(2)) {
        channel.assign(grey);
    }
    for pixel in pixels {
        let at = [pixel.row, pixel.column];
        let speed = pixel.interpolate(speed);
        let colour = colour_box.colour_pixel(pixel, speed, grey[at], noise.draw_uniform(-1.0, 1.0));
        if let Some(colour) = colour {
            for (channel, value) in colour.into_iter().enumerate() {
                frame[[pixel.row, pixel.column, channel]] = value;
            }
        }
    }
    frame
}
