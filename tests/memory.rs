//! Hours of use do not grow the process: not by a byte that is held, nor by pages that are resident.
//!
//! `TTEVIEW_FULL=1` runs the full length.

mod counting;

use std::sync::Mutex;
use std::time::{Duration, Instant};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig, Status, Stream, StreamConfig, ViewResult};

const SIDE: u32 = 128;
const FRAMES: u32 = 4;

/// The allocator's own bookkeeping may touch another page now and then; a leak of one frame in each round would
/// show as hundreds of times this.
const RESIDENT_SLACK: usize = 2 << 20;

/// Longer than threads take to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each test measures the whole process, so one waits for another.
static ALONE: Mutex<()> = Mutex::new(());

fn rounds(full: usize, short: usize) -> usize {
    if std::env::var_os("TTEVIEW_FULL").is_some_and(|value| value == "1") { full } else { short }
}

/// Bytes of the process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn engine() -> Engine {
    let package = include_bytes!("../models/standin.stream.onnx").to_vec();
    Engine::new(ModelPackage::from_bytes(package, None).unwrap(), &EngineConfig::default()).unwrap()
}

fn stream(engine: &Engine) -> Stream {
    let config = StreamConfig {
        ring_slots: 8,
        max_width_px: SIDE,
        max_height_px: SIDE,
        max_frame_bytes: (SIDE * SIDE) as usize,
        ..StreamConfig::default()
    };
    Stream::new(engine, &config).unwrap()
}

/// One acquisition from begin to its label.
fn acquire(stream: &mut Stream, pixels: &[u8], result: &mut ViewResult) {
    let id = stream.begin().unwrap();
    for frame in 0..i64::from(FRAMES) {
        let geometry = Geometry::whole(PixelFormat::Gray8, SIDE, SIDE);
        let frame = FrameView::packed(geometry, pixels, frame * 33_333_333).unwrap();
        assert_eq!(stream.push(&frame), Status::Ok);
    }
    assert_eq!(stream.end(), Status::Ok);
    assert_eq!(stream.reader().wait(id, Duration::from_secs(60), result), Status::Ok);
    assert_eq!((result.status, result.chunks), (Status::Ok, 1));
}

/// Runs `round` so often, after a tenth of it that fills whatever is filled once. Not a byte more may be held once the
/// runtime's threads have ended, some time after their engine, and with them what they hold.
fn must_not_grow(rounds: usize, mut round: impl FnMut()) {
    (0..rounds / 10).for_each(|_| round());
    let (held, pages) = (counting::live_bytes(), resident());
    (0..rounds).for_each(|_| round());
    let end = Instant::now();
    while counting::live_bytes() > held {
        let grown = counting::live_bytes() - held;
        assert!(end.elapsed() < PATIENCE, "{grown} bytes more are held after {rounds} rounds");
        std::thread::sleep(Duration::from_millis(1));
    }
    let grown = resident().saturating_sub(pages);
    assert!(grown <= RESIDENT_SLACK, "{grown} bytes more are resident after {rounds} rounds");
}

#[test]
fn streams_that_come_and_go_leave_nothing() {
    let _alone = ALONE.lock().unwrap();
    let engine = engine();
    let pixels = vec![9; (SIDE * SIDE) as usize];
    must_not_grow(rounds(1000, 100), || {
        let mut stream = stream(&engine);
        let mut result = stream.reader().result();
        acquire(&mut stream, &pixels, &mut result);
    });
}

#[test]
fn engines_that_come_and_go_leave_nothing() {
    let _alone = ALONE.lock().unwrap();
    let pixels = vec![9; (SIDE * SIDE) as usize];
    must_not_grow(rounds(1000, 100), || {
        let engine = engine();
        let mut stream = stream(&engine);
        let mut result = stream.reader().result();
        acquire(&mut stream, &pixels, &mut result);
    });
}

#[test]
fn acquisition_after_acquisition_on_one_stream_needs_no_more_memory() {
    let _alone = ALONE.lock().unwrap();
    let engine = engine();
    let mut stream = stream(&engine);
    let mut result = stream.reader().result();
    let pixels = vec![9; (SIDE * SIDE) as usize];
    must_not_grow(rounds(10_000, 300), || acquire(&mut stream, &pixels, &mut result));
}
