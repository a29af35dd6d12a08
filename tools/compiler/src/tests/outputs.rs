//! Tests of outputs that are probabilities, and of the normalisation of the input.

use super::source::{LABELS, Padding, Source, Val};
use super::support::{
    TOLERANCE, assert_clip_matches, assert_matches_and_streams, command_line_options, options,
    verify_source,
};
use crate::{
    Average, CompileError, CompileOptions, CompiledNetwork, LogitsForm, Result, Spec, Steps,
    compile, inspect,
};

/// Returns the logits of each of four frames, `[4,L]`.
fn frame_logits(s: &mut Source) -> Val {
    let x = s.input("x", &[1, 4, 3, 6, 6]);
    let x = s.reshape(&x, &[4, 3, 6, 6]);
    let w = s.random(&[8, 3, 3, 3], 0.5, 0.0);
    let y = s.node("Conv", &[&x.name, &w], vec![4, 8, 4, 4], vec![]);
    let y = s.unary("Relu", &y);
    let y = s.mean(&y, &[2, 3], false);
    s.gemm(&y, LABELS)
}

fn compile_tested(s: &Source) -> Result<CompiledNetwork> {
    compile(s.bytes(), &command_line_options(LABELS))
}

/// Returns the label rule of the stream package, or `None` for the rule of a package without the
/// key.
pub(super) fn label_rule(network: &CompiledNetwork) -> Option<String> {
    let stream = network.stream.as_ref().expect("the network streams");
    inspect(&stream.bytes).expect("the package is readable").metadata.get("label_rule").cloned()
}

/// Appends the probabilities of the frames, and their mean if `is_averaged` is true.
fn add_probabilities(s: &mut Source, is_averaged: bool) {
    let logits = frame_logits(s);
    let probabilities = s.softmax(&logits, 1);
    let result = if is_averaged { s.mean(&probabilities, &[0], true) } else { probabilities };
    s.output(&result);
}

#[test]
fn mean_of_probabilities_becomes_the_rule_of_the_stream() {
    for is_averaged in [true, false] {
        let mut s = Source::new(4);
        add_probabilities(&mut s, is_averaged);
        let network = compile_tested(&s).expect("the network compiles");
        let form = match is_averaged {
            true => LogitsForm::Logarithm,
            false => LogitsForm::MeanProbabilities,
        };
        assert_eq!(network.logits.form, form);
        assert_eq!(label_rule(&network).as_deref(), Some("mean_probabilities"));
        assert_matches_and_streams(&s, &network);
    }
}

#[test]
fn average_can_be_chosen() {
    for is_averaged in [true, false] {
        let mut s = Source::new(4);
        add_probabilities(&mut s, is_averaged);
        let options =
            CompileOptions { average: Some(Average::Logits), ..command_line_options(LABELS) };
        let network = compile(s.bytes(), &options).expect("the network compiles");
        assert_eq!((network.logits.form, label_rule(&network)), (LogitsForm::Value, None));
        assert_matches_and_streams(&s, &network);
    }
    let mut s = Source::new(4);
    let logits = frame_logits(&mut s);
    s.output(&logits);
    let options =
        CompileOptions { average: Some(Average::Probabilities), ..command_line_options(LABELS) };
    let network = compile(s.bytes(), &options).expect("the network compiles");
    assert_eq!(label_rule(&network).as_deref(), Some("mean_probabilities"));
    assert_matches_and_streams(&s, &network);
    let mut s = Source::new(4);
    let logits = frame_logits(&mut s);
    let mean = s.mean(&logits, &[0], true);
    s.output(&mean);
    let error = compile(s.bytes(), &options).expect_err("must be refused").to_string();
    assert!(error.contains("--logits NAME"), "{error}");
}

#[test]
fn probabilities_of_one_frame_keep_the_logits_in_the_clip() {
    let mut s = Source::new(4);
    let x = s.input("x", &[1, 3, 6, 6]);
    let w = s.random(&[8, 3, 3, 3], 0.5, 0.0);
    let y = s.node("Conv", &[&x.name, &w], vec![1, 8, 4, 4], vec![]);
    let y = s.mean(&y, &[2, 3], false);
    let logits = s.gemm(&y, LABELS);
    let p = s.softmax(&logits, 1);
    s.output(&p);
    let network = compile_tested(&s).expect("the network compiles");
    assert_eq!(network.logits.form, LogitsForm::Value);
    assert_eq!(label_rule(&network).as_deref(), Some("mean_probabilities"));
    assert_matches_and_streams(&s, &network);
}

