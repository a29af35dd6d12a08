//! Tests of `tteview tag`.

mod common;

use common::{create_folder, run_tteview};
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_dicom, write_png};

const MODEL: &str = "models/demo.stream.onnx";

/// The header of the View Code Sequence in explicit VR little endian.
const VIEW_CODE: [u8; 6] = [0x54, 0x00, 0x20, 0x02, b'S', b'Q'];
/// The header of the Contributing Equipment Sequence.
const EQUIPMENT: [u8; 6] = [0x18, 0x00, 0x01, 0xa0, b'S', b'Q'];
/// The header of the SOP Instance UID.
const INSTANCE: [u8; 6] = [0x08, 0x00, 0x18, 0x00, b'U', b'I'];

fn write_cine(folder: &Path) -> PathBuf {
    let settings = Settings { width: 128, height: 112, frames: 40, ..Settings::default() };
    let path = folder.join("in.dcm");
    write_dicom(&path, &render(View::A4c, 3, &settings)).unwrap();
    path
}

fn run_tag(input: &Path, output: &Path, options: &[&str]) -> common::Outcome {
    run_tag_with(MODEL, input, output, options)
}

fn run_tag_with(model: &str, input: &Path, output: &Path, options: &[&str]) -> common::Outcome {
    let paths = [input, output].map(|path| path.to_str().unwrap());
    let arguments = ["tag", paths[0], "-o", paths[1], "--model", model];
    run_tteview(arguments.iter().chain(options))
}

fn find(file: &[u8], bytes: &[u8]) -> Option<usize> {
    file.windows(bytes.len()).position(|window| window == bytes)
}

/// Removes a sequence of defined length and returns its content.
fn take_sequence(file: &mut Vec<u8>, header: &[u8]) -> Vec<u8> {
    let at = find(file, header).expect("the file must contain the sequence");
    let length = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize;
    file.drain(at..at + 12 + length).collect()
}

#[test]
fn a_tagged_file_differs_only_in_two_sequences() {
    let folder = create_folder("tag");
    let input = write_cine(&folder);
    let output = folder.join("out.dcm");
    let outcome = run_tag(&input, &output, &[]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("out.dcm: A4C, confidence"), "{}", outcome.stdout);
    let original = std::fs::read(&input).unwrap();
    let mut tagged = std::fs::read(&output).unwrap();
    let view = take_sequence(&mut tagged, &VIEW_CODE);
    for text in ["399214001", "SCT", "apical four-chamber"] {
        assert!(find(&view, text.as_bytes()).is_some(), "{text}");
    }
    let equipment = take_sequence(&mut tagged, &EQUIPMENT);
    for text in ["demo-5", "View A4C (apical four-chamber), confidence ", "109103"] {
        assert!(find(&equipment, text.as_bytes()).is_some(), "{text}");
    }
    assert!(tagged == original);
}

