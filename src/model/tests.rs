//! Tests with valid and altered packages.

use super::*;

fn stream_package() -> Vec<u8> {
    include_bytes!("../../models/standin.stream.onnx").to_vec()
}

/// Loads a package after replacing a string in its metadata. The replacement must have the same
/// length as the string, so that all lengths in the file stay valid.
fn load_altered(from: &str, to: &str) -> Result<ModelPackage> {
    assert_eq!(from.len(), to.len());
    let mut bytes = stream_package();
    let at = bytes
        .windows(from.len())
        .position(|w| w == from.as_bytes())
        .expect("the package contains the text");
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    ModelPackage::from_bytes(bytes, None)
}

#[test]
fn the_stand_in_packages_are_valid() {
    let package = ModelPackage::from_bytes(stream_package(), None).expect("valid");
    assert_eq!(
        (package.spec.mode, package.spec.labels.len(), package.spec.alpha),
        (Mode::Stream, 21, 4)
    );
    assert!(!package.spec.states.is_empty());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/standin.clip.onnx");
    let clip = ModelPackage::from_path(&path, None).expect("valid");
    assert_eq!((clip.spec.mode, clip.spec.slow_indices.len()), (Mode::Window, 8));
}

#[test]
fn only_the_expected_package_is_accepted() {
    let hash: [u8; 32] = Sha256::digest(stream_package()).into();
    assert!(ModelPackage::from_bytes(stream_package(), Some(hash)).is_ok());
    let error =
        ModelPackage::from_bytes(stream_package(), Some([0; 32])).expect_err("another hash");
    assert_eq!(error.status(), Status::ModelHash);
}

#[test]
fn the_size_is_checked_before_the_hash() {
    let large = vec![0; limits::MAX_FILE_BYTES as usize + 1];
    let error = ModelPackage::from_bytes(large, Some([0; 32])).expect_err("too large");
    assert_eq!(error.status(), Status::ModelInvalid);
    assert!(error.message().contains("at most 671088640 bytes, got 671088641"), "{error}");
}

#[test]
fn an_altered_value_is_refused_by_its_key() {
    for (from, to, status, key) in [
        ("[0.225]", "[0.000]", Status::ModelInvalid, "tteview.std"),
        ("33333333", "-3333333", Status::ModelInvalid, "tteview.sample_interval_ns"),
        ("\"channels\":1", "\"channels\":2", Status::ModelInvalid, "tteview.input"),
        ("[0.225]", "[1e-39]", Status::ModelInvalid, "tteview.std must be 0.00001 to 1000"),
        ("[0.225]", "[10001]", Status::ModelInvalid, "tteview.std must be 0.00001 to 1000"),
        ("[0.45]", "[3e38]", Status::ModelInvalid, "tteview.mean must be -100 to 100"),
        ("[0.45]", "[-101]", Status::ModelInvalid, "tteview.mean must be -100 to 100"),
        ("[0,4,8,", "[4,0,8,", Status::ModelInvalid, "tteview.slow_indices"),
        ("\"A4C\"", "\"A5C\"", Status::ModelInvalid, "tteview.labels"),
        ("tteview.self_test", "tteview.self_tent", Status::ModelInvalid, "tteview.self_test"),
        ("[0.45]", "[0,45]", Status::ModelMismatch, "tteview.mean"),
    ] {
        let error = load_altered(from, to).expect_err(from);
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(key), "{error}");
    }
}

#[test]
fn a_model_card_must_be_a_json_object() {
    let bytes = stream_package();
    let file = onnx_file::read(&bytes).expect("valid");
    let parse_with = |card: &str| {
        let mut keys = file.metadata.clone();
        let graph_sha256 = keys["tteview.graph_sha256"].clone();
        keys.insert("tteview.model_card".into(), card.into());
        metadata::parse_spec(&keys, graph_sha256, String::new())
    };
    let card = "{\"name\":\"n\"}";
    assert_eq!(parse_with(card).expect("a card").model_card.as_deref(), Some(card));
    let long = format!("{{\"name\":\"{}\"}}", "n".repeat(64 * 1024));
    for bad in ["", "[]", "{\"name\"", &long] {
        let error = parse_with(bad).expect_err("refused");
        assert_eq!(error.status(), Status::ModelInvalid);
        assert!(error.message().contains("tteview.model_card"), "{error}");
    }
}

