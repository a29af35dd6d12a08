//! The facts about a cine: its source, frame times, geometry and image region.

use super::timing::Timing;
use tteview::frame::{FRAME_SIDE_PX, Geometry, PixelFormat, Region};

/// The facts about a cine's frames, as its file specifies them.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Container and compression, for example `DICOM, JPEG Baseline (Process 1)`.
    pub source: String,
    /// Time of each frame.
    pub timing: Timing,
    /// Geometry of the whole frame.
    frame: Geometry,
    /// The image region, and the geometry of a frame with this region.
    image: Option<(ImageRegion, Geometry)>,
}

/// The part of the frame that contains the image, without the text around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageRegion {
    /// A rectangle inside the frame.
    pub region: Region,
    /// Width and height of a pixel in micrometres, if the file gives them as lengths.
    pub um_per_px: Option<[f64; 2]>,
}

impl Facts {
    /// Creates the facts about a cine without an image region. All frames have the same size and
    /// the same format, `Gray8` or `Rgb24`.
    ///
    /// # Errors
    /// Returns an error if there is no frame, or if the width or height is outside
    /// [`FRAME_SIDE_PX`].
    pub fn new(
        source: impl Into<String>,
        format: PixelFormat,
        [width_px, height_px]: [u32; 2],
        timing: Timing,
    ) -> Result<Self, String> {
        if timing.times_ns.is_empty() {
            return Err("the cine has no frames".into());
        }
        check_sides([width_px, height_px])?;
        let frame =
            Geometry::new(format, width_px, height_px).map_err(|error| error.to_string())?;
        Ok(Self { source: source.into(), timing, frame, image: None })
    }

    /// Sets the part of the frame that contains the image. A region that is not inside the frame is
    /// ignored, and so is a pixel size that a stream would refuse.
    #[must_use]
    pub(super) fn with_region(self, mut image: ImageRegion) -> Self {
        let Ok(geometry) = self.frame.with_region(image.region) else { return self };
        let [width_um, height_um] = image.um_per_px.unwrap_or_default();
        let geometry =
            geometry.with_pixel_size(width_um as f32, height_um as f32).unwrap_or_else(|_| {
                image.um_per_px = None;
                geometry
            });
        Self { image: Some((image, geometry)), ..self }
    }

    /// Removes the image region, so that the whole frame is the region of interest.
    pub fn remove_region(&mut self) {
        self.image = None;
    }

    /// Returns the geometry of the frames. The region of interest is the image region or, without
    /// one, the whole frame.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        self.image.as_ref().map_or(&self.frame, |(_, geometry)| geometry)
    }

    /// Returns the image region, if the file defines a valid one.
    #[must_use]
    pub fn region(&self) -> Option<ImageRegion> {
        self.image.map(|(image, _)| image)
    }

    /// Returns the number of frames, which is at least 1.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.timing.times_ns.len()
    }
}

/// Checks the width and the height of the frames.
pub(super) fn check_sides([width_px, height_px]: [u32; 2]) -> Result<(), String> {
    if [width_px, height_px].iter().all(|side| FRAME_SIDE_PX.contains(side)) {
        return Ok(());
    }
    let (smallest, largest) = (FRAME_SIDE_PX.start(), FRAME_SIDE_PX.end());
    let size = format!("{width_px} x {height_px}");
    Err(format!("width and height must be {smallest} to {largest} pixels, got {size}"))
}
