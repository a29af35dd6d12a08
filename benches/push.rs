//! `push` compared with a plain memcpy of the same bytes into the same number of buffers.
//!
//! As in a scanner, the worker finishes with a frame before the next one arrives. With
//! `Drive::Wake`, every push also wakes the worker, so a fair comparison is a memcpy followed by
//! waking an idle thread. The timestamps of all frames lie within one sample interval, so the
//! worker preprocesses only the first frame.

use crate::compare::{self, Bench, Timed};
use crate::settings::{Settings, create_geometry};
use criterion::Criterion;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::{Drive, Engine, PushError, Stream, StreamConfig};

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

/// What `push` is compared with.
#[derive(Clone, Copy, PartialEq)]
enum Peer {
    Memcpy,
    MemcpyAndWake,
}

/// Returns a function that pushes a frame and measures the call.
fn time_push<'a>(engine: &Engine, geometry: Geometry, drive: Drive) -> Timed<'a> {
    let bytes = geometry.frame_bytes();
    let config = StreamConfig {
        ring_slots: SLOTS,
        max_width_px: geometry.width_px(),
        max_height_px: geometry.height_px(),
        max_frame_bytes: bytes,
        drive,
        ..StreamConfig::default()
    };
    let Stream { mut acquirer, reader, .. } = Stream::open(engine, &config).unwrap();
    acquirer.begin().unwrap();
    let mut frames: Vec<Buffer> = (0..4).map(|i| Buffer::new(bytes, i)).collect();
    let mut time_ns = 0;
    Box::new(move || {
        let _open = &reader;
        time_ns += 1;
        let index = time_ns as usize % frames.len();
        let pixels = frames[index].bytes(bytes);
        let frame = FrameView::new(geometry, pixels).unwrap().with_time_ns(time_ns);
        pause();
        loop {
            let start = Instant::now();
            let pushed = acquirer.push(&frame);
            let time = start.elapsed();
            if pushed.is_ok() {
                return time;
            }
            // The ring is full, for example because another process was using the worker's core.
            // The time of a dropped frame is not recorded.
            assert_eq!(pushed, Err(PushError::Dropped));
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

/// Returns a function that measures a memcpy.
fn time_memcpy<'a>(bytes: usize, peer: Peer) -> Timed<'a> {
    let sleeper = (peer == Peer::MemcpyAndWake).then(Sleeper::new);
    let mut frames: Vec<Buffer> = (0..4).map(|i| Buffer::new(bytes, i)).collect();
    let mut buffers: Vec<Buffer> = (0..BUFFERS).map(|_| Buffer::new(bytes, 1)).collect();
    let mut call = 0;
    Box::new(move || {
        call += 1;
        let index = call % frames.len();
        let from = frames[index].bytes(bytes);
        let to = buffers[call % BUFFERS].bytes(bytes);
        pause();
        compare::time(|| {
            black_box(to).copy_from_slice(black_box(from));
            if let Some(sleeper) = &sleeper {
                sleeper.wake();
            }
        })
    })
}

/// Measures `push` for the geometry of the options, or for several sizes.
pub(crate) fn bench_push(criterion: &mut Criterion, settings: &Settings) {
    let Some(provider) = settings.providers.first() else { return };
    let geometries = match settings.geometry {
        Some(geometry) => vec![geometry],
        None => vec![
            create_geometry(PixelFormat::Gray8, 256, 256),
            create_geometry(PixelFormat::Gray8, 512, 512),
            create_geometry(PixelFormat::Gray8, 800, 600),
            create_geometry(PixelFormat::Gray8, 1024, 1024),
            create_geometry(PixelFormat::Rgb24, 1024, 1024),
        ],
    };
    let engine = std::cell::LazyCell::new(|| settings.create_engine(provider));
    let mut group = criterion.benchmark_group("push");
    for geometry in geometries {
        let bytes = geometry.frame_bytes();
        let limit = (bytes >= 256 << 10).then_some(1.15);
        for (drive, worker, peer, limit) in [
            (Drive::Poll, "polling", Peer::Memcpy, limit),
            (Drive::Wake, "waking", Peer::Memcpy, None),
            (Drive::Wake, "waking", Peer::MemcpyAndWake, None),
        ] {
            let (peer_name, note) = match peer {
                Peer::Memcpy => ("memcpy", ""),
                Peer::MemcpyAndWake => ("memcpy and a wake", ", with a wake"),
            };
            let name = format!("{} KiB, {worker}{note}", bytes.div_ceil(1024));
            let bench = Bench { group: "push", name: &name, each: 1 };
            compare::compare(&mut group, bench, peer_name, limit, || {
                (time_push(&engine, geometry, drive), time_memcpy(bytes, peer))
            });
        }
    }
    group.finish();
}
