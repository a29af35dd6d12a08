//! Tests of the methods of resizing and of the order of the channels.

use super::*;
use crate::model::ResizeMethod::{Letterbox, ShortSide, Stretch};
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;

fn with_method(spec: ModelSpec, method: ResizeMethod) -> ModelSpec {
    ModelSpec { resize: Resize { method, antialias: true }, ..spec }
}

/// Draws the frame that `draw_frame` in `training/tests/fixtures/make_samples.py` draws.
fn draw_frame(width: usize, height: usize, channels: usize) -> Vec<u8> {
    let value = |x, y, c| ((x * x * 7 + y * y * 3 + x * y * 5 + c * 61 + 13) % 256) as u8;
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    pixels.flat_map(|(x, y)| (0..channels).map(move |c| value(x, y, c))).collect()
}

/// Reads the model of a case of `samples.json`.
fn read_spec(case: &Value) -> ModelSpec {
    let size = |key: &str| case["resize"][key].as_u64().map(|size| size as usize);
    let method = match case["resize"]["kind"].as_str().unwrap() {
        "letterbox" => Letterbox,
        "stretch" => {
            Stretch { width_px: size("width").unwrap(), height_px: size("height").unwrap() }
        }
        "short_side" => ShortSide { side_px: size("side").unwrap() },
        other => panic!("kind {other}"),
    };
    let antialias = case["resize"]["antialias"].as_bool().unwrap_or(true);
    let channel_order = match case["channel_order"].as_str().unwrap() {
        "rgb" => ChannelOrder::Rgb,
        "bgr" => ChannelOrder::Bgr,
        other => panic!("channel order {other}"),
    };
    let side = case["size"].as_u64().unwrap() as usize;
    let channels = case["channels"].as_u64().unwrap() as usize;
    ModelSpec { resize: Resize { method, antialias }, channel_order, ..spec(channels, side, side) }
}

#[test]
fn a_sample_is_within_one_of_that_of_the_model_kit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("training/tests/fixtures/samples.json");
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 42);
    for case in &cases {
        let number = |key: &str| case[key].as_u64().unwrap() as u32;
        let (width, height) = (number("width"), number("height"));
        let channels = number("frame_channels") as usize;
        let format = if channels == 1 { PixelFormat::Gray8 } else { PixelFormat::Rgb24 };
        let mut geometry = create_geometry(format, width, height);
        if let Some(region) = case["region"].as_array() {
            let side = |index: usize| region[index].as_u64().unwrap() as u32;
            let [x_px, y_px, width_px, height_px] = [0, 1, 2, 3].map(side);
            geometry = geometry.with_region(Region { x_px, y_px, width_px, height_px }).unwrap();
        }
        let [pixel_width, pixel_height] =
            [0, 1].map(|axis: usize| case["pixel_size"][axis].as_f64().unwrap() as f32);
        let geometry = geometry.with_pixel_size(pixel_width, pixel_height).unwrap();
        let frame = draw_frame(width as usize, height as usize, channels);
        let got = pixels(&read_spec(case), &geometry, &frame);
        let wanted: Vec<f32> = case["sample"]
            .as_str()
            .unwrap()
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap())
            .map(f32::from)
            .collect();
        let apart = largest_difference(&got, &wanted);
        assert!(apart <= 1.01, "the difference is {apart} of 255 in {case}");
    }
}

#[test]
fn the_short_side_and_the_centre_are_those_of_torchvision() {
    // The sizes are those of Resize(256) in torchvision 0.24.1, and the first pixels those that its
    // CenterCrop(224) keeps.
    let target = Target::new(&with_method(spec(1, 224, 224), ShortSide { side_px: 256 }));
    for (size, full, first) in [
        ([640, 480], [341, 256], [58, 16]),
        ([480, 640], [256, 341], [16, 58]),
        ([636, 422], [385, 256], [80, 16]),
        ([1016, 708], [367, 256], [72, 16]),
        ([1024, 768], [341, 256], [58, 16]),
        ([259, 255], [260, 256], [18, 16]),
        ([302, 301], [256, 256], [16, 16]),
        ([800, 1], [204_800, 256], [102_288, 16]),
    ] {
        let [width_px, height_px] = size;
        let region = Region { x_px: 0, y_px: 0, width_px, height_px };
        let geometry = create_geometry(PixelFormat::Gray8, 1024, 1024).with_region(region).unwrap();
        let sides = fit_region(&geometry, &target);
        assert_eq!(sides.map(|side| side.full_px), full, "{size:?}");
        assert_eq!(sides.map(|side| side.first_px), first, "{size:?}");
        assert_eq!(sides.map(|side| side.len_px), [224, 224], "{size:?}");
    }
}

