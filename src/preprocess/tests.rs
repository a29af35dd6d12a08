use super::*;
use crate::frame::Region;
use crate::model::{Mode, Precision, Resize, ResizeMethod, SelfTest};

const MEAN: [f32; 3] = [0.45, 0.4, 0.35];
const STD: [f32; 3] = [0.225, 0.25, 0.2];
const GREY: [PixelFormat; 2] = [PixelFormat::Gray8, PixelFormat::Gray16Le];
const COLOUR: [PixelFormat; 8] = [
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Rgba32,
    PixelFormat::Bgra32,
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::I420,
];

fn spec(channels: usize, width_px: usize, height_px: usize) -> ModelSpec {
    ModelSpec {
        mode: Mode::Window,
        labels: Vec::new(),
        groups: Vec::new(),
        width_px,
        height_px,
        channels,
        channel_order: ChannelOrder::default(),
        resize: Resize::default(),
        mean: MEAN[..channels].to_vec(),
        std: STD[..channels].to_vec(),
        sample_interval_ns: 33_333_333,
        alpha: 4,
        clip_samples: 32,
        slow_indices: Vec::new(),
        states: Vec::new(),
        frame_steps: None,
        label_rule: crate::model::LabelRule::MeanLogits,
        temperature: 1.0,
        threshold: 0.0,
        group_threshold: 0.0,
        novelty: None,
        orientation: Orientation::default(),
        precision: Precision::Fp32,
        self_test: SelfTest {
            seed: 0,
            logits: Vec::new(),
            tolerance_fp32: 0.0,
            tolerance_fp16: 0.0,
        },
        source_sha256: String::new(),
        package_sha256: String::new(),
        model_version: String::new(),
        provenance: String::new(),
        model_card: None,
    }
}

/// Converts a frame to a sample, and reverses the normalisation so that the values are pixel
/// values.
fn pixels(spec: &ModelSpec, geometry: &Geometry, packed: &[u8]) -> Vec<f32> {
    let mut sample = vec![f32::NAN; spec.sample_len()];
    let mut preprocess = Preprocess::new(spec, geometry.width_px(), geometry.height_px()).unwrap();
    preprocess.run(geometry, packed, &mut sample).unwrap();
    let plane = spec.width_px * spec.height_px;
    let restored = |(index, value): (usize, &f32)| {
        (value * spec.std[index / plane] + spec.mean[index / plane]) * 255.0
    };
    sample.iter().enumerate().map(restored).collect()
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    // A value that was never written is NaN, which `f32::max` would ignore.
    let apart = |(l, r): (&f32, &f32)| if (l - r).is_nan() { f32::INFINITY } else { (l - r).abs() };
    left.iter().zip(right).map(apart).fold(0.0, f32::max)
}

