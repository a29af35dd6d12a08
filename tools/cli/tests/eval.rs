//! Tests of the predictions, shards, metrics, reports and errors of `tteview eval`. The tests run
//! the program as a script would.

mod common;

use common::{Outcome, create_folder, run_tteview};
use serde_json::Value;
use std::fs::{read, read_to_string, write};
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_png};

const MODEL: &str = "models/standin.stream.onnx";
const COLUMNS: &str = "path,label,patient,split,colour,gain";

/// Writes a manifest and five cines: two views of each of two patients, and one view of a third
/// patient, who is in the split `val`.
fn write_set(folder: &Path) -> PathBuf {
    let settings = Settings { width: 64, height: 64, frames: 26, ..Settings::default() };
    let mut manifest = format!("{COLUMNS}\n");
    let cines = [(View::A4c, 1), (View::Plax, 1), (View::A4c, 2), (View::Plax, 2), (View::A4c, 3)];
    for (view, patient) in cines {
        let name = format!("{}_{patient}", view.code());
        std::fs::create_dir(folder.join(&name)).unwrap();
        for (index, frame) in render(view, patient, &settings).frames.iter().enumerate() {
            write_png(&folder.join(&name).join(format!("{index:04}.png")), frame, 64, 64).unwrap();
        }
        let split = if patient == 3 { "val" } else { "test" };
        manifest += &format!("{name},{},p{patient},{split},0,{patient}.5\n", view.code());
    }
    write(folder.join("manifest.csv"), manifest).unwrap();
    folder.join("manifest.csv")
}

fn run_eval(manifest: &Path, out: &Path, more: &[&str]) -> Outcome {
    let [manifest, out] = [manifest, out].map(|path| path.to_str().unwrap());
    let fixed = ["eval", "--manifest", manifest, "--model", MODEL, "--out", out];
    run_tteview(fixed.iter().chain(more))
}

fn expect_success(outcome: Outcome) -> String {
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
    outcome.stdout
}