#[test]
fn a_stretched_image_fills_the_sample() {
    let spec = with_method(spec(1, 33, 32), Stretch { width_px: 33, height_px: 32 });
    for (width, height) in [(32, 200), (200, 32)] {
        let geometry = create_geometry(PixelFormat::Gray8, width, height)
            .with_pixel_size(100.0, 300.0)
            .unwrap();
        let frame = vec![200; geometry.frame_bytes()];
        assert!(pixels(&spec, &geometry, &frame).iter().all(|value| (value - 200.0).abs() < 0.01));
    }
}

#[test]
fn a_resized_side_shorter_than_the_sample_is_centred_on_black() {
    let spec = with_method(spec(1, 8, 32), ShortSide { side_px: 9 });
    let geometry = create_geometry(PixelFormat::Gray8, 64, 64);
    let got = pixels(&spec, &geometry, &[200; 64 * 64]);
    for (y, row) in got.chunks_exact(8).enumerate() {
        let wanted = if (11..20).contains(&y) { 200.0 } else { 0.0 };
        assert!(row.iter().all(|value| (value - wanted).abs() < 0.01), "row {y}: {row:?}");
    }
}

#[test]
fn the_channels_have_the_order_of_the_package() {
    for format in COLOUR.into_iter().chain(GREY) {
        let rgb = spec(3, 32, 32);
        let bgr = ModelSpec {
            channel_order: ChannelOrder::Bgr,
            mean: MEAN.iter().rev().copied().collect(),
            std: STD.iter().rev().copied().collect(),
            ..rgb.clone()
        };
        let geometry = create_geometry(format, 32, 32);
        let frame = encode(format, 32, 32, blocks);
        let [straight, swapped] = [&rgb, &bgr].map(|spec| pixels(spec, &geometry, &frame));
        let turned: Vec<f32> = straight.chunks(32 * 32).rev().flatten().copied().collect();
        assert!(largest_difference(&swapped, &turned) < 0.01, "{format:?}");
        if COLOUR.contains(&format) {
            assert!(largest_difference(&swapped, &straight) > 10.0, "{format:?}");
        }
    }
}

#[test]
fn a_frame_is_cut_before_it_is_turned() {
    // 3 columns are cut off: 2 on the left and 1 on the right.
    let spec = with_method(spec(3, 32, 32), Stretch { width_px: 35, height_px: 33 });
    let straight = create_geometry(PixelFormat::Rgb24, 46, 64);
    let frame = encode(PixelFormat::Rgb24, 46, 64, blocks);
    let wanted = pixels(&spec, &straight, &frame);
    let mirrored = Orientation { mirrored: true, upside_down: false };
    let got = pixels(&spec, &straight.with_orientation(mirrored), &frame);
    let turned: Vec<f32> = wanted.chunks(32).flat_map(|row| row.iter().rev().copied()).collect();
    assert_eq!(got, turned);
}

/// A frame of one of two formats, and a model.
#[derive(Debug)]
struct Case {
    geometry: Geometry,
    frame: Vec<u8>,
    spec: ModelSpec,
}

/// Places and size of a region with one side of 1 pixel in every fourth case.
fn region(width: u32, height: u32, seed: u32) -> Region {
    let part = |seed: u32, whole: u32| {
        let start = seed % whole;
        let len = if seed % 4 == 3 { 1 } else { 1 + seed / 7 % (whole - start) };
        (start, len)
    };
    let (x_px, width_px) = part(seed >> 16, width);
    let (y_px, height_px) = part(seed & 0xffff, height);
    Region { x_px, y_px, width_px, height_px }
}

fn cases() -> impl Strategy<Value = Case> {
    let method = prop_oneof![
        Just(Letterbox),
        (1_usize..60, 1_usize..60)
            .prop_map(|(width_px, height_px)| Stretch { width_px, height_px }),
        (1_usize..60).prop_map(|side_px| ShortSide { side_px }),
    ];
    let frame = (32_u32..70, 32_u32..70, any::<u32>(), any::<bool>(), any::<u32>());
    let aspect = prop::sample::select(vec![1.0_f32, 0.101, 0.37, 1.3, 9.9]);
    let sample = (1_usize..20, 1_usize..20, any::<bool>(), any::<bool>());
    (frame, aspect, method, sample).prop_map(|(frame, aspect, method, sample)| {
        let (width, height, place, has_colour, seed) = frame;
        let (sample_width, sample_height, antialias, is_bgr) = sample;
        let (format, channels) =
            if has_colour { (PixelFormat::Rgb24, 3) } else { (PixelFormat::Gray8, 1) };
        let geometry = create_geometry(format, width, height)
            .with_region(region(width, height, place))
            .and_then(|geometry| geometry.with_pixel_size(1.0, aspect))
            .unwrap();
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 16) as u8
        };
        let frame = (0..geometry.frame_bytes()).map(|_| next()).collect();
        let channel_order =
            if is_bgr && has_colour { ChannelOrder::Bgr } else { ChannelOrder::Rgb };
        let resize = Resize { method, antialias };
        let spec =
            ModelSpec { resize, channel_order, ..spec(channels, sample_width, sample_height) };
        Case { geometry, frame, spec }
    })
}