/// Encodes a frame in `format`. `colour` returns the RGB value of a pixel. Each chroma sample is
/// computed from the top left pixel that it covers. The BT.601 equations are computed in floating
/// point, independently of the code under test.
fn encode(
    format: PixelFormat,
    width: usize,
    height: usize,
    colour: impl Fn(usize, usize) -> [u8; 3],
) -> Vec<u8> {
    let luma = |x, y| {
        let [r, g, b] = colour(x, y).map(f64::from);
        0.299 * r + 0.587 * g + 0.114 * b
    };
    let y8 = |x, y| (16.0 + luma(x, y) * 219.0 / 255.0).round() as u8;
    let u8_of = |x, y| {
        (128.0 + (f64::from(colour(x, y)[2]) - luma(x, y)) / 1.772 * 224.0 / 255.0).round() as u8
    };
    let v8_of = |x, y| {
        (128.0 + (f64::from(colour(x, y)[0]) - luma(x, y)) / 1.402 * 224.0 / 255.0).round() as u8
    };
    let mut bytes = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let [r, g, b] = colour(x, y);
            let pair = x / 2 * 2;
            match format {
                PixelFormat::Gray8 => bytes.push(luma(x, y).round() as u8),
                PixelFormat::Gray16Le => {
                    bytes.extend(((luma(x, y) / 255.0 * 65535.0).round() as u16).to_le_bytes());
                }
                PixelFormat::Rgb24 => bytes.extend([r, g, b]),
                PixelFormat::Bgr24 => bytes.extend([b, g, r]),
                PixelFormat::Rgba32 => bytes.extend([r, g, b, 77]),
                PixelFormat::Bgra32 => bytes.extend([b, g, r, 77]),
                PixelFormat::Yuyv => bytes
                    .extend([y8(x, y), if x == pair { u8_of(pair, y) } else { v8_of(pair, y) }]),
                PixelFormat::Uyvy => bytes
                    .extend([if x == pair { u8_of(pair, y) } else { v8_of(pair, y) }, y8(x, y)]),
                PixelFormat::Nv12 | PixelFormat::I420 => bytes.push(y8(x, y)),
            }
        }
    }
    let chroma = || (0..height).step_by(2).flat_map(|y| (0..width).step_by(2).map(move |x| (x, y)));
    match format {
        PixelFormat::Nv12 => bytes.extend(chroma().flat_map(|(x, y)| [u8_of(x, y), v8_of(x, y)])),
        PixelFormat::I420 => {
            bytes.extend(chroma().map(|(x, y)| u8_of(x, y)));
            bytes.extend(chroma().map(|(x, y)| v8_of(x, y)));
        }
        _ => {}
    }
    assert_eq!(bytes.len(), format.frame_bytes(width as u32, height as u32));
    bytes
}

/// Returns the colour of a pixel in an image without symmetry. The colour is constant in blocks of
/// 2 x 2 pixels, so that 4:2:0 preserves the image.
fn blocks(x: usize, y: usize) -> [u8; 3] {
    let (x, y) = (x / 2, y / 2);
    [(40 + x * 5) as u8, (60 + y * 6) as u8, (200 - x * 2 - y * 3) as u8]
}

fn grey(x: usize, y: usize) -> [u8; 3] {
    [(x * 3 + y * 2) as u8; 3]
}

fn create_geometry(format: PixelFormat, width_px: u32, height_px: u32) -> Geometry {
    Geometry::new(format, width_px, height_px).unwrap()
}

/// Returns the geometry of a 48 x 40 frame whose region has an odd position and an odd size.
fn odd_region(format: PixelFormat) -> Geometry {
    let region = Region { x_px: 7, y_px: 3, width_px: 33, height_px: 29 };
    create_geometry(format, 48, 40).with_region(region).unwrap()
}

#[test]
fn a_grey_image_gives_the_same_sample_in_every_format() {
    for channels in [1, 3] {
        let spec = spec(channels, 24, 24);
        let wanted = pixels(
            &spec,
            &odd_region(PixelFormat::Gray8),
            &encode(PixelFormat::Gray8, 48, 40, grey),
        );
        for format in GREY.into_iter().chain(COLOUR) {
            let got = pixels(&spec, &odd_region(format), &encode(format, 48, 40, grey));
            let apart = largest_difference(&wanted, &got);
            assert!(
                apart <= 1.01,
                "{format:?}, {channels} channels: the difference is {apart} of 255"
            );
        }
    }
}

#[test]
fn a_colour_image_gives_the_same_sample_in_every_format() {
    for (channels, most) in [(1, 1.01), (3, 2.51)] {
        let spec = spec(channels, 24, 24);
        let wanted = pixels(
            &spec,
            &odd_region(PixelFormat::Rgb24),
            &encode(PixelFormat::Rgb24, 48, 40, blocks),
        );
        for format in COLOUR {
            let got = pixels(&spec, &odd_region(format), &encode(format, 48, 40, blocks));
            let apart = largest_difference(&wanted, &got);
            assert!(
                apart <= most,
                "{format:?}, {channels} channels: the difference is {apart} of 255"
            );
        }
    }
}

