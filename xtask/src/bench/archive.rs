//! `cargo xtask bench archive`: compares labelling an archive of cines with decoding it.

use crate::fetch::cache::fill_once;
use crate::fetch::cines::python_with_codecs;
use crate::files::read_text;
use crate::paths::root;
use crate::platform::Platform;
use crate::process::{Result, command, describe_start, run};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Number of cines in the archive, unless an argument sets it. Each file occurs several times.
const CINES: usize = 1000;

/// Number of cines of the small archive, with whose peak memory that of the archive is compared.
const FEW_CINES: usize = 100;

/// Number of cines that are labelled or decoded at the same time.
const JOBS: usize = 2;

/// Number of runs of each kind. The runs alternate, because other work on the machine and its
/// temperature change their times.
const RUNS: usize = 3;

/// Largest ratio that is expected of JPEG cines of 640x480 pixels and more.
const LIMIT: f64 = 1.3;

/// Number of clock ticks per second in `/proc`, which is the same on all supported systems.
const TICKS_PER_SECOND: f64 = 100.0;

/// Index of the time of the waited-for child processes in user mode in `/proc/self/stat`, after the
/// name of the program. The time in kernel mode follows.
const CHILD_TIME: usize = 13;

/// Wall time and processor time of a run, in seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    wall: f64,
    processor: f64,
}

/// Labels and decodes the files that the arguments name, or synthetic cines. The arguments can
/// start with `--cines N`, the number of cines. `--coding CODING` then selects the coding of the
/// synthetic cines.
pub(super) fn measure_archive(arguments: &[&str]) -> Result {
    let (cines, arguments) = match arguments {
        ["--cines", cines, rest @ ..] => (parse_cines(cines)?, rest),
        arguments => (CINES, arguments),
    };
    let tteview = Platform::native().build_command_line()?;
    let files = match arguments {
        [] => render_cines(&tteview, "jpeg")?,
        ["--coding", coding] => render_cines(&tteview, coding)?,
        files => files.iter().map(PathBuf::from).collect(),
    };
    let archive: Vec<&PathBuf> = files.iter().cycle().take(cines.max(files.len())).collect();
    println!("{} cines in {} files, {JOBS} jobs", archive.len(), files.len());
    let mut ratios = [Vec::new(), Vec::new()];
    for round in 1..=RUNS {
        let decoding = measure(|| decode(&tteview, &archive))?;
        let labelling = measure(|| label(&tteview, &archive).map(drop))?;
        println!(
            "run {round}: decoding {:.2} s, processor {:.2} s; labelling {:.2} s, processor {:.2} s",
            decoding.wall, decoding.processor, labelling.wall, labelling.processor
        );
        ratios[0].push(labelling.wall / decoding.wall);
        ratios[1].push(labelling.processor / decoding.processor);
    }
    let [wall, processor] = ratios.map(find_median);
    println!(
        "labelling takes {wall:.2} times the time and {processor:.2} times the processor time"
    );
    println!("of decoding (medians; expected at most {LIMIT} for JPEG of 640x480 and more)");
    let few_cines = FEW_CINES.min(archive.len());
    let few = label(&tteview, &archive[..few_cines])?;
    let all = label(&tteview, &archive)?;
    println!("peak memory: {few} kB for {few_cines} cines, {all} kB for {}", archive.len());
    Ok(())
}

fn parse_cines(text: &str) -> Result<usize> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("--cines must be a number of cines above 0, got {text}"))
}

/// Renders cines of 640x480 pixels and stores them as DICOM files in a coding that
/// `encode_cines.py` knows.
fn render_cines(tteview: &Path, coding: &str) -> Result<Vec<PathBuf>> {
    let folder = fill_once(&format!("archive-640x480-{coding}"), |folder| {
        let mut render = command(tteview, ["phantom", "--dicom", "--scanner", "wild"]);
        render.args(["--views", "A4C,A2C,PLAX,PSAX-AV", "--count", "2", "--frames", "60"]);
        run(render.args(["--width", "640", "--height", "480", "--out"]).arg(folder))?;
        let mut encode = python_with_codecs()?;
        run(encode.arg(root().join("xtask/src/bench/encode_cines.py")).arg(coding).arg(folder))
    })?;
    let mut files = crate::files::list_folder(&folder)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "dcm"));
    Ok(files)
}

/// Runs a function, and returns its wall time and the processor time of its processes.
fn measure(work: impl FnOnce() -> Result) -> Result<Times> {
    let (start, before) = (Instant::now(), read_processor_time()?);
    work()?;
    let processor = read_processor_time()? - before;
    Ok(Times { wall: start.elapsed().as_secs_f64(), processor })
}

/// Labels all cines with one process, and returns its peak memory in kB.
fn label(tteview: &Path, archive: &[&PathBuf]) -> Result<u64> {
    let mut label = command(tteview, ["classify", "--json", "--jobs", &JOBS.to_string()]);
    label.arg("--model").arg(root().join("models/demo.stream.onnx")).args(archive);
    let mut child = start(label.stdout(Stdio::null()))?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        // The file has no peak once the process has ended.
        peak = std::fs::read_to_string(&status).ok().and_then(|t| parse_peak(&t)).unwrap_or(peak);
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Ok(Some(status)) if status.success() => return Ok(peak),
            outcome => return Err(format!("tteview classify failed: {outcome:?}")),
        }
    }
}

/// Returns the peak memory in kB from the text of `/proc/PID/status`.
fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Decodes all cines with one process each. A process starts in about a millisecond.
fn decode(tteview: &Path, archive: &[&PathBuf]) -> Result {
    let mut running: Vec<Child> = Vec::new();
    let mut waiting = archive.iter();
    loop {
        while running.len() < JOBS
            && let Some(file) = waiting.next()
        {
            let mut decode = command(tteview, ["frames", "--output", "/dev/null"]);
            running.push(start(decode.arg(file).stdout(Stdio::null()))?);
        }
        if running.is_empty() {
            return Ok(());
        }
        let mut failure = None;
        running.retain_mut(|child| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) if status.success() => false,
            outcome => {
                failure = Some(format!("tteview frames failed: {outcome:?}"));
                false
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn start(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| describe_start(command, &error))
}

/// Returns the processor time of all child processes that have ended, in seconds.
fn read_processor_time() -> Result<f64> {
    let text = read_text(Path::new("/proc/self/stat"))?;
    parse_processor_time(&text).ok_or_else(|| format!("/proc/self/stat has no times: {text}"))
}

fn parse_processor_time(stat: &str) -> Option<f64> {
    // The name of the program can contain spaces, and ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(CHILD_TIME);
    let ticks = times.next()?.parse::<f64>().ok()? + times.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

fn find_median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_child_processes_are_found() {
        let stat = "7 (a b) S 1 7 7 0 -1 4194304 90 800 0 0 3 1 150 50 20 0 1 0 900";
        assert_eq!(parse_processor_time(stat), Some(2.0));
        assert_eq!(parse_processor_time("7 (a b"), None);
    }

    #[test]
    fn peak_memory_is_read_in_kilobytes() {
        assert_eq!(parse_peak("VmPeak:\t  9 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 5 kB\n"), Some(1234));
        assert_eq!(parse_peak("VmPeak:\t  9 kB\n"), None);
    }

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(find_median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