/// The weights of the pixels of the region in one pixel of the sample, along one axis. The list is
/// empty on the black border.
fn weights(
    from: f64,
    pixels: u32,
    full: f64,
    sample: usize,
    at: usize,
    antialias: bool,
) -> Vec<f64> {
    // Half of the difference is rounded to the even number, and the border downwards.
    let extra = full - sample as f64;
    let place = if extra > 0.0 {
        at as f64 + (extra / 2.0).round_ties_even()
    } else {
        at as f64 - (-extra / 2.0).floor()
    };
    if place < 0.0 || place >= full {
        return Vec::new();
    }
    let scale = from / full;
    let reach = if antialias { scale.max(1.0) } else { 1.0 };
    let height =
        |pixel| (1.0 - (f64::from(pixel) + 0.5 - (place + 0.5) * scale).abs() / reach).max(0.0);
    let heights: Vec<f64> = (0..pixels).map(height).collect();
    let area: f64 = heights.iter().sum();
    heights.into_iter().map(|height| height / area).collect()
}

impl Case {
    /// Computes the size of the resized region as docs/model-package.md#resizing defines it.
    fn full_size(&self) -> [f64; 2] {
        let region = self.geometry.region();
        let (width, height) = (f64::from(region.width_px), f64::from(region.height_px));
        let height = height * f64::from(self.geometry.pixel_aspect());
        let [to_width, to_height] =
            [self.spec.width_px, self.spec.height_px].map(|side| side as f64);
        match self.spec.resize.method {
            Letterbox => {
                let scale = (to_width / width).min(to_height / height);
                let fit = |side: f64, most: f64| (side * scale + 0.5).floor().clamp(1.0, most);
                [fit(width, to_width), fit(height, to_height)]
            }
            Stretch { width_px, height_px } => [width_px as f64, height_px as f64],
            ShortSide { side_px } => {
                let side = side_px as f64;
                let long = (side * width.max(height) / width.min(height)).floor().max(side);
                if width > height { [long, side] } else { [side, long] }
            }
        }
    }

    /// Computes the sample in floating point.
    fn compute_sample(&self) -> Vec<f64> {
        let region = self.geometry.region();
        let [full_width, full_height] = self.full_size();
        let channels = self.spec.channels;
        let antialias = self.spec.resize.antialias;
        let row = self.geometry.width_px() as usize * channels;
        let mut sample = Vec::new();
        for channel in 0..channels {
            let is_rgb = self.spec.channel_order == ChannelOrder::Rgb;
            let byte = if is_rgb { channel } else { channels - 1 - channel };
            for y in 0..self.spec.height_px {
                let height = f64::from(region.height_px);
                let down = weights(
                    height,
                    region.height_px,
                    full_height,
                    self.spec.height_px,
                    y,
                    antialias,
                );
                for x in 0..self.spec.width_px {
                    let width = f64::from(region.width_px);
                    let along = weights(
                        width,
                        region.width_px,
                        full_width,
                        self.spec.width_px,
                        x,
                        antialias,
                    );
                    let mut sum = 0.0;
                    for (v, down) in down.iter().enumerate().filter(|&(_, &weight)| weight > 0.0) {
                        let start = (region.y_px as usize + v) * row;
                        for (u, along) in along.iter().enumerate() {
                            let at = start + (region.x_px as usize + u) * channels + byte;
                            sum += down * along * f64::from(self.frame[at]);
                        }
                    }
                    sample.push(sum);
                }
            }
        }
        sample
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_sample_is_that_of_the_specification(case in cases()) {
        let got = pixels(&case.spec, &case.geometry, &case.frame);
        for (index, (got, wanted)) in got.iter().zip(case.compute_sample()).enumerate() {
            // Rounding accounts for a difference of up to 0.5, and truncation for the rest.
            let apart = (f64::from(*got) - wanted).abs();
            prop_assert!(apart < 0.65, "{got} for {wanted} at {index} of {case:?}");
        }
    }
}
