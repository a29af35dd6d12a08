//! Tests of heads that are not linear and of recurrent layers, in frame steps.

use super::recurrent::{Recurrence, add_recurrence, recurrence};
use super::source::{LABELS, Padding, Source, Val, int};
use super::support::{
    TOLERANCE, assert_clip_matches, assert_matches_and_streams, command_line_options, verify_source,
};
use crate::{Average, CompileOptions, CompiledNetwork, Precision, Steps, compile, inspect};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Height and width of the samples.
const SIZE: usize = 6;
/// Number of frames of the clip.
const FRAMES: usize = 6;

fn compile_frames(s: &Source) -> CompiledNetwork {
    compile(s.bytes(), &command_line_options(LABELS)).expect("the network compiles")
}

fn metadata(network: &CompiledNetwork) -> BTreeMap<String, String> {
    let stream = network.stream.as_ref().expect("the network streams");
    inspect(&stream.bytes).expect("the package is readable").metadata
}

/// Appends a head of two layers.
fn add_mlp(s: &mut Source, features: &Val, hidden: usize) -> Val {
    let y = s.gemm(features, hidden);
    let y = s.unary("Relu", &y);
    s.gemm(&y, LABELS)
}

/// Appends nodes to a network.
type Append = fn(&mut Source, &Val) -> Val;

