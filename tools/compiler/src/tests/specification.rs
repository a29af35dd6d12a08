//! Tests of the specification file: its documentation, and the keys of preprocessing.

use super::package::causal_network;
use super::source::LABELS;
use super::support::options;
use crate::{CompileOptions, Group, Resize, ResizeKind, Spec, Steps, compile, inspect};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Returns the page that describes the specification, and the example on it.
fn read_page() -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/model/specification.md");
    let page = std::fs::read_to_string(path).expect("the page is readable");
    let (_, example) = page.split_once("```toml\n").expect("the page has an example");
    let (example, _) = example.split_once("```").expect("the example ends");
    let example = example.to_owned();
    (page, example)
}

/// Returns the keys of a specification as dotted paths. `preprocess` is the only table whose keys
/// are listed one by one.
fn keys(spec: &Spec) -> BTreeSet<String> {
    let Value::Object(table) = json!(spec) else { panic!("a specification is a table") };
    let path = |(key, value): (String, Value)| match value {
        Value::Object(fields) if key == "preprocess" => {
            fields.keys().map(|field| format!("{key}.{field}")).collect()
        }
        _ => vec![key],
    };
    table.into_iter().flat_map(path).collect()
}

#[test]
fn the_page_describes_every_key_of_the_specification() {
    let (page, example) = read_page();
    let spec = Spec::from_toml(&example).expect("the example parses");
    let default = json!(Spec::default());
    for (key, value) in default.as_object().expect("a table") {
        assert_ne!(json!(spec)[key], *value, "the example must set {key}");
    }
    // The next section has a table of its own.
    let (table, _) = page.split_once("## Preprocessing").expect("the page has the section");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let described: BTreeSet<String> = rows.map(|(key, _)| key.to_owned()).collect();
    assert_eq!(described, keys(&spec));
}

#[test]
fn the_example_of_the_page_compiles() {
    let (_, example) = read_page();
    let mut options = options(LABELS);
    options.spec = Spec::from_toml(&example).expect("the example parses");
    options.groups = vec![Group { code: "G".into(), name: "group".into(), ..Group::default() }];
    options.labels.iter_mut().for_each(|label| label.group = Some("G".into()));
    let compiled = compile(causal_network(3).bytes(), &options).expect("the network compiles");
    let metadata = inspect(&compiled.clip.bytes).expect("the package is readable").metadata;
    for (key, expected) in [
        ("mean", "[0.485,0.456,0.406]"),
        ("slow_indices", "[0,4,8,12]"),
        ("temperature", "1.5"),
        ("group_threshold", "0.8"),
        ("model_version", "echo-views 1.2"),
        ("resize", r#"{"kind":"short_side","side":40}"#),
        ("channel_order", "bgr"),
        ("format", "3"),
    ] {
        assert_eq!(metadata[key], expected, "{key}");
    }
}

#[test]
fn only_other_preprocessing_needs_a_strict_format() {
    let network = causal_network(3).bytes();
    let formats = |options: &CompileOptions| {
        let compiled = compile(network.clone(), options).expect("the network compiles");
        let format = |package: &crate::Package| {
            let metadata = inspect(&package.bytes).expect("the package is readable").metadata;
            (metadata["format"].clone(), metadata.get("resize").cloned())
        };
        let stream = compiled.stream.as_ref().expect("the network streams");
        [format(&compiled.clip), format(stream)]
    };
    let entry = |format: &str, resize: Option<&str>| (format.to_owned(), resize.map(String::from));
    for (steps, step_format) in [(Steps::Chunk, "1"), (Steps::Frame, "2")] {
        let options = CompileOptions { steps, ..options(LABELS) };
        assert_eq!(formats(&options), [entry("1", None), entry(step_format, None)]);
        let mut stretched = options.clone();
        stretched.spec.preprocess.resize = Some(Resize::new(ResizeKind::Stretch));
        let resize = Some(r#"{"height":8,"kind":"stretch","width":8}"#);
        let step_format = if steps == Steps::Chunk { "3" } else { "2" };
        assert_eq!(formats(&stretched), [entry("3", resize), entry(step_format, resize)]);
    }
}

#[test]
fn a_grey_package_has_no_order_of_channels() {
    let mut options = CompileOptions { grey: true, ..options(LABELS) };
    options.spec = Spec::from_toml("preprocess.channel_order = \"bgr\"").expect("it parses");
    let compiled = compile(causal_network(3).bytes(), &options).expect("the network compiles");
    let metadata = inspect(&compiled.clip.bytes).expect("the package is readable").metadata;
    assert!(!metadata.contains_key("channel_order"));
    assert_eq!(metadata["format"], "1");
    options.grey = false;
    let error = compile(causal_network(1).bytes(), &options).expect_err("one channel");
    assert!(error.to_string().contains("must be rgb for a network with 1 channel"), "{error}");
}
