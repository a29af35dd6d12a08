//! Tests with hostile cine files, which are truncated, altered or inconsistent.

mod common;
#[allow(dead_code, reason = "each test file uses some of the items")]
#[path = "common/files.rs"]
mod files;

use common::create_folder;
use files::{Dicom, create_avi, create_gif, extract_jpegs, real_file};
use std::path::Path;
use tteview_cli::cine::Cine;
use tteview_phantom::{Settings, View, render, write_png};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// Reads a file. Returns whether all its frames can be read without a warning about the file. Some
/// sample files are not from ultrasound, which causes another warning.
fn can_read(path: &Path, bytes: &[u8]) -> bool {
    match Cine::from_bytes(path, bytes.to_vec()) {
        Ok(mut cine) => {
            let is_read = cine.all(|frame| frame.is_ok());
            is_read && cine.facts.warnings.iter().all(|warning| warning.contains("modality"))
        }
        Err(_) => false,
    }
}

/// Returns small files of every format and encoding.
fn sample_files() -> Vec<(&'static str, Vec<u8>)> {
    let mut native = Dicom::new(EXPLICIT);
    native.put(0x18, 0x1063, b"DS", b"20").image("MONOCHROME2", [32, 32], 2);
    let native = native.pixels(&[7; 2048]);
    let jpeg = std::fs::read(real_file("SC_rgb_dcmtk_+eb+cy+np.dcm")).unwrap();
    let images = extract_jpegs(&jpeg);
    vec![
        ("native.dcm", native),
        ("jpeg.dcm", jpeg),
        ("lossless.dcm", std::fs::read(real_file("SC_rgb_jpeg_gdcm.dcm")).unwrap()),
        ("rle.dcm", std::fs::read(real_file("SC_rgb_rle_2frame.dcm")).unwrap()),
        ("mjpeg.avi", create_avi(b"MJPG", 24, [100, 100], &[], &images)),
        ("bitmap.avi", create_avi(&[0; 4], 8, [32, 32], &[1; 64], &[vec![5; 1024], vec![6; 1024]])),
        ("a.gif", create_gif([4, 4, 4])),
    ]
}

#[test]
fn a_truncated_file_causes_an_error_or_a_warning() {
    let folder = create_folder("cut");
    for (name, bytes) in sample_files() {
        let path = folder.join(name);
        assert!(can_read(&path, &bytes), "{name}");
        // A file can be read without the bytes after its pixels, such as the end of a sequence, an
        // AVI index or a GIF trailer. The test therefore cuts off more than these bytes.
        let needed = bytes.len() - 64.min(bytes.len() / 4);
        let step = (needed / 400).max(1);
        for length in (0..needed).step_by(step) {
            assert!(
                !can_read(&path, &bytes[..length]),
                "{name} with {length} of {} bytes",
                bytes.len()
            );
        }
    }
}

#[test]
fn a_damaged_png_frame_is_named() {
    let folder = create_folder("png");
    let settings = Settings { width: 32, height: 32, frames: 3, ..Settings::default() };
    for (index, frame) in render(View::A2c, 1, &settings).frames.iter().enumerate() {
        write_png(&folder.join(format!("{index}.png")), frame, 32, 32).unwrap();
    }
    let whole = std::fs::read(folder.join("1.png")).unwrap();
    let warnings = || {
        let mut cine = Cine::open(&folder).unwrap();
        let frames = cine.by_ref().filter_map(Result::ok).count();
        (frames, cine.facts.warnings.join("; "))
    };
    assert_eq!(warnings(), (3, String::new()));
    for length in [0, 20, whole.len() / 2] {
        std::fs::write(folder.join("1.png"), &whole[..length]).unwrap();
        let (frames, warnings) = warnings();
        let start = "1 of 3 frames are damaged and left out; frame 1: 1.png: ";
        assert!(frames == 2 && warnings.starts_with(start), "{warnings}");
    }
    write_png(&folder.join("1.png"), &[0; 33 * 32], 33, 32).unwrap();
    let cause = "1.png: the frame must have 32 x 32 pixels like the first frame, got 33 x 32";
    assert!(warnings().1.ends_with(cause), "{}", warnings().1);
}

/// The default of 600 rounds takes seconds. `TTEVIEW_HOSTILE_ROUNDS` sets another number of rounds.
#[test]
fn altered_files_never_panic() {
    let rounds =
        std::env::var("TTEVIEW_HOSTILE_ROUNDS").map_or(600, |rounds| rounds.parse().unwrap());
    let folder = create_folder("altered");
    let mut random = 0x2545_f491u32;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random as usize
    };
    for (name, bytes) in sample_files() {
        let path = folder.join(name);
        // Most changes are in the headers, because they contain the sizes.
        for round in 0..rounds {
            let mut altered = bytes.clone();
            for _ in 0..1 + next() % 4 {
                let within = if round % 3 == 0 { altered.len() } else { altered.len().min(900) };
                let at = next() % within;
                altered[at] = [0, 1, 0x7f, 0xff, next() as u8][next() % 5];
            }
            can_read(&path, &altered);
        }
    }
}

#[test]
fn a_delimiter_without_a_beginning_is_ignored() {
    let folder = create_folder("delimiters");
    let tag =
        |element: u16| [&0xfffeu16.to_le_bytes()[..], &element.to_le_bytes(), &[0; 4]].concat();
    let (item, item_end, sequence_end) = (tag(0xe000), tag(0xe00d), tag(0xe0dd));
    let file = |tail: &[&[u8]]| {
        let mut file = Dicom::new(EXPLICIT);
        file.image("MONOCHROME2", [32, 32], 1).raw(&tail.concat()).pixels(&[0; 1024])
    };
    let path = folder.join("d.dcm");
    assert!(can_read(&path, &file(&[])));
    assert!(can_read(&path, &file(&[&item_end, &item])));
    assert!(can_read(&path, &file(&[&item_end, &item_end, &item])));
    assert!(can_read(&path, &file(&[&sequence_end, &item])));
    assert!(can_read(&path, &file(&[&sequence_end, &item_end, &item])));
}

#[test]
fn deeply_nested_sequences_are_read_without_recursion() {
    let open = [
        &[0x18, 0x00, 0x11, 0x60, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff][..],
        &[0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    let mut file = Dicom::new(EXPLICIT);
    file.raw(&open.repeat(100_000));
    assert!(!can_read(&create_folder("nested").join("n.dcm"), &file.bytes()));
}

#[test]
fn claimed_lengths_of_four_gigabytes_take_no_memory() {
    let folder = create_folder("lengths");
    for element in [[0x28, 0x00, 0x04, 0x00], [0xe0, 0x7f, 0x10, 0x00], [0x18, 0x00, 0x65, 0x10]] {
        let mut file = Dicom::new(EXPLICIT);
        file.image("MONOCHROME2", [32, 32], 1);
        file.raw(&element).raw(&[b'O', b'B', 0, 0, 0xfe, 0xff, 0xff, 0xff]).raw(&[0; 64]);
        let path = folder.join("l.dcm");
        std::fs::write(&path, file.bytes()).unwrap();
        let error = Cine::open(&path).err().unwrap().to_string();
        assert!(error.contains("truncated") && error.contains("only 64"), "{error}");
    }
}
