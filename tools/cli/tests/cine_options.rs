//! Tests of the options that change how a cine is read.

mod common;

use common::{create_folder, run_tteview};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_png};

const MODEL: &str = "models/demo.stream.onnx";

fn case(name: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name).join(file)
}

/// Runs `tteview frames` and returns the exit code, the JSON object and the messages.
fn run_frames(path: &Path, options: &[&str]) -> (i32, Value, String) {
    let arguments = ["frames", path.to_str().unwrap(), "-o", "/dev/null", "--json"];
    let outcome = run_tteview(arguments.iter().chain(options));
    let object = serde_json::from_str(&outcome.stdout).unwrap_or_default();
    (outcome.exit, object, outcome.stderr)
}

#[test]
fn each_image_of_a_biplane_view_can_be_chosen() {
    let path = case("regions-biplane", "cine.dcm");
    let (_, whole, messages) = run_frames(&path, &[]);
    let regions = whole["regions"].as_array().unwrap();
    assert_eq!(regions.len(), 2);
    assert_eq!(whole["region"], regions[0]);
    assert!(messages.contains("warning: ") && messages.contains("2 image regions"), "{messages}");
    for (number, region) in [("1", &regions[0]), ("2", &regions[1])] {
        let (exit, object, messages) = run_frames(&path, &["--region", number]);
        assert_eq!((exit, &object["region"], messages.as_str()), (0, region, ""));
    }
    let (exit, _, messages) = run_frames(&path, &["--region", "3"]);
    assert!(exit == 1 && messages.contains("--region must be 1 to 2, got 3"), "{messages}");
    let (_, object, messages) = run_frames(&path, &["--whole-frame"]);
    assert_eq!((&object["region"], messages.as_str()), (&Value::Null, ""));
}

#[test]
fn a_region_of_interest_must_be_inside_the_frame() {
    let path = case("ok-native-grey", "cine.dcm");
    let (_, object, _) = run_frames(&path, &["--roi", "4,2,40,30"]);
    let region = json!({"x": 4, "y": 2, "width": 40, "height": 30, "um_per_px": null});
    assert_eq!(object["region"], region);
    let (exit, _, messages) = run_frames(&path, &["--roi", "10,2,40,30"]);
    assert!(exit == 1 && messages.contains("--roi must be inside the frame"), "{messages}");
    assert_eq!(run_frames(&path, &["--roi", "4,2,0,30"]).0, 2);
    assert_eq!(run_frames(&path, &["--roi", "4,2,4,30", "--region", "1"]).0, 2);
}

#[test]
fn a_frame_rate_replaces_doubtful_times() {
    let path = case("times-none", "cine.dcm");
    let (_, object, _) = run_frames(&path, &["--frame-rate", "50"]);
    assert_eq!(
        (&object["period_ns"], &object["timing"]),
        (&json!(20_000_000), &json!("--frame-rate"))
    );
}

#[test]
fn a_single_image_needs_its_option() {
    let path = case("png-single", "still.png");
    assert_eq!(run_frames(&path, &[]).0, 1);
    let (exit, object, _) = run_frames(&path, &["--still"]);
    assert_eq!((exit, &object["frames"]), (0, &json!(1)));
    assert_eq!(run_frames(&case("jpeg-single", "still.jpg"), &["--still"]).0, 0);
}

#[test]
fn a_turned_cine_has_the_scores_of_the_upright_one() {
    let folder = create_folder("turned");
    let (width, height) = (128, 112);
    let settings = Settings { width, height, frames: 24, ..Settings::default() };
    let cine = render(View::A4c, 3, &settings);
    let scores = |name: &str, turn: &dyn Fn(usize, usize) -> usize, options: &[&str]| {
        let frames = folder.join(name);
        std::fs::create_dir(&frames).unwrap();
        for (index, frame) in cine.frames.iter().enumerate() {
            let pixels: Vec<u8> =
                (0..width * height).map(|at| frame[turn(at % width, at / width)]).collect();
            write_png(&frames.join(format!("{index}.png")), &pixels, width, height).unwrap();
        }
        let arguments = ["classify", "--json", "--model", MODEL, frames.to_str().unwrap()];
        let outcome = run_tteview(arguments.iter().chain(options));
        let object: Value = serde_json::from_str(&outcome.stdout).unwrap();
        object["scores"].clone()
    };
    let upright = scores("upright", &|x, y| y * width + x, &[]);
    let mirrored = |x, y| y * width + width - 1 - x;
    let upside_down = |x, y| (height - 1 - y) * width + x;
    assert_ne!(scores("plain", &mirrored, &[]), upright);
    assert_eq!(scores("mirrored", &mirrored, &["--mirrored"]), upright);
    assert_eq!(scores("upside-down", &upside_down, &["--upside-down"]), upright);
}
