//! What the worker does to the heap once a first acquisition is through: nothing but what the resizer and the runtime
//! do inside. A network that allocates nothing stands behind the backend trait, and the test drives the worker itself.

use crate::backend::{Backend, RuntimeReport, Session};
use crate::counting::allocations;
use crate::frame::{FrameView, Geometry, PixelFormat};
use crate::model::{ModelPackage, ModelSpec};
use crate::preprocess::Preprocess;
use crate::stream::Drive;
use crate::{EarlyStop, Engine, Result, Status, Stream, StreamConfig, ViewChange};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::sync::Arc;

const STEP_NS: i64 = 33_333_333;

/// A network that says the mean of its input.
struct StandIn(Arc<ModelSpec>);

struct StandInSession {
    slow: Vec<f32>,
    fast: Vec<f32>,
    logits: Vec<f32>,
}

impl Backend for StandIn {
    fn report(&self) -> RuntimeReport {
        unreachable!("nobody asks in this test")
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let [slow, fast] = self.0.input_shapes().map(|shape| vec![0.0; shape.iter().product()]);
        Ok(Box::new(StandInSession { slow, fast, logits: vec![0.0; self.0.labels.len()] }))
    }
}

impl Session for StandInSession {
    fn inputs(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.slow, &mut self.fast)
    }

    fn run(&mut self) -> Result<()> {
        let mean = self.fast.iter().sum::<f32>() / self.fast.len() as f32;
        self.logits.fill(0.0);
        self.logits[0] = mean;
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        Ok(())
    }
}

fn spec(package: &[u8]) -> ModelSpec {
    ModelPackage::from_bytes(package.to_vec(), None).unwrap().spec
}

/// An acquisition with everything that can happen in one: a mark, a gap, another geometry, dropped frames, a partial
/// chunk. Returns what the worker did to the heap, and how often the network ran.
fn acquire(stream: &mut Stream, geometries: &[Geometry]) -> (usize, u64) {
    let pixels = vec![9; geometries.iter().map(Geometry::frame_bytes).max().unwrap()];
    let reader = stream.reader();
    let chunks = reader.stats().chunks;
    let mut allocated = 0;
    let mut drain = |stream: &mut Stream| {
        allocated += allocations(|| while stream.process() == Status::Ok {}).0;
    };
    stream.begin().unwrap();
    let mut time_ns = 0;
    for (index, geometry) in geometries.iter().cycle().take(5 * geometries.len()).enumerate() {
        for _ in 0..9 {
            time_ns += STEP_NS;
            let frame = FrameView::packed(*geometry, &pixels, time_ns).unwrap();
            stream.push(&frame);
        }
        match index {
            1 => assert_eq!(stream.mark(), Status::Ok),
            3 => time_ns += 1_000_000_000,
            _ => {}
        }
        drain(stream);
    }
    assert_eq!(stream.end(), Status::Ok);
    drain(stream);
    assert!(reader.stats().dropped > 0, "no frame was dropped");
    (allocated, reader.stats().chunks - chunks)
}

#[test]
fn the_worker_allocates_nothing_after_the_first_acquisition() {
    for package in
        [&include_bytes!("../models/standin.stream.onnx")[..], include_bytes!("../models/standin.clip.onnx")]
    {
        let spec = Arc::new(spec(package));
        let side = u32::try_from(spec.width_px).unwrap();
        let backend = Arc::new(StandIn(Arc::clone(&spec)));
        let engine = Engine::with_backend(spec.as_ref().clone(), backend);
        let plain = StreamConfig {
            ring_slots: 7,
            max_width_px: side,
            max_height_px: side,
            drive: Drive::Host,
            ..StreamConfig::default()
        };
        let rules = |early_margin| StreamConfig {
            exact_history_ns: 1_000_000_000,
            label_span_ns: 500_000_000,
            early_stop: Some(EarlyStop { outputs: 1, margin: early_margin }),
            view_change: Some(ViewChange { span: 2, outputs: 2, margin: 0.01 }),
            ..plain.clone()
        };
        // Of the sample's size, so that the resizer copies: what it does on its own account is the next test's.
        let formats = [PixelFormat::Gray8, PixelFormat::Nv12, PixelFormat::Bgra32];
        let geometries = formats.map(|format| Geometry::whole(format, side, side));
        // The last of them settles early, the one before never.
        for config in [plain.clone(), rules(1.0), rules(1e-6)] {
            let mut stream = Stream::new(&engine, &config).unwrap();
            acquire(&mut stream, &geometries);
            for _ in 0..3 {
                let (allocated, chunks) = acquire(&mut stream, &geometries);
                assert_eq!(allocated, 0);
                assert!(chunks > 5, "the network ran {chunks} times");
            }
        }
    }
}

/// Calls of the allocator in one resize by fast_image_resize alone, after a first one.
fn resizer_alone(geometry: &Geometry, kind: PixelType, width: u32, height: u32) -> usize {
    let pixels = vec![9; geometry.width_px as usize * geometry.height_px as usize * kind.size()];
    let source = ImageRef::new(geometry.width_px, geometry.height_px, &pixels, kind).unwrap();
    let mut target = Image::new(width, height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let mut resizer = Resizer::new();
    resizer.resize(&source, &mut target, &options).unwrap();
    allocations(|| resizer.resize(&source, &mut target, &options).unwrap()).0
}

#[test]
fn preprocessing_allocates_only_the_coefficient_tables_of_the_resizer() {
    let grey = spec(include_bytes!("../models/standin.stream.onnx"));
    let colour = ModelSpec { channels: 3, mean: vec![0.5; 3], std: vec![0.2; 3], ..grey.clone() };
    let (width, height) = (grey.width_px as u32, grey.width_px as u32 * 3 / 4);
    for (spec, format, kind, resizes) in [
        (&grey, PixelFormat::Gray8, PixelType::U8, 1),
        (&grey, PixelFormat::Yuyv, PixelType::U8, 1),
        (&colour, PixelFormat::Rgb24, PixelType::U8x3, 1),
        (&colour, PixelFormat::I420, PixelType::U8, 3),
    ] {
        let geometry = Geometry::whole(format, 320, 240);
        let pixels = vec![9; geometry.frame_bytes()];
        let mut sample = vec![0.0; spec.sample_len()];
        let mut preprocess = Preprocess::new(spec, 320, 240);
        let mut run = || allocations(|| preprocess.run(&geometry, &pixels, &mut sample).unwrap()).0;
        run();
        let tables = resizes * resizer_alone(&geometry, kind, width, height);
        assert!(tables > 0, "the resizer keeps its tables now: let this test ask for nothing");
        assert_eq!([run(), run()], [tables; 2], "{format:?}");
    }
}