#[test]
fn mean_of_probabilities_has_no_chunk_steps() {
    let mut s = Source::new(4);
    add_probabilities(&mut s, true);
    let options = CompileOptions { steps: Steps::Chunk, ..command_line_options(LABELS) };
    let network = compile(s.bytes(), &options).expect("the network compiles");
    let reason = network.window_only_reason.as_deref().unwrap_or_default();
    assert!(reason.contains("--steps chunk"), "{reason}");
    assert_clip_matches(&s, &network);
}

#[test]
fn scaled_and_clipped_probabilities_become_their_logarithm() {
    for is_scaled in [false, true] {
        let mut s = Source::new(4);
        let logits = frame_logits(&mut s);
        let mean = s.mean(&logits, &[0], true);
        let p = s.softmax(&mean, 1);
        let result = if is_scaled {
            let factor = s.floats(&[], vec![100.0]);
            s.node("Mul", &[&p.name, &factor], p.shape.clone(), vec![])
        } else {
            let (min, max) = (s.floats(&[], vec![1e-7]), s.floats(&[], vec![1.0 - 1e-7]));
            s.node("Clip", &[&p.name, &min, &max], p.shape.clone(), vec![])
        };
        s.output(&result);
        let network = compile_tested(&s).expect("the network compiles");
        assert_eq!(network.logits.form, LogitsForm::Logarithm);
        assert_clip_matches(&s, &network);
    }
}

#[test]
fn softmax_in_separate_nodes_is_recognised_by_its_values() {
    let mut s = Source::new(4);
    let logits = frame_logits(&mut s);
    let mean = s.mean(&logits, &[0], true);
    let e = s.unary("Exp", &mean);
    let axes = s.ints(&[1]);
    let sum = s.node("ReduceSum", &[&e.name, &axes], vec![1, 1], vec![]);
    let p = s.binary("Div", &e, &sum);
    s.output(&p);
    let network = compile_tested(&s).expect("the network compiles");
    assert_eq!(network.logits.form, LogitsForm::Logarithm);
    assert_clip_matches(&s, &network);
}

#[test]
fn several_sigmoids_are_refused_with_a_remedy() {
    let mut s = Source::new(4);
    let logits = frame_logits(&mut s);
    let mean = s.mean(&logits, &[0], true);
    let p = s.unary("Sigmoid", &mean);
    s.output(&p);
    let error = compile_tested(&s).expect_err("must be refused").to_string();
    assert!(error.contains("--logits"), "{error}");
}