#[test]
fn a_colour_sample_has_red_green_and_blue_planes_in_this_order() {
    let spec = spec(3, 32, 32);
    let rgb = encode(PixelFormat::Rgb24, 32, 32, |_, _| [10, 120, 230]);
    let got = pixels(&spec, &create_geometry(PixelFormat::Rgb24, 32, 32), &rgb);
    for (plane, wanted) in got.chunks_exact(32 * 32).zip([10.0, 120.0, 230.0]) {
        assert!(plane.iter().all(|value| (value - wanted).abs() < 0.01));
    }
}

#[test]
fn video_range_and_16_bit_values_map_to_0_to_255() {
    assert_eq!([0, 16, 235, 255].map(full_range), [0, 0, 255, 255]);
    for value in 0..=u16::MAX {
        let nearest = (f64::from(value) / 257.0).round() as u8;
        assert_eq!(from_16_bits(value.to_le_bytes()), nearest, "{value}");
    }
    assert_eq!(
        [luma_of_rgb(0, 0, 0), luma_of_rgb(255, 255, 255), luma_of_rgb(255, 0, 0)],
        [0, 255, 76]
    );
}

#[test]
fn a_constant_grey_is_unchanged_by_resizing() {
    for side in [32_u32, 50, 200] {
        let spec = spec(1, 50, 50);
        let frame = vec![137; (side * side) as usize];
        let got = pixels(&spec, &create_geometry(PixelFormat::Gray8, side, side), &frame);
        assert!(largest_difference(&got, &[137.0; 2500]) < 0.01, "{side}");
    }
}

#[test]
fn a_value_is_normalised_by_mean_and_standard_deviation() {
    let spec = spec(1, 32, 32);
    let mut sample = vec![0.0; 1024];
    Preprocess::new(&spec, 32, 32)
        .unwrap()
        .run(&create_geometry(PixelFormat::Gray8, 32, 32), &[51; 1024], &mut sample)
        .unwrap();
    assert!(sample.iter().all(|value| (value - (0.2 - 0.45) / 0.225).abs() < 1e-6));
}

#[test]
fn a_wide_image_is_centred_between_black_bars() {
    let spec = spec(1, 32, 33);
    let got = pixels(&spec, &create_geometry(PixelFormat::Gray8, 64, 32), &[200; 64 * 32]);
    for (y, row) in got.chunks_exact(32).enumerate() {
        let wanted = if (8..24).contains(&y) { 200.0 } else { 0.0 };
        assert!(row.iter().all(|value| (value - wanted).abs() < 0.01), "row {y}: {row:?}");
    }
}

#[test]
fn tall_pixels_make_the_image_taller() {
    let spec = spec(1, 32, 32);
    let geometry =
        create_geometry(PixelFormat::Gray8, 32, 32).with_pixel_size(100.0, 200.0).unwrap();
    let got = pixels(&spec, &geometry, &[200; 32 * 32]);
    for row in got.chunks_exact(32) {
        let lit = row.iter().enumerate().filter(|(_, value)| **value > 199.0).map(|(x, _)| x);
        assert!(lit.eq(8..24), "{row:?}");
    }
}

#[test]
fn pixels_outside_the_region_have_no_influence() {
    let region = Region { x_px: 9, y_px: 5, width_px: 40, height_px: 40 };
    for (channels, format) in [
        (1, PixelFormat::Gray8),
        (3, PixelFormat::Rgb24),
        (1, PixelFormat::Rgb24),
        (3, PixelFormat::I420),
    ] {
        let spec = spec(channels, 16, 16);
        let inside = |x: usize, y: usize| (9..49).contains(&x) && (5..45).contains(&y);
        let frame = |outside: u8| {
            // The frame is grey, because in 4:2:0 a chroma sample at the edge of the region would
            // also depend on colours outside the region.
            encode(format, 64, 64, move |x, y| if inside(x, y) { grey(x, y) } else { [outside; 3] })
        };
        let geometry = create_geometry(format, 64, 64).with_region(region).unwrap();
        assert_eq!(
            pixels(&spec, &geometry, &frame(0)),
            pixels(&spec, &geometry, &frame(255)),
            "{format:?}"
        );
    }
}

