//! Tests of `tteview inspect`, `compile` and `phantom`.

mod common;

use common::{create_folder, run_tteview};
use serde_json::Value;
use std::path::Path;

// The compiler's tests write their source networks with the same code.
#[allow(dead_code, reason = "the compiler's tests use more of it")]
#[path = "../../compiler/src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "the compiler's tests use more of it")]
#[path = "../../compiler/src/tests/source.rs"]
mod source;

#[path = "../../compiler/src/xorshift.rs"]
mod xorshift;

const STAND_IN: &str = "models/standin.stream.onnx";
const LABELS: &str =
    r#"[{"code":"A4C","name":"apical four-chamber"},{"code":"OTHER","name":"other"}]"#;

/// Writes a network with two labels and two pathways.
fn write_network(folder: &Path, channels: usize, padding: source::Padding) -> std::path::PathBuf {
    let mut s = source::Source::new(7);
    let slow = s.input("slow", &[1, channels, 2, 32, 32]);
    let fast = s.input("fast", &[1, channels, 8, 32, 32]);
    let slow = s.conv(&slow, 8, [1, 3, 3], [1, 2, 2], 1, padding);
    let fast = s.conv(&fast, 4, [3, 3, 3], [1, 2, 2], 1, padding);
    let joined = s.conv(&fast, 4, [5, 1, 1], [4, 1, 1], 1, padding);
    let both = s.concat(&[&slow, &joined], 1);
    let pooled = [&both, &fast].map(|x| s.mean(x, &[2, 3, 4], false));
    let pooled = s.concat(&[&pooled[0], &pooled[1]], 1);
    let logits = s.gemm(&pooled, 2);
    s.output(&logits);
    let path = folder.join("source.onnx");
    std::fs::write(&path, s.bytes()).unwrap();
    std::fs::write(folder.join("labels.json"), LABELS).unwrap();
    path
}

fn run_compile(folder: &Path, source: &Path, more: &[&str]) -> common::Outcome {
    let (labels, name) = (folder.join("labels.json"), folder.join("net"));
    let fixed = ["compile", source.to_str().unwrap(), "--labels", labels.to_str().unwrap()];
    run_tteview(fixed.iter().chain(&["-o", name.to_str().unwrap()]).chain(more))
}

#[test]
fn inspect_shortens_long_values_of_the_metadata() {
    let text = run_tteview(["inspect", STAND_IN]).stdout;
    let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest < 300, "{longest} characters");
    assert!(text.contains("characters; --json prints all)"), "{text}");
}

