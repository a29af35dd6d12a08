use super::*;
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3, U8x4};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions};
use proptest::prelude::*;

/// An image, the region to resize, and the size of the result.
#[derive(Debug)]
struct Case {
    width: usize,
    height: usize,
    pixel_bytes: usize,
    region: Region,
    to: [usize; 2],
    bytes: Vec<u8>,
}

impl Case {
    /// Resizes the region, and returns one plane for each byte of a pixel.
    fn resize(&self) -> Vec<u8> {
        let channels: Vec<usize> = (0..self.pixel_bytes).collect();
        let mut planes = vec![0; self.to[0] * self.to[1] * self.pixel_bytes];
        let image =
            Image { bytes: &self.bytes, width_px: self.width, pixel_bytes: self.pixel_bytes };
        let mut resizer = Resizer::new([self.width, self.height], self.to, true).unwrap();
        resizer.run(image, self.region, &channels, self.to.map(Side::whole), &mut planes);
        planes
    }

    /// Resizes the region with fast_image_resize, and returns the pixels with interleaved channels.
    fn resize_with_peer<P: PixelTrait + Default>(&self) -> Vec<u8> {
        let [width, height] = self.to.map(|side| side as u32);
        let part = self.region;
        let source =
            TypedImageRef::<P>::from_buffer(self.width as u32, self.height as u32, &self.bytes)
                .unwrap();
        let source =
            TypedCroppedImage::new(source, part.x_px, part.y_px, part.width_px, part.height_px)
                .unwrap();
        let mut pixels = vec![0; self.to[0] * self.to[1] * self.pixel_bytes];
        let mut target = TypedImage::<P>::from_buffer(width, height, &mut pixels).unwrap();
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .use_alpha(false);
        fast_image_resize::Resizer::new().resize_typed(&source, &mut target, &options).unwrap();
        pixels
    }

    /// Computes one value of the result in floating point from the definition of the filter.
    fn exact_value(&self, channel: usize, x: usize, y: usize) -> f64 {
        let region = [self.region.width_px, self.region.height_px].map(f64::from);
        let scale = [region[0] / self.to[0] as f64, region[1] / self.to[1] as f64];
        let weight = |axis: usize, from: u32, at: usize| {
            let apart = f64::from(from) + 0.5 - (at as f64 + 0.5) * scale[axis];
            (1.0 - apart.abs() / scale[axis].max(1.0)).max(0.0)
        };
        let (mut sum, mut area) = (0.0, 0.0);
        for v in 0..self.region.height_px {
            for u in 0..self.region.width_px {
                let weight = weight(0, u, x) * weight(1, v, y);
                let at =
                    (self.region.y_px + v) as usize * self.width + (self.region.x_px + u) as usize;
                sum += weight * f64::from(self.bytes[at * self.pixel_bytes + channel]);
                area += weight;
            }
        }
        sum / area
    }
}

fn cases(most: usize) -> impl Strategy<Value = Case> {
    let sizes = (1..most, 1..most, prop::sample::select(vec![1_usize, 3, 4]), 1..most, 1..most);
    let region = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    // If `harsh` is true, the image contains only black and white, which is the hardest case.
    (sizes, region, any::<u32>(), any::<bool>()).prop_map(|(sizes, region, seed, harsh)| {
        let (width, height, pixel_bytes, to_width, to_height) = sizes;
        let part = |start: u32, length: u32, whole: usize| {
            let start = start % whole as u32;
            (start, 1 + length % (whole as u32 - start))
        };
        let (x_px, width_px) = part(region.0, region.1, width);
        let (y_px, height_px) = part(region.2, region.3, height);
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            if harsh { if state & 256 == 0 { 0 } else { 255 } } else { (state >> 16) as u8 }
        };
        let bytes = (0..width * height * pixel_bytes).map(|_| next()).collect();
        let region = Region { x_px, y_px, width_px, height_px };
        Case { width, height, pixel_bytes, region, to: [to_width, to_height], bytes }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_pixel_is_within_one_of_fast_image_resize(case in cases(200)) {
        let peer = match case.pixel_bytes {
            1 => case.resize_with_peer::<U8>(),
            3 => case.resize_with_peer::<U8x3>(),
            _ => case.resize_with_peer::<U8x4>(),
        };
        let plane = case.to[0] * case.to[1];
        for (index, &value) in case.resize().iter().enumerate() {
            let wanted = peer[index % plane * case.pixel_bytes + index / plane];
            prop_assert!(value.abs_diff(wanted) <= 1, "{value} for {wanted} at {index} of {case:?}");
        }
    }

    #[test]
    fn every_pixel_is_the_filter_in_floating_point_rounded(case in cases(40)) {
        let plane = case.to[0] * case.to[1];
        for (index, &value) in case.resize().iter().enumerate() {
            let at = index % plane;
            let exact = case.exact_value(index / plane, at % case.to[0], at / case.to[0]);
            let apart = (f64::from(value) - exact).abs();
            // Rounding accounts for a difference of up to 0.5, and the truncation of the products
            // for the rest.
            prop_assert!(apart < 0.6, "{value} for {exact} at {index} of {case:?}");
        }
    }
}

#[test]
fn every_pixel_is_within_one_of_pillow() {
    let bytes = (0..37)
        .flat_map(|y| (0..45).map(move |x| ((x * x * 7 + y * y * 3 + x * y * 5) % 256) as u8));
    let region = Region { x_px: 0, y_px: 0, width_px: 45, height_px: 37 };
    let case =
        Case { width: 45, height: 37, pixel_bytes: 1, region, to: [8, 6], bytes: bytes.collect() };
    // Pillow 13 returns these values for PIL.Image.fromarray(image).resize((8, 6), BILINEAR).
    let pillow: [[u8; 8]; 6] = [
        [104, 125, 123, 122, 125, 131, 129, 127],
        [133, 123, 138, 127, 125, 120, 128, 112],
        [132, 125, 129, 127, 122, 93, 116, 130],
        [112, 123, 127, 129, 116, 95, 117, 128],
        [120, 131, 129, 125, 132, 132, 128, 132],
        [139, 152, 126, 124, 132, 121, 128, 123],
    ];
    for (value, wanted) in case.resize().into_iter().zip(pillow.as_flattened()) {
        assert!(value.abs_diff(*wanted) <= 1, "{value} for {wanted}");
    }
}

#[test]
fn every_grey_is_unchanged() {
    // The first case shrinks the image the most: each sum has 256 truncated products.
    for (from, to) in
        [(4096, 32), (4096, 112), (1024, 112), (113, 112), (112, 112), (32, 224), (1, 300)]
    {
        let region = Region { x_px: 0, y_px: 0, width_px: from as u32, height_px: 40 };
        for grey in 0..=255 {
            let bytes = vec![grey; from * 40];
            let case = Case { width: from, height: 40, pixel_bytes: 1, region, to: [to, 7], bytes };
            assert!(case.resize().iter().all(|&value| value == grey), "{grey}, {from} to {to}");
        }
    }
}

#[test]
fn the_same_size_copies_the_bytes() {
    let bytes: Vec<u8> =
        (0..=255).cycle().take(64 * 48).map(|value: u8| value.wrapping_mul(91)).collect();
    let region = Region { x_px: 0, y_px: 0, width_px: 64, height_px: 48 };
    let case =
        Case { width: 64, height: 48, pixel_bytes: 1, region, to: [64, 48], bytes: bytes.clone() };
    assert_eq!(case.resize(), bytes);
}
