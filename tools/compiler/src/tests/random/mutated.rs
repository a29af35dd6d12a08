//! The test: a changed file is refused, or its packages equal it. No file makes the compiler panic.

use super::check::read_number;
use super::compare::{TOLERANCE, compare};
use super::mutate::Mutator;
use super::starts::{Start, Starts};
use crate::xorshift::Xorshift;
use prost::Message;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of changed files if the environment does not contain it.
const FILES: u64 = 300;

/// Changes of each network.
const CHANGES: usize = 10;

/// Smallest share of the files that must become packages and be compared, in percent.
const LEAST_COMPARED: u64 = 30;

#[test]
fn packages_of_changed_files_match_their_source() {
    let count = read_number("TTEVIEW_MUTATED_NETWORKS").unwrap_or(FILES);
    let seed = read_number("TTEVIEW_RANDOM_SEED").unwrap_or(1);
    let mut starts = Starts::new(seed);
    let mut mutator = Mutator(Xorshift(seed as u32 + 1));
    let mut counts = Counts { seed, ..Counts::default() };
    while counts.tried < count {
        starts.with_next(|start| {
            for _ in 0..CHANGES {
                counts.try_change(&mut mutator, start);
            }
        });
    }
    let Counts { tried, compared, failures, .. } = counts;
    println!("{tried} changed files, {compared} compared, {} wrong", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(compared * 100 >= tried * LEAST_COMPARED, "only {compared} of {tried} compared");
}

/// What became of the changed files.
#[derive(Default)]
struct Counts {
    seed: u64,
    tried: u64,
    compared: u64,
    failures: Vec<String>,
}

impl Counts {
    /// Changes a file once and compares its packages with it.
    fn try_change(&mut self, mutator: &mut Mutator, start: &Start) {
        let mut model = start.model.clone();
        mutator.mutate(&mut model);
        let bytes = model.encode_to_vec();
        let result = catch_unwind(AssertUnwindSafe(|| compare(&bytes, &start.options)));
        let failure = match result {
            Ok(None) => None,
            Ok(Some(Ok(error))) if error <= TOLERANCE => {
                self.compared += 1;
                None
            }
            Ok(Some(Ok(error))) => Some(format!("wrong by {error:e}")),
            Ok(Some(Err(error))) => Some(format!("only the source runs: {error}")),
            Err(_) => Some("panic".to_owned()),
        };
        if let Some(failure) = failure {
            // The file shows what went wrong, so that it can become a test.
            let name = format!("changed-{}-{}.onnx", self.seed, self.tried);
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, &bytes).expect("the file can be written");
            println!("{}: {failure}", path.display());
            self.failures.push(format!("{}: {failure}", path.display()));
        }
        self.tried += 1;
    }
}