#[test]
fn inspect_shows_inputs_states_and_labels_as_json() {
    let outcome = run_tteview(["inspect", STAND_IN, "--json"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let shown: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(shown["inputs"][1]["name"], "fast");
    assert_eq!(shown["inputs"][1]["shape"], serde_json::json!([4, 1, 112, 112]));
    assert_eq!(shown["metadata"]["mode"], "stream");
    assert_eq!(shown["metadata"]["labels"].as_array().unwrap().len(), 21);
    let bytes: u64 =
        shown["states"].as_array().unwrap().iter().map(|s| s["bytes"].as_u64().unwrap()).sum();
    assert_eq!(shown["state_bytes"].as_u64(), Some(bytes));
    assert!(bytes > 0 && shown["multiply_adds"].as_u64().unwrap() > 0);
}

#[test]
fn inspect_names_an_unreadable_file_and_exits_with_3() {
    let folder = create_folder("inspect");
    let whole =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(STAND_IN)).unwrap();
    std::fs::write(folder.join("cut.onnx"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(folder.join("text.onnx"), "no model").unwrap();
    for name in ["missing.onnx", "cut.onnx", "text.onnx"] {
        let outcome = run_tteview(["inspect".as_ref(), folder.join(name).as_os_str()]);
        assert_eq!(outcome.exit, 3, "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn compile_writes_packages_that_inspect_reads() {
    let folder = create_folder("compile");
    let source = write_network(&folder, 3, source::Padding::Left);
    let outcome = run_compile(&folder, &source, &["--channels", "1", "--precision", "fp16"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    for (kind, mode) in [("clip", "window"), ("stream", "stream")] {
        let package = folder.join(format!("net.{kind}.onnx"));
        assert!(outcome.stdout.contains(package.to_str().unwrap()), "{}", outcome.stdout);
        let shown = run_tteview(["inspect", package.to_str().unwrap(), "--json"]);
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(shown["metadata"]["mode"], mode);
        assert_eq!(shown["metadata"]["precision"], "fp16");
        assert_eq!(shown["metadata"]["input"]["channels"], 1);
    }
}

#[test]
fn compile_writes_frame_steps_unless_chunk_steps_are_asked_for() {
    let folder = create_folder("steps");
    let source = write_network(&folder, 1, source::Padding::Left);
    let inspect_steps = |more: &[&str]| -> Value {
        let outcome = run_compile(&folder, &source, more);
        assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
        assert!(!outcome.stdout.contains("frame steps are not possible"), "{}", outcome.stdout);
        let package = folder.join("net.stream.onnx");
        let shown = run_tteview(["inspect", package.to_str().unwrap(), "--json"]);
        serde_json::from_str(&shown.stdout).unwrap()
    };
    let frames = inspect_steps(&[]);
    assert_eq!(frames["metadata"]["format"], 2);
    // The lateral connection is padded symmetrically, so it reads two later samples.
    assert_eq!(frames["frame_steps"]["lateral_reach"], 2);
    let [fast, slow, most] = ["fast_run", "slow_run", "left_at_worst"]
        .map(|run| frames["frame_steps"][run]["multiply_adds"].as_u64().unwrap());
    assert_eq!(most, 3 * fast + slow);
    let chunks = inspect_steps(&["--steps", "chunk"]);
    assert_eq!((&chunks["metadata"]["format"], &chunks["frame_steps"]), (&1.into(), &Value::Null));
}

/// Writes an image network with two labels.
fn write_image_network(folder: &Path) -> std::path::PathBuf {
    let mut s = source::Source::new(9);
    let x = s.input("x", &[4, 3, 16, 16]);
    let w = s.random(&[8, 3, 3, 3], 0.5, 0.0);
    let y = s.node("Conv", &[&x.name, &w], vec![4, 8, 14, 14], vec![]);
    let y = s.unary("Relu", &y);
    let y = s.mean(&y, &[2, 3], false);
    let logits = s.gemm(&y, 2);
    s.output(&logits);
    let path = folder.join("source.onnx");
    std::fs::write(&path, s.bytes()).unwrap();
    std::fs::write(folder.join("labels.json"), LABELS).unwrap();
    path
}

#[test]
fn compile_averages_the_logits_or_the_probabilities_of_images() {
    let folder = create_folder("average");
    let source = write_image_network(&folder);
    for (more, rule) in [
        (&[][..], Value::Null),
        (&["--average", "logits"], Value::Null),
        (&["--average", "probabilities"], "mean_probabilities".into()),
    ] {
        let outcome = run_compile(&folder, &source, more);
        assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
        let package = folder.join("net.stream.onnx");
        let shown = run_tteview(["inspect", package.to_str().unwrap(), "--json"]);
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(
            (&shown["metadata"]["label_rule"], &shown["metadata"]["alpha"]),
            (&rule, &1.into())
        );
        assert_eq!(shown["metadata"]["clip_samples"], 4);
    }
}

#[test]
fn compile_reports_why_a_network_cannot_stream() {
    let folder = create_folder("window-only");
    let source = write_network(&folder, 1, source::Padding::Symmetric);
    let outcome = run_compile(&folder, &source, &[]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("window mode only"), "{}", outcome.stdout);
    assert!(folder.join("net.clip.onnx").exists() && !folder.join("net.stream.onnx").exists());
}

#[test]
fn compile_writes_no_package_that_the_library_refuses() {
    let folder = create_folder("limits");
    let mut s = source::Source::new(7);
    let fast = s.input("fast", &[1, 1, 4, 8, 8]);
    let deep = (0..2100).fold(fast, |x, _| s.unary("Sigmoid", &x));
    let pooled = s.mean(&deep, &[2, 3, 4], false);
    let logits = s.gemm(&pooled, 2);
    s.output(&logits);
    let path = folder.join("source.onnx");
    std::fs::write(&path, s.bytes()).unwrap();
    std::fs::write(folder.join("labels.json"), LABELS).unwrap();
    let outcome = run_compile(&folder, &path, &[]);
    assert_eq!(outcome.exit, 3, "{}", outcome.stderr);
    for part in ["source.onnx", "net.clip.onnx", "a path of the graph must have at most 2048 nodes"]
    {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    assert_eq!(outcome.stdout, "");
    for kind in ["clip", "stream", "head"] {
        assert!(!folder.join(format!("net.{kind}.onnx")).exists(), "{kind}");
    }
}

#[test]
fn verify_reports_the_errors_against_onnx_runtime() {
    let runtime = std::env::var("TTEVIEW_ORT_DYLIB");
    let runtime = runtime
        .expect("TTEVIEW_ORT_DYLIB must name an ONNX Runtime; `cargo xtask test` fetches it");
    let folder = create_folder("verify");
    let source = write_network(&folder, 1, source::Padding::Left);
    let outcome = run_compile(&folder, &source, &["--verify", "--onnx-runtime", &runtime]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("clip against source")
            && outcome.stdout.contains("steps against clip")
            && outcome.stdout.contains("frame steps against chunk steps")
    );
}

#[test]
fn compile_names_the_file_that_does_not_fit_the_network() {
    let folder = create_folder("labels");
    let source = write_network(&folder, 1, source::Padding::Left);
    std::fs::write(folder.join("labels.json"), r#"[{"code":"A4C","name":"one of two"}]"#).unwrap();
    let outcome = run_compile(&folder, &source, &[]);
    assert_eq!(outcome.exit, 3);
    assert!(outcome.stderr.contains("label"), "{}", outcome.stderr);
    std::fs::write(folder.join("labels.json"), LABELS).unwrap();
    let spec = folder.join("spec.toml");
    std::fs::write(&spec, "middle = 0.5").unwrap();
    let outcome = run_compile(&folder, &source, &["--spec", spec.to_str().unwrap()]);
    assert_eq!(outcome.exit, 3);
    assert!(
        outcome.stderr.contains("spec.toml") && outcome.stderr.contains("middle"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn wrong_usage_exits_with_2_and_help_lists_exit_codes() {
    for arguments in
        [&["inspect"][..], &["no-such-command"], &["phantom", "--views", "A9C", "--out", "x"]]
    {
        let outcome = run_tteview(arguments);
        assert_eq!(outcome.exit, 2, "{arguments:?}: {}", outcome.stderr);
    }
    let help = run_tteview(["--help"]);
    assert_eq!(help.exit, 0);
    for line in ["0  the command", "1  a file", "2  the arguments", "3  the model"] {
        assert!(help.stdout.contains(line), "{}", help.stdout);
    }
}

#[test]
fn phantom_writes_frames_dicom_and_a_manifest() {
    let folder = create_folder("phantom");
    let out = folder.to_str().unwrap();
    let size = ["--frames", "3", "--width", "64", "--height", "48"];
    let outcome = run_tteview(
        ["phantom", "--views", "A4C,PLAX", "--count", "2", "--out", out].iter().chain(&size),
    );
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let manifest = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
    assert_eq!(manifest.lines().count(), 1 + 2 * 2);
    for file in ["A4C_00000/0002.png", "PLAX_00001/0000.png", "A4C_00000.dcm", "contact.png"] {
        assert!(folder.join(file).exists(), "{file}");
    }
}

#[test]
fn phantom_renders_all_views_by_default() {
    for (name, named) in [("all", &["--views", "all,A4C"][..]), ("not_at_all", &[])] {
        let folder = create_folder(&format!("phantom-{name}"));
        let out =
            ["--frames", "1", "--width", "32", "--height", "32", "--out", folder.to_str().unwrap()];
        let outcome = run_tteview(["phantom"].iter().chain(named).chain(&out));
        assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
        assert!(outcome.stdout.ends_with(": 21 cines of 21 views\n"), "{}", outcome.stdout);
    }
}

#[test]
fn phantom_renders_the_kinds_of_other_that_are_named() {
    let folder = create_folder("phantom-kinds");
    let run = |scanner: &str, kinds: &str| {
        let out = folder.to_str().unwrap();
        let size = ["--frames", "1", "--width", "32", "--height", "32"];
        let set = ["phantom", "--views", "OTHER", "--count", "8", "--out", out];
        let options = ["--scanner", scanner, "--other-kinds", kinds];
        run_tteview(set.iter().chain(&options).chain(&size))
    };
    let outcome = run("wild", "kidney,report");
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let manifest = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
    let count = |kind: &str| manifest.lines().filter(|line| line.contains(kind)).count();
    assert_eq!((count(",kidney,") + count(",report,"), manifest.lines().count()), (8, 9));
    let refused = run("broad", "kidney");
    assert_eq!(refused.exit, 2);
    let reason = "--other-kinds needs the scanner wild or unlike, got broad";
    assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    let unknown = run("wild", "spleen");
    assert_eq!(unknown.exit, 2);
    assert!(unknown.stderr.contains("the kind must be one of air, gel"), "{}", unknown.stderr);
}

#[test]
fn phantom_draws_a_frame_rate_for_each_field_cine() {
    let folder = create_folder("phantom-field");
    let out = folder.to_str().unwrap();
    let size = [
        "--seconds",
        "0.2",
        "--width",
        "64",
        "--height",
        "48",
        "--scanner",
        "field",
        "--split",
        "test",
    ];
    let outcome = run_tteview(
        ["phantom", "--views", "A4C", "--count", "6", "--out", out].iter().chain(&size),
    );
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let manifest = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
    let mut lines = manifest.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let period =
        lines.next().unwrap().iter().position(|&column| column == "frame_period_ns").unwrap();
    let (mut rows, mut periods) = (0, std::collections::HashSet::new());
    for row in lines {
        let period_ns: f64 = row[period].parse().unwrap();
        let frames = std::fs::read_dir(folder.join(row[0])).unwrap().count();
        assert_eq!(frames, (0.2e9 / period_ns).ceil() as usize);
        assert_eq!(row[3], "test");
        periods.insert(row[period].to_owned());
        rows += 1;
    }
    assert_eq!((rows, periods.len()), (6, 6));
}

#[test]
fn card_is_written_into_a_copy_and_printed() {
    let folder = create_folder("card");
    let (card, output) = (folder.join("card.json"), folder.join("with-card.onnx"));
    let text = r#"{"name":"n","intended_use":"u","not_intended_for":[],"training_data":"t",
        "evaluation":[],"limits":["l"],"licence":"MIT"}"#;
    std::fs::write(&card, text).unwrap();
    let (card, output) = (card.to_str().unwrap(), output.to_str().unwrap());
    let outcome = run_tteview(["card", STAND_IN]);
    assert_eq!(outcome.exit, 3);
    assert!(outcome.stderr.contains("has no model card"), "{}", outcome.stderr);
    let outcome = run_tteview(["card", STAND_IN, "--set", card, "-o", output]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let outcome = run_tteview(["card", output]);
    let [printed, expected] =
        [&outcome.stdout, text].map(|text| serde_json::from_str::<Value>(text).unwrap());
    assert_eq!((outcome.exit, printed), (0, expected));
    let shown = run_tteview(["inspect", output, "--json"]).stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["metadata"]["model_card"]["limits"][0], "l");
    std::fs::write(card, "{}").unwrap();
    let outcome = run_tteview(["card", STAND_IN, "--set", card, "-o", output]);
    assert_eq!(outcome.exit, 3);
    assert!(outcome.stderr.contains("missing field"), "{}", outcome.stderr);
}

#[test]
fn compile_writes_the_preprocessing_and_inspect_shows_it() {
    let folder = create_folder("compile-preprocess");
    let source = write_network(&folder, 3, source::Padding::Left);
    let spec = folder.join("spec.toml");
    std::fs::write(&spec, "[preprocess]\nresize = { kind = \"stretch\", antialias = false }\n")
        .unwrap();
    let spec = ["--spec", spec.to_str().unwrap()];
    let shown = |kind: &str| -> Value {
        let package = folder.join(format!("net.{kind}.onnx"));
        let outcome = run_tteview(["inspect", package.to_str().unwrap(), "--json"]);
        serde_json::from_str::<Value>(&outcome.stdout).unwrap()["metadata"].clone()
    };
    let outcome = run_compile(&folder, &source, &spec);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    assert!(!outcome.stdout.contains("preprocess.resize is"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("preprocess.channel_order is rgb"), "{}", outcome.stdout);
    let stretch = serde_json::json!(
        {"kind": "stretch", "width": 32, "height": 32, "antialias": false}
    );
    for (kind, format) in [("clip", 3), ("stream", 2)] {
        assert_eq!(shown(kind)["resize"], stretch, "{kind}");
        assert_eq!(shown(kind)["format"], format, "{kind}");
    }
    // An option replaces the value of the specification, and leaves the others.
    let options = ["--resize", "short-side=40", "--channel-order", "bgr"];
    let outcome = run_compile(&folder, &source, &[&spec[..], &options[..]].concat());
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    assert!(!outcome.stdout.contains("note: preprocess"), "{}", outcome.stdout);
    let short_side = serde_json::json!({"kind": "short_side", "side": 40, "antialias": false});
    assert_eq!(shown("clip")["resize"], short_side);
    assert_eq!(shown("clip")["channel_order"], "bgr");
    let outcome = run_compile(&folder, &source, &["--resize", "five-crop"]);
    assert_eq!(outcome.exit, 2);
    assert!(outcome.stderr.contains("short-side=SIDE"), "{}", outcome.stderr);
}
