//! The test: a changed file is refused, or its packages equal it. No file makes the compiler panic.

use super::super::support::{RUNTIME, command_line_options};
use super::check::{chunks, read_number, repair};
use super::mutate::Mutator;
use super::spec::network;
use super::{build, form};
use crate::error::Result;
use crate::onnx::ModelProto;
use crate::verify::{Source, run_source, verify};
use crate::xorshift::Xorshift;
use crate::{CompileOptions, CompiledNetwork, LogitsForm, compile};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
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
    let expected = run_source(&RUNTIME, source, &compiled, SEED).ok()?;
    if !expected.iter().all(|value| value.is_finite()) {
        return None;
    }
    let errors = verify(&RUNTIME, source, &compiled, SEED);
    let error = errors.map(|errors| errors.clip.max(errors.stream.unwrap_or(0.0)));
    let is_wrong = !matches!(error, Ok(error) if error <= TOLERANCE);
    if is_wrong && has_infinite_values(bytes, &compiled) { None } else { Some(error) }
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
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed as u8; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = network().prop_map(repair);
    let mut mutator = Mutator(Xorshift(seed as u32 + 1));
    let (mut tried, mut compared, mut failures) = (0u64, 0u64, Vec::new());
    while tried < count {
        let network = strategy.new_tree(&mut runner).expect("nothing is rejected").current();
        let built = build(&network, chunks(&network));
        let original = ModelProto::decode(built.bytes.as_slice()).expect("a model");
        let options = CompileOptions {
            output: network.form.has_second_output.then(|| form::LOGITS.to_owned()),
            ..command_line_options(built.labels)
        };
        for _ in 0..CHANGES {
            let mut model = original.clone();
            mutator.mutate(&mut model);
            let bytes = model.encode_to_vec();
            let result = catch_unwind(AssertUnwindSafe(|| compare(&bytes, &options)));
            let failure = match result {
                Ok(None) => None,
                Ok(Some(Ok(error))) if error <= TOLERANCE => {
                    compared += 1;
                    None
                }
                Ok(Some(Ok(error))) => Some(format!("wrong by {error:e}")),
                Ok(Some(Err(error))) => Some(format!("only the source runs: {error}")),
                Err(_) => Some("panic".to_owned()),
            };
            if let Some(failure) = failure {
                // The file shows what went wrong, so that it can become a test.
                let path = std::env::temp_dir().join(format!("changed-{seed}-{tried}.onnx"));
                std::fs::write(&path, &bytes).expect("the file can be written");
                failures.push(format!("{}: {failure}", path.display()));
            }
            tried += 1;
        }
    }
    println!("{tried} changed files, {compared} compared, {} wrong", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(compared * 100 >= tried * LEAST_COMPARED, "only {compared} of {tried} compared");
}
