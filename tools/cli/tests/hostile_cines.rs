//! Hostile files: truncated, altered, contradicting themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

mod common;
#[allow(dead_code, reason = "each test file uses a part")]
#[path = "common/files.rs"]
mod files;

use common::folder;
use files::{Dicom, avi, gif, jpegs, real};
use std::path::Path;
use tteview_cli::cine::Cine;
use tteview_phantom::{Settings, View, render, write_png};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// Reads all of a file; true if nothing was wrong.
fn reads(path: &Path, bytes: &[u8]) -> bool {
    std::fs::write(path, bytes).unwrap();
    match Cine::open(path) {
        Ok(cine) => cine.into_iter().all(|frame| frame.is_ok()),
        Err(_) => false,
    }
}

/// Small files of every kind and coding.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let mut native = Dicom::new(EXPLICIT);
    native.put(0x18, 0x1063, b"DS", b"20").image("MONOCHROME2", [32, 32], 2);
    let native = native.pixels(&[7; 2048]);
    let jpeg = std::fs::read(real("SC_rgb_dcmtk_+eb+cy+np.dcm")).unwrap();
    let images = jpegs(&jpeg);
    vec![
        ("native.dcm", native),
        ("jpeg.dcm", jpeg),
        ("lossless.dcm", std::fs::read(real("SC_rgb_jpeg_gdcm.dcm")).unwrap()),
        ("rle.dcm", std::fs::read(real("SC_rgb_rle_2frame.dcm")).unwrap()),
        ("mjpeg.avi", avi(b"MJPG", 24, [100, 100], &[], &images)),
        ("bitmap.avi", avi(&[0; 4], 8, [32, 32], &[1; 64], &[vec![5; 1024], vec![6; 1024]])),
        ("a.gif", gif([4, 4, 4])),
    ]
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let folder = folder("cut");
    for (name, bytes) in samples() {
        let path = folder.join(name);
        assert!(reads(&path, &bytes), "{name} itself");
        // Bytes after the pixels may go: the end of their sequence, the index of an AVI, the trailer of a GIF.
        let needed = bytes.len() - 64.min(bytes.len() / 4);
        let step = (needed / 400).max(1);
        for length in (0..needed).step_by(step) {
            assert!(!reads(&path, &bytes[..length]), "{name} cut after {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn a_broken_frame_in_a_folder_of_png_is_named() {
    let folder = folder("png");
    let settings = Settings { width: 32, height: 32, frames: 3, ..Settings::default() };
    for (index, frame) in render(View::A2c, 1, &settings).frames.iter().enumerate() {
        write_png(&folder.join(format!("{index}.png")), frame, 32, 32).unwrap();
    }
    let whole = std::fs::read(folder.join("1.png")).unwrap();
    let errors = || Cine::open(&folder).unwrap().find_map(Result::err);
    assert_eq!(errors(), None);
    for length in [0, 20, whole.len() / 2] {
        std::fs::write(folder.join("1.png"), &whole[..length]).unwrap();
        let error = errors().unwrap();
        assert!(error.frame == Some(1) && error.cause.starts_with("1.png: "), "{error}");
    }
    write_png(&folder.join("1.png"), &[0; 33 * 32], 33, 32).unwrap();
    assert_eq!(errors().unwrap().cause, "1.png has 33 x 32 pixels, the first frame 32 x 32");
}

/// 600 rounds take seconds; `TTEVIEW_HOSTILE_ROUNDS` asks for more.
#[test]
fn altered_files_never_panic() {
    let rounds = std::env::var("TTEVIEW_HOSTILE_ROUNDS").map_or(600, |rounds| rounds.parse().unwrap());
    let folder = folder("altered");
    let mut random = 0x2545_f491u32;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random as usize
    };
    for (name, bytes) in samples() {
        let path = folder.join(name);
        // Headers are where sizes are: most changes fall there.
        for round in 0..rounds {
            let mut altered = bytes.clone();
            for _ in 0..1 + next() % 4 {
                let within = if round % 3 == 0 { altered.len() } else { altered.len().min(900) };
                let at = next() % within;
                altered[at] = [0, 1, 0x7f, 0xff, next() as u8][next() % 5];
            }
            reads(&path, &altered);
        }
    }
}

#[test]
fn delimiters_that_close_what_is_not_open_are_errors() {
    let folder = folder("delimiters");
    let tag = |element: u16| [&0xfffeu16.to_le_bytes()[..], &element.to_le_bytes(), &[0; 4]].concat();
    let (item, item_end, sequence_end) = (tag(0xe000), tag(0xe00d), tag(0xe0dd));
    let file = |tail: &[&[u8]]| {
        let mut file = Dicom::new(EXPLICIT);
        file.image("MONOCHROME2", [32, 32], 1).raw(&tail.concat()).pixels(&[0; 1024])
    };
    let path = folder.join("d.dcm");
    assert!(reads(&path, &file(&[])));
    assert!(!reads(&path, &file(&[&item_end, &item])));
    assert!(!reads(&path, &file(&[&item_end, &item_end, &item])));
    // These two stand where an element could, and are empty: the pixels after them are found.
    assert!(reads(&path, &file(&[&sequence_end, &item])));
    assert!(!reads(&path, &file(&[&sequence_end, &item_end, &item])));
}

#[test]
fn sequences_nested_a_hundred_thousand_deep_are_read_without_recursion() {
    let open = [
        &[0x18, 0x00, 0x11, 0x60, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff][..],
        &[0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    let mut file = Dicom::new(EXPLICIT);
    file.raw(&open.repeat(100_000));
    assert!(!reads(&folder("nested").join("n.dcm"), &file.bytes()));
}

#[test]
fn lengths_of_four_gigabytes_take_no_memory() {
    let folder = folder("lengths");
    for element in [[0x28, 0x00, 0x04, 0x00], [0xe0, 0x7f, 0x10, 0x00], [0x18, 0x00, 0x65, 0x10]] {
        let mut file = Dicom::new(EXPLICIT);
        file.image("MONOCHROME2", [32, 32], 1);
        file.raw(&element).raw(&[b'O', b'B', 0, 0, 0xfe, 0xff, 0xff, 0xff]).raw(&[0; 64]);
        let path = folder.join("l.dcm");
        std::fs::write(&path, file.bytes()).unwrap();
        let error = Cine::open(&path).err().unwrap().to_string();
        assert!(error.contains("truncated") && error.contains("4294967294"), "{error}");
    }
}
