//! The Sequence of Ultrasound Regions (PS3.3, C.8.5.5), which contains the position of the image
//! and the size of its pixels.

use super::value::Value;
use crate::cine::facts::{ImageRegion, contains};
use tteview::frame::Region;

/// Value of Region Spatial Format for a two-dimensional region.
const TWO_DIMENSIONAL: u16 = 1;
/// Values of Region Data Type for tissue and for colour flow.
const IMAGES: [u16; 2] = [1, 2];
/// Value of Physical Units for centimetres.
const CENTIMETRES: u16 = 3;
/// Divisor of the frame's area: a region smaller than one sixteenth of the frame is ignored.
const SMALLEST_PART: u64 = 16;

/// Maximum number of image regions that are kept. Scanners show at most four images.
const MAX_REGIONS: usize = 64;

/// One item of the Sequence of Ultrasound Regions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct UltrasoundRegion {
    format: Option<u16>,
    data_type: Option<u16>,
    left: Option<u32>,
    top: Option<u32>,
    right: Option<u32>,
    bottom: Option<u32>,
    units: [Option<u16>; 2],
    deltas: [Option<f64>; 2],
}

impl UltrasoundRegion {
    /// Stores the value of an element of group 0018 if the decoder uses the element.
    pub(super) fn set(&mut self, element: u16, value: Value<'_>) {
        match element {
            0x6012 => self.format = value.u16(),
            0x6014 => self.data_type = value.u16(),
            0x6018 => self.left = value.u32(),
            0x601a => self.top = value.u32(),
            0x601c => self.right = value.u32(),
            0x601e => self.bottom = value.u32(),
            0x6024 => self.units[0] = value.u16(),
            0x6026 => self.units[1] = value.u16(),
            0x602c => self.deltas[0] = value.f64(),
            0x602e => self.deltas[1] = value.f64(),
            _ => {}
        }
    }

    fn is_image(&self) -> bool {
        self.format == Some(TWO_DIMENSIONAL)
            && self.data_type.is_some_and(|kind| IMAGES.contains(&kind))
    }

    /// Returns the region's rectangle if it is inside a frame of this size. The right and bottom
    /// edges are the last column and row of the region. Some writers store a right or bottom edge
    /// that is one pixel outside the frame. Such an edge is moved to the last column or row of the
    /// frame.
    fn rectangle(&self, [width, height]: [u32; 2]) -> Option<Region> {
        let span = |first: u32, last: u32, side: u32| {
            let last = if last == side { last - 1 } else { last };
            (first <= last && last < side).then(|| last - first + 1)
        };
        let (left, top) = (self.left?, self.top?);
        let width_px = span(left, self.right?, width)?;
        let height_px = span(top, self.bottom?, height)?;
        Some(Region { x_px: left, y_px: top, width_px, height_px })
    }

    fn um_per_px(&self) -> Option<[f64; 2]> {
        if self.units != [Some(CENTIMETRES); 2] {
            return None;
        }
        let [x, y] = self.deltas.map(|delta| delta.map(|cm| cm.abs() * 1e4));
        let pair = [x?, y?];
        // A pixel size from 1 micrometre to 1 centimetre is plausible.
        pair.iter().all(|um| (1.0..=1e4).contains(um)).then_some(pair)
    }
}

/// Returns the image regions in a frame of this size. An image region that is not inside the frame
/// shows that the frames were resized after the regions were written. In this case, all regions are
/// ignored. A region inside another one, such as the box of the colour flow, is not a separate
/// image. Of equal regions, the first one with a pixel size is kept.
pub(super) fn find_image_regions(regions: &[UltrasoundRegion], size: [u32; 2]) -> Vec<ImageRegion> {
    let images = regions.iter().filter(|region| region.is_image()).take(MAX_REGIONS);
    let images: Option<Vec<ImageRegion>> = images
        .map(|region| {
            let rectangle = region.rectangle(size)?;
            Some(ImageRegion { region: rectangle, um_per_px: region.um_per_px() })
        })
        .collect();
    let area = |region: &Region| u64::from(region.width_px) * u64::from(region.height_px);
    let smallest = u64::from(size[0]) * u64::from(size[1]) / SMALLEST_PART;
    let images: Vec<ImageRegion> = images
        .unwrap_or_default()
        .into_iter()
        .filter(|image| area(&image.region) >= smallest)
        .collect();
    let is_separate = |index: usize| {
        let image = &images[index];
        images.iter().enumerate().all(|(other, outer)| {
            let is_preferred =
                (outer.um_per_px.is_some(), index) <= (image.um_per_px.is_some(), other);
            other == index
                || !contains(&outer.region, &image.region)
                || (outer.region == image.region && is_preferred)
        })
    };
    (0..images.len()).filter(|&index| is_separate(index)).map(|index| images[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(left: u32, top: u32, right: u32, bottom: u32) -> UltrasoundRegion {
        UltrasoundRegion {
            format: Some(TWO_DIMENSIONAL),
            data_type: Some(1),
            left: Some(left),
            top: Some(top),
            right: Some(right),
            bottom: Some(bottom),
            units: [Some(CENTIMETRES); 2],
            deltas: [Some(0.05), Some(-0.04)],
        }
    }

    fn find(regions: &[UltrasoundRegion], size: [u32; 2]) -> Vec<[u32; 4]> {
        let found = find_image_regions(regions, size).into_iter().map(|image| image.region);
        found.map(|r| [r.x_px, r.y_px, r.width_px, r.height_px]).collect()
    }

    #[test]
    fn images_are_found_with_both_edges() {
        let mut trace = region(0, 0, 639, 900);
        trace.data_type = Some(10);
        let regions = [region(10, 20, 309, 219), region(320, 20, 639, 419), trace];
        assert_eq!(find(&regions, [640, 480]), [[10, 20, 300, 200], [320, 20, 320, 400]]);
        let pixels = find_image_regions(&regions, [640, 480])[0].um_per_px;
        assert_eq!(pixels, Some([500.0, 400.0]));
    }

    #[test]
    fn a_region_inside_another_is_not_a_separate_image() {
        let outer = region(10, 20, 309, 219);
        let mut unsized_outer = outer.clone();
        unsized_outer.deltas = [None; 2];
        let inner = region(50, 50, 299, 199);
        for regions in [
            [outer.clone(), inner.clone(), unsized_outer.clone()],
            [unsized_outer, outer.clone(), inner],
        ] {
            let found = find_image_regions(&regions, [320, 240]);
            assert_eq!(find(&regions, [320, 240]), [[10, 20, 300, 200]]);
            assert!(found[0].um_per_px.is_some());
        }
        assert_eq!(find(&[outer.clone(), outer], [320, 240]), [[10, 20, 300, 200]]);
    }

    #[test]
    fn regions_of_a_larger_frame_are_ignored() {
        let larger = [region(0, 0, 100, 100), region(10, 20, 629, 459)];
        assert!(find(&larger, [320, 240]).is_empty());
        assert!(find(&[region(200, 0, 100, 100)], [320, 240]).is_empty());
    }

    #[test]
    fn an_edge_one_pixel_too_far_is_accepted() {
        assert_eq!(find(&[region(0, 0, 320, 240)], [320, 240]), [[0, 0, 320, 240]]);
    }

    #[test]
    fn tiny_regions_and_pixels_without_lengths_are_ignored() {
        assert!(find(&[region(0, 0, 40, 40)], [320, 240]).is_empty());
        let mut seconds = region(0, 0, 319, 239);
        seconds.units[0] = Some(4);
        assert_eq!(find_image_regions(&[seconds], [320, 240])[0].um_per_px, None);
    }
}
