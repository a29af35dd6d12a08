//! Long use at 60 frames a second: every frame that was accepted is accounted for, in results and in counters.
//!
//! A minute of stream time; `TTEVIEW_FULL=1` runs an hour. Frames come as fast as the worker takes them.

use std::path::Path;
use std::time::Duration;
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::result::flags;
use tteview::{Engine, EngineConfig, Status, Stream, StreamConfig, StreamStats};

const SIDE: u32 = 64;
const PERIOD_NS: i64 = 16_666_667;

/// 32-bit xorshift.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}

#[test]
fn every_accepted_frame_is_accounted_for_through_gaps_marks_bursts_and_refusals() {
    let full = std::env::var_os("TTEVIEW_FULL").is_some_and(|value| value == "1");
    let frames_wanted = 60 * if full { 3600 } else { 60 };
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/standin.stream.onnx");
    let engine =
        Engine::new(ModelPackage::from_path(&model, None).unwrap(), &EngineConfig::default()).unwrap();
    let config = StreamConfig {
        ring_slots: 8,
        max_width_px: SIDE,
        max_height_px: SIDE,
        max_frame_bytes: (SIDE * SIDE) as usize,
        exact_history_ns: 1_000_000_000,
        ..StreamConfig::default()
    };
    let mut stream = Stream::new(&engine, &config).unwrap();
    let reader = stream.reader();
    let mut result = reader.result();
    let mut random = Random(7);
    let mut pixels = vec![0; (SIDE * SIDE) as usize];
    let mut counted = StreamStats::default();
    let (mut time_ns, mut tried, mut sequence) = (0, 0, 0);
    while tried < frames_wanted {
        let id = stream.begin().unwrap();
        // From nothing at all to twenty seconds.
        let length = random.below(1200);
        let (mut accepted, mut dropped, mut first, mut last) = (0, 0, 0, 0);
        let (mut marked, mut changes, mut gap, mut gaps) = (false, 0, false, 0);
        for _ in 0..length {
            match random.below(200) {
                0 => {
                    assert_eq!(stream.mark(), Status::Ok);
                    marked = true;
                }
                1 => {
                    time_ns += 400_000_000;
                    gap = accepted > 0;
                }
                // The clock stands still for a frame.
                2 => time_ns -= PERIOD_NS,
                _ => {}
            }
            time_ns += PERIOD_NS;
            // Most of the time the host waits; in a burst it does not.
            while stream.room() == 0 && sequence % 100 < 90 {
                std::thread::yield_now();
            }
            sequence += 1;
            pixels.fill(random.below(256) as u8);
            let geometry = Geometry::whole(PixelFormat::Gray8, SIDE, SIDE);
            let mut frame = FrameView::packed(geometry, &pixels, time_ns).unwrap();
            frame.sequence = sequence;
            tried += 1;
            match stream.push(&frame) {
                Status::Ok => {
                    if accepted == 0 {
                        first = sequence;
                    }
                    accepted += 1;
                    last = sequence;
                    changes += u64::from(std::mem::take(&mut marked));
                    gaps += u64::from(std::mem::take(&mut gap));
                }
                Status::RingFull => dropped += 1,
                Status::FrameRefused => counted.refused += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!(stream.end(), Status::Ok);
        assert_eq!(reader.wait(id, Duration::from_secs(120), &mut result), Status::Ok);
        assert_eq!((result.status, result.acquisition), (Status::Ok, id));
        assert_eq!((result.frames_used, result.frames_dropped), (accepted, dropped));
        if accepted > 0 {
            assert_eq!((result.first_sequence, result.last_sequence), (first, last));
            assert!(result.chunks > 0 || marked || changes > 0, "frames and no chunk");
        }
        assert_eq!(result.flags & flags::DROPPED != 0, dropped > 0);
        counted.pushed += accepted;
        counted.dropped += dropped;
        // A mark after the last frame rides on the end.
        counted.changes += changes + u64::from(marked);
        counted.gaps += gaps;
    }
    let stats = reader.stats();
    assert!(counted.dropped > 0 && counted.refused > 0 && counted.changes > 0, "{counted:?}");
    assert_eq!((stats.pushed, stats.dropped), (counted.pushed, counted.dropped));
    assert_eq!(stats.refused, counted.refused);
    assert_eq!(stats.changes, counted.changes);
    // Drops can make a gap where the host left none.
    assert!(stats.gaps >= counted.gaps.saturating_sub(counted.changes), "{stats:?} {counted:?}");
    println!("{tried} frames tried: {stats:?}");
}
