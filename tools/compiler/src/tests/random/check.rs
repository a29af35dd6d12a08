//! The test: every random network either becomes packages that equal its source, or is refused with
//! a documented error.

use super::super::support::{TOLERANCE, command_line_options, self_test_error};
use super::expected::expect;
use super::functions::ERF;
use super::run::Clip;
use super::spec::{Body, Input, Layer, Network, Over, network};
use super::{build, form};
use crate::{Average, CompileOptions, Steps, Winograd, compile};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of networks if the environment does not contain it.
const NETWORKS: usize = 200;

/// Smallest share of the networks that must compile, in percent.
const LEAST_COMPILED: usize = 97;

/// Smallest share of the networks that must stream, in percent.
const LEAST_STREAMED: usize = 35;

/// Parts of the refusals that docs/model/compiler.md describes and that random networks can meet:
/// layers before the first convolution of a grey network, rows that are not the frames of the clip
/// and follow a node without frames, and the average of the probabilities of one frame.
const REFUSALS: [&str; 3] = [
    "the network cannot be folded to grey",
    "average over its other axes in the network",
    "so the probabilities of its frames cannot be averaged",
];

/// Largest number of failures that the test describes.
const SHOWN: usize = 12;

/// Largest relative error between rten and ONNX Runtime for a network with `Erf`. The absolute
/// error of rten's `Erf` is up to 6.6e-7, as its source says, which is much for results near 0.
const ERF_TOLERANCE: f64 = 5e-5;

/// What became of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Clip,
    Stream,
    Refused,
}

pub(super) fn chunks(network: &Network) -> usize {
    match &network.body {
        Body::OnePathway(body) => body.frames,
        Body::TwoPathways(body) => body.slow_frames,
    }
}

/// Returns the options of the compiler for a network.
fn compile_options(network: &Network, labels: usize) -> CompileOptions {
    let has_rows = match &network.body {
        Body::OnePathway(body) => body.end.over == Over::Rows,
        Body::TwoPathways(_) => false,
    };
    CompileOptions {
        steps: if network.options.has_chunk_steps { Steps::Chunk } else { Steps::Frame },
        winograd: [Winograd::WhereFaster, Winograd::Never, Winograd::Always]
            [network.options.winograd],
        average: match network.options.average {
            1 if has_rows => Some(Average::Logits),
            2 if has_rows => Some(Average::Probabilities),
            _ => None,
        },
        grey: network.options.is_grey,
        output: network.form.has_second_output.then(|| form::LOGITS.to_owned()),
        ..command_line_options(labels)
    }
}

/// Compiles a network and compares its packages with it.
fn check(network: &Network) -> Result<Outcome, String> {
    let text = |error: crate::CompileError| error.to_string();
    let built = build(network, chunks(network));
    let clip = Clip::new(network, chunks(network));
    let output = clip.run_source(&built.bytes).map_err(|e| format!("invalid source: {e}"))?;
    let compiled = match compile(built.bytes, &compile_options(network, built.labels)) {
        Ok(compiled) => compiled,
        Err(error) if REFUSALS.iter().any(|known| error.to_string().contains(known)) => {
            return Ok(Outcome::Refused);
        }
        Err(error) => return Err(format!("refused: {error}")),
    };
    let expected = expect(network, &output, built.labels);
    let error = expected.error(&clip.run_clip(&compiled).map_err(text)?);
    if error > TOLERANCE {
        return Err(format!("clip against source: {error:e}"));
    }
    let Some(package) = &compiled.stream else {
        let error = self_test_error(&compiled);
        let tolerance = if has_erf(network) { ERF_TOLERANCE } else { TOLERANCE };
        // A single logit may be near 0, and its error relative to itself then measures nothing.
        return match error > tolerance && built.labels > 2 {
            true => Err(format!("embedded runtime against ONNX Runtime: {error:e}")),
            false => Ok(Outcome::Clip),
        };
    };
    // The steps also equal the source for acquisitions that are longer than the clip.
    for more in [0, 2] {
        let chunks = chunks(network) + more;
        let clip = Clip::new(network, chunks);
        let source = build(network, chunks);
        let output = clip.run_source(&source.bytes).map_err(text)?;
        let expected = expect(network, &output, built.labels);
        let error = expected.error(&clip.run_steps(package).map_err(text)?);
        if error > TOLERANCE {
            return Err(format!("steps against source, {chunks} chunks: {error:e}"));
        }
    }
    Ok(Outcome::Stream)
}

fn has_erf(network: &Network) -> bool {
    match &network.body {
        Body::OnePathway(body) => {
            body.layers.iter().any(|layer| matches!(layer, Layer::Function { index: ERF }))
        }
        Body::TwoPathways(_) => false,
    }
}

/// Checks a network. A panic is a failure.
fn check_safely(network: &Network) -> Result<Outcome, String> {
    catch_unwind(AssertUnwindSafe(|| check(network))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()));
        Err(format!("panic: {}", message.unwrap_or_default()))
    })
}

/// Removes what a failure does not need, and returns the smaller network and its failure.
fn simplify(tree: &mut dyn ValueTree<Value = Network>, failure: String) -> (Network, String) {
    let mut found = (tree.current(), failure);
    for _ in 0..150 {
        if !tree.simplify() {
            break;
        }
        loop {
            let network = tree.current();
            match check_safely(&network) {
                Err(failure) => {
                    found = (network, failure);
                    break;
                }
                Ok(_) if tree.complicate() => {}
                Ok(_) => return found,
            }
        }
    }
    found
}

/// Makes the options of a network possible.
pub(super) fn repair(mut network: Network) -> Network {
    let channels = match &network.body {
        Body::OnePathway(body) => {
            let Input { channels, is_bytes, .. } = body.input;
            if is_bytes { 1 } else { channels }
        }
        Body::TwoPathways(body) => body.channels,
    };
    network.options.is_grey &= channels == 3;
    network
}

pub(super) fn read_number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, got {text}")))
}

#[test]
fn packages_of_all_kinds_of_networks_match_their_source() {
    let count = read_number("TTEVIEW_RANDOM_NETWORKS").map_or(NETWORKS, |count| count as usize);
    let mut seed = [19; 32];
    seed[..8].copy_from_slice(&read_number("TTEVIEW_RANDOM_SEED").unwrap_or(1).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = network().prop_map(repair);
    let (mut compiled, mut streamed, mut failures) = (0, 0, Vec::new());
    for _ in 0..count {
        let mut tree = strategy.new_tree(&mut runner).expect("the strategy rejects nothing");
        match check_safely(&tree.current()) {
            Ok(outcome) => {
                compiled += usize::from(outcome != Outcome::Refused);
                streamed += usize::from(outcome == Outcome::Stream);
            }
            Err(failure) if failures.len() < SHOWN => {
                let (network, failure) = simplify(&mut tree, failure);
                failures.push(format!("{failure}\n{network:?}"));
            }
            Err(failure) => failures.push(failure),
        }
    }
    println!("{count} networks, {compiled} compiled, {streamed} streamed");
    assert!(
        failures.is_empty(),
        "{} of {count} networks failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(compiled * 100 >= count * LEAST_COMPILED, "only {compiled} of {count} compiled");
    assert!(streamed * 100 >= count * LEAST_STREAMED, "only {streamed} of {count} streamed");
}
