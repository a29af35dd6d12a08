//! Descriptions of a cine for scripts and for people.

use super::facts::{Facts, ImageRegion};
use serde_json::{Value, json};
use tteview::frame::PixelFormat;

impl Facts {
    /// Returns the JSON object that `frames --json` prints.
    pub(crate) fn to_json(&self) -> Value {
        let geometry = self.geometry();
        json!({
            "source": self.source,
            "frames": self.frame_count(),
            "width": geometry.width_px(),
            "height": geometry.height_px(),
            "channels": if geometry.format() == PixelFormat::Gray8 { 1 } else { 3 },
            "period_ns": self.timing.period_ns(),
            "timing": self.timing.source,
            "region": self.region().map(describe_region),
            "regions": self.regions().iter().copied().map(describe_region).collect::<Vec<_>>(),
            "warnings": self.warnings,
        })
    }

    /// Returns the facts as one human-readable line.
    pub(crate) fn to_line(&self) -> String {
        let geometry = self.geometry();
        let colour = if geometry.format() == PixelFormat::Gray8 { "grey" } else { "RGB" };
        let timing = self.timing.source.unwrap_or("assumed: the file has no times");
        let mut line = format!(
            "{}: {} frames, {} x {}, {colour}, {:.3} ms apart ({timing})",
            self.source,
            self.frame_count(),
            geometry.width_px(),
            geometry.height_px(),
            self.timing.period_ns() as f64 / 1e6,
        );
        if let Some(image) = self.region() {
            let region = image.region;
            let (width, height) = (region.width_px, region.height_px);
            line += &format!(", image {width} x {height} at {}, {}", region.x_px, region.y_px);
            if let Some([x, y]) = image.um_per_px {
                line += &format!(", pixels of {x:.0} x {y:.0} um");
            }
        }
        line
    }
}

fn describe_region(image: ImageRegion) -> Value {
    let region = image.region;
    json!({
        "x": region.x_px,
        "y": region.y_px,
        "width": region.width_px,
        "height": region.height_px,
        "um_per_px": image.um_per_px,
    })
}