#[test]
fn a_turned_frame_is_turned_back_with_its_border() {
    // The resized region is 24 x 33, so one of its black borders has 4 columns and the other 5. If
    // the image were mirrored before it is centred, the wider border would be on the wrong side.
    let spec = spec(3, 33, 33);
    let straight = create_geometry(PixelFormat::Rgb24, 46, 64);
    let frame = encode(PixelFormat::Rgb24, 46, 64, blocks);
    let wanted = pixels(&spec, &straight, &frame);
    for (mirrored, upside_down) in [(true, false), (false, true), (true, true)] {
        let orientation = Orientation { mirrored, upside_down };
        let got = pixels(&spec, &straight.with_orientation(orientation), &frame);
        let turned: Vec<f32> = (0..wanted.len())
            .map(|index| {
                let (plane, y, x) = (index / 1089, index / 33 % 33, index % 33);
                let x = if mirrored { 32 - x } else { x };
                let y = if upside_down { 32 - y } else { y };
                wanted[plane * 1089 + y * 33 + x]
            })
            .collect();
        assert_eq!(got, turned, "{orientation:?}");
        assert_ne!(got, wanted, "{orientation:?}");
    }
}

#[test]
fn a_frame_in_the_orientation_of_the_package_is_not_turned() {
    let orientation = Orientation { mirrored: true, upside_down: true };
    let straight = create_geometry(PixelFormat::Gray8, 48, 40);
    let frame = encode(PixelFormat::Gray8, 48, 40, grey);
    let wanted = pixels(&spec(1, 24, 24), &straight, &frame);
    let turned_package = ModelSpec { orientation, ..spec(1, 24, 24) };
    assert_eq!(pixels(&turned_package, &straight.with_orientation(orientation), &frame), wanted);
    assert_ne!(pixels(&turned_package, &straight, &frame), wanted);
}

#[test]
fn making_an_image_smaller_averages_its_pixels() {
    let spec = spec(1, 32, 32);
    let checks =
        encode(PixelFormat::Gray8, 256, 256, |x, y| [if (x + y) % 2 == 0 { 255 } else { 0 }; 3]);
    let got = pixels(&spec, &create_geometry(PixelFormat::Gray8, 256, 256), &checks);
    assert!(got.iter().all(|value| (126.0..=129.0).contains(value)), "{got:?}");
}

#[test]
fn a_frame_leaves_nothing_behind_for_the_next() {
    let spec = spec(1, 32, 32);
    let mut preprocess = Preprocess::new(&spec, 64, 64).unwrap();
    let (mut sample, mut fresh) = (vec![0.0; 1024], vec![0.0; 1024]);
    let small = create_geometry(PixelFormat::Uyvy, 64, 32);
    let frame = encode(PixelFormat::Uyvy, 64, 32, grey);
    preprocess
        .run(&create_geometry(PixelFormat::Gray8, 64, 64), &[255; 4096], &mut sample)
        .unwrap();
    preprocess.run(&small, &frame, &mut sample).unwrap();
    Preprocess::new(&spec, 64, 64).unwrap().run(&small, &frame, &mut fresh).unwrap();
    assert_eq!(sample, fresh);
}

#[test]
fn a_frame_or_sample_of_the_wrong_size_is_refused() {
    let spec = spec(1, 32, 32);
    let mut preprocess = Preprocess::new(&spec, 64, 48).unwrap();
    let mut sample = vec![0.0; 1024];
    let mut status = |width, height, bytes, values: usize| {
        let geometry = create_geometry(PixelFormat::Gray8, width, height);
        preprocess
            .run(&geometry, &vec![0; bytes], &mut sample[..values])
            .map_err(|error| error.status())
    };
    assert_eq!(status(64, 48, 64 * 48, 1024), Ok(()));
    assert_eq!(status(48, 64, 64 * 48, 1024), Err(Status::FrameTooLarge));
    assert_eq!(status(64, 48, 64 * 48 - 1, 1024), Err(Status::FrameGeometry));
    assert_eq!(status(64, 48, 64 * 48, 1023), Err(Status::InvalidArgument));
}

mod methods;
