//! Tests of groups and of the novelty score in `tteview adjust`, `classify`, `eval` and `eval
//! compare`. The tests run the program as a script would.

mod common;

use common::{Outcome, create_folder, run_tteview};
use serde_json::Value;
use std::fs::{read_to_string, write};
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_png};

const STAND_IN: &str = "models/standin.stream.onnx";

fn expect_success(outcome: Outcome) -> String {
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
    outcome.stdout
}

/// Writes a stand-in package with groups and these thresholds.
fn adjust(folder: &Path, name: &str, thresholds: [&str; 2]) -> PathBuf {
    let output = folder.join(name);
    let [threshold, group_threshold] = thresholds;
    expect_success(run_tteview([
        "adjust",
        STAND_IN,
        "--labels",
        "models/views.json",
        "--threshold",
        threshold,
        "--group-threshold",
        group_threshold,
        "-o",
        output.to_str().unwrap(),
    ]));
    output
}

/// Writes a manifest and three cines of different patients.
fn write_set(folder: &Path) -> PathBuf {
    let settings = Settings { width: 64, height: 64, frames: 26, ..Settings::default() };
    let mut manifest = "path,label,patient,split,colour\n".to_owned();
    for (view, patient) in [(View::A4c, 1), (View::Plax, 2), (View::A2c, 3)] {
        let name = view.code();
        std::fs::create_dir(folder.join(name)).unwrap();
        for (index, frame) in render(view, patient, &settings).frames.iter().enumerate() {
            write_png(&folder.join(name).join(format!("{index:04}.png")), frame, 64, 64).unwrap();
        }
        manifest += &format!("{name},{name},p{patient},test,0\n");
    }
    write(folder.join("manifest.csv"), manifest).unwrap();
    folder.join("manifest.csv")
}

fn classify(model: &Path, file: &Path) -> Value {
    let words = ["classify", "--json", "--model", model.to_str().unwrap(), file.to_str().unwrap()];
    serde_json::from_str(&expect_success(run_tteview(words))).unwrap()
}

#[test]
fn a_withheld_view_leaves_the_group() {
    let folder = create_folder("groups_classify");
    write_set(&folder);
    let cine = folder.join("A4C");
    let open = classify(&adjust(&folder, "open.onnx", ["0", "0"]), &cine);
    let (views, groups): (Value, Vec<Value>) = {
        let text =
            read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/views.json"));
        let file: Value = serde_json::from_str(&text.unwrap()).unwrap();
        (file["labels"].clone(), file["groups"].as_array().unwrap().clone())
    };
    let sum = |group: &Value| -> f64 {
        let members = views.as_array().unwrap().iter().filter(|view| view["group"] == *group);
        members.map(|view| open["scores"][view["code"].as_str().unwrap()].as_f64().unwrap()).sum()
    };
    let largest = groups.iter().map(|group| sum(&group["code"])).fold(0.0, f64::max);
    assert!((open["group_confidence"].as_f64().unwrap() - largest).abs() < 1e-5);
    assert!((sum(&open["group"]) - largest).abs() < 1e-5, "{open}");

    let strict = classify(&adjust(&folder, "strict.onnx", ["1", "0"]), &cine);
    assert_eq!([&strict["view"], &strict["withheld"]], [&Value::Null, &true.into()]);
    assert_eq!(strict["group"], open["group"]);
    assert_eq!(strict["withheld_because"][0], "confidence");
    let none = classify(&adjust(&folder, "none.onnx", ["0", "1"]), &cine);
    assert_eq!([&none["view"], &none["group"]], [&Value::Null; 2]);
    let reasons = none["withheld_because"].as_array().unwrap();
    assert!(reasons.contains(&"group_confidence".into()), "{none}");
    let plain = classify(Path::new(STAND_IN), &cine);
    assert_eq!([&plain["group"], &plain["group_confidence"]], [&Value::Null; 2]);
    assert_eq!(plain["withheld_because"], Value::Array(vec![]));
    assert_eq!(plain["scores"], open["scores"]);
    let words = ["classify", "--model", "models/demo.stream.onnx", cine.to_str().unwrap()];
    let table = expect_success(run_tteview(words));
    assert!(table.lines().next().unwrap().contains("margin  group"), "{table}");
}

