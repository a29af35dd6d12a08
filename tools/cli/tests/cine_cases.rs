//! Tests that the readers give the right result for each case in `tests/cases`, or refuse it with a
//! useful message. `tests/cases/README.md` describes the cases.

mod common;
#[allow(dead_code, reason = "each test file uses some of the items")]
#[path = "common/files.rs"]
mod files;

use files::read_pnm;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tteview::frame::PixelFormat;
use tteview_cli::cine::{Cine, Facts};

/// Smallest number of cases. A checkout without the cases must not pass.
const MIN_CASES: usize = 178;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.join("case.json").exists()).collect();
    cases.sort();
    assert!(cases.len() >= MIN_CASES, "{} cases", cases.len());
    cases
}

/// A cine that has been read: its facts, and its frames as RGB24.
struct ReadCine {
    facts: Facts,
    frames: Vec<Vec<u8>>,
}

fn read(path: &Path) -> Result<ReadCine, String> {
    let mut cine = Cine::open(path).map_err(|error| error.to_string())?;
    let is_grey = cine.facts.geometry().format() == PixelFormat::Gray8;
    let mut frames = Vec::new();
    for frame in &mut cine {
        let pixels = frame.map_err(|error| error.to_string())?.pixels;
        frames.push(match is_grey {
            true => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            false => pixels,
        });
    }
    Ok(ReadCine { facts: cine.facts, frames })
}

/// Returns the strings of a list.
fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap().to_lowercase()).collect()
}

fn check_message(case: &Value, message: &str) -> Result<(), String> {
    let lower = message.to_lowercase();
    for group in case["message_has"].as_array().into_iter().flatten() {
        if !texts(group).iter().any(|text| lower.contains(text)) {
            return Err(format!("the message must contain one of {group}: {message}"));
        }
    }
    match texts(&case["message_lacks"]).iter().find(|text| lower.contains(*text)) {
        Some(text) => Err(format!("the message must not contain {text:?}: {message}")),
        None if message.lines().count() != 1 => Err(format!("the message has lines: {message:?}")),
        None => Ok(()),
    }
}

fn check_cine(case: &Value, folder: &Path, cine: &ReadCine) -> Result<(), String> {
    let ReadCine { facts, frames } = cine;
    let expected = case["frames"].as_u64().unwrap() as usize;
    let allowed = case["frames_or"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let is_allowed = allowed.map(|count| count as usize).any(|count| count == frames.len());
    if (frames.len() != expected && !is_allowed) || facts.frame_count() != frames.len() {
        return Err(format!("{} frames, {} in the facts", frames.len(), facts.frame_count()));
    }
    let size = [facts.geometry().width_px(), facts.geometry().height_px()];
    if ["width", "height"].map(|key| case[key].as_u64().unwrap() as u32) != size {
        return Err(format!("frames of {size:?} pixels"));
    }
    if let Some(digest) = case["sha256_rgb24"].as_str().filter(|_| frames.len() == expected) {
        let found = Sha256::digest(frames.concat());
        let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        if found != digest {
            return Err("wrong pixels".into());
        }
    }
    if let Some(reference) = case["reference"].as_str() {
        compare(&read_pnm(&folder.join(reference)), frames, case)?;
    }
    check_times(case, facts)?;
    let region = facts.region().map(|image| image.region);
    let region = region.map(|r| [r.x_px, r.y_px, r.width_px, r.height_px]);
    if let Some(expected) = case.get("region")
        && *expected != serde_json::json!(region)
    {
        return Err(format!("region {region:?}"));
    }
    let said = facts.warnings.join("; ").to_lowercase();
    let must_say = texts(&case["must_say"]);
    let may_be_silent = case["silent_if_all"] == true && frames.len() == expected;
    if !must_say.is_empty() && !may_be_silent && !must_say.iter().any(|text| said.contains(text)) {
        return Err(format!("a warning must contain one of {must_say:?}, got {said:?}"));
    }
    Ok(())
}

/// Compares frames with reference images of the same or another number.
fn compare(
    reference: &[(usize, usize, Vec<u8>)],
    frames: &[Vec<u8>],
    case: &Value,
) -> Result<(), String> {
    let (mut largest, mut sum, mut count) = (0u8, 0u64, 0usize);
    for ((width, height, right), pixels) in reference.iter().zip(frames) {
        let is_grey = right.len() == width * height;
        let right = match is_grey {
            true => right.iter().flat_map(|&grey| [grey; 3]).collect(),
            false => right.clone(),
        };
        if right.len() != pixels.len() {
            return Err("the reference has another size".into());
        }
        for (a, b) in pixels.iter().zip(&right) {
            largest = largest.max(a.abs_diff(*b));
            sum += u64::from(a.abs_diff(*b));
        }
        count += right.len();
    }
    let mean = sum as f64 / count.max(1) as f64;
    let limits = ["max_difference", "mean_difference"].map(|key| case[key].as_f64().unwrap());
    if f64::from(largest) > limits[0] || mean > limits[1] {
        return Err(format!("the pixels differ by up to {largest}, in the mean by {mean:.2}"));
    }
    Ok(())
}

fn check_times(case: &Value, facts: &Facts) -> Result<(), String> {
    let period = facts.timing.period_ns();
    if let Some(right) = case["period_ns"].as_i64()
        && facts.frame_count() > 1
        && (period - right).abs() > right / 100
    {
        return Err(format!("period {period} ns ({:?})", facts.timing.source));
    }
    if let Some(timing) = case.get("timing")
        && timing.as_str() != facts.timing.source
    {
        return Err(format!("timing {:?}", facts.timing.source));
    }
    match case.get("times_ns") {
        Some(times) if *times != serde_json::json!(facts.timing.times_ns) => {
            Err(format!("times {:?}", facts.timing.times_ns))
        }
        _ => Ok(()),
    }
}

#[test]
fn every_case_has_the_right_result() {
    let mut failures = Vec::new();
    for folder in cases() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(folder.join("case.json")).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        let mut input = folder.join(case["input"].as_str().unwrap());
        if !input.exists() {
            // A checkout contains no empty folders.
            assert_eq!(name, "folder-empty");
            input = common::create_folder("folder-empty");
        }
        let result = match (read(&input), case["expect"].as_str()) {
            (Ok(_), Some("refuse")) => Err("it must be refused".into()),
            (Ok(cine), _) => check_cine(&case, &folder, &cine),
            (Err(message), Some("refuse")) => {
                check_message(&case, &message.replace(&*input.to_string_lossy(), "FILE"))
            }
            (Err(message), _) => Err(format!("it must be read: {message}")),
        };
        if let Err(cause) = result {
            failures.push(format!("{name}: {cause}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Returns whether a file can be read without a warning.
fn is_whole(file: Vec<u8>) -> bool {
    match Cine::from_bytes(Path::new("cine"), file) {
        Ok(mut cine) => cine.all(|frame| frame.is_ok()) && cine.facts.warnings.is_empty(),
        Err(_) => false,
    }
}

#[test]
fn a_truncated_case_causes_an_error_or_a_warning() {
    let mut whole = 0;
    for folder in cases() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_file() || path.file_stem().unwrap() != "cine" {
                continue;
            }
            let file = std::fs::read(&path).unwrap();
            if !is_whole(file.clone()) {
                continue;
            }
            whole += 1;
            for percent in [30, 60, 90] {
                let cut = file[..file.len() * percent / 100].to_vec();
                assert!(!is_whole(cut), "{} cut to {percent} %", path.display());
            }
        }
    }
    assert!(whole > 100, "{whole} cases are read without a warning");
}
