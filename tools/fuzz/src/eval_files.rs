//! Fuzz target that reads arbitrary bytes as a manifest and as a file of predictions.

use std::sync::LazyLock;
use tteview_cli::{parse_manifest, parse_predictions};

static LABELS: LazyLock<Vec<String>> = LazyLock::new(|| ["A4C", "A2C"].map(String::from).to_vec());

/// Reads the input as a manifest and as a file of predictions. Each reader must return an error, or
/// not more entries than the input has lines.
pub(crate) fn run_eval_files(input: &[u8]) {
    let lines = input.split(|&byte| byte == b'\n' || byte == b'\r').count();
    if let Ok(cines) = parse_manifest(input, &LABELS) {
        assert!((1..=lines).contains(&cines), "a valid manifest has one cine per line");
    }
    if let Ok(rows) = parse_predictions(input) {
        assert!(rows < lines, "predictions have one row per line after the header");
    }
}