#[test]
fn nonlinear_head_is_a_part_of_the_stream_package() {
    let mut s = Source::new(9);
    let x = s.input("x", &[1, 3, FRAMES, SIZE, SIZE]);
    let y = s.conv(&x, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let pooled = s.mean(&y, &[2, 3, 4], false);
    let logits = add_mlp(&mut s, &pooled, 5);
    s.output(&logits);
    let network = compile_frames(&s);
    let metadata = metadata(&network);
    // The head reads the five values before the ReLU instead of the eight means.
    assert_eq!(metadata["features"], "5");
    let stream = network.stream.as_ref().expect("the network streams");
    let inspection = inspect(&stream.bytes).expect("readable");
    let frames = inspection.frame_steps.expect("the package has frame steps");
    assert_eq!(frames.head_multiply_adds, Some(5 * LABELS as u64));
    assert_matches_and_streams(&s, &network);
}

#[test]
fn head_reads_the_means_if_they_are_fewer() {
    let mut s = Source::new(10);
    let x = s.input("x", &[1, 3, FRAMES, SIZE, SIZE]);
    let y = s.conv(&x, 4, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let pooled = s.mean(&y, &[2, 3, 4], false);
    let logits = add_mlp(&mut s, &pooled, 32);
    s.output(&logits);
    let network = compile_frames(&s);
    assert_eq!(metadata(&network)["features"], "4");
    assert_matches_and_streams(&s, &network);
}

#[test]
fn nonlinear_head_reads_both_pathways() {
    let mut s = Source::new(21);
    let slow = s.input("slow", &[1, 1, 3, SIZE, SIZE]);
    let fast = s.input("fast", &[1, 1, 12, SIZE, SIZE]);
    let slow = s.conv(&slow, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&fast, 2, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let lateral = s.conv(&fast, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(1));
    let slow = s.concat(&[&slow, &lateral], 1);
    let (slow, fast) = (s.unary("Relu", &slow), s.unary("Relu", &fast));
    let (slow, fast) = (s.mean(&slow, &[2, 3, 4], false), s.mean(&fast, &[2, 3, 4], false));
    let features = s.concat(&[&slow, &fast], 1);
    let logits = add_mlp(&mut s, &features, 7);
    s.output(&logits);
    let network = compile_frames(&s);
    assert_matches_and_streams(&s, &network);
    let options = CompileOptions { precision: Precision::Fp16, ..command_line_options(LABELS) };
    let half = compile(s.bytes(), &options).expect("the network compiles");
    let errors = verify_source(&s, &half).expect("the packages run");
    assert!(errors.stream.is_some_and(|error| error < 2e-2), "{errors}");
}

#[test]
fn heads_of_many_kinds_stream() {
    let kinds: [(&str, Append); 4] = [
        ("layer norm", |s, x| {
            let (scale, bias) = (s.random(&[8], 0.5, 1.0), s.random(&[8], 0.5, 0.0));
            let inputs = [x.name.as_str(), &scale, &bias];
            s.node("LayerNormalization", &inputs, x.shape.clone(), vec![int("axis", -1)])
        }),
        ("error function", |s, x| {
            let erf = s.unary("Erf", x);
            s.binary("Mul", x, &erf)
        }),
        ("unit length", |s, x| {
            let square = s.binary("Mul", x, x);
            let mean = s.mean(&square, &[1], true);
            let length = s.unary("Sqrt", &mean);
            s.binary("Div", x, &length)
        }),
        ("maximum", |s, x| {
            let low = s.random(&[8], 0.1, 0.4);
            s.node("Max", &[&x.name, &low], x.shape.clone(), vec![])
        }),
    ];
    for (kind, add) in kinds {
        let mut s = Source::new(12);
        let x = s.input("x", &[1, 3, FRAMES, SIZE, SIZE]);
        let y = s.conv(&x, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
        let y = s.unary("Relu", &y);
        let pooled = s.mean(&y, &[2, 3, 4], false);
        let hidden = add(&mut s, &pooled);
        let logits = s.gemm(&hidden, LABELS);
        s.output(&logits);
        let network = compile_frames(&s);
        assert_eq!(network.window_only_reason, None, "{kind}");
        assert!(metadata(&network).contains_key("head_nodes"), "{kind}");
        assert_matches_and_streams(&s, &network);
    }
}

#[test]
fn mean_of_two_networks_probabilities_streams_with_a_head() {
    let mut s = Source::new(12);
    let x = s.input("x", &[1, 3, FRAMES, SIZE, SIZE]);
    let y = s.conv(&x, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let pooled = s.mean(&y, &[2, 3, 4], false);
    let [first, second] = [0, 1].map(|_| {
        let logits = s.gemm(&pooled, LABELS);
        s.softmax(&logits, 1)
    });
    let sum = s.binary("Add", &first, &second);
    let half = s.floats(&[], vec![0.5]);
    let mean = s.node("Mul", &[&sum.name, &half], sum.shape.clone(), vec![]);
    s.output(&mean);
    let network = compile_frames(&s);
    assert!(metadata(&network).contains_key("head_nodes"));
    assert_matches_and_streams(&s, &network);
}

#[test]
fn nonlinear_head_has_no_chunk_steps() {
    let mut s = Source::new(9);
    let x = s.input("x", &[1, 3, FRAMES, SIZE, SIZE]);
    let y = s.conv(&x, 8, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let pooled = s.mean(&y, &[2, 3, 4], false);
    let logits = add_mlp(&mut s, &pooled, 5);
    s.output(&logits);
    let options = CompileOptions { steps: Steps::Chunk, ..command_line_options(LABELS) };
    let network = compile(s.bytes(), &options).expect("the network compiles");
    let reason = network.window_only_reason.as_deref().unwrap_or_default();
    assert!(reason.contains("--steps chunk") && reason.contains("Relu"), "{reason}");
    assert_clip_matches(&s, &network);
}

/// The end of a recurrent network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// One linear layer on the newest output.
    Newest,
    /// Two layers on the newest output, which is an output of the layer of its own.
    NewestState,
    /// One linear layer on the mean of the outputs.
    Mean,
    /// Two layers on the mean of the outputs.
    NonlinearMean,
    /// The mean of the probabilities of the outputs.
    Probabilities,
}

#[derive(Clone, Copy, Debug)]
struct Recurrent {
    layer: Recurrence,
    layers: usize,
    end: End,
    seed: u32,
}

fn recurrent() -> impl Strategy<Value = Recurrent> {
    let ends = [End::Newest, End::NewestState, End::Mean, End::NonlinearMean, End::Probabilities];
    let end = prop::sample::select(ends.to_vec());
    (recurrence("forward"), 1..=2usize, end, 1..u32::MAX)
        .prop_map(|(layer, layers, end, seed)| Recurrent { layer, layers, end, seed })
}

fn build_recurrent(r: &Recurrent) -> Source {
    let mut s = Source::new(r.seed);
    let x = s.input("x", &[1, FRAMES, 1, SIZE, SIZE]);
    let x = s.reshape(&x, &[FRAMES, 1, SIZE, SIZE]);
    let w = s.random(&[7, 1, 3, 3], 0.5, 0.0);
    let y = s.node("Conv", &[&x.name, &w], vec![FRAMES, 7, SIZE - 2, SIZE - 2], vec![]);
    let y = s.unary("Relu", &y);
    let y = s.mean(&y, &[2, 3], false);
    let mut y = s.reshape(&y, &[FRAMES, 1, 7]);
    let mut last = y.clone();
    for layer in 0..r.layers {
        (y, last) = add_recurrence(&mut s, &y, &r.layer, 5 - layer);
    }
    let width = y.shape[2];
    let out = match r.end {
        End::Newest => {
            let rows = s.reshape(&y, &[1, FRAMES, width]);
            let index = s.ints(&[-1]);
            let newest =
                s.node("Gather", &[&rows.name, &index], vec![1, 1, width], vec![int("axis", 1)]);
            let newest = s.reshape(&newest, &[1, width]);
            s.gemm(&newest, LABELS)
        }
        End::NewestState => add_mlp(&mut s, &last, 6),
        End::Mean | End::NonlinearMean => {
            let mean = s.mean(&y, &[0], true);
            let mean = s.reshape(&mean, &[1, width]);
            match r.end {
                End::Mean => s.gemm(&mean, LABELS),
                _ => add_mlp(&mut s, &mean, 6),
            }
        }
        End::Probabilities => {
            let rows = s.reshape(&y, &[FRAMES, width]);
            let logits = s.gemm(&rows, LABELS);
            let p = s.softmax(&logits, 1);
            s.mean(&p, &[0], true)
        }
    };
    s.output(&out);
    s
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn recurrent_networks_stream_with_their_state(r in recurrent()) {
        let s = build_recurrent(&r);
        let network = compile_frames(&s);
        prop_assert_eq!(&network.window_only_reason, &None);
        let metadata = metadata(&network);
        let rule = match r.end {
            End::Newest | End::NewestState => Some("newest"),
            End::Mean | End::NonlinearMean => None,
            End::Probabilities => Some("mean_probabilities"),
        };
        prop_assert_eq!(metadata.get("label_rule").map(String::as_str), rule);
        let has_head = r.end == End::NonlinearMean;
        prop_assert_eq!(metadata.contains_key("head_nodes"), has_head);
        let errors = verify_source(&s, &network).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(errors.clip <= TOLERANCE, "{}", errors);
        prop_assert!(errors.stream.is_some_and(|error| error <= TOLERANCE), "{}", errors);
    }
}

#[test]
fn average_of_the_newest_output_is_refused() {
    let layer = Recurrence {
        kind: "GRU",
        direction: "forward",
        has_bias: true,
        has_initial: true,
        before_reset: true,
    };
    let r = Recurrent { layer, layers: 1, end: End::Newest, seed: 5 };
    for average in [Average::Logits, Average::Probabilities] {
        let options = CompileOptions { average: Some(average), ..command_line_options(LABELS) };
        let error = compile(build_recurrent(&r).bytes(), &options).expect_err("must be refused");
        assert!(error.to_string().contains("without --average"), "{error}");
    }
}

#[test]
fn backward_layers_run_on_whole_clips() {
    for direction in ["reverse", "bidirectional"] {
        let layer = Recurrence {
            kind: "LSTM",
            direction,
            has_bias: true,
            has_initial: false,
            before_reset: false,
        };
        let r = Recurrent { layer, layers: 1, end: End::Mean, seed: 3 };
        let s = build_recurrent(&r);
        let network = compile_frames(&s);
        let reason = network.window_only_reason.as_deref().unwrap_or_default();
        assert!(reason.contains("backwards"), "{direction}: {reason}");
        assert_clip_matches(&s, &network);
    }
}

#[test]
fn recurrent_layer_over_one_feature_streams() {
    let mut s = Source::new(5);
    let x = s.input("x", &[1, FRAMES, 1, SIZE, SIZE]);
    let y = s.mean(&x, &[0, 3, 4], false);
    let y = s.reshape(&y, &[FRAMES, 1, 1]);
    let layer = Recurrence {
        kind: "LSTM",
        direction: "forward",
        has_bias: true,
        has_initial: false,
        before_reset: false,
    };
    let (outputs, _) = add_recurrence(&mut s, &y, &layer, 4);
    let rows = s.reshape(&outputs, &[FRAMES, 4]);
    let logits = s.gemm(&rows, LABELS);
    s.output(&logits);
    assert_matches_and_streams(&s, &compile_frames(&s));
}
