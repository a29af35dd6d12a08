//! `push` against plain memcpy of the same bytes into as many rotating buffers.
//!
//! As in a scanner, the worker has finished with the frame before when the next one comes. A polling worker is not
//! woken, a parked one is by every push; what the wake costs shows against memcpy and the wake of a thread that does
//! nothing. The frames lie between two samples: what the worker does with a sample is measured elsewhere.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::stream::Drive;
use tteview::{Engine, EngineConfig, Status, Stream, StreamConfig};

/// The ring's slots, and the two more that the stream adds. Few, so that frames of 1 MiB stay in a cache of 32 MB on
/// both sides; which of two sets that do not fit together stays there would be luck.
const SLOTS: usize = 6;
const BUFFERS: usize = SLOTS + 2;

const PAGE: usize = 4096;

/// Longer than the worker takes to put a frame aside and to park, and long enough for the ring not to fill between two
/// looks of a polling worker.
const REST: Duration = Duration::from_micros(100);

fn rest() {
    let start = Instant::now();
    while start.elapsed() < REST {
        std::hint::spin_loop();
    }
}

/// A thread that parks again whenever it is woken.
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

/// A buffer on whole pages, as the ring's are: copies between addresses a little apart modulo a page take longer, and
/// where a buffer happens to lie must favour nobody.
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

fn push(criterion: &mut Criterion) {
    let sleeper = Sleeper::new();
    let package = ModelPackage::from_bytes(include_bytes!("../models/standin.stream.onnx").to_vec(), None);
    let engine = Engine::new(package.unwrap(), &EngineConfig::default()).unwrap();
    for (what, format, width, height) in [
        ("push 64 KiB", PixelFormat::Gray8, 256, 256),
        ("push 256 KiB", PixelFormat::Gray8, 512, 512),
        ("push 469 KiB", PixelFormat::Gray8, 800, 600),
        ("push 1 MiB", PixelFormat::Gray8, 1024, 1024),
        ("push 3 MiB", PixelFormat::Rgb24, 1024, 1024),
    ] {
        let geometry = Geometry::whole(format, width, height);
        let bytes = geometry.frame_bytes();
        let bar = (bytes >= 256 << 10).then_some(1.15);
        for (drive, name, rival, bar) in [
            (Drive::Poll, "polling", "memcpy", bar),
            (Drive::Park, "waking", "memcpy", None),
            (Drive::Park, "waking", "memcpy and a wake", None),
        ] {
            let config = StreamConfig {
                ring_slots: SLOTS,
                max_width_px: width,
                max_height_px: height,
                max_frame_bytes: bytes,
                drive,
                ..StreamConfig::default()
            };
            let mut stream = Stream::new(&engine, &config).unwrap();
            stream.begin().unwrap();
            let mut frames: Vec<Buffer> = (0..4).map(|i| Buffer::new(bytes, i)).collect();
            let frames: Vec<&[u8]> = frames.iter_mut().map(|frame| &*frame.bytes(bytes)).collect();
            let mut time_ns = 0;
            let mut ours = || {
                time_ns += 1;
                let pixels = frames[time_ns as usize % frames.len()];
                let frame = FrameView::packed(geometry, pixels, time_ns).unwrap();
                rest();
                loop {
                    let start = Instant::now();
                    let status = stream.push(&frame);
                    let time = start.elapsed();
                    if status == Status::Ok {
                        return time;
                    }
                    // Another process had the worker's processor. A drop is no push: it is not counted.
                    assert_eq!(status, Status::RingFull);
                    std::thread::sleep(Duration::from_millis(5));
                }
            };
            let mut buffers: Vec<Buffer> = (0..BUFFERS).map(|_| Buffer::new(bytes, 1)).collect();
            let mut call = 0;
            let mut copy = || {
                call += 1;
                let from = frames[call % frames.len()];
                let to = buffers[call % BUFFERS].bytes(bytes);
                rest();
                compare::time(|| {
                    black_box(to).copy_from_slice(black_box(from));
                    if rival != "memcpy" {
                        sleeper.wake();
                    }
                })
            };
            let what = format!("{what}, {name}, to {rival}");
            compare::compare(criterion, &what, 1, &mut ours, (rival, &mut copy), bar);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = push
}
criterion_main!(benches);