#[test]
fn an_altered_weight_is_refused() {
    let mut bytes = stream_package();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let error = ModelPackage::from_bytes(bytes, None).expect_err("altered");
    assert!(error.message().contains("graph_sha256"), "{error}");
}

#[test]
fn a_truncated_package_is_refused() {
    let bytes = stream_package();
    for end in (0..bytes.len()).step_by(997) {
        let error = ModelPackage::from_bytes(bytes[..end].to_vec(), None).expect_err("truncated");
        assert_eq!(error.status(), Status::ModelInvalid, "{end}: {error}");
    }
}

#[test]
fn a_missing_file_is_unreadable() {
    let error = ModelPackage::from_path(Path::new("/nowhere/at.all"), None).expect_err("missing");
    assert_eq!(error.status(), Status::ModelUnreadable);
}

#[test]
fn the_default_precision_is_fp32() {
    let bytes = stream_package();
    let file = onnx_file::read(&bytes).expect("valid");
    let precision_with = |precision: Option<&str>| {
        let mut keys = file.metadata.clone();
        keys.remove("tteview.precision");
        keys.extend(precision.map(|value| ("tteview.precision".to_owned(), value.to_owned())));
        let hash = keys["tteview.graph_sha256"].clone();
        metadata::parse_spec(&keys, hash, String::new()).map(|spec| spec.precision)
    };
    assert_eq!(precision_with(None), Ok(Precision::Fp32));
    assert_eq!(precision_with(Some("fp32")), Ok(Precision::Fp32));
    assert_eq!(precision_with(Some("fp16")), Ok(Precision::Fp16));
    let error = precision_with(Some("int8")).expect_err("not a precision of the format");
    assert!(error.message().contains("tteview.precision"), "{error}");
}

#[test]
fn a_text_with_a_nul_is_refused() {
    let bytes = stream_package();
    let file = onnx_file::read(&bytes).expect("valid");
    let parse_with = |key: &str, from: &str, to: &str| {
        let mut keys = file.metadata.clone();
        let value = keys.get_mut(key).expect("present");
        assert!(value.contains(from), "{key}: {value}");
        *value = value.replacen(from, to, 1);
        let hash = keys["tteview.graph_sha256"].clone();
        metadata::parse_spec(&keys, hash, String::new()).map(drop)
    };
    let scheme = "\"scheme\":null,\"scheme_code\":null";
    let with_nul = "\"scheme\":\"SCT\",\"scheme_code\":\"1\\u00002\"";
    let escaped = [("PLAX", "a\\u0000b"), ("parasternal", "a\\u0000b"), (scheme, with_nul)];
    for (from, to) in escaped {
        let error = parse_with("tteview.labels", from, to).expect_err("NUL");
        assert_eq!(error.status(), Status::ModelInvalid);
        assert!(error.message().contains("must not contain a NUL in entry"), "{error}");
    }
    let name = format!(
        "\"{}\"",
        ModelPackage::from_bytes(bytes.clone(), None).expect("valid").spec.states[0].name
    );
    let error = parse_with("tteview.states", &name, "\"a\\u0000\"").expect_err("NUL");
    assert!(error.message().contains("contain no NUL"), "{error}");
    for key in ["model_version", "provenance", "source_sha256"] {
        let error = parse_with(&format!("tteview.{key}"), "", "a\0b").expect_err("NUL");
        assert!(error.message().contains(&format!("tteview.{key} must not")), "{error}");
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let path = std::env::temp_dir().join(format!("tteview-package-{}", std::process::id()));
    // The file has a size, but takes no space.
    std::fs::File::create(&path).unwrap().set_len(limits::MAX_FILE_BYTES + 1).unwrap();
    let error = ModelPackage::from_path(&path, None).expect_err("too large");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(error.status(), Status::ModelUnreadable);
    let message = "the file must have at most 671088640 bytes, got 671088641";
    assert!(error.message().contains(message), "{error}");
}

/// Returns the rows of the table of limits in docs/model-package.md: the limit and its value.
fn documented_limits() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../docs/model-package.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Limits")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        (cells[0].trim_start_matches("| "), cells[1])
    })
    .collect()
}

