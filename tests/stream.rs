//! Tests of streams with the test packages: a label does not depend on the pace of the host, on
//! other streams, or on earlier acquisitions.

mod common;

use common::{Labelled, TIMEOUT, create_engine, grey_frame, wait, wait_for_slot};
use std::time::Duration;
use tteview::frame::FrameView;
use tteview::{Acquirer, Engine, PushError, Status, Stream, StreamConfig};

const SIDE: u32 = 64;

fn open_stream(engine: &Engine, ring_slots: usize) -> Stream {
    let config = StreamConfig {
        ring_slots,
        max_width_px: SIDE,
        max_height_px: SIDE,
        max_frame_bytes: (SIDE * SIDE) as usize,
        ..StreamConfig::default()
    };
    Stream::open(engine, &config).unwrap()
}

fn push(acquirer: &mut Acquirer, index: u32, seed: u32) {
    let pixels: Vec<u8> =
        (0..SIDE * SIDE).map(|i| (i * (index + seed) + 7 * index) as u8).collect();
    let frame = FrameView::new(grey_frame(SIDE, SIDE), &pixels).unwrap();
    let time_ns = 1 + i64::from(index) * 16_666_667;
    assert_eq!(acquirer.push(&frame.with_time_ns(time_ns)), Ok(()));
}

fn acquire(stream: &mut Stream, frames: u32, seed: u32) -> Labelled {
    let acquisition = stream.acquirer.begin().unwrap();
    (0..frames).for_each(|index| push(&mut stream.acquirer, index, seed));
    assert_eq!(stream.acquirer.end(), Ok(()));
    let labelled = wait(&stream.reader, acquisition);
    assert_eq!(labelled.status, Status::Ok);
    labelled
}

fn acquire_once(engine: &Engine, frames: u32, seed: u32) -> Labelled {
    acquire(&mut open_stream(engine, 64), frames, seed)
}

#[test]
fn earlier_acquisitions_do_not_change_the_scores() {
    for name in ["standin.stream.onnx", "standin.clip.onnx"] {
        let engine = create_engine(name);
        let fresh = acquire_once(&engine, 50, 3);
        let mut used = open_stream(&engine, 64);
        for seed in 0..3 {
            assert_ne!(acquire(&mut used, 37, seed).scores, fresh.scores);
        }
        let again = acquire(&mut used, 50, 3);
        assert_eq!((&again.scores, again.label), (&fresh.scores, fresh.label), "{name}");
        assert_eq!((again.frames_used, again.frames_dropped), (50, 0));
    }
}

#[test]
fn streams_do_not_change_the_scores_of_each_other() {
    let engine = create_engine("standin.stream.onnx");
    let alone: Vec<_> = (0..4).map(|seed| acquire_once(&engine, 40, seed).scores).collect();
    let mut streams: Vec<_> = (0..4).map(|_| open_stream(&engine, 64)).collect();
    for stream in &mut streams {
        stream.acquirer.begin().unwrap();
    }
    for index in 0..40 {
        for (stream, seed) in streams.iter_mut().zip(0..) {
            push(&mut stream.acquirer, index, seed);
        }
    }
    for (stream, scores) in streams.iter_mut().zip(alone) {
        assert_eq!(stream.acquirer.end(), Ok(()));
        assert_eq!(wait(&stream.reader, 1).scores, scores);
    }
}

#[test]
fn engines_do_not_change_the_scores_of_each_other() {
    let engines = [create_engine("standin.stream.onnx"), create_engine("standin.clip.onnx")];
    let alone: Vec<_> = engines.iter().map(|engine| acquire_once(engine, 45, 6).scores).collect();
    std::thread::scope(|scope| {
        for (engine, alone) in engines.iter().zip(&alone) {
            for _ in 0..2 {
                scope.spawn(move || {
                    for _ in 0..3 {
                        assert_eq!(&acquire_once(engine, 45, 6).scores, alone);
                    }
                });
            }
        }
    });
}

#[test]
fn the_last_four_final_results_can_be_read() {
    let engine = create_engine("standin.stream.onnx");
    let mut stream = open_stream(&engine, 64);
    for _ in 0..6 {
        acquire(&mut stream, 4, 1);
    }
    for acquisition in 1..=2 {
        let result = stream.reader.wait(acquisition, Duration::ZERO, &mut []);
        assert_eq!(result.map(drop), Err(Status::Empty));
    }
    for acquisition in 3..=6 {
        assert_eq!(wait(&stream.reader, acquisition).acquisition, acquisition);
    }
    let wait_for_next = || stream.reader.wait(7, Duration::ZERO, &mut []).map(drop);
    assert_eq!(wait_for_next(), Err(Status::InvalidArgument));
    stream.acquirer.begin().unwrap();
    assert_eq!(wait_for_next(), Err(Status::TimedOut));
}

#[test]
fn an_acquisition_ends_although_the_ring_is_full() {
    let engine = create_engine("standin.stream.onnx");
    let Stream { mut acquirer, reader, .. } = open_stream(&engine, 64);
    let pixels = vec![9; (SIDE * SIDE) as usize];
    let frame = FrameView::new(grey_frame(SIDE, SIDE), &pixels).unwrap();
    let acquisition = acquirer.begin().unwrap();
    let (mut accepted, mut dropped) = (0, 0);
    for index in 0..2000 {
        match acquirer.push(&frame.with_time_ns(index * 33_333_333)) {
            Ok(()) => accepted += 1,
            Err(PushError::Dropped) => dropped += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(acquirer.end(), Ok(()));
    let result = reader.wait(acquisition, TIMEOUT, &mut []).unwrap();
    assert!(dropped > 0, "the burst did not fill the ring");
    assert_eq!((result.frames_used, result.frames_dropped), (accepted, dropped));
}

#[test]
fn a_host_that_waits_for_slots_loses_no_frame() {
    let engine = create_engine("standin.stream.onnx");
    let Stream { mut acquirer, mut driver, reader } = open_stream(&engine, 2);
    let acquisition = acquirer.begin().unwrap();
    let mut waits = 0;
    for index in 0..200 {
        waits += wait_for_slot(&mut acquirer, &mut driver);
        push(&mut acquirer, index, 1);
    }
    assert_eq!(acquirer.end(), Ok(()));
    let result = wait(&reader, acquisition);
    assert!(waits > 0, "the ring was never full");
    assert_eq!((result.frames_used, result.frames_dropped), (200, 0));
}
