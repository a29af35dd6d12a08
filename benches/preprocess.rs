//! Preprocessing, compared with `fast_image_resize`, which only resizes, and sampling.

use crate::compare::{self, Bench, Timed};
use crate::settings::{Settings, create_geometry};
use criterion::Criterion;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::hint::black_box;
use tteview::ModelSpec;
use tteview::bench_api::{SampleGrid, SamplePreprocess};
use tteview::frame::{Geometry, PixelFormat};

/// Returns the specification with this number of channels.
fn set_channels(spec: &ModelSpec, channels: usize) -> ModelSpec {
    ModelSpec { channels, mean: vec![0.45; channels], std: vec![0.225; channels], ..spec.clone() }
}

fn create_pixels(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 31 + i / 800 * 7) as u8).collect()
}

/// Returns a function that measures the preprocessing of one frame.
fn time_preprocessing<'a>(spec: &ModelSpec, geometry: Geometry) -> Timed<'a> {
    let frame = create_pixels(geometry.frame_bytes());
    let (width, height) = (geometry.width_px(), geometry.height_px());
    let mut preprocess = SamplePreprocess::new(spec, width, height).expect("buffers");
    let mut sample = vec![0.0; spec.sample_len()];
    Box::new(move || {
        compare::time(|| {
            preprocess.run(&geometry, black_box(&frame), black_box(&mut sample)).unwrap()
        })
    })
}

/// Returns a function that measures only the resizing of a frame to the largest size that fits into
/// the sample.
fn time_resizing<'a>(spec: &ModelSpec, geometry: Geometry) -> Timed<'a> {
    let kind = if is_grey(geometry, spec) { PixelType::U8 } else { PixelType::U8x3 };
    let (from_width, from_height) = (geometry.width_px(), geometry.height_px());
    let (limit_x, limit_y) = (spec.width_px as u32, spec.height_px as u32);
    let width = limit_x.min(limit_y * from_width / from_height).max(1);
    let height = limit_y.min(limit_x * from_height / from_width).max(1);
    let frame = create_pixels(from_width as usize * from_height as usize * kind.size());
    let mut resizer = Resizer::new();
    let mut target = Image::new(width, height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Box::new(move || {
        compare::time(|| {
            let source = ImageRef::new(from_width, from_height, black_box(&frame), kind).unwrap();
            resizer.resize(&source, black_box(&mut target), &options).unwrap();
        })
    })
}

/// Returns whether the frame or the sample is grey, so that only one channel is resized.
fn is_grey(geometry: Geometry, spec: &ModelSpec) -> bool {
    let formats = [PixelFormat::Gray8, PixelFormat::Gray16Le];
    spec.channels == 1 || formats.contains(&geometry.format())
}

/// Measures the preprocessing of frames with the geometry of the options, or of several formats to
/// grey and to RGB samples.
pub(crate) fn bench_preprocessing(criterion: &mut Criterion, settings: &Settings) {
    let spec = &settings.spec;
    let (grey, colour) = (set_channels(spec, 1), set_channels(spec, 3));
    let cases: Vec<(&ModelSpec, Geometry)> = match settings.geometry {
        Some(geometry) => vec![(spec, geometry)],
        None => [
            (&grey, PixelFormat::Gray8),
            (&grey, PixelFormat::Rgba32),
            (&grey, PixelFormat::Nv12),
            (&colour, PixelFormat::Rgb24),
            (&colour, PixelFormat::Bgra32),
            (&colour, PixelFormat::Yuyv),
            (&colour, PixelFormat::Nv12),
            (&colour, PixelFormat::I420),
        ]
        .map(|(spec, format)| (spec, create_geometry(format, 800, 600)))
        .to_vec(),
    };
    let mut group = criterion.benchmark_group("preprocess");
    for (spec, geometry) in cases {
        let to = if spec.channels == 1 { "grey" } else { "RGB" };
        let (width, height) = (geometry.width_px(), geometry.height_px());
        let name = format!("{width}x{height} {:?} to {to}", geometry.format());
        // The limit holds where the library does the same work as the resizer.
        let is_same = spec.channels == 1 && geometry.format() == PixelFormat::Gray8;
        let limit = (is_same && settings.is_demo).then_some(1.3);
        let bench = Bench { group: "preprocess", name: &name, each: 1 };
        compare::compare(&mut group, bench, "fast_image_resize", limit, || {
            (time_preprocessing(spec, geometry), time_resizing(spec, geometry))
        });
    }
    group.finish();
}

/// Measures the assignment of frames to samples.
pub(crate) fn bench_sampling(criterion: &mut Criterion) {
    const FRAMES: u32 = 10_000;
    let mut group = criterion.benchmark_group("sampling");
    let bench = Bench { group: "sampling", name: "one frame", each: FRAMES };
    compare::measure(&mut group, bench, || {
        let mut grid = SampleGrid::new(33_333_333, 250_000_000);
        let mut time_ns = 0;
        Box::new(move || {
            compare::time(|| {
                let mut samples = 0;
                for _ in 0..FRAMES {
                    time_ns += 16_666_667;
                    samples += grid.add_frame(black_box(time_ns));
                }
                samples
            })
        })
    });
    group.finish();
}
