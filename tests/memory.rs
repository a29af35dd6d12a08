//! Tests that long use increases neither the allocated bytes of the process nor its resident pages.
//!
//! With `TTEVIEW_FULL=1`, each test runs its full number of rounds.

mod common;
mod counting;

use common::{TIMEOUT, create_engine, grey_frame, is_full_run};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tteview::frame::FrameView;
use tteview::{Engine, Status, Stream, StreamConfig};

const SIDE: u32 = 128;
const FRAMES: i64 = 4;

/// Returns the allowed growth of the resident memory in bytes. The allocator may use additional
/// pages for its own purposes. In every run, a leak of one frame per round exceeds this bound;
/// `check_growth` checks this.
fn resident_slack_bytes() -> usize {
    if is_full_run() { 2 << 20 } else { 1 << 20 }
}

/// Maximum time that threads may take to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lock that lets one test run at a time, because each test measures the whole process.
static TURN: Mutex<()> = Mutex::new(());

fn count_rounds(full: usize, short: usize) -> usize {
    if is_full_run() { full } else { short }
}

/// Returns the size of the process's resident memory in bytes.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn open_stream(engine: &Engine) -> Stream {
    let config = StreamConfig {
        ring_slots: 8,
        max_width_px: SIDE,
        max_height_px: SIDE,
        max_frame_bytes: (SIDE * SIDE) as usize,
        ..StreamConfig::default()
    };
    Stream::open(engine, &config).unwrap()
}

/// Runs one acquisition and waits for its label.
fn acquire(stream: &mut Stream, pixels: &[u8]) {
    let acquisition = stream.acquirer.begin().unwrap();
    let frame = FrameView::new(grey_frame(SIDE, SIDE), pixels).unwrap();
    for index in 0..FRAMES {
        assert_eq!(stream.acquirer.push(&frame.with_time_ns(index * 33_333_333)), Ok(()));
    }
    assert_eq!(stream.acquirer.end(), Ok(()));
    let result = stream.reader.wait(acquisition, TIMEOUT, &mut [0.0; 64]).unwrap();
    assert_eq!((result.status, result.chunks), (Status::Ok, 1));
}

/// Runs `rounds` rounds and checks the growth of the memory. Before the measurement, the function
/// runs a tenth as many rounds, so that memory that is allocated only once is not counted. The
/// number of allocated bytes must not grow at all. The memory of a thread that has ended is freed
/// some time later, by other threads that use the runtime (crossbeam-epoch), so the check runs more
/// rounds until the number is as small as before. A leak would make it larger in every round.
fn check_growth(rounds: usize, mut round: impl FnMut()) {
    assert!(rounds * (SIDE * SIDE) as usize > resident_slack_bytes(), "too few rounds");
    (0..rounds / 10).for_each(|_| round());
    let (allocated, resident) = (counting::live_bytes(), resident_bytes());
    (0..rounds).for_each(|_| round());
    let end = Instant::now();
    while counting::live_bytes() > allocated {
        let grown = counting::live_bytes() - allocated;
        assert!(end.elapsed() < PATIENCE, "{grown} more bytes are allocated after {rounds} rounds");
        round();
    }
    let grown = resident_bytes().saturating_sub(resident);
    assert!(
        grown <= resident_slack_bytes(),
        "{grown} more bytes are resident after {rounds} rounds"
    );
}

#[test]
fn closed_streams_leave_no_memory() {
    let _turn = TURN.lock().unwrap();
    let engine = create_engine("standin.stream.onnx");
    let pixels = vec![9; (SIDE * SIDE) as usize];
    check_growth(count_rounds(1000, 100), || acquire(&mut open_stream(&engine), &pixels));
}

#[test]
fn dropped_engines_leave_no_memory() {
    let _turn = TURN.lock().unwrap();
    let pixels = vec![9; (SIDE * SIDE) as usize];
    check_growth(count_rounds(1000, 100), || {
        let engine = create_engine("standin.stream.onnx");
        acquire(&mut open_stream(&engine), &pixels);
    });
}

#[test]
fn acquisitions_of_one_stream_need_no_more_memory() {
    let _turn = TURN.lock().unwrap();
    let mut stream = open_stream(&create_engine("standin.stream.onnx"));
    let pixels = vec![9; (SIDE * SIDE) as usize];
    check_growth(count_rounds(10_000, 300), || acquire(&mut stream, &pixels));
}
