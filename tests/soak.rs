//! Soak test: after a long run, the results and counters account for every frame.
//!
//! The frame times cover a minute at 60 frames per second, or an hour with `TTEVIEW_FULL=1`, but
//! the test pushes the frames as fast as the worker accepts them.

mod common;

use common::{create_engine, grey_frame, is_full_run, wait};
use tteview::frame::FrameView;
use tteview::{PushError, ResultFlags, Status, Stream, StreamConfig, StreamStats};

const SIDE: u32 = 64;
const PERIOD_NS: i64 = 16_666_667;

/// A 32-bit xorshift generator.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}

/// A host that marks changes and pushes frames in bursts and with gaps. The stream refuses some of
/// the frames because of their times.
struct Host {
    stream: Stream,
    random: Random,
    time_ns: i64,
    sequence: u64,
    pixels: Vec<u8>,
    /// Expected values of the stream's counters.
    expected: StreamStats,
}

impl Host {
    /// Acquires up to 20 s of frames and checks the result.
    fn acquire(&mut self) {
        let acquisition = self.stream.acquirer.begin().unwrap();
        let length = self.random.below(1200);
        let (mut accepted, mut dropped, mut first, mut last) = (0, 0, 0, 0);
        let (mut is_marked, mut changes, mut has_gap, mut gaps) = (false, 0, false, 0);
        for _ in 0..length {
            match self.random.below(200) {
                0 => {
                    assert_eq!(self.stream.acquirer.mark(), Ok(()));
                    is_marked = true;
                }
                1 => {
                    self.time_ns += 400_000_000;
                    has_gap = accepted > 0;
                }
                // The next frame has the same time as the previous one.
                2 => self.time_ns -= PERIOD_NS,
                _ => {}
            }
            match self.push() {
                Ok(()) => {
                    if accepted == 0 {
                        first = self.sequence;
                    }
                    accepted += 1;
                    last = self.sequence;
                    changes += u64::from(std::mem::take(&mut is_marked));
                    gaps += u64::from(std::mem::take(&mut has_gap));
                }
                Err(PushError::Dropped) => dropped += 1,
                Err(PushError::Refused) => self.expected.refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(self.stream.acquirer.end(), Ok(()));
        let result = wait(&self.stream.reader, acquisition).result;
        assert_eq!((result.status, result.acquisition), (Status::Ok, acquisition));
        assert_eq!((result.frames_used, result.frames_dropped), (accepted, dropped));
        if accepted > 0 {
            assert_eq!((result.first_sequence, result.last_sequence), (first, last));
            assert!(result.chunks > 0 || is_marked || changes > 0, "frames and no chunk");
        }
        assert_eq!(result.flags.contains(ResultFlags::DROPPED), dropped > 0);
        self.expected.pushed += accepted;
        self.expected.dropped += dropped;
        // A mark after the last frame takes effect at the end of the acquisition.
        self.expected.changes += changes + u64::from(is_marked);
        self.expected.gaps += gaps;
    }

    /// Pushes the next frame. Waits for a free slot first, except in bursts.
    fn push(&mut self) -> Result<(), PushError> {
        self.time_ns += PERIOD_NS;
        while self.stream.acquirer.free_slots() == 0 && self.sequence % 100 < 90 {
            std::thread::yield_now();
        }
        self.sequence += 1;
        self.pixels.fill(self.random.below(256) as u8);
        let frame = FrameView::new(grey_frame(SIDE, SIDE), &self.pixels).unwrap();
        let frame = frame.with_time_ns(self.time_ns).with_sequence(self.sequence);
        self.stream.acquirer.push(&frame)
    }
}

#[test]
fn results_and_counters_account_for_every_frame() {
    let frames = 60 * if is_full_run() { 3600 } else { 60 };
    let config = StreamConfig {
        ring_slots: 8,
        max_width_px: SIDE,
        max_height_px: SIDE,
        max_frame_bytes: (SIDE * SIDE) as usize,
        exact_history_ns: 1_000_000_000,
        ..StreamConfig::default()
    };
    let mut host = Host {
        stream: Stream::open(&create_engine("standin.stream.onnx"), &config).unwrap(),
        random: Random(7),
        time_ns: 0,
        sequence: 0,
        pixels: vec![0; (SIDE * SIDE) as usize],
        expected: StreamStats::default(),
    };
    while host.sequence < frames {
        host.acquire();
    }
    let (stats, expected) = (host.stream.reader.stats(), host.expected);
    assert!(expected.dropped > 0 && expected.refused > 0 && expected.changes > 0, "{expected:?}");
    assert_eq!((stats.pushed, stats.dropped), (expected.pushed, expected.dropped));
    assert_eq!((stats.refused, stats.changes), (expected.refused, expected.changes));
    // Only a lower bound on the number of gaps is known: a gap at a change is not counted, and
    // dropped frames can cause additional gaps.
    assert!(stats.gaps >= expected.gaps.saturating_sub(expected.changes), "{stats:?} {expected:?}");
    println!("{} frames: {stats:?}", host.sequence);
}
