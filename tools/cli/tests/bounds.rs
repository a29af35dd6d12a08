//! Tests that a file cannot make the program take much more memory than the file's size justifies.
//! docs/model/command-line.md states the bounds. Each test limits the address space of the program,
//! which aborts if it needs more.

mod common;
#[allow(dead_code, reason = "each test file uses some of the items")]
#[path = "common/files.rs"]
mod files;

use common::create_folder;
use files::{Dicom, create_avi, create_chunk};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MODEL: &str = "models/demo.stream.onnx";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const RLE: &str = "1.2.840.10008.1.2.5";
const ITEM: [u8; 8] = [0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0];
const SEQUENCE_END: [u8; 8] = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];

const MB: usize = 1_000_000;
/// Address space of the program itself, with its stacks and a small model.
const PROGRAM_BYTES: usize = 64 * MB;
/// Address space that the C library reserves for the threads of an engine.
const ENGINE_BYTES: usize = 128 * MB;
/// Memory that the documentation allows for every file.
const FREE_BYTES: usize = 64 * MB;
/// Size of the large test files, which have many small parts.
const LARGE: usize = 4 * MB;

/// Runs the program with a limit on its address space.
fn run_within(bytes: usize, arguments: &[&OsStr]) -> Output {
    let script = format!("ulimit -v {} && exec \"$0\" \"$@\"", bytes / 1024);
    let mut shell = Command::new("bash");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_tteview")]).args(arguments);
    shell.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).output().unwrap()
}

