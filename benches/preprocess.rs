//! Frame to sample against `fast_image_resize` doing the same resize and nothing else; the grid of samples.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::hint::black_box;
use std::time::Duration;
use tteview::bench_api::{SampleGrid, SamplePreprocess};
use tteview::frame::{Geometry, PixelFormat};
use tteview::model::{ModelPackage, ModelSpec};

const WIDTH: u32 = 800;
const HEIGHT: u32 = 600;

fn spec(channels: usize) -> ModelSpec {
    let package = include_bytes!("../models/standin.stream.onnx").to_vec();
    let spec = ModelPackage::from_bytes(package, None).unwrap().spec;
    ModelSpec { channels, mean: vec![0.45; channels], std: vec![0.225; channels], ..spec }
}

fn pixels(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 31 + i / 800 * 7) as u8).collect()
}

/// One frame after the other to a sample, timed.
fn samples(spec: &ModelSpec, format: PixelFormat) -> impl FnMut() -> Duration {
    let geometry = Geometry::whole(format, WIDTH, HEIGHT);
    let frame = pixels(geometry.frame_bytes());
    let mut preprocess = SamplePreprocess::new(spec, WIDTH, HEIGHT);
    let mut sample = vec![0.0; spec.sample_len()];
    move || compare::time(|| preprocess.run(&geometry, black_box(&frame), black_box(&mut sample)).unwrap())
}

/// The resize alone, as large as fits into the sample.
fn resize(spec: &ModelSpec, kind: PixelType) -> impl FnMut() -> Duration {
    let width = spec.width_px as u32;
    let height = width * HEIGHT / WIDTH;
    let frame = pixels((WIDTH * HEIGHT) as usize * kind.size());
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

fn preprocess(criterion: &mut Criterion) {
    let grey = spec(1);
    let mut ours = samples(&grey, PixelFormat::Gray8);
    let mut alone = resize(&grey, PixelType::U8);
    compare::compare(
        criterion,
        "preprocess 800x600 Gray8 to grey",
        1,
        &mut ours,
        ("fast_image_resize", &mut alone),
        Some(1.3),
    );
    let colour = spec(3);
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
        let (mut ours, mut alone) = (samples(spec, format), resize(spec, kind));
        compare::compare(criterion, &what, 1, &mut ours, ("fast_image_resize", &mut alone), None);
    }
}

fn sampling(criterion: &mut Criterion) {
    const FRAMES: u32 = 10_000;
    let mut grid = SampleGrid::new(33_333_333, 250_000_000);
    let mut time_ns = 0;
    let mut ours = || {
        compare::time(|| {
            let mut samples = 0;
            for _ in 0..FRAMES {
                time_ns += 16_666_667;
                samples += grid.frame(black_box(time_ns));
            }
            samples
        })
    };
    compare::measure(criterion, "sampling, one frame", FRAMES, &mut ours);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = preprocess, sampling
}
criterion_main!(benches);
