//! The screen of an organic scanner: one or more panes with sectors, traces or pictures.

use crate::body::heart::Heart;
use crate::body::organic::organ::OrganicHeart;
use crate::image::colour_doppler::ColourBox;
use crate::image::organic::look::Look;
use crate::image::organic::scan::{LARGEST_TISSUE_SPEED, Scan};
use crate::image::other::rendering::Rendering;
use crate::image::other::strip::Strip;
use crate::image::other_content::OtherContent;
use crate::image::overlay::Overlay;
use crate::image::plane::Plane;
use crate::image::scan_conversion::{Placement, SectorPixel, map_sector};
use crate::rng::Rng;
use ndarray::{Array2, Array3, Axis, Slice};

/// A rectangle of the screen in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// How a pane shows its sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Upright,
    /// Left and right are exchanged.
    Mirrored,
    /// Top and bottom are exchanged.
    UpsideDown,
}

/// What colours a pane.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    None,
    Blood(ColourBox),
    /// The velocity of the tissue.
    Tissue,
}

/// A pane with a sector.
pub(crate) struct SectorPane<'a> {
    pub(crate) scan: Scan<'a>,
    pixels: Vec<SectorPixel>,
    pub(crate) colour: Colour,
    /// The plane at the start, and how it moves.
    sweep: Option<(Plane, OtherContent)>,
}

impl<'a> SectorPane<'a> {
    /// Builds a pane in an area of the screen. The display cuts off the part of the sector that is
    /// less than `footprint_mm` deep.
    pub(crate) fn new(
        scan: Scan<'a>,
        plane: &Plane,
        placement: Placement,
        footprint_mm: f32,
        area: Area,
        turn: Turn,
    ) -> Self {
        let grid: [usize; 2] = scan.grey.dim().into();
        let first = (footprint_mm / plane.depth_mm * grid[1] as f32) as usize;
        let mut pixels = map_sector(plane, placement, [area.height, area.width], grid);
        pixels.retain(|pixel| pixel.sample >= first);
        for pixel in &mut pixels {
            match turn {
                Turn::Upright => {}
                Turn::Mirrored => pixel.column = area.width - 1 - pixel.column,
                Turn::UpsideDown => pixel.row = area.height - 1 - pixel.row,
            }
            pixel.row += area.top;
            pixel.column += area.left;
        }
        Self { scan, pixels, colour: Colour::None, sweep: None }
    }

    /// Moves the plane over time.
    pub(crate) fn sweep(&mut self, start: Plane, motion: OtherContent) {
        self.sweep = Some((start, motion));
    }

    fn paint(&mut self, t: f32, frame: &mut Array3<u8>, noise: &mut Rng) {
        if let Some((start, motion)) = self.sweep {
            self.scan.move_to(motion.sweep_plane(start, t));
        }
        self.scan.render(t, noise);
        let channels = frame.dim().2;
        for pixel in &self.pixels {
            let grey = pixel.interpolate(&self.scan.grey) as u8;
            let colour = match self.colour {
                Colour::None => None,
                Colour::Blood(colour_box) => {
                    let speed = pixel.interpolate(&self.scan.speed);
                    colour_box.colour_pixel(pixel, speed, grey, noise.draw_uniform(-1.0, 1.0))
                }
                Colour::Tissue if self.scan.is_wall(pixel.beam, pixel.sample) => {
                    colour_tissue(pixel.interpolate(&self.scan.speed), grey)
                }
                Colour::Tissue => None,
            };
            let value = colour.unwrap_or([grey; 3]);
            for (channel, value) in value.into_iter().take(channels).enumerate() {
                frame[[pixel.row, pixel.column, channel]] = value;
            }
        }
    }
}

/// Returns the colour of tissue that moves at `speed` metres per second towards the probe.
fn colour_tissue(speed: f32, grey: u8) -> Option<[u8; 3]> {
    if grey < 30 || speed == 0.0 || speed.abs() > LARGEST_TISSUE_SPEED {
        return None;
    }
    let strength = (speed.abs() / 0.06).min(1.0);
    let (main, mix) = (70.0 + 185.0 * strength, 0.5 * f32::from(grey) * (1.0 - strength));
    let yellow = (140.0 * strength * strength + mix) as u8;
    Some(if speed > 0.0 {
        [main as u8, yellow, mix as u8]
    } else {
        [mix as u8, yellow, main as u8]
    })
}

/// Everything that a screen shows.
#[derive(Default)]
pub(crate) struct Screen<'a> {
    pub(crate) panes: Vec<SectorPane<'a>>,
    pub(crate) strips: Vec<(Strip, Area)>,
    /// A picture below everything else.
    pub(crate) picture: Option<Array2<u8>>,
    pub(crate) rendering: Option<(Rendering, &'a OrganicHeart)>,
    pub(crate) overlay: Option<Overlay>,
}

/// The frames of a cine to be rendered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Film {
    /// Height, width and number of channels.
    pub(crate) shape: [usize; 3],
    pub(crate) frames: usize,
    /// Seconds between frames.
    pub(crate) period_s: f32,
    /// Time of the first frame in seconds after end-diastole.
    pub(crate) phase: f32,
}

impl Screen<'_> {
    /// Renders the frames of a film.
    pub(crate) fn render(
        &mut self,
        Film { shape, frames, period_s, phase }: Film,
        look: &Look,
        heart: &Heart,
        noise: &mut Rng,
    ) -> Vec<Vec<u8>> {
        let mut previous: Vec<Array2<u8>> = Vec::new();
        let mut rendered: Vec<Vec<u8>> = Vec::with_capacity(frames);
        for index in 0..frames {
            if look.is_still && index > 0 {
                let copy = rendered[0].clone();
                rendered.push(copy);
                continue;
            }
            let t = index as f32 * period_s;
            let mut frame = Array3::from_elem(shape, look.capture.background as u8);
            if let Some(picture) = &self.picture {
                frame.axis_iter_mut(Axis(2)).for_each(|mut channel| channel.assign(picture));
            }
            if let Some((rendering, organ)) = &self.rendering {
                rendering.paint(organ, phase + t, &mut frame);
            }
            for pane in &mut self.panes {
                pane.paint(phase + t, &mut frame, noise);
            }
            for (strip, area) in &self.strips {
                let Area { top, left, height, width } = *area;
                for mut channel in frame.axis_iter_mut(Axis(2)) {
                    let rows = Slice::from(top..top + height);
                    let mut rows = channel.slice_axis_mut(Axis(0), rows);
                    let columns = Slice::from(left..left + width);
                    strip.paint(t, rows.slice_axis_mut(Axis(1), columns));
                }
            }
            if let Some(overlay) = &self.overlay {
                overlay.paint(&mut frame, heart, t, phase);
            }
            let mut channels = Vec::with_capacity(shape[2]);
            for (number, mut channel) in frame.axis_iter_mut(Axis(2)).enumerate() {
                let mut plane = channel.to_owned();
                look.capture.apply(&mut plane, previous.get(number), noise);
                channel.assign(&plane);
                channels.push(plane);
            }
            previous = channels;
            rendered.push(frame.into_raw_vec_and_offset().0);
        }
        rendered
    }
}