#[test]
fn one_sigmoid_gives_the_logits_of_two_labels() {
    let mut s = Source::new(4);
    let x = s.input("x", &[1, 3, 4, 6, 6]);
    let y = s.conv(&x, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let y = s.unary("Relu", &y);
    let pooled = s.mean(&y, &[2, 3, 4], false);
    let logit = s.gemm(&pooled, 1);
    let p = s.unary("Sigmoid", &logit);
    s.output(&p);
    let network = compile(s.bytes(), &options(2)).expect("the network compiles");
    assert_eq!(network.logits.form, LogitsForm::Binary);
    let errors = verify_source(&s, &network).expect("the packages run");
    assert!(errors.clip <= TOLERANCE && errors.stream.is_some_and(|e| e <= TOLERANCE), "{errors}");
}

#[test]
fn saturated_softmax_does_not_hide_an_error() {
    let mut s = Source::new(4);
    let logits = frame_logits(&mut s);
    let mean = s.mean(&logits, &[0], true);
    let factor = s.floats(&[], vec![1e4]);
    let sharp = s.node("Mul", &[&mean.name, &factor], mean.shape.clone(), vec![]);
    let p = s.softmax(&sharp, 1);
    s.output(&p);
    let network = compile_tested(&s).expect("the network compiles");
    // The packages of a network with other weights agree with the saturated softmax.
    let mut other = Source::new(4);
    let logits = frame_logits(&mut other);
    let mean = other.mean(&logits, &[0], true);
    let factor = other.floats(&[], vec![1.1e4]);
    let sharp = other.node("Mul", &[&mean.name, &factor], mean.shape.clone(), vec![]);
    let p = other.softmax(&sharp, 1);
    other.output(&p);
    assert_clip_matches(&s, &network);
    let errors = verify_source(&other, &network).expect("the packages run");
    assert!(errors.clip > 1e-2, "{errors}");
}

#[test]
fn mean_in_units_of_pixels_is_refused_with_the_corrected_one() {
    let mut s = Source::new(4);
    let logits = frame_logits(&mut s);
    let mean = s.mean(&logits, &[0], true);
    s.output(&mean);
    let spec = Spec {
        mean: vec![123.675, 116.28, 103.53],
        std: vec![58.395, 57.12, 57.375],
        ..Spec::default()
    };
    let options = CompileOptions { spec, ..options(LABELS) };
    let Err(CompileError::Spec(text)) = compile(s.bytes(), &options) else {
        panic!("the specification must be refused");
    };
    assert!(
        text.contains("mean = [0.485, 0.456, 0.406] and std = [0.229, 0.224, 0.225]"),
        "{text}"
    );
}

#[test]
fn normalisation_in_the_network_replaces_the_default() {
    for (mean, std, expected) in [(0.45, 0.225, "[1.0]"), (114.75, 57.4, "[0.00392156862745098]")] {
        let mut s = Source::new(4);
        let x = s.input("x", &[1, 1, 4, 6, 6]);
        let (m, d) = (s.floats(&[], vec![mean]), s.floats(&[], vec![std]));
        let y = s.node("Sub", &[&x.name, &m], x.shape.clone(), vec![]);
        let y = s.node("Div", &[&y.name, &d], x.shape.clone(), vec![]);
        let y = s.conv(&y, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
        let y = s.unary("Relu", &y);
        let pooled = s.mean(&y, &[2, 3, 4], false);
        let logits = s.gemm(&pooled, LABELS);
        s.output(&logits);
        let network = compile(s.bytes(), &options(LABELS)).expect("the network compiles");
        let metadata = crate::inspect(&network.clip.bytes).expect("readable").metadata;
        assert_eq!((metadata["mean"].as_str(), metadata["std"].as_str()), ("[0.0]", expected));
        assert!(network.notes.iter().any(|n| n.contains("normalises")), "{:?}", network.notes);
    }
}

#[test]
fn probabilities_of_a_grey_network_become_their_logarithm() {
    let mut s = Source::new(4);
    let logits = frame_logits(&mut s);
    let mean = s.mean(&logits, &[0], true);
    let e = s.unary("Exp", &mean);
    let axes = s.ints(&[1]);
    let sum = s.node("ReduceSum", &[&e.name, &axes], vec![1, 1], vec![]);
    let p = s.binary("Div", &e, &sum);
    s.output(&p);
    let options = CompileOptions { grey: true, ..command_line_options(LABELS) };
    let network = compile(s.bytes(), &options).expect("the network compiles");
    assert_eq!(network.logits.form, LogitsForm::Logarithm);
    assert_clip_matches(&s, &network);
}

#[test]
fn rows_after_a_node_without_frames_are_averaged() {
    for (is_softmax, average) in
        [(false, None), (true, None), (false, Some(Average::Probabilities))]
    {
        let mut s = Source::new(4);
        let logits = frame_logits(&mut s);
        let rows = s.unary("Sin", &logits);
        let result = if is_softmax { s.softmax(&rows, 1) } else { rows };
        s.output(&result);
        let options = CompileOptions { average, ..command_line_options(LABELS) };
        let network = compile(s.bytes(), &options).expect("the network compiles");
        let form = match is_softmax || average.is_some() {
            true => LogitsForm::MeanProbabilities,
            false => LogitsForm::Value,
        };
        assert_eq!(network.logits.form, form);
        assert_clip_matches(&s, &network);
    }
}

/// Ends that turn logits `[R,L]` into probabilities in a form that has no logits to go back to.
const PROBABILITIES: [fn(&mut Source, &Val) -> Val; 4] = [
    |s, logits| {
        let p = s.softmax(logits, 1);
        let (min, max) = (s.floats(&[], vec![1e-7]), s.floats(&[], vec![1.0 - 1e-7]));
        s.node("Clip", &[&p.name, &min, &max], p.shape.clone(), vec![])
    },
    |s, logits| {
        let p = s.softmax(logits, 1);
        let factor = s.floats(&[], vec![100.0]);
        s.node("Mul", &[&p.name, &factor], p.shape.clone(), vec![])
    },
    |s, logits| {
        let e = s.unary("Exp", logits);
        let axes = s.ints(&[1]);
        let sum = s.node("ReduceSum", &[&e.name, &axes], vec![logits.shape[0], 1], vec![]);
        s.binary("Div", &e, &sum)
    },
    |s, logits| {
        let log = s.node("LogSoftmax", &[&logits.name], logits.shape.clone(), vec![]);
        s.unary("Exp", &log)
    },
];

#[test]
fn rows_of_probabilities_are_averaged_as_asked() {
    for end in PROBABILITIES {
        for (average, form) in [
            (None, LogitsForm::Logarithm),
            (Some(Average::Logits), LogitsForm::MeanLogarithm),
            (Some(Average::Probabilities), LogitsForm::Logarithm),
        ] {
            let mut s = Source::new(4);
            let logits = frame_logits(&mut s);
            let rows = end(&mut s, &logits);
            s.output(&rows);
            let options = CompileOptions { average, ..command_line_options(LABELS) };
            let network = compile(s.bytes(), &options).expect("the network compiles");
            assert_eq!(network.logits.form, form);
            let averaged =
                if average == Some(Average::Logits) { "logits" } else { "probabilities" };
            let note = format!("the mean of their {averaged}");
            assert!(network.notes.iter().any(|n| n.contains(&note)), "{:?}", network.notes);
            assert_matches_and_streams(&s, &network);
        }
    }
}

#[test]
fn softmax_of_a_softmax_keeps_the_inner_one() {
    for has_rows in [false, true] {
        let mut s = Source::new(4);
        let logits = frame_logits(&mut s);
        let logits = if has_rows { logits } else { s.mean(&logits, &[0], true) };
        let inner = s.softmax(&logits, 1);
        let outer = s.softmax(&inner, 1);
        s.output(&outer);
        let options = CompileOptions {
            average: has_rows.then_some(Average::Logits),
            ..command_line_options(LABELS)
        };
        let network = compile(s.bytes(), &options).expect("the network compiles");
        assert_eq!((network.logits.form, network.logits.name), (LogitsForm::Value, inner.name));
    }
}

#[test]
fn logits_behind_probabilities_cannot_be_averaged() {
    for end in PROBABILITIES {
        let mut s = Source::new(4);
        let logits = frame_logits(&mut s);
        let rows = end(&mut s, &logits);
        let mean = s.mean(&rows, &[0], true);
        let mean = s.unary("Relu", &mean);
        s.output(&mean);
        let options =
            CompileOptions { average: Some(Average::Logits), ..command_line_options(LABELS) };
        let error = compile(s.bytes(), &options).expect_err("must be refused").to_string();
        assert!(error.contains("--logits NAME"), "{error}");
    }
}

#[test]
fn rows_of_sigmoids_are_refused_whatever_is_averaged() {
    for average in [None, Some(Average::Logits), Some(Average::Probabilities)] {
        let mut s = Source::new(4);
        let logits = frame_logits(&mut s);
        let rows = s.unary("Sigmoid", &logits);
        s.output(&rows);
        let options = CompileOptions { average, ..command_line_options(LABELS) };
        let error = compile(s.bytes(), &options).expect_err("must be refused").to_string();
        assert!(error.contains("sigmoids"), "{error}");
    }
}

/// The four rows are columns of a mean over all frames. They are averaged, but a stream has one
/// result, which follows from the mean of the features.
#[test]
fn rows_that_are_no_frames_are_averaged_in_the_head() {
    let mut s = Source::new(4);
    let x = s.input("x", &[1, 4, 3, 6, 4]);
    let frames = s.reshape(&x, &[4, 3, 6, 4]);
    let mean = s.mean(&frames, &[0, 2], false);
    let rows = s.reshape(&mean, &[4, 3]);
    let logits = s.gemm(&rows, LABELS);
    let probabilities = s.softmax(&logits, 1);
    s.output(&probabilities);
    let network = compile_tested(&s).expect("the network compiles");
    assert_eq!(label_rule(&network), None);
    assert_matches_and_streams(&s, &network);
}