#[test]
fn a_group_is_written_on_request_if_the_view_is_withheld() {
    let folder = create_folder("tag-group");
    let (input, output) = (write_cine(&folder), folder.join("out.dcm"));
    let adjust = |name: &str, thresholds: &[&str]| {
        let path = folder.join(name).to_str().unwrap().to_owned();
        let arguments = ["adjust", MODEL, "-o", &path];
        assert_eq!(run_tteview(arguments.iter().chain(thresholds)).exit, 0);
        path
    };
    let strict = adjust("strict.onnx", &["--threshold", "1"]);
    let outcome = run_tag_with(&strict, &input, &output, &[]);
    assert_eq!(outcome.exit, 1);
    assert!(outcome.stderr.contains("--group writes the group APICAL"), "{}", outcome.stderr);
    assert!(!output.exists());
    let outcome = run_tag_with(&strict, &input, &output, &["--group"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let mut tagged = std::fs::read(&output).unwrap();
    let view = take_sequence(&mut tagged, &VIEW_CODE);
    assert!(find(&view, b"43674008").is_some());
    let equipment = take_sequence(&mut tagged, &EQUIPMENT);
    assert!(find(&equipment, b"Group APICAL (apical), confidence ").is_some());
    // A view that is given is written with or without the option.
    assert_eq!(run_tag(&input, &output, &["--group"]).exit, 0);
    let mut tagged = std::fs::read(&output).unwrap();
    assert!(find(&take_sequence(&mut tagged, &VIEW_CODE), b"399214001").is_some());
}

#[test]
fn a_second_tag_replaces_the_view_and_adds_equipment() {
    let folder = create_folder("tag-twice");
    let input = write_cine(&folder);
    let [once, twice] = ["once.dcm", "twice.dcm"].map(|name| folder.join(name));
    assert_eq!(run_tag(&input, &once, &[]).exit, 0);
    assert_eq!(run_tag(&once, &twice, &[]).exit, 0);
    let mut tagged = std::fs::read(&twice).unwrap();
    take_sequence(&mut tagged, &VIEW_CODE);
    let equipment = take_sequence(&mut tagged, &EQUIPMENT);
    let items = equipment.windows(6).filter(|window| window == b"109103").count();
    assert_eq!(items, 2);
    assert!(tagged == std::fs::read(&input).unwrap());
}

#[test]
fn a_new_uid_is_given_only_with_its_option() {
    let folder = create_folder("tag-uid");
    let input = write_cine(&folder);
    let output = folder.join("out.dcm");
    let read_uids = |path: &Path| {
        let file = std::fs::read(path).unwrap();
        let texts = [&[2, 0, 3, 0, b'U', b'I'], &INSTANCE].map(|header| {
            let at = find(&file, header).unwrap();
            let length = u16::from_le_bytes([file[at + 6], file[at + 7]]) as usize;
            String::from_utf8(file[at + 8..at + 8 + length].to_vec()).unwrap()
        });
        texts.map(|text| text.trim_end_matches('\0').to_owned())
    };
    let original = read_uids(&input);
    assert_eq!(run_tag(&input, &output, &[]).exit, 0);
    assert_eq!(read_uids(&output), original);
    assert_eq!(run_tag(&input, &output, &["--new-uid"]).exit, 0);
    let [media, instance] = read_uids(&output);
    assert!(media == instance && media != original[0] && media.starts_with("2.25."), "{media}");
    let classified = run_tteview(["classify", output.to_str().unwrap(), "--model", MODEL]);
    assert_eq!(classified.exit, 0, "{}", classified.stderr);
}

#[test]
fn a_withheld_view_and_other_formats_are_not_tagged() {
    let folder = create_folder("tag-refused");
    let input = write_cine(&folder);
    let output = folder.join("out.dcm");
    // The model recognizes no view in this part of the image.
    let outcome = run_tag(&input, &output, &["--roi", "20,32,28,41"]);
    assert_eq!(outcome.exit, 1, "{}", outcome.stdout);
    assert!(outcome.stderr.contains("withholds the view"), "{}", outcome.stderr);
    let png = folder.join("a.png");
    write_png(&png, &[0; 32 * 32], 32, 32).unwrap();
    let outcome = run_tag(&png, &output, &[]);
    assert_eq!(outcome.exit, 1);
    assert!(outcome.stderr.contains("not DICOM"), "{}", outcome.stderr);
    assert!(!output.exists());
}

#[test]
fn modifiers_complete_the_code_of_a_view() {
    let folder = create_folder("tag-modifiers");
    let (input, output) = (write_cine(&folder), folder.join("out.dcm"));
    // The package gives its label A4C the code and the modifier of another view.
    let views = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/views.json"),
    );
    let mut views: serde_json::Value = serde_json::from_str(&views.unwrap()).unwrap();
    let labels = views["labels"].as_array_mut().unwrap();
    let index = |code: &str| labels.iter().position(|label| label["code"] == code).unwrap();
    let (four, subcostal) = (index("A4C"), labels[index("SC4C")].clone());
    for key in ["scheme", "scheme_code", "scheme_meaning", "modifiers"] {
        labels[four][key] = subcostal[key].clone();
    }
    let [labels, model] =
        ["labels.json", "model.onnx"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    std::fs::write(&labels, views.to_string()).unwrap();
    let adjust = ["adjust", MODEL, "-o", &model, "--labels", &labels, "--group-threshold", "0.8"];
    let outcome = run_tteview(adjust);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let outcome = run_tag_with(&model, &input, &output, &[]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let mut tagged = std::fs::read(&output).unwrap();
    let view = take_sequence(&mut tagged, &VIEW_CODE);
    let at =
        [&b"264208000"[..], b"Subcostal", b"\x54\x00\x22\x02SQ", b"399214001", b"Four chamber"]
            .map(|text| find(&view, text).expect("the view must contain the modifier"));
    assert!(at.is_sorted(), "{at:?}");
    take_sequence(&mut tagged, &EQUIPMENT);
    assert!(tagged == std::fs::read(&input).unwrap());
}
