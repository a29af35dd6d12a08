//! Tests that the worker does not allocate after the first acquisition, and that preprocessing does
//! not allocate. The worker runs on the thread of the test, whose allocations are counted, and the
//! test network does not allocate either.

use super::frame_network::FrameNetwork;
use super::network::Network;
use crate::classifier::rules::{EarlyStop, ViewChange};
use crate::counting::allocations;
use crate::frame::{FrameView, Geometry, PixelFormat, Region};
use crate::model::part::Part;
use crate::model::{ChannelOrder, ModelPackage, ModelSpec, Resize, ResizeMethod};
use crate::preprocess::Preprocess;
use crate::stream::Stream;
use crate::stream::config::{Drive, StreamConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const STEP_NS: i64 = 33_333_333;

fn load_spec(package: &[u8]) -> ModelSpec {
    ModelPackage::from_bytes(package.to_vec(), None).unwrap().spec
}

/// Runs an acquisition with a mark, a gap, changes of geometry, dropped frames and a partial chunk.
/// Returns the number of allocations by the worker and the number of network runs.
fn acquire(stream: &mut Stream, geometries: &[Geometry]) -> (usize, u64) {
    let pixels = vec![9; geometries.iter().map(Geometry::frame_bytes).max().unwrap()];
    let Stream { acquirer, driver, reader } = stream;
    let driver = driver.as_mut().expect("a host-driven stream");
    let chunks = reader.stats().chunks;
    let mut allocated = 0;
    let mut process_all = || allocated += allocations(|| while driver.process().is_ok() {}).0;
    acquirer.begin().unwrap();
    let mut time_ns = 0;
    for (index, geometry) in geometries.iter().cycle().take(5 * geometries.len()).enumerate() {
        for _ in 0..9 {
            time_ns += STEP_NS;
            let frame = FrameView::new(*geometry, &pixels).unwrap().with_time_ns(time_ns);
            // The push fails if the ring is full, which is one of the tested cases.
            let _ = acquirer.push(&frame);
        }
        match index {
            1 => assert_eq!(acquirer.mark(), Ok(())),
            3 => time_ns += 1_000_000_000,
            _ => {}
        }
        process_all();
    }
    assert_eq!(acquirer.end(), Ok(()));
    process_all();
    assert!(reader.stats().dropped > 0, "no frame was dropped");
    (allocated, reader.stats().chunks - chunks)
}

#[test]
fn the_worker_allocates_nothing_after_the_first_acquisition() {
    for package in [
        &include_bytes!("../../../models/standin.stream.onnx")[..],
        include_bytes!("../../../models/standin.clip.onnx"),
    ] {
        let spec = load_spec(package);
        let side = u32::try_from(spec.width_px).unwrap();
        let network = Network::new(spec, |_, fast, _, logits| {
            logits.fill(0.0);
            logits[0] = fast.iter().sum::<f32>() / fast.len() as f32;
        });
        let engine = Network { runs: None, ..network }.engine();
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
        let formats =
            [(PixelFormat::Gray8, side), (PixelFormat::Nv12, 2 * side), (PixelFormat::Bgra32, 90)];
        let geometries = formats.map(|(format, width)| Geometry::new(format, width, side).unwrap());
        // With a margin of 1.0, the label never settles. With a margin of 1e-6, it settles early.
        for config in [plain.clone(), rules(1.0), rules(1e-6)] {
            let mut stream = Stream::open(&engine, &config).unwrap();
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
fn the_lanes_of_frame_steps_allocate_nothing_after_that() {
    for (alpha, has_head) in [(1, false), (1, true), (4, false), (4, true)] {
        let mut network = FrameNetwork::new(alpha, alpha / 2);
        network.spec.sample_interval_ns = STEP_NS;
        if has_head {
            network.add_head();
        }
        let head_runs = Arc::<AtomicU64>::default();
        let count = Arc::clone(&head_runs);
        network.during = Box::new(move |part, _| {
            count.fetch_add(u64::from(part == Part::Head), Ordering::SeqCst);
            Ok(())
        });
        let engine = FrameNetwork { runs: None, ..network }.engine();
        for publish_each_sample in [false, true] {
            let config = StreamConfig {
                ring_slots: 7,
                max_width_px: 64,
                max_height_px: 64,
                drive: Drive::Host,
                exact_history_ns: 1_000_000_000,
                publish_each_sample,
                ..StreamConfig::default()
            };
            let mut stream = Stream::open(&engine, &config).unwrap();
            let geometries = [(PixelFormat::Gray8, 32), (PixelFormat::Nv12, 64)]
                .map(|(format, width)| Geometry::new(format, width, 32).unwrap());
            acquire(&mut stream, &geometries);
            for _ in 0..3 {
                let (allocated, chunks) = acquire(&mut stream, &geometries);
                assert_eq!(allocated, 0, "alpha {alpha}, head {has_head}");
                assert!(chunks > 5, "the network ran {chunks} times");
            }
        }
        assert_eq!(head_runs.load(Ordering::SeqCst) > 5, has_head);
    }
}

#[test]
fn preprocessing_allocates_nothing_when_frames_change() {
    let grey = load_spec(include_bytes!("../../../models/standin.stream.onnx"));
    let colour = ModelSpec { channels: 3, mean: vec![0.5; 3], std: vec![0.2; 3], ..grey.clone() };
    let side = grey.width_px;
    let methods = [
        ResizeMethod::Letterbox,
        ResizeMethod::Stretch { width_px: side, height_px: side },
        ResizeMethod::Stretch { width_px: 4096, height_px: 1 },
        ResizeMethod::ShortSide { side_px: 1 },
        ResizeMethod::ShortSide { side_px: side },
        ResizeMethod::ShortSide { side_px: 4096 },
    ];
    for (spec, method) in [&grey, &colour].into_iter().flat_map(|spec| methods.map(|m| (spec, m))) {
        let spec = ModelSpec {
            resize: Resize { method, antialias: method != methods[1] },
            channel_order: if spec.channels == 3 { ChannelOrder::Bgr } else { ChannelOrder::Rgb },
            ..spec.clone()
        };
        let mut sample = vec![0.0; spec.sample_len()];
        let mut preprocess = Preprocess::new(&spec, 640, 480).unwrap();
        for format in [PixelFormat::Gray8, PixelFormat::Yuyv, PixelFormat::Rgb24, PixelFormat::I420]
        {
            // The frames grow to the largest size, and then shrink to the smallest.
            for (width, height) in [(320, 240), (640, 480), (32, 480), (640, 32), (32, 32)] {
                let geometry = Geometry::new(format, width, height).unwrap();
                let pixels = vec![9; geometry.frame_bytes()];
                let column = Region { x_px: 3, y_px: 0, width_px: 1, height_px: height };
                let row = Region { x_px: 0, y_px: 3, width_px: width, height_px: 1 };
                for geometry in [
                    geometry,
                    geometry.with_region(column).unwrap(),
                    geometry.with_region(row).unwrap(),
                ] {
                    let run = || preprocess.run(&geometry, &pixels, &mut sample).unwrap();
                    assert_eq!(allocations(run).0, 0, "{geometry:?}, {method:?}");
                }
            }
        }
    }
}
