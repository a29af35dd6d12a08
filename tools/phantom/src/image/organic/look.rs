//! The look of a cine: everything between the body and the stored frame.

use crate::body::organic::palette::Palette;
use crate::body::organic::shape::Family;
use crate::image::conditions::ImagingConditions;
use crate::image::organic::display::Capture;
use crate::image::organic::grey_curve::draw_grey_curve;
use crate::image::organic::haze::Haze;
use crate::image::organic::texture::SpeckleKind;
use crate::image::scan_conversion::Placement;
use crate::image::scanner::Scanner;
use crate::rng::Rng;

/// The look of a cine from an organic scanner.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) palette: Palette,
    pub(crate) haze: Haze,
    pub(crate) speckle: SpeckleKind,
    /// Exponent of the speckle's amplitude: 1 for raw speckle, and less for averaged images.
    pub(crate) speckle_strength: f32,
    /// Size of a grain across and along the beams, in samples of the polar grid.
    pub(crate) grain: [f32; 2],
    /// Variation of the brightness within one tissue, as a binary logarithm.
    pub(crate) heterogeneity: f32,
    pub(crate) heterogeneity_mm: f32,
    /// Binary logarithm of the amplitude of the electronic noise.
    pub(crate) log_noise: f32,
    /// Weight of the preceding frame in each frame.
    pub(crate) persistence: f32,
    /// Levels, 0 to 1, of the 30th and the 97th percentile of the first frame. They replace the
    /// gain and the dynamic range: an examiner sets both so that the image is visible.
    pub(crate) dark_level: f32,
    pub(crate) bright_level: f32,
    /// Grey value of each level.
    pub(crate) grey_curve: Vec<f32>,
    /// Least difference between the levels of blood and of the walls, as a binary logarithm. The
    /// haze is reduced until the difference is as large.
    pub(crate) least_contrast: f32,
    /// Depth of the part below the probe that the display cuts off.
    pub(crate) footprint_mm: f32,
    /// Distance that breathing or an unsteady hand moves the heart in the plane.
    pub(crate) drift_mm: f32,
    /// Whether the cine repeats one frame.
    pub(crate) is_still: bool,
    pub(crate) capture: Capture,
}

impl Look {
    /// Draws a look, and the imaging conditions that belong to it.
    pub(crate) fn draw(
        scanner: Scanner,
        family: Family,
        burn_in: bool,
        rng: &mut Rng,
    ) -> (Self, ImagingConditions) {
        let mut conditions = ImagingConditions::draw(scanner, burn_in, rng);
        let is_harmonic = rng.draw_uniform(0.0, 1.0) < 0.6;
        let palette = Palette::draw(family, rng);
        let haze = Haze::draw(family, is_harmonic, palette.blood, rng);
        let (grey_curve, gamma) = draw_grey_curve(family, rng);
        conditions.gamma = gamma;
        // A fundamental image has a wider beam than a harmonic one.
        conditions.lateral_deg = rng.draw_uniform(0.7, 2.4) * if is_harmonic { 0.8 } else { 1.3 };
        widen_conditions(&mut conditions, rng);
        let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
        let speckle = match family {
            Family::Wild => SpeckleKind::Rayleigh,
            Family::Unlike if pick(0.0, 1.0) < 0.5 => SpeckleKind::Clustered,
            Family::Unlike => SpeckleKind::Streaks,
        };
        // Most grains are small, because most frames come from images with many more pixels.
        let along = pick(-0.8, 0.9).exp();
        let grain = [along * pick(-0.4, 0.9).exp(), along];
        conditions.grain = grain[0].max(grain[1]);
        let is_still = pick(0.0, 1.0) < 0.05;
        let look = Self {
            palette,
            haze,
            speckle,
            speckle_strength: pick(0.2, 1.05),
            grain,
            heterogeneity: pick(0.1, 0.9),
            heterogeneity_mm: pick(4.0, 16.0),
            log_noise: pick(-9.0, -3.5),
            persistence: pick(-0.5, 0.7).max(0.0),
            dark_level: pick(-0.5, 0.2),
            bright_level: pick(0.62, 1.05),
            grey_curve,
            least_contrast: pick(0.5, 2.0),
            footprint_mm: if pick(0.0, 1.0) < 0.3 { pick(1.0, 9.0) } else { 0.0 },
            drift_mm: pick(-1.0, 3.0).max(0.0),
            is_still,
            capture: Capture::draw(family, rng),
        };
        (look, conditions)
    }
}

/// Widens the conditions of `Scanner::Broad`: sectors of any size, which the display may cut, other
/// aspect ratios, and probes that are farther from their exact positions.
fn widen_conditions(conditions: &mut ImagingConditions, rng: &mut Rng) {
    let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
    let is_cut = pick(0.0, 1.0) < 0.25;
    let scale = if is_cut { pick(1.05, 1.35) } else { pick(0.72, 1.04) };
    let room = (1.0 - scale).abs();
    conditions.placement = Placement {
        scale,
        middle: 0.5 + pick(-0.5, 0.5) * room.max(0.06),
        // The tip of the sector stays near the frame, because a zoom is another view.
        top: ((1.0 - scale) * pick(0.0, 1.0)).max(-0.1),
        stretch: if pick(0.0, 1.0) < 0.5 { pick(0.75, 1.3) } else { 1.0 },
    };
    // Three of four examiners set the depth so that the heart fills the sector.
    let depth_scale = if pick(0.0, 1.0) < 0.75 { pick(0.8, 1.08) } else { pick(1.0, 1.35) };
    // A sector that the display cuts is deep enough to show the view.
    conditions.depth_scale = depth_scale.max(0.8 * scale);
    conditions.angle_scale = pick(0.68, 1.15);
    conditions.shift_mm = 2.5;
    conditions.tilt_rad = 0.035;
    conditions.in_plane_shift_mm = pick(-10.0, 10.0);
    conditions.in_plane_turn_rad = pick(-0.17, 0.17);
    conditions.rib = if pick(0.0, 1.0) < 0.12 { pick(-1.0, 1.0) } else { 2.0 };
    // The free part of the window always contains most of the view.
    conditions.lung.free_left = pick(0.45, 2.2);
    conditions.lung.free_right = pick(0.45, 2.2);
}
