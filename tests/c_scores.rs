//! Tests that the C ABI and the Rust interface give the same scores, bit for bit.
//!
//! `cargo xtask test` runs `tests/c/scores.c` on the same frames. `TTEVIEW_C_SCORES` lists the
//! outputs of that program as `MODEL=FILE`, separated by `:`.

mod common;

use common::{create_engine, grey_frame, run_worker_to_end, wait};
use tteview::frame::FrameView;
use tteview::{Drive, Stream, StreamConfig};

const SIDE: u32 = 64;

/// Acquires the frames. Returns the label, the number of chunks, the number of frames and the
/// scores.
fn acquire(model: &str) -> (i64, u64, u64, Vec<f32>) {
    let config = StreamConfig {
        max_width_px: SIDE,
        max_height_px: SIDE,
        drive: Drive::Host,
        ..StreamConfig::default()
    };
    let Stream { mut acquirer, mut driver, reader } =
        Stream::open(&create_engine(model), &config).unwrap();
    let acquisition = acquirer.begin().unwrap();
    for index in 0..70 {
        let pixels: Vec<u8> = (0..SIDE * SIDE).map(|p| (p * (index + 3)) as u8).collect();
        let frame = FrameView::new(grey_frame(SIDE, SIDE), &pixels).unwrap();
        let time_ns = i64::from(index) * 33_333_333;
        assert_eq!(acquirer.push(&frame.with_time_ns(time_ns)), Ok(()));
        run_worker_to_end(&mut driver);
    }
    assert_eq!(acquirer.end(), Ok(()));
    run_worker_to_end(&mut driver);
    let labelled = wait(&reader, acquisition);
    let label = labelled.label.map_or(-1, i64::from);
    (label, u64::from(labelled.chunks), labelled.frames_used, labelled.scores)
}

#[test]
#[ignore = "needs TTEVIEW_C_SCORES; `cargo xtask test` runs it"]
fn the_c_abi_gives_the_same_scores() {
    let outputs = std::env::var("TTEVIEW_C_SCORES").expect("set TTEVIEW_C_SCORES");
    assert!(!outputs.is_empty());
    for output in outputs.split(':') {
        let (model, file) = output.split_once('=').expect("MODEL=FILE");
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut lines = text.lines();
        let first: Vec<i64> =
            lines.next().unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
        let scores: Vec<f32> = lines.map(|line| line.parse().unwrap()).collect();
        let (label, chunks, frames, expected) = acquire(model);
        assert_eq!(first, [label, chunks as i64, frames as i64], "{model}");
        assert_eq!(scores, expected, "{model}");
    }
}
