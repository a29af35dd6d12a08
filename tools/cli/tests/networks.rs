//! Tests of `tteview compile`, `classify`, `eval`, `adjust` and `bench latency` with the kinds of
//! networks that are not SlowFast: a head that is not linear, averaged probabilities, a recurrent
//! network, and a network that only ONNX Runtime runs.

mod common;

use common::{Outcome, create_folder, run_tteview};
use serde_json::{Value, json};
use std::fs::{read_to_string, write};
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_png};

/// A network in `tools/compiler/testdata/exported/`, and what is special about its package.
struct Network {
    name: &'static str,
    labels: usize,
    mode: &'static str,
    label_rule: Option<&'static str>,
    has_head: bool,
    /// Whether the package runs only with ONNX Runtime.
    needs_runtime: bool,
}

const NETWORKS: [Network; 4] = [
    Network {
        name: "mlp_head_causal",
        labels: 26,
        mode: "stream",
        label_rule: None,
        has_head: true,
        needs_runtime: false,
    },
    Network {
        name: "perframe_probs_ncthw",
        labels: 26,
        mode: "stream",
        label_rule: Some("mean_probabilities"),
        has_head: false,
        needs_runtime: false,
    },
    Network {
        name: "cnn_lstm_last",
        labels: 26,
        mode: "stream",
        label_rule: Some("newest"),
        has_head: false,
        needs_runtime: false,
    },
    Network {
        name: "token_pruning",
        labels: 3,
        mode: "clip",
        label_rule: None,
        has_head: false,
        needs_runtime: true,
    },
];

impl Network {
    /// Returns the options of the provider.
    fn provider(&self) -> Vec<String> {
        if !self.needs_runtime {
            return Vec::new();
        }
        let library = std::env::var("TTEVIEW_ORT_DYLIB")
            .expect("TTEVIEW_ORT_DYLIB must be set to the shared library of ONNX Runtime");
        ["--provider", "cpu", "--runtime", &library].map(str::to_owned).to_vec()
    }

    /// Compiles the network and returns the path of its package.
    fn compile(&self, folder: &Path) -> PathBuf {
        let label = |i| json!({"code": format!("L{i}"), "name": format!("label {i}")});
        let labels: Vec<Value> = (0..self.labels).map(label).collect();
        write(folder.join("labels.json"), Value::from(labels).to_string()).unwrap();
        let source = format!("tools/compiler/testdata/exported/{}.onnx", self.name);
        let (labels, prefix) = (folder.join("labels.json"), folder.join("net"));
        let [labels, prefix] = [&labels, &prefix].map(|path| path.to_str().unwrap());
        expect_success(run_tteview(["compile", &source, "--labels", labels, "-o", prefix]));
        folder.join(format!("net.{}.onnx", self.mode))
    }

    fn classify(&self, package: &Path, cine: &Path) -> Value {
        let [package, cine] = [package, cine].map(|path| path.to_str().unwrap());
        let fixed = ["classify", "--json", "--model", package, cine];
        let words = fixed.map(str::to_owned).into_iter().chain(self.provider());
        serde_json::from_str(&expect_success(run_tteview(words))).unwrap()
    }
}

fn expect_success(outcome: Outcome) -> String {
    assert_eq!(outcome.exit, 0, "{}{}", outcome.stdout, outcome.stderr);
    outcome.stdout
}

/// Writes a manifest and two cines of different patients and views.
fn write_set(folder: &Path) -> PathBuf {
    let settings = Settings { width: 64, height: 64, frames: 26, ..Settings::default() };
    let mut manifest = "path,label,patient,split,colour\n".to_owned();
    for (number, view) in [View::A4c, View::Plax].into_iter().enumerate() {
        let name = format!("cine{number}");
        std::fs::create_dir(folder.join(&name)).unwrap();
        for (index, frame) in render(view, number as u64, &settings).frames.iter().enumerate() {
            write_png(&folder.join(&name).join(format!("{index:04}.png")), frame, 64, 64).unwrap();
        }
        manifest += &format!("{name},L{number},p{number},test,0\n");
    }
    write(folder.join("manifest.csv"), manifest).unwrap();
    folder.join("manifest.csv")
}

