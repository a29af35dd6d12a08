//! `cargo xtask trust soak`: three streams at 60 Hz with faults, by the clock.

use super::record::{Origin, Soak, write_record};
use crate::process::{Result, cargo, read_output};
use serde_json::Value;
use std::time::Instant;

/// Length of a full soak.
const MINUTES: u64 = 60;

/// Text before the figures in the output of the test.
const MARK: &str = "soak figures: ";

/// Runs the soak and writes the record. The test fails if the memory grows too much or a frame is
/// not accounted for.
pub(super) fn measure_soak(arguments: &[&str]) -> Result {
    let minutes = match arguments {
        [] => MINUTES,
        ["--minutes", count] => count
            .parse()
            .map_err(|_| format!("--minutes must be a number of minutes, got {count}"))?,
        _ => return Err("usage: cargo xtask trust soak [--minutes N]".into()),
    };
    let start = Instant::now();
    let mut test = cargo("test --release -p tteview --test soak_clock -- --nocapture");
    let output = read_output(test.env("TTEVIEW_SOAK_MINUTES", minutes.to_string()))?;
    println!("{output}");
    let command = format!("cargo xtask trust soak --minutes {minutes}");
    let entry = parse_figures(&output, minutes, Origin::new(command, start)?)?;
    write_record("soak", &[entry])
}

fn parse_figures(output: &str, minutes: u64, origin: Origin) -> Result<Soak> {
    // libtest prints the name of the test on the same line.
    let figures = output.lines().find_map(|line| line.split_once(MARK)).map(|(_, json)| json);
    let figures: Value = figures
        .and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| format!("the test must print \"{MARK}\" and its figures, but does not"))?;
    let read = |key: &str| {
        figures[key]
            .as_i64()
            .ok_or_else(|| format!("the figures must contain {key}, got {figures}"))
    };
    let count = |key: &str| read(key).map(i64::unsigned_abs);
    Ok(Soak {
        minutes,
        frames: count("frames")?,
        dropped: count("dropped")?,
        acquisitions: count("acquisitions")?,
        growth_bytes: read("growth_bytes")?,
        origin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_output_of_the_test() {
        let output = "test a ... soak figures: {\"frames\":7,\"dropped\":1,\"acquisitions\":2,\
                      \"growth_bytes\":-4096}\nok";
        let soak = parse_figures(output, 1, Origin::default()).unwrap();
        assert_eq!((soak.frames, soak.acquisitions, soak.growth_bytes), (7, 2, -4096));
        assert!(parse_figures("ok", 1, Origin::default()).is_err());
    }
}
