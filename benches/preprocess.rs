//! Benchmarks of preprocessing and of sampling. Preprocessing is compared with `fast_image_resize`,
//! which only resizes.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::hint::black_box;
use std::time::Duration;
use tteview::bench_api::{SampleGrid, SamplePreprocess};
use tteview::frame::{Geometry, PixelFormat};
use tteview::{ModelPackage, ModelSpec};

const WIDTH: u32 = 800;
const HEIGHT: u32 = 600;

fn create_spec(channels: usize) -> ModelSpec {
    let package = include_bytes!("../models/standin.stream.onnx").to_vec();
    let spec = ModelPackage::from_bytes(package, None).unwrap().spec;
    ModelSpec { channels, mean: vec![0.45; channels], std: vec![0.225; channels], ..spec }
}

fn create_pixels(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 31 + i / 800 * 7) as u8).collect()
}

/// Returns a function that measures the preprocessing of one frame.
fn time_preprocessing(spec: &ModelSpec, format: PixelFormat) -> impl FnMut() -> Duration {
    let geometry = Geometry::new(format, WIDTH, HEIGHT).unwrap();
    let frame = create_pixels(geometry.frame_bytes());
    let mut preprocess = SamplePreprocess::new(spec, WIDTH, HEIGHT).expect("buffers");
    let mut sample = vec![0.0; spec.sample_len()];
    move || {
        compare::time(|| {
            preprocess.run(&geometry, black_box(&frame), black_box(&mut sample)).unwrap()
        })
    }
}

/// Returns a function that measures only the resizing of a frame to the largest size that fits into
/// the sample.
fn time_resizing(spec: &ModelSpec, kind: PixelType) -> impl FnMut() -> Duration {
    let width = spec.width_px as u32;
    let height = width * HEIGHT / WIDTH;
    let frame = create_pixels((WIDTH * HEIGHT) as usize * kind.size());
    let mut resizer = Resizer::new();
    let mut target = Image::new(width, height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    move || {
        compare::time(|| {
            let source = ImageRef::new(WIDTH, HEIGHT, black_box(&frame), kind).unwrap();
            resizer.resize(&source, black_box(&mut target), &options).unwrap();
        })
    }
}

fn bench_preprocessing(criterion: &mut Criterion) {
    let grey = create_spec(1);
    let mut ours = time_preprocessing(&grey, PixelFormat::Gray8);
    let mut alone = time_resizing(&grey, PixelType::U8);
    compare::compare(
        criterion,
        "preprocess 800x600 Gray8 to grey",
        1,
        &mut ours,
        ("fast_image_resize", &mut alone),
        Some(1.3),
    );
    let colour = create_spec(3);
    for (spec, format, kind) in [
        (&grey, PixelFormat::Rgba32, PixelType::U8),
        (&grey, PixelFormat::Nv12, PixelType::U8),
        (&colour, PixelFormat::Rgb24, PixelType::U8x3),
        (&colour, PixelFormat::Bgra32, PixelType::U8x3),
        (&colour, PixelFormat::Yuyv, PixelType::U8x3),
        (&colour, PixelFormat::Nv12, PixelType::U8x3),
        (&colour, PixelFormat::I420, PixelType::U8x3),
    ] {
        let to = if spec.channels == 1 { "grey" } else { "RGB" };
        let what = format!("preprocess 800x600 {format:?} to {to}");
        let (mut ours, mut alone) = (time_preprocessing(spec, format), time_resizing(spec, kind));
        compare::compare(criterion, &what, 1, &mut ours, ("fast_image_resize", &mut alone), None);
    }
}

fn bench_sampling(criterion: &mut Criterion) {
    const FRAMES: u32 = 10_000;
    let mut grid = SampleGrid::new(33_333_333, 250_000_000);
    let mut time_ns = 0;
    let mut ours = || {
        compare::time(|| {
            let mut samples = 0;
            for _ in 0..FRAMES {
                time_ns += 16_666_667;
                samples += grid.add_frame(black_box(time_ns));
            }
            samples
        })
    };
    compare::measure(criterion, "sampling, one frame", FRAMES, &mut ours);
}

criterion_group! {
    name = benches;
    config = compare::create_criterion();
    targets = bench_preprocessing, bench_sampling
}
criterion_main!(benches);
