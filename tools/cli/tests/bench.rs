//! Tests of `tteview bench latency` and `tteview bench memory`.

mod common;

use common::{create_folder, run_tteview};
use serde_json::Value;
use std::path::Path;

const STAND_IN: &str = "models/standin.stream.onnx";

/// Measures a few short acquisitions and returns the table, the JSON and the plot.
fn measure(name: &str, arguments: &[&str]) -> (String, Value, String) {
    let folder = create_folder(name);
    let (json, plot) = (folder.join("latency.json"), folder.join("latency.svg"));
    let files = ["--json", json.to_str().unwrap(), "--plot", plot.to_str().unwrap()];
    let fixed = ["bench", "latency", "--model", STAND_IN, "--seconds", "0.3", "--frame", "320x240"];
    let outcome = run_tteview(fixed.iter().chain(arguments).chain(&files));
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let json = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    (outcome.stdout, json, std::fs::read_to_string(plot).unwrap())
}

#[test]
fn every_case_is_in_the_table_the_json_and_the_plot() {
    let clip = ["--clip", "models/standin.clip.onnx", "--acquisitions", "4", "--load", "0,1"];
    let (table, json, plot) = measure(
        "bench-cases",
        &[&clip[..], &["--rate", "60,max", "--partial", "auto,drop"]].concat(),
    );
    let cases = json["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    let (by_case, by_end) = table.split_once("\n\nBy the samples of the last chunk").unwrap();
    let count_rows = |table: &str| table.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(count_rows(by_case), 2 + 8);
    let mut rows = 0;
    for case in cases {
        let latency = &case["label_latency"];
        assert_eq!(latency["count"], 4);
        let percentiles =
            ["p50_ns", "p99_ns", "max_ns"].map(|name| latency[name].as_f64().unwrap());
        assert!(percentiles[0] > 0.0 && percentiles.is_sorted(), "{percentiles:?}");
        assert_eq!(case["label_latency_by_phase"].as_array().unwrap().len(), 4);
        let by_end = case["label_latency_by_partial_samples"].as_array().unwrap();
        let ends: Vec<u64> = by_end.iter().map(|times| times["count"].as_u64().unwrap()).collect();
        assert!(ends.len() <= 4 && ends.iter().sum::<u64>() == 4, "{ends:?}");
        rows += ends.iter().filter(|&&count| count > 0).count();
        let ratio = percentiles[0] / case["one_clip"]["time"]["p50_ns"].as_f64().unwrap();
        assert!((case["one_clip"]["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9);
        assert_eq!(case["source"], Value::Null);
        // At the rate `max`, frames are not pushed in real time, so the live label has no age.
        assert_eq!(case["live_label_age"].is_null(), case["rate"] == "max");
        // Each acquisition has at least three chunks of 0.133 s.
        assert!(case["chunks"].as_u64().unwrap() >= 4 * 3, "{case}");
    }
    assert_eq!(count_rows(by_end), 2 + rows);
    assert!(json["step_ns"].as_u64().unwrap() > 0);
    assert!(
        plot.starts_with("<svg")
            && plot.contains("percentile")
            && plot.contains("60 Hz, partial drop")
    );
}

#[test]
fn the_source_runs_in_the_onnx_runtime_of_the_process() {
    let library = std::env::var("TTEVIEW_ORT_DYLIB")
        .expect("TTEVIEW_ORT_DYLIB must name an ONNX Runtime; `cargo xtask test` fetches it");
    // The source can be any graph of float tensors, for example the clip package.
    let source = ["--source", "models/standin.clip.onnx", "--acquisitions", "2", "--rate", "max"];
    let (_, json, _) = measure(
        "bench-source",
        &[&source[..], &["--provider", "cpu", "--runtime", &library]].concat(),
    );
    assert_eq!(json["provider"], "cpu");
    for case in json["cases"].as_array().unwrap() {
        assert_eq!(case["source"]["time"]["count"], 2);
        assert!(case["source"]["ratio"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn other_streams_acquire_beside_the_measured_one() {
    let common = ["--acquisitions", "6", "--rate", "30", "--partial", "auto"];
    let measure = |name, other: &[&str]| {
        let (table, json, _) = measure(name, &[&common[..], other].concat());
        let phases = json["cases"][0]["label_latency_by_phase"].as_array().unwrap().clone();
        assert!(phases.iter().all(|phase| (0.0..1.0).contains(&phase[0].as_f64().unwrap())));
        (table, json)
    };
    let (table, json) = measure("bench-streams", &["--streams", "3", "--end", "any-time"]);
    assert!(table.contains("streams  3, whose acquisitions end at any time"), "{table}");
    assert_eq!(
        (&json["streams"], &json["end"]),
        (&3.into(), &"at any time after the last frame".into())
    );
    let (table, json) = measure("bench-one-stream", &[]);
    assert!(table.contains("streams  1, whose acquisitions end directly"), "{table}");
    assert_eq!(
        (&json["streams"], &json["end"]),
        (&1.into(), &"directly after the last frame".into())
    );
}

#[test]
fn wrong_arguments_are_refused_before_anything_runs() {
    for wrong in [
        ["--rate", "0"],
        ["--rate", "quick"],
        ["--frame", "640"],
        ["--frame", "16x16"],
        ["--seconds", "-1"],
        ["--acquisitions", "0"],
        ["--streams", "0"],
        ["--end", "never"],
    ] {
        let outcome = run_tteview(["bench", "latency", "--model", STAND_IN].iter().chain(&wrong));
        assert_eq!(outcome.exit, 2, "{wrong:?}: {}", outcome.stderr);
    }
    let missing = run_tteview(["bench", "latency", "--model", "nowhere.onnx"]);
    assert_eq!(missing.exit, 3);
    assert!(missing.stderr.contains("nowhere.onnx") && !Path::new("nowhere.onnx").exists());
}

#[test]
fn memory_is_reported_after_each_call_of_a_host() {
    let outcome = run_tteview(["bench", "memory", "--model", STAND_IN, "--json"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let json: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let rows = json["memory"].as_array().unwrap();
    let after: Vec<&str> = rows.iter().map(|row| row["after"].as_str().unwrap()).collect();
    assert_eq!(after, ["before", "engine created", "prepared", "stream created"]);
    let of =
        |key: &str| -> Vec<u64> { rows.iter().map(|row| row[key].as_u64().unwrap()).collect() };
    let (resident, peak) = (of("resident_kb"), of("peak_kb"));
    assert!(
        peak.is_sorted() && resident.iter().zip(&peak).all(|(now, peak)| now <= peak),
        "{json}"
    );
    // The stream's ring of 16 frames of 1024 x 1024 pixels takes more than 16,000 kB.
    assert!(resident[3] > resident[2] + 16 * 1000, "{json}");
    let table = run_tteview(["bench", "memory", "--model", STAND_IN]).stdout;
    assert!(table.contains("| prepared | "), "{table}");
}
