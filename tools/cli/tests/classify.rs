//! Tests of `tteview classify`, `demo` and `frames`. The tests run the program as a script would.

mod common;
#[allow(dead_code, reason = "each test file uses some of the items")]
#[path = "common/files.rs"]
mod files;

use common::{Outcome, create_folder, run_tteview};
use files::{read_pnm, real_file};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_dicom, write_png};

const MODEL: &str = "models/standin.stream.onnx";

/// Writes a cine of 40 frames as a DICOM file and as a folder of PNG frames.
fn write_phantom(folder: &Path) -> [PathBuf; 2] {
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

fn run_classify(files: &[&Path], more: &[&str]) -> Outcome {
    let fixed = ["classify", "--model", MODEL].iter().chain(more).map(|word| word.as_ref());
    run_tteview(fixed.chain(files.iter().map(|file| file.as_os_str())))
}

fn parse_lines(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn dicom_and_png_of_a_cine_have_the_same_scores() {
    let [dicom, png] = write_phantom(&create_folder("same"));
    // The frame time in the DICOM file is rounded. Without `--frame-rate`, the last frame would
    // therefore come slightly too early to yield a sample.
    let outcome =
        run_classify(&[&dicom, &png], &["--json", "--provider", "embedded", "--frame-rate", "30"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    let [a, b] = &parse_lines(&outcome)[..] else { panic!("{}", outcome.stdout) };
    assert_eq!(a["scores"], b["scores"]);
    assert_eq!([&a["frames"], &a["chunks"]], [&Value::from(40), &10.into()]);
    let scores = a["scores"].as_object().unwrap();
    let sum: f64 = scores.values().map(|score| score.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5 && scores.len() == 21);
    assert_eq!(scores[a["view"].as_str().unwrap()], a["confidence"]);
}

#[test]
fn the_hop_sets_the_number_of_windows() {
    let [dicom, _] = write_phantom(&create_folder("hop"));
    let windows = |hop: &[&str]| {
        let model = ["classify", "--model", "models/standin.clip.onnx", "--json"];
        let words = model.iter().chain(hop).map(|word| word.as_ref());
        let outcome = run_tteview(words.chain([dicom.as_os_str()]));
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
        parse_lines(&outcome)[0]["chunks"].as_u64().unwrap()
    };
    assert!(
        windows(&["--hop", "1"]) > windows(&["--hop", "4"]),
        "a shorter hop gives more windows"
    );
}

#[test]
fn a_hop_is_refused_for_a_stream_package() {
    let [dicom, _] = write_phantom(&create_folder("hop-stream"));
    let outcome = run_classify(&[&dicom], &["--hop", "4"]);
    assert_eq!(outcome.exit, 2);
    assert!(outcome.stderr.contains("--hop needs a package in window mode"), "{}", outcome.stderr);
}

#[test]
fn the_table_has_a_row_per_file() {
    let [dicom, png] = write_phantom(&create_folder("table"));
    // A single cine has no summary.
    let outcome = run_classify(&[&dicom], &[]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    let outcome = run_classify(&[&dicom, &png], &[]);
    assert_eq!(outcome.exit, 0);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    let rows: Vec<Vec<&str>> =
        outcome.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], ["file", "view", "confidence", "margin", "frames", "chunks", "seconds"]);
    assert_eq!([rows[1][0], rows[1][4], rows[1][5]], [dicom.to_str().unwrap(), "40", "10"]);
}

#[test]
fn a_failed_file_is_named_and_the_others_are_labelled() {
    let folder = create_folder("mixed");
    let [dicom, _] = write_phantom(&folder);
    let missing = folder.join("missing.dcm");
    let whole = std::fs::read(&dicom).unwrap();
    let cut = folder.join("cut.dcm");
    std::fs::write(&cut, &whole[..1000]).unwrap();
    let files = [missing.as_path(), &cut, &dicom];
    let outcome = run_classify(&files, &[]);
    assert_eq!(outcome.exit, 1);
    assert_eq!(outcome.stdout.lines().count(), 2, "{}", outcome.stdout);
    for text in
        ["missing.dcm: No such file", "cut.dcm: the file is truncated", "2 of 3 files failed"]
    {
        assert!(outcome.stderr.contains(text), "{}", outcome.stderr);
    }
    let outcome = run_classify(&files, &["--json"]);
    let objects = parse_lines(&outcome);
    assert_eq!((outcome.exit, objects.len()), (1, 3));
    assert!(
        objects[1]["error"].as_str().unwrap().contains("truncated") && objects[1]["view"].is_null()
    );
    assert!(objects[2]["view"].is_string());
}

#[test]
fn a_model_that_cannot_run_exits_with_3() {
    let folder = create_folder("model");
    let [dicom, _] = write_phantom(&folder);
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
        let outcome = run_tteview(arguments(model, provider));
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (3, ""), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(cause), "{}", outcome.stderr);
    }
    assert_eq!(run_classify(&[], &[]).exit, 2);
}

#[test]
fn half_the_frame_rate_gives_twice_the_samples() {
    let [_, png] = write_phantom(&create_folder("rate"));
    let outcome = run_classify(&[&png], &["--json", "--frame-rate", "15"]);
    let object = &parse_lines(&outcome)[0];
    assert_eq!(
        [&object["cine"]["timing"], &object["frames"]],
        [&Value::from("--frame-rate"), &40.into()]
    );
    // 40 frames at 15 frames per second last 2.6 s, which gives 79 samples at intervals of 33.3 ms.
    // The last chunk has only three of its four samples and is completed.
    assert_eq!(object["chunks"], 20);
}

#[test]
fn the_demo_labels_its_phantom_without_files() {
    let outcome = run_tteview(["demo", "--view", "PLAX"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    for text in
        ["synthetic, PLAX", "not for clinical use", "demo-5", "\nview     PLAX (", "latency  "]
    {
        assert!(outcome.stdout.contains(text), "{}", outcome.stdout);
    }
    // The phantom has 15 chunks. At least one of their labels is printed before the end.
    let live = outcome.stdout.lines().filter(|line| line.contains(" s  ")).count();
    assert!(live >= 1, "{}", outcome.stdout);
}

#[test]
fn a_real_cine_is_labelled_and_its_frames_are_written() {
    let cardiac = real_file("examples_ybr_color.dcm");
    let outcome = run_classify(&[&cardiac], &["--json"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let object = &parse_lines(&outcome)[0];
    assert!(object["view"].is_string(), "{object}");
    assert_eq!(object["frames"], 30);
    let target = create_folder("frames").join("cardiac.ppm");
    let arguments = [
        "frames".as_ref(),
        cardiac.as_os_str(),
        "-o".as_ref(),
        target.as_os_str(),
        "--json".as_ref(),
    ];
    let outcome = run_tteview(arguments);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    assert_eq!(parse_lines(&outcome)[0]["period_ns"], 33_333_000);
    let images = read_pnm(&target);
    assert_eq!(images.len(), 30);
    assert!(images.iter().all(|&(width, height, _)| (width, height) == (320, 240)));
}

#[test]
fn unused_options_and_engine_files_are_refused_with_a_cause() {
    let [dicom, _] = write_phantom(&create_folder("options"));
    let outcome =
        run_classify(&[&dicom], &["--provider-option", "trt_builder_optimization_level=5"]);
    assert_eq!(outcome.exit, 3);
    assert!(
        outcome.stderr.contains("trt_builder_optimization_level belongs to the provider tensorrt"),
        "{}",
        outcome.stderr
    );
    let outcome = run_classify(&[&dicom], &["--provider-option", "level"]);
    assert_eq!(outcome.exit, 2);
    assert!(outcome.stderr.contains("KEY=VALUE"), "{}", outcome.stderr);
    for way in ["export", "import"] {
        let outcome = run_tteview([
            "engine",
            way,
            "engine.file",
            "--model",
            MODEL,
            "--engine-cache",
            "engines",
        ]);
        assert_eq!(outcome.exit, 3);
        assert!(outcome.stderr.contains("embedded builds no engine"), "{}", outcome.stderr);
        let outcome = run_tteview(["engine", way, "engine.file", "--model", MODEL]);
        assert_eq!(outcome.exit, 2);
        assert!(outcome.stderr.contains("--engine-cache is missing"), "{}", outcome.stderr);
    }
}