#[test]
fn every_kind_of_network_is_evaluated_as_it_is_classified() {
    for network in &NETWORKS {
        let folder = create_folder(&format!("networks_{}", network.name));
        let package = network.compile(&folder);
        let inspected = run_tteview(["inspect", package.to_str().unwrap(), "--json"]);
        let inspected: Value = serde_json::from_str(&expect_success(inspected)).unwrap();
        let metadata = &inspected["metadata"];
        assert_eq!(metadata["label_rule"].as_str(), network.label_rule, "{}", network.name);
        assert_eq!(metadata["features"].is_null(), !network.has_head, "{}", network.name);

        let (manifest, out) = (write_set(&folder), folder.join("out"));
        let [manifest, model, out_text] =
            [&manifest, &package, &out].map(|path| path.to_str().unwrap());
        let fixed = ["eval", "--manifest", manifest, "--model", model, "--out", out_text];
        let words = fixed.map(str::to_owned).into_iter().chain(network.provider());
        expect_success(run_tteview(words));
        let text = read_to_string(out.join("predictions.jsonl")).unwrap();
        let rows: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mode = if network.mode == "clip" { "window" } else { "stream" };
        assert_eq!(rows[0]["run"]["mode"], mode, "{}", network.name);
        let labels = rows[0]["labels"].as_array().unwrap();
        let cines: Vec<&Value> = rows[1..].iter().filter(|row| row["change"].is_null()).collect();
        assert_eq!(cines.len(), 2);
        for cine in cines {
            let path = folder.join(cine["path"].as_str().unwrap());
            let classified = network.classify(&package, &path);
            let last = cine["log_posterior"].as_array().unwrap().last().unwrap();
            for (label, log) in labels.iter().zip(last.as_array().unwrap()) {
                let score = classified["scores"][label.as_str().unwrap()].as_f64().unwrap();
                let predicted = log.as_f64().unwrap().exp();
                assert!((score - predicted).abs() < 2e-6, "{}: {label}", network.name);
            }
        }
    }
}

#[test]
fn every_kind_of_network_takes_other_thresholds() {
    for network in &NETWORKS {
        let folder = create_folder(&format!("networks_adjusted_{}", network.name));
        let package = network.compile(&folder);
        write_set(&folder);
        let before = network.classify(&package, &folder.join("cine0"));
        assert!(before["view"].is_string(), "{before}");
        let strict = folder.join("strict.onnx");
        let [model, output] = [&package, &strict].map(|path| path.to_str().unwrap());
        let words = ["adjust", model, "--temperature", "1.5", "--threshold", "1", "-o", output];
        expect_success(run_tteview(words));
        let after = network.classify(&strict, &folder.join("cine0"));
        assert!(after["view"].is_null(), "{}: {after}", network.name);
        // The temperature makes the largest score smaller.
        let largest = |result: &Value| {
            let scores = result["scores"].as_object().unwrap().values();
            scores.map(|score| score.as_f64().unwrap()).fold(0.0, f64::max)
        };
        assert!(largest(&after) < largest(&before), "{}: {after}", network.name);
    }
}

#[test]
fn the_latency_of_every_kind_of_network_is_measured() {
    for network in &NETWORKS {
        let folder = create_folder(&format!("networks_latency_{}", network.name));
        let (package, json) = (network.compile(&folder), folder.join("latency.json"));
        let [model, json_text] = [&package, &json].map(|path| path.to_str().unwrap());
        let fixed = ["bench", "latency", "--model", model, "--seconds", "0.3", "--frame", "64x64"];
        let short = ["--rate", "max", "--acquisitions", "3", "--json", json_text];
        let words = fixed.iter().chain(&short).map(|word| (*word).to_owned());
        expect_success(run_tteview(words.chain(network.provider())));
        let report: Value = serde_json::from_str(&read_to_string(json).unwrap()).unwrap();
        for case in report["cases"].as_array().unwrap() {
            assert_eq!(case["label_latency"]["count"], 3, "{}: {case}", network.name);
            assert!(case["label_latency"]["p50_ns"].as_f64().unwrap() > 0.0, "{case}");
        }
    }
}