#[test]
fn the_documented_limits_are_those_of_the_code() {
    use limits::*;
    let range = |first: i64, last: i64| format!("{first} to {last}");
    let sides = (*SIDE_PX.start() as i64, *SIDE_PX.end() as i64);
    let alpha = (*ALPHA.start() as i64, *ALPHA.end() as i64);
    let expected = [
        MAX_FILE_BYTES.to_string(),
        range(*IR_VERSIONS.start(), *IR_VERSIONS.end()),
        range(*OPSETS.start(), *OPSETS.end()),
        MAX_METADATA_ENTRIES.to_string(),
        MAX_METADATA_BYTES.to_string(),
        MAX_METADATA_KEY_BYTES.to_string(),
        MAX_METADATA_VALUE_BYTES.to_string(),
        MAX_TEXT_BYTES.to_string(),
        MAX_LABELS.to_string(),
        MAX_GROUPS.to_string(),
        MAX_MODIFIERS.to_string(),
        MAX_LABEL_CODE_BYTES.to_string(),
        MAX_LABEL_NAME_BYTES.to_string(),
        MAX_PROJECTION_VALUES.to_string(),
        MAX_FEATURES.to_string(),
        range(sides.0, sides.1),
        range(*SAMPLE_INTERVAL_NS.start(), *SAMPLE_INTERVAL_NS.end()),
        range(alpha.0, alpha.1),
        MAX_CLIP_SAMPLES.to_string(),
        MAX_INPUT_VALUES.to_string(),
        MAX_STATES.to_string(),
        MAX_STATE_NAME_BYTES.to_string(),
        MAX_STATE_VALUES.to_string(),
        MAX_RANK.to_string(),
        MAX_NODES.to_string(),
        MAX_VALUES.to_string(),
        MAX_NODE_INPUTS.to_string(),
        MAX_EDGES.to_string(),
        MAX_NODE_OUTPUTS.to_string(),
        MAX_OUTPUTS.to_string(),
        MAX_ATTRIBUTES.to_string(),
        MAX_ATTRIBUTE_INTEGERS.to_string(),
        MAX_NAME_BYTES.to_string(),
        MAX_INTEGERS.to_string(),
        MAX_TYPED_VALUES.to_string(),
        MAX_GRAPH_TYPED_VALUES.to_string(),
        MAX_TENSOR_VALUES.to_string(),
        MAX_WINDOW.to_string(),
        MAX_DEPTH.to_string(),
        MAX_OPERANDS.to_string(),
        MAX_WORK.to_string(),
        MAX_CONSTANT_WORK.to_string(),
        format!("{MAX_CONSTANT_BYTES}, and {CONSTANT_BYTES_PER_BYTE} for each byte of the graph"),
        MAX_RUN_BYTES.to_string(),
    ];
    let documented = documented_limits();
    let values: Vec<&str> = documented.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, expected, "{documented:#?}");
}

#[test]
fn the_documented_operators_are_those_of_the_code() {
    let page = include_str!("../../docs/model-package.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Operators")).unwrap();
    let (_, section) = section.split_once("Every package may contain:").unwrap();
    let (all, window) = section.split_once("A window package may also contain:").unwrap();
    let (window, runtime) = window.split_once("For ONNX Runtime only, it may contain:").unwrap();
    let (runtime, _) = runtime.trim_start().split_once("\n\n").unwrap();
    let scopes = [graph::Scope::Any, graph::Scope::Window, graph::Scope::OnnxRuntime];
    for (text, scope) in [all, window, runtime].into_iter().zip(scopes) {
        let documented: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
        let operators = graph::OPERATORS.iter().filter(|operator| operator.scope == scope);
        let expected: Vec<&str> = operators.map(|operator| operator.name).collect();
        assert_eq!(documented, expected);
    }
}
