//! The facts about a cine: its source, frame times, geometry and image regions.

use super::timing::Timing;
use tteview::frame::{FRAME_SIDE_PX, Geometry, Orientation, PixelFormat, Region};

/// The facts about a cine's frames, as its file specifies them.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Container and compression, for example `DICOM, JPEG Baseline (Process 1)`.
    pub source: String,
    /// Time of each frame.
    pub timing: Timing,
    /// What a user must know about the cine, for example that frames are missing.
    pub warnings: Vec<String>,
    /// Geometry of the whole frame.
    frame: Geometry,
    /// The image regions of the file, in the order of the file.
    regions: Vec<ImageRegion>,
    /// The region of interest, and the geometry of a frame with this region.
    image: Option<(ImageRegion, Geometry)>,
}

/// A part of the frame that contains an image, without the text around it.
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
        let (regions, warnings) = (Vec::new(), Vec::new());
        Ok(Self { source: source.into(), timing, warnings, frame, regions, image: None })
    }

    /// Adds warnings.
    #[must_use]
    pub(super) fn with_warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Sets the image regions of the file and chooses the largest one, or the first of the largest
    /// ones. If there are several, a warning names the chosen one.
    #[must_use]
    pub(super) fn with_regions(mut self, regions: Vec<ImageRegion>) -> Self {
        self.regions = regions;
        let area = |image: &ImageRegion| {
            u64::from(image.region.width_px) * u64::from(image.region.height_px)
        };
        let largest = self.regions.iter().map(area).max();
        let chosen = self.regions.iter().position(|image| Some(area(image)) == largest);
        if let Some(index) = chosen {
            self.image = self.create_image(self.regions[index]);
        }
        if let (Some(index), 2..) = (chosen, self.regions.len()) {
            let Region { x_px, y_px, width_px, height_px } = self.regions[index].region;
            self.warnings.push(format!(
                "the file has {} image regions, such as the two images of a biplane view; region {} \
                 ({width_px} x {height_px} at {x_px}, {y_px}) is used; choose another one with \
                 --region N or --roi X,Y,W,H",
                self.regions.len(),
                index + 1
            ));
        }
        self
    }

    /// Returns a region with the geometry of a frame with this region, or `None` if the region is
    /// not inside the frame. A pixel size that a stream would refuse is ignored.
    fn create_image(&self, mut image: ImageRegion) -> Option<(ImageRegion, Geometry)> {
        let geometry = self.frame.with_region(image.region).ok()?;
        let [width_um, height_um] = image.um_per_px.unwrap_or_default();
        let geometry =
            geometry.with_pixel_size(width_um as f32, height_um as f32).unwrap_or_else(|_| {
                image.um_per_px = None;
                geometry
            });
        Some((image, geometry))
    }

    /// Removes the image region, so that the whole frame is the region of interest.
    pub fn remove_region(&mut self) {
        self.image = None;
        self.remove_region_warning();
    }

    /// Chooses an image region of the file by its number, beginning with 1.
    ///
    /// # Errors
    /// Returns an error if the file has no region with this number.
    pub fn choose_region(&mut self, number: usize) -> Result<(), String> {
        let image = number.checked_sub(1).and_then(|index| self.regions.get(index)).copied();
        let image = image.and_then(|image| self.create_image(image)).ok_or_else(|| {
            match self.regions.len() {
                0 => format!("the file has no image regions, got --region {number}"),
                count => format!("--region must be 1 to {count}, got {number}"),
            }
        })?;
        self.image = Some(image);
        self.remove_region_warning();
        Ok(())
    }

    /// Sets the region of interest.
    ///
    /// # Errors
    /// Returns an error if the region is not inside the frame.
    pub fn set_region(&mut self, region: Region) -> Result<(), String> {
        let inside = self.regions.iter().find(|image| contains(&image.region, &region));
        let um_per_px = inside.and_then(|image| image.um_per_px);
        let image = self.create_image(ImageRegion { region, um_per_px });
        let Region { x_px, y_px, width_px, height_px } = region;
        self.image = Some(image.ok_or_else(|| {
            format!(
                "--roi must be inside the frame of {} x {} pixels, got \
                 {x_px},{y_px},{width_px},{height_px}",
                self.frame.width_px(),
                self.frame.height_px()
            )
        })?);
        self.remove_region_warning();
        Ok(())
    }

    /// Sets the orientation of the image.
    pub fn set_orientation(&mut self, orientation: Orientation) {
        self.frame = self.frame.with_orientation(orientation);
        if let Some((_, geometry)) = &mut self.image {
            *geometry = geometry.with_orientation(orientation);
        }
    }

    /// Sets the frame times, which replace the times in the file.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
        self.warnings.retain(|warning| !warning.contains("between frames"));
    }

    /// Removes the warning that a region was chosen, because the user has chosen one.
    fn remove_region_warning(&mut self) {
        self.warnings.retain(|warning| !warning.contains("--region N"));
    }

    /// Leaves out the frame with an index.
    pub(super) fn leave_out(&mut self, index: usize) {
        if index < self.timing.times_ns.len() {
            self.timing.times_ns.remove(index);
        }
    }

    /// Returns the geometry of the frames. The region of interest is the image region or, without
    /// one, the whole frame.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        self.image.as_ref().map_or(&self.frame, |(_, geometry)| geometry)
    }

    /// Returns the region of interest, if it is not the whole frame.
    #[must_use]
    pub fn region(&self) -> Option<ImageRegion> {
        self.image.map(|(image, _)| image)
    }

    /// Returns the image regions of the file, in the order of the file.
    #[must_use]
    pub fn regions(&self) -> &[ImageRegion] {
        &self.regions
    }

    /// Returns the number of frames, which is at least 1.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.timing.times_ns.len()
    }
}

/// Returns whether the region `outer` contains the region `inner`.
pub(super) fn contains(outer: &Region, inner: &Region) -> bool {
    let spans = |outer: [u32; 2], inner: [u32; 2]| {
        let end = |[start, length]: [u32; 2]| u64::from(start) + u64::from(length);
        outer[0] <= inner[0] && end(inner) <= end(outer)
    };
    spans([outer.x_px, outer.width_px], [inner.x_px, inner.width_px])
        && spans([outer.y_px, outer.height_px], [inner.y_px, inner.height_px])
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
