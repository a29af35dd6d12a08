//! Tests that altered cine files never make the readers panic, hang or take much memory.

mod common;

use common::create_folder;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tteview_cli::cine::{Cine, CineError};

/// Number of alterations of each file. `TTEVIEW_CASE_MUTATIONS` sets another number.
const ROUNDS: u64 = 20;
/// Longest time in which an altered file must be read.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Memory in bytes that an altered file may take, and the address space of the test itself.
const MAX_BYTES: usize = 256_000_000;
const TEST_BYTES: usize = 64_000_000;
/// Maximum number of frames that are decoded. More frames take time but no other code.
const MAX_FRAMES: usize = 64;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize >> 1
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() % limit.max(1)
    }
}

/// Alters a file in one to four places.
fn alter(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut file = file.to_vec();
    file.resize(file.len().max(1), 0);
    for _ in 0..1 + random.below(4) {
        // Most changes are in the headers, because they contain the sizes.
        let within = if random.below(3) == 0 { file.len() } else { file.len().min(1200) };
        let at = random.below(within);
        let number = [0, 1, 0x7fff_ffff, u32::MAX, u32::MAX - 1, random.next() as u32];
        let number = number[random.below(6)].to_le_bytes();
        match random.below(8) {
            0 => file.truncate(at.max(1)),
            1 => drop(file.splice(at..at, number)),
            2 => drop(file.drain(at..(at + 1 + random.below(8)).min(file.len()))),
            3 => {
                let end = (at + 4).min(file.len());
                file[at..end].copy_from_slice(&number[..end - at]);
            }
            4 => file[at] ^= 1 << random.below(8),
            _ => file[at] = [0, 1, 0x7f, 0xff, random.next() as u8][random.below(5)],
        }
        if file.is_empty() {
            file.push(0);
        }
    }
    file
}

/// Returns the files of all cases, in order.
fn case_files() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if !["json", "md", "pnm"].iter().any(|other| extension == *other) {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() >= 178, "{} files", files.len());
    files
}

fn decode(cine: Result<Cine, CineError>) {
    if let Ok(cine) = cine {
        cine.take(MAX_FRAMES).for_each(drop);
    }
}

/// Alters all files. Prints each alteration before it is read, so that the output of a process that
/// crashes ends with the cause.
#[test]
#[ignore = "altered_cases_take_no_more_than_256_mb runs this test in a process of its own"]
fn read_altered_cases() {
    let rounds = std::env::var("TTEVIEW_CASE_MUTATIONS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    // `--include-ignored` runs this test twice at the same time, in two processes.
    let folder = create_folder(&format!("mutations-{}", std::process::id()));
    let mut slowest = Duration::ZERO;
    for path in case_files() {
        let file = std::fs::read(&path).unwrap();
        let case = path.display();
        let is_image =
            ["png", "jpg", "jpeg"].iter().any(|end| path.extension() == Some(end.as_ref()));
        for round in 0..rounds {
            let seed = file.iter().fold(round, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte));
            let altered = alter(&file, &mut Random(seed));
            println!("{case} round {round}");
            let start = Instant::now();
            if is_image {
                let still = folder.join("still");
                std::fs::write(&still, &altered).unwrap();
                decode(Cine::open_still(&still));
            }
            decode(Cine::from_bytes(&path, altered));
            let time = start.elapsed();
            assert!(time < MAX_TIME, "{case} round {round} takes {time:?}");
            slowest = slowest.max(time);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
    println!("slowest {slowest:?}");
}

#[test]
fn altered_cases_take_no_more_than_256_mb() {
    let kilobytes = (MAX_BYTES + TEST_BYTES) / 1024;
    let script = format!("ulimit -v {kilobytes} && exec \"$0\" \"$@\"");
    let test = std::env::current_exe().unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).arg(test);
    shell.args(["--exact", "read_altered_cases", "--ignored", "--nocapture", "--test-threads=1"]);
    // Without this setting, the C library reserves address space for the threads.
    let output = shell.env("MALLOC_ARENA_MAX", "1").output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let last = stdout.lines().rev().take(3).collect::<Vec<_>>().join("\n");
    assert!(output.status.success(), "{}: {stderr}\n{last}", output.status);
    assert!(stdout.contains("slowest"), "{stdout}");
}