/// Decodes a cine within its bound and returns the program's error message.
fn decode(path: &Path, frame_bytes: usize) -> String {
    let size = match path.is_dir() {
        true => 0,
        false => usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap(),
    };
    let bytes = PROGRAM_BYTES + FREE_BYTES + 16 * size + 8 * frame_bytes;
    let arguments = ["frames".as_ref(), path.as_os_str(), "-o".as_ref(), "/dev/null".as_ref()];
    let output = run_within(bytes, &arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{}: {code:?}, {message}", path.display());
    message
}

fn write(name: &str, content: &[u8]) -> PathBuf {
    let path = create_folder(&format!("bounds-{name}")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// A GIF with parts of one size, each of which contains only one pixel.
fn create_gif([width, height]: [u16; 2], part: [u16; 2], parts: usize) -> Vec<u8> {
    let mut file = b"GIF89a".to_vec();
    file.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    file.extend([0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
    let [w, h] = part.map(u16::to_le_bytes);
    let part = [&[0x2c, 0, 0, 0, 0][..], &w, &h, &[0, 2, 2, 0x4c, 1, 0]].concat();
    file.extend(part.repeat(parts));
    file.push(0x3b);
    file
}

#[test]
fn a_small_file_with_huge_frames_is_refused_when_opened() {
    let mut rle = Dicom::new(RLE);
    let rle = rle.image("MONOCHROME2", [4096, 4096], 1).0.clone();
    let pixels = [&[0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff][..]];
    let rle = [&rle[..], pixels[0], &ITEM, &ITEM, &SEQUENCE_END].concat();
    // An image file whose header claims 4096 x 4096 pixels.
    let jpeg = [
        &[0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0x10, 0, 0x10, 0, 3][..],
        &[1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 0xff, 0xda, 0, 2],
    ]
    .concat();
    let folder = create_folder("bounds-png");
    let png = std::fs::File::create(folder.join("0.png")).unwrap();
    let mut png = png::Encoder::new(png, 4096, 4096);
    png.set_color(png::ColorType::Rgb);
    png.set_compression(png::Compression::High);
    png.write_header().unwrap().write_image_data(&vec![0; 3 * 4096 * 4096]).unwrap();
    for path in [
        write("canvas.gif", &create_gif([4096; 2], [1; 2], 40)),
        write("frame.avi", &create_avi(b"MJPG", 24, [4096; 2], &[], &[jpeg])),
        write("rle.dcm", &rle),
        folder,
    ] {
        let message = decode(&path, 0);
        assert!(message.contains("got 4096 x 4096 pixels"), "{}: {message}", path.display());
        let arguments =
            ["classify", "--model", MODEL].map(OsStr::new).into_iter().chain([path.as_os_str()]);
        let output = run_within(256 * MB, &arguments.collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(1), "{}", path.display());
    }
}

#[test]
fn a_part_larger_than_its_image_takes_no_memory() {
    let message = decode(&write("part.gif", &create_gif([40; 2], [4096; 2], 2)), 40 * 40 * 3);
    assert!(message.contains("GIF"), "{message}");
}

#[test]
fn frames_of_the_allowed_size_are_decoded_one_by_one() {
    let frame = 1600 * 1600 * 3;
    let path = write("large.gif", &create_gif([1600; 2], [1600, 1], 30));
    assert!(!decode(&path, frame).contains("pixels with"));
    let arguments =
        ["classify", "--model", MODEL].map(OsStr::new).into_iter().chain([path.as_os_str()]);
    let bytes = 3 * PROGRAM_BYTES + FREE_BYTES + 20 * frame;
    let output = run_within(bytes, &arguments.collect::<Vec<_>>());
    assert!(output.status.code().is_some(), "{:?}", String::from_utf8(output.stderr));
}

#[test]
fn many_small_parts_take_little_memory() {
    let sequence = |tag: [u8; 4], items: usize| {
        let length = (8 * items as u32).to_le_bytes();
        [&tag[..], b"SQ", &[0, 0], &length, &ITEM.repeat(items)].concat()
    };
    let end = |file: &mut Dicom| file.pixels(&[7; 32 * 32]);
    let mut pixels = Dicom::new(EXPLICIT);
    pixels.image("MONOCHROME2", [1, 1], LARGE);
    let mut regions = Dicom::new(EXPLICIT);
    regions.image("MONOCHROME2", [32, 32], 1);
    regions.raw(&sequence([0x18, 0, 0x11, 0x60], LARGE / 8));
    let mut times = Dicom::new(EXPLICIT);
    times.image("MONOCHROME2", [32, 32], 1);
    times.put(0x18, 0x1065, b"UN", &b"1\\".repeat(LARGE / 2));
    let mut fragments = Dicom::new(RLE);
    fragments.image("MONOCHROME2", [32, 32], LARGE / 8);
    fragments.raw(&[0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff]);
    fragments.raw(&ITEM).raw(&ITEM.repeat(LARGE / 8)).raw(&SEQUENCE_END);
    let mut frames = vec![Vec::new(); LARGE / 24];
    frames[0] = vec![7; 32 * 32];
    for (name, content) in [
        ("pixels.dcm", pixels.pixels(&vec![7; LARGE])),
        ("regions.dcm", end(&mut regions)),
        ("times.dcm", end(&mut times)),
        ("fragments.dcm", fragments.bytes()),
        ("frames.avi", create_avi(&[0; 4], 8, [32, 32], &[1; 64], &frames)),
        ("chunks.avi", create_chunk(b"RIFF", &[&create_chunk(b"junk", &[]).repeat(LARGE / 8)])),
        ("frames.gif", create_gif([32; 2], [1; 2], LARGE / 16)),
    ] {
        decode(&write(name, &content), 32 * 32 * 3);
    }
}

#[test]
fn manifests_and_predictions_take_memory_in_proportion() {
    let columns = "path,label,patient,split,colour";
    let wide = format!("{columns},{}\n", vec!["c"; 4000].join(","));
    let empty = |row: usize| format!("{row:x},A4C,p,test{}\n", ",".repeat(4001));
    let rows = |count: usize| (0..count).map(|row| format!("{row:x},A4C,p,test,\n"));
    for (name, content) in [
        ("rows.csv", format!("{columns}\n{}", rows(LARGE / 17).collect::<String>())),
        ("empty.csv", wide + &(0..LARGE / 4020).map(empty).collect::<String>()),
        ("line.csv", format!("{columns}\n\"{}", "a".repeat(LARGE))),
        ("columns.csv", format!("{columns}{}\n", ",a".repeat(LARGE / 2))),
    ] {
        let path = write(name, content.as_bytes());
        let out = path.with_extension("out");
        let arguments = ["eval", "--model", MODEL, "--split", "none", "--manifest"].map(OsStr::new);
        let paths = [path.as_os_str(), "--out".as_ref(), out.as_os_str()];
        check_text(&[&arguments[..], &paths].concat(), content.len());
    }
    let header = |labels: &str| {
        format!(
            r#"{{"predictions":1,"labels":[{labels}],"model":null,"temperature":1.0,"threshold":0.5,"run":{{"shard":[1,1],"rows":1,"provider":"e","mode":"stream","change_margin":0.2}}}}"#
        )
    };
    let row = r#"{"path":"a","label":"A","patient":"p","split":"t""#;
    let attributes = (0..LARGE / 10).map(|name| format!("\"{name:x}\":\"\""));
    let attributes = attributes.collect::<Vec<_>>().join(",");
    for (name, content) in [
        (
            "chunks",
            format!(
                "{}\n{row},\"log_posterior\":[{}[]]}}\n",
                header("\"A\""),
                "[],".repeat(LARGE / 3)
            ),
        ),
        (
            "times",
            format!("{}\n{row},\"times_ns\":[{}1]}}\n", header("\"A\""), "1,".repeat(LARGE / 2)),
        ),
        ("attributes", format!("{}\n{row},\"attributes\":{{{attributes}}}}}\n", header("\"A\""))),
        (
            "labels",
            format!("{}\n{row}}}\n", header(&format!("{}\"A\"", "\"\",".repeat(LARGE / 3)))),
        ),
        ("rows", format!("{}\n{}", header("\"A\""), format!("{row}}}\n").repeat(LARGE / 50))),
        ("line", "a".repeat(LARGE)),
    ] {
        let path = write(name, content.as_bytes());
        let out = path.with_extension("out");
        let arguments = ["eval".as_ref(), "merge".as_ref(), path.as_os_str(), "--out".as_ref()];
        check_text(&[&arguments[..], &[out.as_os_str()]].concat(), content.len());
    }
}

/// Runs a command on a hostile text file of this size, which the command must refuse.
fn check_text(arguments: &[&OsStr], size: usize) {
    let bytes = PROGRAM_BYTES + ENGINE_BYTES + FREE_BYTES + 48 * size;
    let output = run_within(bytes, arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
}