fn read_rows(file: &Path) -> Vec<Value> {
    let text = read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn eval_and_classify_give_the_same_scores() {
    let folder = create_folder("eval_classify");
    let manifest = write_set(&folder);
    expect_success(run_eval(&manifest, &folder.join("out"), &[]));
    let rows = read_rows(&folder.join("out/predictions.jsonl"));
    let labels = rows[0]["labels"].as_array().unwrap();
    assert_eq!(
        [&rows[0]["predictions"], &rows[0]["run"]["mode"]],
        [&Value::from(1), &"stream".into()]
    );
    let cines: Vec<&Value> = rows[1..].iter().filter(|row| row["change"].is_null()).collect();
    assert_eq!(cines.len(), 4);
    for cine in cines {
        let path = folder.join(cine["path"].as_str().unwrap());
        let outcome = run_tteview(["classify", "--json", "--model", MODEL, path.to_str().unwrap()]);
        let classified: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let posteriors = cine["log_posterior"].as_array().unwrap();
        // 26 samples form six chunks of four samples and half a chunk, which is completed.
        assert_eq!([posteriors.len(), cine["times_ns"].as_array().unwrap().len()], [7, 7]);
        assert_eq!(classified["chunks"], 7);
        for (label, log) in labels.iter().zip(posteriors[6].as_array().unwrap()) {
            let score = classified["scores"][label.as_str().unwrap()].as_f64().unwrap();
            let predicted = log.as_f64().unwrap().exp();
            assert!((score - predicted).abs() < 2e-6, "{label}: {score} {predicted}");
        }
    }
}

#[test]
fn windows_are_a_quarter_of_a_clip_apart() {
    let folder = create_folder("eval_windows");
    let manifest = write_set(&folder);
    // 26 frames at intervals of 66.7 ms give 51 samples.
    let columns = "path,label,patient,split,colour,frame_period_ns";
    write(&manifest, format!("{columns}\nA4C_1,A4C,p1,test,0,66666666\n")).unwrap();
    let out = folder.join("out");
    let [manifest, out] = [&manifest, &out].map(|path| path.to_str().unwrap());
    let clip = "models/standin.clip.onnx";
    expect_success(run_tteview(["eval", "--manifest", manifest, "--model", clip, "--out", out]));
    let rows = read_rows(&folder.join("out/predictions.jsonl"));
    let times: Vec<i64> =
        rows[1]["times_ns"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap()).collect();
    // The first window is a clip of 32 samples, and the last one ends with the acquisition.
    let interval_ns = 33_333_333;
    assert_eq!(times, [31, 39, 47, 50].map(|sample| sample * interval_ns));
}

#[test]
fn merged_shards_equal_one_run_even_after_an_interruption() {
    let folder = create_folder("eval_shards");
    let manifest = write_set(&folder);
    let (whole, merged) = (folder.join("whole"), folder.join("merged"));
    expect_success(run_eval(&manifest, &whole, &["--split", "all"]));
    let shard = |name: &str| run_eval(&manifest, &folder, &["--split", "all", "--shard", name]);
    for name in ["1/2", "2/2"] {
        expect_success(shard(name));
    }
    let files = [1, 2].map(|shard| folder.join(format!("predictions.{shard}-of-2.jsonl")));
    let complete = read(&files[0]).unwrap();
    write(&files[0], &complete[..complete.len() / 2]).unwrap();
    let merge = |files: &[&Path]| {
        let words = ["eval", "merge", "--out", merged.to_str().unwrap()];
        run_tteview(words.into_iter().chain(files.iter().map(|file| file.to_str().unwrap())))
    };
    let refused = |files: &[&Path], cause: &str| {
        let outcome = merge(files);
        assert_eq!(outcome.exit, 1, "{}", outcome.stdout);
        assert!(outcome.stderr.contains(cause), "{} is not in {}", cause, outcome.stderr);
    };
    refused(&[&files[0], &files[1]], "shard 1/2 must have");
    expect_success(shard("1/2"));
    assert_eq!(read(&files[0]).unwrap(), complete);
    refused(&[&files[1]], "shard 1/2 is missing");
    refused(&[&files[0], &files[0]], "contains shard 1/2, too");
    expect_success(merge(&[&files[1], &files[0]]));
    for name in ["predictions.jsonl", "metrics.json", "report.html"] {
        assert_eq!(read(whole.join(name)).unwrap(), read(merged.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn metrics_and_report_are_complete_and_need_no_network() {
    let folder = create_folder("eval_report");
    let manifest = write_set(&folder);
    let out = folder.join("out");
    let stdout = expect_success(run_eval(&manifest, &out, &["--split", "test,val"]));
    assert!(stdout.contains("4 cines of 2 patients"), "{stdout}");
    let metrics: Value = serde_json::from_slice(&read(out.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["calibration"]["scaled"]["fitted_on"], "val");
    // All cines last longer than 0.5 s and less than 2 s.
    assert_eq!([&metrics["durations"][0]["count"], &metrics["durations"][1]["count"]], [4, 0]);
    // There is one pair for each patient with two views.
    assert_eq!([&metrics["changes"]["pairs"], &metrics["changes"]["left_out"]], [2, 0]);
    assert_eq!(metrics["changes"]["rows"][0]["count"], 2);
    assert_eq!(metrics["robustness"].as_array().unwrap().len(), 2);
    let report = read_to_string(out.join("report.html")).unwrap();
    for text in [
        "Macro F1",
        "A4C",
        "confusion matrix",
        "reliability diagram",
        "Robustness",
        "Change of view",
    ] {
        assert!(report.contains(text), "{text}");
    }
    for text in ["http", "//", "<script", "<link", "<img", "url(", "@import", "NaN"] {
        assert!(!report.contains(text), "{text}");
    }
}

#[test]
fn wrong_input_is_named_with_the_allowed_values() {
    let folder = create_folder("eval_wrong");
    let manifest = write_set(&folder);
    let good = read_to_string(&manifest).unwrap();
    let out = folder.join("out");
    for (number, (manifest, more, cause)) in [
        (good.replace(",patient,", ",person,"), [].as_slice(), "add patient"),
        (good.replace("A4C_1,A4C,", "A4C_1,A9C,"), &[], "A4C_1: the label must be one of "),
        (
            good.replace("p3,val", "p2,val"),
            &[],
            "patient p2 must be in one split, got test and val",
        ),
        (good.replace("A4C_2,", "A4C_1,"), &[], "A4C_1 appears twice"),
        (good.replace("PLAX_1,PLAX,p1", "PLAX_1,PLAX,"), &[], "line 3: patient must not be empty"),
        (
            good.clone(),
            &["--split", "trian"],
            "--split must be one of test, val, all, got \"trian\"",
        ),
        (good.replace("PLAX_1,", "PLAX_9,"), &[], "PLAX_9: No such file"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.join(format!("wrong{number}.csv"));
        write(&path, manifest).unwrap();
        let outcome = run_eval(&path, &out, more);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{cause}");
        assert!(outcome.stderr.contains(cause), "{cause} is not in {}", outcome.stderr);
    }
    for wrong in ["0/2", "3/2", "2"] {
        assert_eq!(run_eval(&manifest, &out, &["--shard", wrong]).exit, 2, "{wrong}");
    }
}

#[test]
fn an_unreadable_cine_is_skipped_on_request() {
    let folder = create_folder("eval_unreadable");
    let manifest = write_set(&folder);
    let text = read_to_string(&manifest).unwrap().replace("PLAX_1,", "PLAX_9,");
    write(&manifest, text).unwrap();
    let out = folder.join("out");
    expect_success(run_eval(&manifest, &out, &["--skip-unreadable"]));
    let metrics: Value = serde_json::from_slice(&read(out.join("metrics.json")).unwrap()).unwrap();
    assert_eq!([&metrics["unreadable"], &metrics["cines"]], [1, 3]);
    // The pair that contains the unreadable cine would give two acquisitions, one without and one
    // with the view-change rule. Both are left out.
    assert_eq!([&metrics["changes"]["pairs"], &metrics["changes"]["left_out"]], [1, 2]);
    assert!(read_to_string(out.join("report.html")).unwrap().contains("1 cines could not be read"));
}

#[test]
fn the_folder_of_another_run_is_refused() {
    let folder = create_folder("eval_other");
    let manifest = write_set(&folder);
    let out = folder.join("out");
    expect_success(run_eval(&manifest, &out, &["--changes", "0"]));
    let outcome = run_eval(&manifest, &out, &["--split", "all", "--changes", "0"]);
    assert_eq!(outcome.exit, 1);
    assert!(
        outcome.stderr.contains("predictions.jsonl: the file belongs to another run"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn two_files_are_compared_by_label_and_score() {
    let folder = create_folder("eval_compare");
    let manifest = write_set(&folder);
    let (one, two) = (folder.join("one"), folder.join("two"));
    expect_success(run_eval(&manifest, &one, &["--changes", "0"]));
    std::fs::create_dir(&two).unwrap();
    let [one, two] = [one, two].map(|folder| folder.join("predictions.jsonl"));
    let text = read_to_string(&one).unwrap();
    let compare = |text: &str, more: &[&str]| {
        write(&two, text).unwrap();
        let fixed = ["eval", "compare", one.to_str().unwrap(), two.to_str().unwrap()];
        run_tteview(fixed.iter().chain(more))
    };

    let same = expect_success(compare(&text, &["--same-labels", "1", "--scores", "0"]));
    assert!(same.starts_with("4 of 4 cines have the same label (100.00 %)\n"), "{same}");

    // Change the last posterior of one cine: give the whole probability to the label that follows
    // the predicted label.
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let mut row: Value = serde_json::from_str(&lines[2]).unwrap();
    let last =
        row["log_posterior"].as_array_mut().unwrap().last_mut().unwrap().as_array_mut().unwrap();
    let most = |a: &(usize, &Value), b: &(usize, &Value)| {
        a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap())
    };
    let label = last.iter().enumerate().max_by(most).unwrap().0;
    let count = last.len();
    last.fill(Value::from(-80.0));
    last[(label + 1) % count] = Value::from(0.0);
    lines[2] = row.to_string();
    let altered = lines.join("\n") + "\n";
    let apart = expect_success(compare(&altered, &[]));
    assert!(apart.starts_with("3 of 4 cines have the same label (75.00 %)\n"), "{apart}");
    for bound in [["--same-labels", "0.9"], ["--scores", "0.001"]] {
        let refused = compare(&altered, &bound);
        assert_eq!(refused.exit, 1);
        assert!(refused.stderr.contains("must"), "{}", refused.stderr);
    }
    for wrong in [["--same-labels", "90"], ["--scores", "nan"]] {
        assert_eq!(compare(&text, &wrong).exit, 2, "{wrong:?}");
    }

    let shorter: Vec<&str> = text.lines().take(4).collect();
    let refused = compare(&(shorter.join("\n") + "\n"), &[]);
    assert_eq!(refused.exit, 1);
    assert!(refused.stderr.contains("is missing"), "{}", refused.stderr);
}
