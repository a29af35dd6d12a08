//! Streams over the stand-in packages: the answer does not depend on pace, company or history.

use std::path::Path;
use std::time::Duration;
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig, Reader, Status, Stream, StreamConfig, ViewResult};

const SIDE: u32 = 64;

fn engine(name: &str) -> Engine {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    Engine::new(ModelPackage::from_path(&path, None).unwrap(), &EngineConfig::default()).unwrap()
}

fn stream(engine: &Engine) -> Stream {
    let config = StreamConfig {
        ring_slots: 64,
        max_width_px: SIDE,
        max_height_px: SIDE,
        max_frame_bytes: (SIDE * SIDE) as usize,
        ..StreamConfig::default()
    };
    Stream::new(engine, &config).unwrap()
}

fn push(stream: &mut Stream, index: u32, seed: u32) {
    let pixels: Vec<u8> = (0..SIDE * SIDE).map(|i| (i * (index + seed) + 7 * index) as u8).collect();
    let geometry = Geometry::whole(PixelFormat::Gray8, SIDE, SIDE);
    let frame = FrameView::packed(geometry, &pixels, 1 + i64::from(index) * 16_666_667).unwrap();
    assert_eq!(stream.push(&frame), Status::Ok);
}

fn acquire(stream: &mut Stream, frames: u32, seed: u32) -> u64 {
    let id = stream.begin().unwrap();
    (0..frames).for_each(|index| push(stream, index, seed));
    assert_eq!(stream.end(), Status::Ok);
    id
}

fn wait(reader: &Reader, id: u64) -> ViewResult {
    let mut result = reader.result();
    assert_eq!(reader.wait(id, Duration::from_secs(60), &mut result), Status::Ok);
    assert_eq!(result.status, Status::Ok);
    result
}

fn answer(engine: &Engine, frames: u32, seed: u32) -> ViewResult {
    let mut stream = stream(engine);
    let id = acquire(&mut stream, frames, seed);
    wait(&stream.reader(), id)
}

#[test]
fn an_acquisition_after_others_equals_one_on_a_fresh_stream_bit_for_bit() {
    for name in ["standin.stream.onnx", "standin.clip.onnx"] {
        let engine = engine(name);
        let fresh = answer(&engine, 50, 3);
        let mut used = stream(&engine);
        let reader = used.reader();
        for seed in 0..3 {
            let id = acquire(&mut used, 37, seed);
            assert_ne!(wait(&reader, id).scores, fresh.scores);
        }
        let id = acquire(&mut used, 50, 3);
        let again = wait(&reader, id);
        assert_eq!((again.scores, again.label), (fresh.scores, fresh.label), "{name}");
        assert_eq!((again.frames_used, again.frames_dropped), (50, 0));
    }
}

#[test]
fn several_streams_at_once_give_the_same_answers_as_alone() {
    let engine = engine("standin.stream.onnx");
    let alone: Vec<_> = (0..4).map(|seed| answer(&engine, 40, seed).scores).collect();
    let mut streams: Vec<_> = (0..4).map(|_| stream(&engine)).collect();
    for stream in &mut streams {
        stream.begin().unwrap();
    }
    for index in 0..40 {
        for (stream, seed) in streams.iter_mut().zip(0..) {
            push(stream, index, seed);
        }
    }
    for (stream, scores) in streams.iter_mut().zip(alone) {
        assert_eq!(stream.end(), Status::Ok);
        assert_eq!(wait(&stream.reader(), 1).scores, scores);
    }
}

#[test]
fn the_last_four_finals_stay_readable_and_older_ones_say_that_they_are_gone() {
    let engine = engine("standin.stream.onnx");
    let mut stream = stream(&engine);
    let reader = stream.reader();
    for _ in 0..6 {
        let id = acquire(&mut stream, 4, 1);
        wait(&reader, id);
    }
    let mut result = reader.result();
    for id in 1..=2 {
        assert_eq!(reader.wait(id, Duration::ZERO, &mut result), Status::Empty);
    }
    for id in 3..=6 {
        assert_eq!(wait(&reader, id).acquisition, id);
    }
    assert_eq!(reader.wait(7, Duration::ZERO, &mut result), Status::TimedOut);
}

#[test]
fn an_end_finds_room_however_full_the_ring_is_and_every_frame_is_accounted_for() {
    let engine = engine("standin.stream.onnx");
    let mut stream = stream(&engine);
    let reader = stream.reader();
    let geometry = Geometry::whole(PixelFormat::Gray8, SIDE, SIDE);
    let pixels = vec![9; (SIDE * SIDE) as usize];
    let id = stream.begin().unwrap();
    let (mut taken, mut dropped) = (0, 0);
    for index in 0..2000 {
        let frame = FrameView::packed(geometry, &pixels, index * 33_333_333).unwrap();
        match stream.push(&frame) {
            Status::Ok => taken += 1,
            Status::RingFull => dropped += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(stream.end(), Status::Ok);
    let result = wait(&reader, id);
    assert!(dropped > 0, "the burst did not fill the ring");
    assert_eq!((result.frames_used, result.frames_dropped), (taken, dropped));
}

#[test]
fn a_host_that_waits_for_room_loses_no_frame() {
    let engine = engine("standin.stream.onnx");
    let config = StreamConfig {
        ring_slots: 2,
        max_width_px: SIDE,
        max_height_px: SIDE,
        max_frame_bytes: (SIDE * SIDE) as usize,
        ..StreamConfig::default()
    };
    let mut stream = Stream::new(&engine, &config).unwrap();
    let reader = stream.reader();
    let id = stream.begin().unwrap();
    let mut waits = 0;
    for index in 0..200 {
        while stream.room() == 0 {
            waits += 1;
            std::thread::yield_now();
        }
        push(&mut stream, index, 1);
    }
    assert_eq!(stream.end(), Status::Ok);
    let result = wait(&reader, id);
    assert!(waits > 0, "the ring was never full");
    assert_eq!((result.frames_used, result.frames_dropped), (200, 0));
}

#[test]
fn engines_of_both_modes_at_once_give_the_same_answers_as_alone() {
    let engines = [engine("standin.stream.onnx"), engine("standin.clip.onnx")];
    let alone: Vec<_> = engines.iter().map(|engine| answer(engine, 45, 6).scores).collect();
    std::thread::scope(|scope| {
        for (engine, alone) in engines.iter().zip(&alone) {
            for _ in 0..2 {
                scope.spawn(move || {
                    for _ in 0..3 {
                        assert_eq!(&answer(engine, 45, 6).scores, alone);
                    }
                });
            }
        }
    });
}
