//! The Sequence of Ultrasound Regions (PS3.3, C.8.5.5), which contains the position of the image
//! and the size of its pixels.

use super::value::Value;
use crate::cine::facts::ImageRegion;
use tteview::frame::Region;

/// Value of Region Spatial Format for a two-dimensional region.
const TWO_DIMENSIONAL: u16 = 1;
/// Values of Region Data Type for tissue and for colour flow.
const IMAGES: [u16; 2] = [1, 2];
/// Value of Physical Units for centimetres.
const CENTIMETRES: u16 = 3;
/// Divisor of the frame's area: a region smaller than one sixteenth of the frame is ignored.
const SMALLEST_PART: u64 = 16;

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

/// Returns the largest image region in a frame of this size. A region that is not inside the frame
/// shows that the frames were resized after the regions were written. In this case, all regions are
/// ignored.
pub(super) fn choose_image_region(
    regions: &[UltrasoundRegion],
    size: [u32; 2],
) -> Option<ImageRegion> {
    let rectangles: Option<Vec<Region>> =
        regions.iter().map(|region| region.rectangle(size)).collect();
    let area = |rectangle: &Region| u64::from(rectangle.width_px) * u64::from(rectangle.height_px);
    let smallest = u64::from(size[0]) * u64::from(size[1]) / SMALLEST_PART;
    let images = regions.iter().zip(rectangles?).filter(|(region, _)| region.is_image());
    let largest =
        images.filter(|(_, rectangle)| area(rectangle) >= smallest).max_by_key(|(_, r)| area(r));
    largest
        .map(|(region, rectangle)| ImageRegion { region: rectangle, um_per_px: region.um_per_px() })
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

    fn rectangle(x_px: u32, y_px: u32, width_px: u32, height_px: u32) -> Option<Region> {
        Some(Region { x_px, y_px, width_px, height_px })
    }

    #[test]
    fn the_largest_image_is_chosen_with_both_edges() {
        let mut trace = region(0, 0, 639, 479);
        trace.data_type = Some(10);
        let regions = [region(10, 20, 309, 219), region(320, 20, 639, 419), trace];
        let found = choose_image_region(&regions, [640, 480]);
        assert_eq!(found.map(|image| image.region), rectangle(320, 20, 320, 400));
        assert_eq!(found.and_then(|image| image.um_per_px), Some([500.0, 400.0]));
    }

    #[test]
    fn regions_of_a_larger_frame_are_ignored() {
        assert_eq!(
            choose_image_region(&[region(0, 0, 100, 100), region(10, 20, 629, 459)], [320, 240]),
            None
        );
        assert_eq!(choose_image_region(&[region(200, 0, 100, 100)], [320, 240]), None);
    }

    #[test]
    fn an_edge_one_pixel_too_far_is_accepted() {
        let found = choose_image_region(&[region(0, 0, 320, 240)], [320, 240]);
        assert_eq!(found.map(|image| image.region), rectangle(0, 0, 320, 240));
    }

    #[test]
    fn tiny_regions_and_pixels_without_lengths_are_ignored() {
        assert_eq!(choose_image_region(&[region(0, 0, 40, 40)], [320, 240]), None);
        let mut seconds = region(0, 0, 319, 239);
        seconds.units[0] = Some(4);
        assert_eq!(
            choose_image_region(&[seconds], [320, 240]).and_then(|image| image.um_per_px),
            None
        );
    }
}
