//! `tteview eval` as a script sees it: predictions, shards, metrics, report, and what it refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

mod common;

use common::{Outcome, folder, tteview};
use serde_json::Value;
use std::fs::{read, read_to_string, write};
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_png};

const MODEL: &str = "models/standin.stream.onnx";
const COLUMNS: &str = "path,label,patient,split,colour,gain";

/// Two views of two patients, and a fifth cine of a third patient in split val.
fn set(folder: &Path) -> PathBuf {
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

fn eval(manifest: &Path, out: &Path, more: &[&str]) -> Outcome {
    let [manifest, out] = [manifest, out].map(|path| path.to_str().unwrap());
    let fixed = ["eval", "--manifest", manifest, "--model", MODEL, "--out", out];
    tteview(fixed.iter().chain(more))
}

fn done(outcome: Outcome) -> String {
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
    outcome.stdout
}

fn rows(file: &Path) -> Vec<Value> {
    let text = read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn predictions_over_the_c_abi_are_those_of_classify() {
    let folder = folder("eval_classify");
    let manifest = set(&folder);
    done(eval(&manifest, &folder.join("out"), &[]));
    let rows = rows(&folder.join("out/predictions.jsonl"));
    let labels = rows[0]["labels"].as_array().unwrap();
    assert_eq!([&rows[0]["predictions"], &rows[0]["run"]["mode"]], [&Value::from(1), &"stream".into()]);
    let cines: Vec<&Value> = rows[1..].iter().filter(|row| row["change"].is_null()).collect();
    assert_eq!(cines.len(), 4);
    for cine in cines {
        let path = folder.join(cine["path"].as_str().unwrap());
        let outcome = tteview(["classify", "--json", "--model", MODEL, path.to_str().unwrap()]);
        let classified: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let posteriors = cine["log_posterior"].as_array().unwrap();
        // 26 samples: six chunks of four, and a half one that is completed.
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
fn shards_put_together_are_one_run_and_a_shard_goes_on_where_it_was_cut_off() {
    let folder = folder("eval_shards");
    let manifest = set(&folder);
    let (whole, merged) = (folder.join("whole"), folder.join("merged"));
    done(eval(&manifest, &whole, &["--split", "all"]));
    let shard = |name: &str| eval(&manifest, &folder, &["--split", "all", "--shard", name]);
    for name in ["1/2", "2/2"] {
        done(shard(name));
    }
    let files = [1, 2].map(|shard| folder.join(format!("predictions.{shard}-of-2.jsonl")));
    let complete = read(&files[0]).unwrap();
    write(&files[0], &complete[..complete.len() / 2]).unwrap();
    let merge = |files: &[&Path]| {
        let words = ["eval", "merge", "--out", merged.to_str().unwrap()];
        tteview(words.into_iter().chain(files.iter().map(|file| file.to_str().unwrap())))
    };
    let refused = |files: &[&Path], cause: &str| {
        let outcome = merge(files);
        assert_eq!(outcome.exit, 1, "{}", outcome.stdout);
        assert!(outcome.stderr.contains(cause), "{} is not in {}", cause, outcome.stderr);
    };
    refused(&[&files[0], &files[1]], "run shard 1/2 to its end");
    done(shard("1/2"));
    assert_eq!(read(&files[0]).unwrap(), complete);
    refused(&[&files[1]], "shard 1/2 is missing");
    refused(&[&files[0], &files[0]], "shard 1/2, as");
    done(merge(&[&files[1], &files[0]]));
    for name in ["predictions.jsonl", "metrics.json", "report.html"] {
        assert_eq!(read(whole.join(name)).unwrap(), read(merged.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn metrics_and_report_hold_all_sections_and_the_report_fetches_nothing() {
    let folder = folder("eval_report");
    let manifest = set(&folder);
    let out = folder.join("out");
    let stdout = done(eval(&manifest, &out, &["--split", "test,val"]));
    assert!(stdout.contains("4 cines of 2 patients"), "{stdout}");
    let metrics: Value = serde_json::from_slice(&read(out.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["calibration"]["scaled"]["fitted_on"], "val");
    // Chunks end every 0.13 s: all cines reach 0.5 s and none 2 s.
    assert_eq!([&metrics["durations"][0]["count"], &metrics["durations"][1]["count"]], [4, 0]);
    // One pair of each patient with two views; the rule off and on.
    assert_eq!([&metrics["changes"]["pairs"], &metrics["changes"]["left_out"]], [2, 0]);
    assert_eq!(metrics["changes"]["rows"][0]["count"], 2);
    assert_eq!(metrics["robustness"].as_array().unwrap().len(), 2);
    let report = read_to_string(out.join("report.html")).unwrap();
    for text in ["Macro F1", "A4C", "confusion matrix", "reliability diagram", "Robustness", "Change of view"]
    {
        assert!(report.contains(text), "{text}");
    }
    for text in ["http", "//", "<script", "<link", "<img", "url(", "@import", "NaN"] {
        assert!(!report.contains(text), "{text}");
    }
}

#[test]
fn wrong_input_is_named() {
    let folder = folder("eval_wrong");
    let manifest = set(&folder);
    let good = read_to_string(&manifest).unwrap();
    let out = folder.join("out");
    for (number, (manifest, more, cause)) in [
        (good.replace(",patient,", ",person,"), [].as_slice(), "columns missing: patient"),
        (good.replace("A4C_1,A4C,", "A4C_1,A9C,"), &[], "A4C_1: the model has no label A9C"),
        (good.replace("p3,val", "p2,val"), &[], "patient p2 is in two splits, test and val"),
        (good.replace("A4C_2,", "A4C_1,"), &[], "A4C_1 is there twice"),
        (good.replace("PLAX_1,PLAX,p1", "PLAX_1,PLAX,"), &[], "line 3: patient is empty"),
        (good.clone(), &["--split", "trian"], "no cines of split trian; there are: test, val"),
        (good.replace("PLAX_1,", "PLAX_9,"), &[], "PLAX_9: No such file"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.join(format!("wrong{number}.csv"));
        write(&path, manifest).unwrap();
        let outcome = eval(&path, &out, more);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{cause}");
        assert!(outcome.stderr.contains(cause), "{cause} is not in {}", outcome.stderr);
    }
    for wrong in ["0/2", "3/2", "2"] {
        assert_eq!(eval(&manifest, &out, &["--shard", wrong]).exit, 2, "{wrong}");
    }
}

#[test]
fn an_unreadable_cine_is_counted_where_that_was_asked_for() {
    let folder = folder("eval_unreadable");
    let manifest = set(&folder);
    let text = read_to_string(&manifest).unwrap().replace("PLAX_1,", "PLAX_9,");
    write(&manifest, text).unwrap();
    let out = folder.join("out");
    done(eval(&manifest, &out, &["--skip-unreadable"]));
    let metrics: Value = serde_json::from_slice(&read(out.join("metrics.json")).unwrap()).unwrap();
    assert_eq!([&metrics["unreadable"], &metrics["cines"]], [1, 3]);
    // The pair with that cine cannot be acquired either, with the rule off and on.
    assert_eq!([&metrics["changes"]["pairs"], &metrics["changes"]["left_out"]], [1, 2]);
    assert!(read_to_string(out.join("report.html")).unwrap().contains("1 cines could not be read"));
}

#[test]
fn a_folder_of_another_run_is_not_added_to() {
    let folder = folder("eval_other");
    let manifest = set(&folder);
    let out = folder.join("out");
    done(eval(&manifest, &out, &["--changes", "0"]));
    let outcome = eval(&manifest, &out, &["--split", "all", "--changes", "0"]);
    assert_eq!(outcome.exit, 1);
    assert!(outcome.stderr.contains("predictions.jsonl: is of another run"), "{}", outcome.stderr);
}

#[test]
fn two_files_are_compared_by_label_and_score() {
    let folder = folder("eval_compare");
    let manifest = set(&folder);
    let (one, two) = (folder.join("one"), folder.join("two"));
    done(eval(&manifest, &one, &["--changes", "0"]));
    std::fs::create_dir(&two).unwrap();
    let [one, two] = [one, two].map(|folder| folder.join("predictions.jsonl"));
    let text = read_to_string(&one).unwrap();
    let compare = |text: &str, more: &[&str]| {
        write(&two, text).unwrap();
        let fixed = ["eval", "compare", one.to_str().unwrap(), two.to_str().unwrap()];
        tteview(fixed.iter().chain(more))
    };

    let same = done(compare(&text, &["--same-labels", "1", "--scores", "0"]));
    assert!(same.starts_with("4 of 4 cines have the same label (100.00 %)\n"), "{same}");

    // One cine whose last posterior is sure of the label after the one it had.
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let mut row: Value = serde_json::from_str(&lines[2]).unwrap();
    let last = row["log_posterior"].as_array_mut().unwrap().last_mut().unwrap().as_array_mut().unwrap();
    let most =
        |a: &(usize, &Value), b: &(usize, &Value)| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap());
    let label = last.iter().enumerate().max_by(most).unwrap().0;
    let count = last.len();
    last.fill(Value::from(-80.0));
    last[(label + 1) % count] = Value::from(0.0);
    lines[2] = row.to_string();
    let altered = lines.join("\n") + "\n";
    let apart = done(compare(&altered, &[]));
    assert!(apart.starts_with("3 of 4 cines have the same label (75.00 %)\n"), "{apart}");
    for bar in [["--same-labels", "0.9"], ["--scores", "0.001"]] {
        let refused = compare(&altered, &bar);
        assert_eq!(refused.exit, 1);
        assert!(refused.stderr.contains("does not agree"), "{}", refused.stderr);
    }

    let shorter: Vec<&str> = text.lines().take(4).collect();
    let refused = compare(&(shorter.join("\n") + "\n"), &[]);
    assert_eq!(refused.exit, 1);
    assert!(refused.stderr.contains("is missing"), "{}", refused.stderr);
}
