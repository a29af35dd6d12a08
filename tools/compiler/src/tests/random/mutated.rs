//! The test: a changed file is refused, or its packages equal it. No file makes the compiler panic.

use super::super::support::RUNTIME;
use super::check::read_number;
use super::mutate::Mutator;
use super::starts::{Start, Starts};
use crate::error::Result;
use crate::onnx::ModelProto;
use crate::verify::{Source, run_source, verify};
use crate::xorshift::Xorshift;
use crate::{CompileOptions, CompiledNetwork, LogitsForm, compile};
use prost::Message;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of changed files if the environment does not contain it.
const FILES: u64 = 300;

/// Changes of each network.
const CHANGES: usize = 10;

/// Smallest share of the files that must become packages and be compared, in percent.
const LEAST_COMPARED: u64 = 30;

/// Seed of the random clip.
const SEED: u32 = 7;

/// Largest relative error. A change may make a network worse conditioned.
const TOLERANCE: f64 = 1e-4;

/// Returns the relative error of the packages of a file, or `None` if the file is refused, ONNX
/// Runtime does not run it, or its result is not finite.
fn compare(bytes: &[u8], options: &CompileOptions) -> Option<Result<f64>> {
    let compiled = compile(bytes.to_vec(), options).ok()?;
    let source = Source::Bytes(bytes);
    let errors = verify(&RUNTIME, source, &compiled, SEED);
    let error = errors.map(|errors| errors.clip.max(errors.stream.unwrap_or(0.0)));
    if matches!(error, Ok(error) if error <= TOLERANCE) {
        return Some(error);
    }
    let expected = run_source(&RUNTIME, source, &compiled, SEED).ok()?;
    let is_finite = expected.iter().all(|value| value.is_finite());
    if is_finite && !has_infinite_values(bytes, &compiled) { Some(error) } else { None }
}

/// Returns whether a value inside of the source is not finite. ONNX Runtime does not define what
/// becomes of it; a Relu, for example, may turn it into 0.
fn has_infinite_values(bytes: &[u8], compiled: &CompiledNetwork) -> bool {
    let graph = ModelProto::decode(bytes).expect("a model").graph.unwrap_or_default();
    let mut inner = compiled.clone();
    inner.logits.form = LogitsForm::Value;
    graph.node.iter().flat_map(|node| &node.output).any(|name| {
        inner.logits.name.clone_from(name);
        let values = run_source(&RUNTIME, Source::Bytes(bytes), &inner, SEED);
        values.is_ok_and(|values| values.iter().any(|value| !value.is_finite()))
    })
}

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
