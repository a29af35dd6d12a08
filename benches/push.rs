//! A benchmark that compares `push` with a plain memcpy of the same bytes into the same number of
//! buffers.
//!
//! As in a scanner, the worker finishes with a frame before the next one arrives. With
//! `Drive::Wake`, every push also wakes the worker, so a fair comparison is a memcpy followed by
//! waking an idle thread. The timestamps of all frames lie within one sample interval, so the
//! worker preprocesses only the first frame.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::{Drive, Engine, EngineConfig, ModelPackage, PushError, Stream, StreamConfig};

/// Configured number of ring slots, to which the stream adds two. The number is small so that, for
/// frames of up to 1 MiB, the ring and the buffers for memcpy together fit into a cache of 32 MB.
const SLOTS: usize = 6;
const BUFFERS: usize = SLOTS + 2;

const PAGE: usize = 4096;

/// Time between two frames. It is longer than the time that the worker needs for a frame. With
/// `Drive::Poll`, it is also long enough that the ring does not fill up between two checks by the
/// worker.
const PAUSE: Duration = Duration::from_micros(100);

fn pause() {
    let start = Instant::now();
    while start.elapsed() < PAUSE {
        std::hint::spin_loop();
    }
}

/// A thread that goes back to sleep whenever it is woken.
struct Sleeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sleeper {
    fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let thread = std::thread::spawn(move || {
            while !seen.load(Relaxed) {
                std::thread::park();
            }
        });
        Self { stop, thread: Some(thread) }
    }

    fn wake(&self) {
        self.thread.as_ref().unwrap().thread().unpark();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.wake();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A buffer that is aligned to a page, as the slots of the ring are. The alignment affects the
/// speed: some processors copy more slowly if the offsets of the source and the target within their
/// pages differ slightly.
struct Buffer(Vec<u8>, usize);

impl Buffer {
    fn new(bytes: usize, value: u8) -> Self {
        let memory = vec![value; bytes + PAGE];
        let first = memory.as_ptr().align_offset(PAGE);
        Self(memory, first)
    }

    fn bytes(&mut self, bytes: usize) -> &mut [u8] {
        &mut self.0[self.1..][..bytes]
    }
}

fn bench_push(criterion: &mut Criterion) {
    let sleeper = Sleeper::new();
    let package =
        ModelPackage::from_bytes(include_bytes!("../models/standin.stream.onnx").to_vec(), None);
    let engine = Engine::new(package.unwrap(), &EngineConfig::default()).unwrap();
    for (what, format, width, height) in [
        ("push 64 KiB", PixelFormat::Gray8, 256, 256),
        ("push 256 KiB", PixelFormat::Gray8, 512, 512),
        ("push 469 KiB", PixelFormat::Gray8, 800, 600),
        ("push 1 MiB", PixelFormat::Gray8, 1024, 1024),
        ("push 3 MiB", PixelFormat::Rgb24, 1024, 1024),
    ] {
        let geometry = Geometry::new(format, width, height).unwrap();
        let bytes = geometry.frame_bytes();
        let bar = (bytes >= 256 << 10).then_some(1.15);
        for (drive, name, peer, bar) in [
            (Drive::Poll, "polling", "memcpy", bar),
            (Drive::Wake, "waking", "memcpy", None),
            (Drive::Wake, "waking", "memcpy and a wake", None),
        ] {
            let config = StreamConfig {
                ring_slots: SLOTS,
                max_width_px: width,
                max_height_px: height,
                max_frame_bytes: bytes,
                drive,
                ..StreamConfig::default()
            };
            let Stream { mut acquirer, .. } = Stream::open(&engine, &config).unwrap();
            acquirer.begin().unwrap();
            let mut frames: Vec<Buffer> = (0..4).map(|i| Buffer::new(bytes, i)).collect();
            let frames: Vec<&[u8]> = frames.iter_mut().map(|frame| &*frame.bytes(bytes)).collect();
            let mut time_ns = 0;
            let mut ours = || {
                time_ns += 1;
                let pixels = frames[time_ns as usize % frames.len()];
                let frame = FrameView::new(geometry, pixels).unwrap().with_time_ns(time_ns);
                pause();
                loop {
                    let start = Instant::now();
                    let pushed = acquirer.push(&frame);
                    let time = start.elapsed();
                    if pushed.is_ok() {
                        return time;
                    }
                    // The ring is full, for example because another process was using the worker's
                    // core. The time of a dropped frame is not recorded.
                    assert_eq!(pushed, Err(PushError::Dropped));
                    std::thread::sleep(Duration::from_millis(5));
                }
            };
            let mut buffers: Vec<Buffer> = (0..BUFFERS).map(|_| Buffer::new(bytes, 1)).collect();
            let mut call = 0;
            let mut copy = || {
                call += 1;
                let from = frames[call % frames.len()];
                let to = buffers[call % BUFFERS].bytes(bytes);
                pause();
                compare::time(|| {
                    black_box(to).copy_from_slice(black_box(from));
                    if peer != "memcpy" {
                        sleeper.wake();
                    }
                })
            };
            let what = format!("{what}, {name}, to {peer}");
            compare::compare(criterion, &what, 1, &mut ours, (peer, &mut copy), bar);
        }
    }
}

criterion_group! {
    name = benches;
    config = compare::create_criterion();
    targets = bench_push
}
criterion_main!(benches);
