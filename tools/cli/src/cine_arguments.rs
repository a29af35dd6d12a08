//! The options that change how a cine is read.

use crate::cine::{Cine, Timing};
use crate::failure::Failure;
use crate::output::print_error;
use crate::terminal::escape_path;
use clap::Args;
use std::path::Path;
use tteview::frame::{Orientation, Region};

#[derive(Debug, Args)]
pub(crate) struct CineArguments {
    /// Frames per second, used instead of the times in the file; without this option, 30 is assumed
    /// for a file without times
    #[arg(long, value_name = "RATE", value_parser = parse_frame_rate)]
    frame_rate: Option<f64>,
    /// Use the whole frame, even if the file defines an image region
    #[arg(long, conflicts_with_all = ["region", "roi"])]
    whole_frame: bool,
    /// Use image region N of the file, beginning with 1
    #[arg(long, value_name = "N", conflicts_with = "roi")]
    region: Option<usize>,
    /// Use this part of the frame, in pixels
    #[arg(long, value_name = "X,Y,W,H", value_parser = parse_region)]
    roi: Option<Region>,
    /// The left and right sides of the image are swapped
    #[arg(long)]
    mirrored: bool,
    /// The top and bottom of the image are swapped
    #[arg(long)]
    upside_down: bool,
    /// Read a single PNG or JPEG file as a cine of one frame
    #[arg(long)]
    still: bool,
}

impl CineArguments {
    /// Returns whether a single image is a cine.
    pub(crate) const fn still(&self) -> bool {
        self.still
    }

    /// Opens a cine with these options.
    pub(crate) fn open(&self, path: &Path) -> Result<Cine, Failure> {
        let mut cine = if self.still { Cine::open_still(path)? } else { Cine::open(path)? };
        if let Some(rate) = self.frame_rate {
            let period_ns = (1e9 / rate).round() as i64;
            let frames = cine.facts.frame_count();
            cine.facts.set_timing(Timing::regular(frames, period_ns, Some("--frame-rate")));
        }
        let chosen = match (self.whole_frame, self.region, self.roi) {
            (true, ..) => {
                cine.facts.remove_region();
                Ok(())
            }
            (_, Some(number), _) => cine.facts.choose_region(number),
            (_, _, Some(region)) => cine.facts.set_region(region),
            _ => Ok(()),
        };
        chosen.map_err(|cause| Failure::file(path, cause))?;
        let (mirrored, upside_down) = (self.mirrored, self.upside_down);
        cine.facts.set_orientation(Orientation { mirrored, upside_down });
        Ok(cine)
    }
}

/// Prints the warnings about a cine to standard error. The warnings about damaged frames are
/// complete when all frames have been read.
pub(crate) fn print_warnings(cine: &Cine) {
    for warning in &cine.facts.warnings {
        print_error(&format!("warning: {}: {warning}", escape_path(cine.path())));
    }
}

fn parse_frame_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=1000.0).contains(rate));
    rate.ok_or_else(|| "the rate must be 0.1 to 1000 frames per second".into())
}

fn parse_region(text: &str) -> Result<Region, String> {
    let numbers: Option<Vec<u32>> =
        text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[x_px, y_px, width_px, height_px]) if width_px > 0 && height_px > 0 => {
            Ok(Region { x_px, y_px, width_px, height_px })
        }
        _ => Err("the region must be X,Y,WIDTH,HEIGHT in pixels, for example 80,40,480,400".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_of_interest_has_four_numbers() {
        let region = Region { x_px: 1, y_px: 2, width_px: 3, height_px: 4 };
        assert_eq!(parse_region("1,2, 3,4"), Ok(region));
        for wrong in ["", "1,2,3", "1,2,3,4,5", "1,2,0,4", "-1,2,3,4", "a,b,c,d"] {
            assert!(parse_region(wrong).is_err(), "{wrong}");
        }
    }
}
