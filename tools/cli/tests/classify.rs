//! `tteview classify` and `frames`, as a script sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

mod common;
#[allow(dead_code, reason = "each test file uses a part")]
#[path = "common/files.rs"]
mod files;

use common::{Outcome, folder, tteview};
use files::{pnm, real};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_dicom, write_png};

const MODEL: &str = "models/standin.stream.onnx";

/// A cine of 40 frames as DICOM file and as folder of PNG.
fn phantom(folder: &Path) -> [PathBuf; 2] {
    let settings = Settings { width: 96, height: 80, frames: 40, ..Settings::default() };
    let cine = render(View::A4c, 3, &settings);
    let paths = [folder.join("a.dcm"), folder.join("a")];
    write_dicom(&paths[0], &cine).unwrap();
    std::fs::create_dir(&paths[1]).unwrap();
    for (index, frame) in cine.frames.iter().enumerate() {
        write_png(&paths[1].join(format!("{index:04}.png")), frame, 96, 80).unwrap();
    }
    paths
}

fn classify(files: &[&Path], more: &[&str]) -> Outcome {
    let fixed = ["classify", "--model", MODEL].iter().chain(more).map(|word| word.as_ref());
    tteview(fixed.chain(files.iter().map(|file| file.as_os_str())))
}

fn objects(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_same_cine_gets_the_same_scores_from_dicom_and_png() {
    let [dicom, png] = phantom(&folder("same"));
    // The file's frame time is rounded, so that its last frame comes a microsecond too early to be a sample.
    let outcome = classify(&[&dicom, &png], &["--json", "--provider", "embedded", "--frame-rate", "30"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    let [a, b] = &objects(&outcome)[..] else { panic!("{}", outcome.stdout) };
    assert_eq!(a["scores"], b["scores"]);
    assert_eq!([&a["frames"], &a["chunks"]], [&Value::from(40), &10.into()]);
    let scores = a["scores"].as_object().unwrap();
    let sum: f64 = scores.values().map(|score| score.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5 && scores.len() == 21);
    assert_eq!(scores[a["view"].as_str().unwrap()], a["confidence"]);
}

#[test]
fn the_table_has_a_row_for_each_file_and_nothing_is_drawn_where_no_terminal_is() {
    let [dicom, png] = phantom(&folder("table"));
    let outcome = classify(&[&dicom, &png], &[]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = outcome.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], ["file", "view", "confidence", "margin", "frames", "chunks", "seconds"]);
    assert_eq!([rows[1][0], rows[1][4], rows[1][5]], [dicom.to_str().unwrap(), "40", "10"]);
}

#[test]
fn a_file_that_fails_is_named_the_others_are_labelled_and_the_exit_code_is_1() {
    let folder = folder("mixed");
    let [dicom, _] = phantom(&folder);
    let missing = folder.join("missing.dcm");
    let whole = std::fs::read(&dicom).unwrap();
    let cut = folder.join("cut.dcm");
    std::fs::write(&cut, &whole[..whole.len() - 1000]).unwrap();
    let files = [missing.as_path(), &cut, &dicom];
    let outcome = classify(&files, &[]);
    assert_eq!(outcome.exit, 1);
    assert_eq!(outcome.stdout.lines().count(), 2, "{}", outcome.stdout);
    for text in ["missing.dcm: No such file", "cut.dcm: truncated", "2 of 3 files failed"] {
        assert!(outcome.stderr.contains(text), "{}", outcome.stderr);
    }
    let outcome = classify(&files, &["--json"]);
    let objects = objects(&outcome);
    assert_eq!((outcome.exit, objects.len()), (1, 3));
    assert!(objects[1]["error"].as_str().unwrap().contains("truncated") && objects[1]["view"].is_null());
    assert!(objects[2]["view"].is_string());
}

#[test]
fn a_model_that_cannot_run_exits_with_3_before_any_file_is_read() {
    let folder = folder("model");
    let [dicom, _] = phantom(&folder);
    let broken = folder.join("broken.onnx");
    std::fs::write(&broken, [1, 2, 3]).unwrap();
    let arguments = |model: &Path, provider: &str| {
        let [model, file] = [model, &dicom].map(|path| path.to_str().unwrap().to_owned());
        ["classify", &file, "--model", &model, "--provider", provider].map(str::to_owned)
    };
    for (model, provider, cause) in [
        (broken.as_path(), "embedded", "broken.onnx"),
        (&folder.join("missing.onnx"), "embedded", "missing.onnx"),
        (Path::new(MODEL), "abacus", "abacus"),
    ] {
        let outcome = tteview(arguments(model, provider));
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (3, ""), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(cause), "{}", outcome.stderr);
    }
    assert_eq!(classify(&[], &[]).exit, 2);
}

#[test]
fn half_the_frame_rate_is_twice_the_samples() {
    let [_, png] = phantom(&folder("rate"));
    let outcome = classify(&[&png], &["--json", "--frame-rate", "15"]);
    let object = &objects(&outcome)[0];
    assert_eq!([&object["cine"]["timing"], &object["frames"]], [&Value::from("--frame-rate"), &40.into()]);
    // 40 frames at 15 a second last 2.6 s: 79 samples of 33.3 ms, the last chunk of four filled up.
    assert_eq!(object["chunks"], 20);
}

#[test]
fn the_demo_needs_no_file_and_finds_the_view_of_the_phantom() {
    let outcome = tteview(["demo", "--view", "PLAX"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    for text in ["synthetic, PLAX", "not for clinical use", "demo-3", "\nview     PLAX (", "latency  "] {
        assert!(outcome.stdout.contains(text), "{}", outcome.stdout);
    }
    // Sixty frames are fifteen chunks; the label after each but the last few is seen before the end.
    let live = outcome.stdout.lines().filter(|line| line.contains(" s  ")).count();
    assert!(live >= 1, "{}", outcome.stdout);
}

#[test]
fn the_real_cardiac_cine_gets_a_label_and_its_frames_are_written() {
    let cardiac = real("examples_ybr_color.dcm");
    let outcome = classify(&[&cardiac], &["--json"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let object = &objects(&outcome)[0];
    assert!(object["view"].is_string(), "{object}");
    assert_eq!(object["frames"], 30);
    let target = folder("frames").join("cardiac.ppm");
    let arguments =
        ["frames".as_ref(), cardiac.as_os_str(), "-o".as_ref(), target.as_os_str(), "--json".as_ref()];
    let outcome = tteview(arguments);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    assert_eq!(objects(&outcome)[0]["period_ns"], 33_333_000);
    let images = pnm(&target);
    assert_eq!(images.len(), 30);
    assert!(images.iter().all(|&(width, height, _)| (width, height) == (320, 240)));
}

#[test]
fn options_that_no_provider_takes_and_engines_that_none_builds_are_refused_by_name() {
    let [dicom, _] = phantom(&folder("options"));
    let outcome = classify(&[&dicom], &["--provider-option", "trt_builder_optimization_level=5"]);
    assert_eq!(outcome.exit, 3);
    assert!(
        outcome.stderr.contains("trt_builder_optimization_level belongs to tensorrt"),
        "{}",
        outcome.stderr
    );
    let outcome = classify(&[&dicom], &["--provider-option", "level"]);
    assert_eq!(outcome.exit, 2);
    assert!(outcome.stderr.contains("KEY=VALUE"), "{}", outcome.stderr);
    for way in ["export", "import"] {
        let outcome = tteview(["engine", way, "engine.file", "--model", MODEL, "--engine-cache", "engines"]);
        assert_eq!(outcome.exit, 3);
        assert!(outcome.stderr.contains("embedded builds no engine"), "{}", outcome.stderr);
    }
}
