//! The settings of a cine, and the rendered cine.

use crate::image::conditions::ImagingConditions;
use crate::image::other::kind::OtherKind;
use crate::image::scanner::Scanner;
use crate::image::view::View;

/// The content of every cine that is not labelled `OTHER`.
pub(crate) const HEART: &str = "heart";

/// The settings of a cine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Width of a frame in pixels.
    pub width: usize,
    /// Height of a frame in pixels.
    pub height: usize,
    /// Number of frames.
    pub frames: usize,
    /// Time between frames in nanoseconds.
    pub frame_period_ns: u64,
    /// The population of scanners and patients from which the imaging conditions are drawn.
    pub scanner: Scanner,
    /// Whether marks such as an ECG, depth ticks, text and bars are drawn over the image.
    pub burn_in: bool,
    /// Whether the cine has colour Doppler. If it does, its frames are RGB.
    pub colour: bool,
    /// Ejection fraction, from 0 to 1, that replaces the one drawn for the heart.
    pub ejection_fraction: Option<f32>,
    /// The kinds of content that cines labelled `OTHER` from `Scanner::Wild` and `Scanner::Unlike`
    /// can have. Without any, all kinds occur.
    pub other_kinds: Vec<OtherKind>,
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
            other_kinds: Vec::new(),
        }
    }
}

/// A rendered cine with 8 bits per channel.
#[derive(Clone, Debug)]
pub struct Cine {
    /// One buffer of `height * width * channels` bytes per frame, in row-major order from the top
    /// row.
    pub frames: Vec<Vec<u8>>,
    /// Width of a frame in pixels.
    pub width: usize,
    /// Height of a frame in pixels.
    pub height: usize,
    /// Number of channels: 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Time between frames in nanoseconds.
    pub frame_period_ns: u64,
    /// Width and height of a pixel in micrometres.
    pub um_per_px: u32,
    /// The view that the cine shows.
    pub view: View,
    /// The kind of content: `heart` for a view, and the name of the kind for `OTHER`.
    pub content: &'static str,
    /// The seed of the heart and of the imaging conditions.
    pub seed: u64,
    /// The scanner's settings and the properties of the patient's body.
    pub conditions: ImagingConditions,
    /// Depth of the sector in millimetres.
    pub depth_mm: f32,
    /// Angle of the sector in degrees.
    pub angle_deg: f32,
}
