//! What the worker does to the heap once a first acquisition is through: nothing but what the runtime does
//! inside. A network that allocates nothing stands behind the backend trait, and the test drives the worker itself.

use crate::backend::{Backend, RuntimeReport, Session};
use crate::counting::allocations;
use crate::frame::{FrameView, Geometry, PixelFormat};
use crate::model::{ModelPackage, ModelSpec};
use crate::preprocess::Preprocess;
use crate::stream::Drive;
use crate::{EarlyStop, Engine, Result, Status, Stream, StreamConfig, ViewChange};
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
            max_width_px: 2 * side,
            max_height_px: 2 * side,
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
        let formats = [(PixelFormat::Gray8, side), (PixelFormat::Nv12, 2 * side), (PixelFormat::Bgra32, 90)];
        let geometries = formats.map(|(format, width)| Geometry::whole(format, width, side));
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

#[test]
fn preprocessing_allocates_nothing_however_frames_change() {
    let grey = spec(include_bytes!("../models/standin.stream.onnx"));
    let colour = ModelSpec { channels: 3, mean: vec![0.5; 3], std: vec![0.2; 3], ..grey.clone() };
    for spec in [&grey, &colour] {
        let mut sample = vec![0.0; spec.sample_len()];
        let mut preprocess = Preprocess::new(spec, 640, 480);
        for format in [PixelFormat::Gray8, PixelFormat::Yuyv, PixelFormat::Rgb24, PixelFormat::I420] {
            // Each larger and each smaller than the one before, up to the largest and down to the smallest.
            for (width, height) in [(320, 240), (640, 480), (32, 480), (640, 32), (32, 32)] {
                let geometry = Geometry::whole(format, width, height);
                let pixels = vec![9; geometry.frame_bytes()];
                let run = || preprocess.run(&geometry, &pixels, &mut sample).unwrap();
                assert_eq!(allocations(run).0, 0, "{format:?} of {width} x {height}");
            }
        }
    }
}
