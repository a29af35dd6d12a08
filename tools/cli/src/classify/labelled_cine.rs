//! A cine with its label, and its JSON.

use crate::label::{CineLabel, Reason};
use crate::terminal::escape_path;
use serde_json::{Map, Value, json};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tteview::{Engine, ResultFlags};

/// A cine with its label.
pub(super) struct LabelledCine {
    pub(super) label: CineLabel,
    /// The facts about the cine, as JSON.
    pub(super) facts: Value,
    pub(super) warnings: Vec<String>,
    /// Time from opening the file to the result, in seconds.
    pub(super) seconds: f64,
}

impl LabelledCine {
    pub(super) fn to_json(&self, path: &Path, engine: &Engine) -> Value {
        let CineLabel { result, scores, refused, .. } = &self.label;
        let (labels, groups) = (&engine.spec().labels, &engine.spec().groups);
        let label = result.label.and_then(|index| labels.get(index as usize));
        let group = result.group.and_then(|index| groups.get(index as usize));
        let scores: Map<String, Value> = labels
            .iter()
            .zip(scores)
            .map(|(label, &score)| (label.code.clone(), score.into()))
            .collect();
        let has = |flag: ResultFlags| result.flags.contains(flag);
        let reasons: Vec<&str> = Reason::list(result.flags).into_iter().map(Reason::name).collect();
        let mut object = name_file(path);
        object.extend(into_object(json!({
            "view": label.map(|label| &label.code),
            "name": label.map(|label| &label.name),
            "withheld": result.chunks > 0 && label.is_none(),
            "withheld_because": reasons,
            "confidence": result.confidence,
            "margin": result.margin,
            "novelty": (!has(ResultFlags::NO_NOVELTY)).then_some(result.novelty),
            "group": group.map(|group| &group.code),
            "group_name": group.map(|group| &group.name),
            "group_confidence": (!groups.is_empty()).then_some(result.group_confidence),
            "frames": result.frames_used,
            "frames_refused": refused,
            "chunks": result.chunks,
            "short": has(ResultFlags::SHORT),
            "discontinuity": has(ResultFlags::DISCONTINUITY),
            "clock_step": has(ResultFlags::CLOCK_STEP),
            "failed_chunks": result.failed_chunks,
            "seconds": self.seconds,
            "latency_ms": result.latency_ns as f64 / 1e6,
            "scores": scores,
            "cine": self.facts,
            "model": engine.spec().model_version,
            "provider": engine.report().provider,
        })));
        object.into()
    }
}

/// Returns the object of a file that cannot be read.
pub(super) fn describe_error(path: &Path, message: &str) -> Value {
    let mut object = name_file(path);
    object.insert("error".into(), message.into());
    object.into()
}

/// Returns an object with the field `file`. If the name is not UTF-8, its other bytes become `\xNN`
/// in this field, and the field `file_bytes` contains all bytes in hexadecimal.
fn name_file(file: &Path) -> Map<String, Value> {
    match file.to_str() {
        Some(name) => into_object(json!({ "file": name })),
        None => {
            let bytes = file.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}"));
            into_object(json!({
                "file": escape_path(file),
                "file_bytes": bytes.collect::<String>(),
            }))
        }
    }
}

fn into_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