#[test]
fn eval_measures_each_level_and_compares_groups() {
    let folder = create_folder("groups_eval");
    let manifest = write_set(&folder);
    let run = |model: &Path, out: &str| {
        let out = folder.join(out);
        let [manifest, model] = [&manifest, model].map(|path| path.to_str().unwrap());
        let fixed = ["eval", "--manifest", manifest, "--model", model, "--changes", "0", "--out"];
        let printed = expect_success(run_tteview(fixed.into_iter().chain(out.to_str())));
        let metrics = read_to_string(out.join("metrics.json")).unwrap();
        (printed, serde_json::from_str::<Value>(&metrics).unwrap()["decision"].clone())
    };
    let (printed, open) = run(&adjust(&folder, "open.onnx", ["0", "0"]), "open");
    assert_eq!(open["group"]["count"], 3);
    assert_eq!(open["group_coverage"].as_array().unwrap().len(), 20);
    assert!(printed.contains("given groups: 3 (1.0000 of the cines)"), "{printed}");
    let (_, strict) = run(&adjust(&folder, "strict.onnx", ["1", "0"]), "strict");
    assert_eq!([&strict["label"]["count"], &strict["group"]["count"]], [0, 3]);
    assert_eq!(strict["withheld"]["abstained"], 3);
    assert!(strict["label"]["accuracy"].is_null());
    let (printed, plain) = run(Path::new(STAND_IN), "plain");
    assert!(plain["group"].is_null() && !printed.contains("given groups"), "{printed}");
    let file = |name: &str| folder.join(name).join("predictions.jsonl");
    let [open, plain] = ["open", "plain"].map(file).map(|path| path.to_str().unwrap().to_owned());
    let compared = expect_success(run_tteview(["eval", "compare", &open, &open]));
    assert!(compared.contains("3 of 3 cines have the same group"), "{compared}");
    let compared = expect_success(run_tteview(["eval", "compare", &open, &plain]));
    assert!(!compared.contains("same group"), "{compared}");
}

#[test]
fn a_novel_cine_is_withheld_and_counted() {
    let folder = create_folder("groups_novelty");
    let manifest = write_set(&folder);
    let cine = folder.join("A4C");
    let novelty = folder.join("novelty.json");
    write(&novelty, r#"{"kind":"energy","threshold":1000.0}"#).unwrap();
    let adjust = |model: &Path, name: &str, words: &[&str]| {
        let output = folder.join(name);
        let fixed = ["adjust", model.to_str().unwrap(), "-o", output.to_str().unwrap()];
        expect_success(run_tteview(fixed.iter().chain(words)));
        output
    };
    let open = adjust(Path::new(STAND_IN), "open.onnx", &["--novelty", novelty.to_str().unwrap()]);
    let strict = adjust(&open, "strict.onnx", &["--novelty-threshold", "-1000"]);
    let [open_result, strict_result, plain] =
        [&*open, &*strict, Path::new(STAND_IN)].map(|model| classify(model, &cine));
    assert!(open_result["novelty"].as_f64().is_some_and(|score| score < 0.0), "{open_result}");
    assert_eq!(open_result["view"], plain["view"]);
    assert_eq!(strict_result["novelty"], open_result["novelty"]);
    assert_eq!(strict_result["withheld_because"], Value::Array(vec!["novelty".into()]));
    assert_eq!([&strict_result["view"], &plain["novelty"]], [&Value::Null; 2]);
    let run = |model: &Path, name: &str| {
        let out = folder.join(name);
        let [manifest, model] = [&*manifest, model].map(|path| path.to_str().unwrap());
        let fixed = ["eval", "--manifest", manifest, "--model", model, "--changes", "0", "--out"];
        expect_success(run_tteview(fixed.into_iter().chain(out.to_str())));
        let metrics = read_to_string(out.join("metrics.json")).unwrap();
        let decision = serde_json::from_str::<Value>(&metrics).unwrap()["decision"].clone();
        (out.join("predictions.jsonl").to_str().unwrap().to_owned(), decision)
    };
    let ((one, first), (other, second)) = (run(&open, "open"), run(&strict, "strict"));
    assert_eq!([&first["withheld"]["novel"], &second["withheld"]["novel"]], [0, 3]);
    assert_eq!([&first["label"]["count"], &second["label"]["count"]], [3, 0]);
    let compared = expect_success(run_tteview(["eval", "compare", &one, &other]));
    assert!(compared.contains("difference of the novelty: 0.0e0"), "{compared}");
}

#[test]
fn adjustments_that_do_not_fit_are_refused() {
    let folder = create_folder("groups_refused");
    let output = folder.join("out.onnx");
    let refused = |words: &[&str], exit: i32, cause: &str| {
        let fixed = ["adjust", STAND_IN, "-o", output.to_str().unwrap()];
        let outcome = run_tteview(fixed.iter().chain(words));
        assert_eq!(outcome.exit, exit, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(cause), "{}", outcome.stderr);
        assert!(!output.exists());
    };
    refused(&[], 2, "required");
    refused(&["--group-threshold", "0.8"], 3, "needs groups");
    refused(&["--threshold", "1.5"], 3, "0 to 1, got 1.5");
    refused(&["--labels", "models/views.json"], 3, "group_threshold is missing");
    refused(&["--novelty-threshold", "1"], 3, "needs a novelty score");
    let other = folder.join("labels.json");
    write(&other, r#"[{"code":"A4C","name":"four"}]"#).unwrap();
    refused(&["--labels", other.to_str().unwrap()], 3, "must have the codes");
}
