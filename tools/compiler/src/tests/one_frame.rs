//! Tests of image networks whose operators the analysis of time does not follow. Each frame is a
//! step of its own.

use super::outputs::label_rule;
use super::source::{LABELS, Source, Val, ints};
use super::support::{assert_clip_matches, assert_matches_and_streams, command_line_options};
use crate::{Average, CompileOptions, CompiledNetwork, Steps, compile};

/// Returns the logits of an image network with attention over the pixels.
fn attention(s: &mut Source, images: usize) -> Val {
    let x = s.input("x", &[images, 3, 6, 6]);
    let weights = s.random(&[8, 3, 3, 3], 0.5, 0.0);
    let pads = vec![ints("pads", &[1, 1, 1, 1])];
    let y = s.node("Conv", &[&x.name, &weights], vec![images, 8, 6, 6], pads);
    let pixels = s.reshape(&y, &[images, 8, 36]);
    let pixels = s.transpose(&pixels, &[0, 2, 1]);
    let turned = s.transpose(&pixels, &[0, 2, 1]);
    let scores = s.node("MatMul", &[&pixels.name, &turned.name], vec![images, 36, 36], vec![]);
    let scores = s.softmax(&scores, 2);
    let mixed = s.node("MatMul", &[&scores.name, &pixels.name], vec![images, 36, 8], vec![]);
    let mean = s.mean(&mixed, &[1], false);
    s.gemm(&mean, LABELS)
}

/// Ends of a network: its logits, their softmax, and probabilities without logits to go back to.
const ENDS: [fn(&mut Source, &Val) -> Val; 3] = [
    |_, logits| logits.clone(),
    |s, logits| s.softmax(logits, 1),
    |s, logits| {
        let log = s.node("LogSoftmax", &[&logits.name], logits.shape.clone(), vec![]);
        s.unary("Exp", &log)
    },
];

fn compile_end(
    end: fn(&mut Source, &Val) -> Val,
    options: &CompileOptions,
) -> (Source, CompiledNetwork) {
    let mut s = Source::new(5);
    let logits = attention(&mut s, 1);
    let result = end(&mut s, &logits);
    s.output(&result);
    let network = compile(s.bytes(), options).expect("the network compiles");
    (s, network)
}

#[test]
fn an_image_network_with_attention_streams() {
    let [logits, softmax, probabilities] = ENDS;
    let mean = Some("mean_probabilities");
    for (end, average, rule) in [
        (logits, None, None),
        (logits, Some(Average::Logits), None),
        (logits, Some(Average::Probabilities), mean),
        (softmax, None, mean),
        (softmax, Some(Average::Logits), None),
        (softmax, Some(Average::Probabilities), mean),
        (probabilities, None, mean),
        (probabilities, Some(Average::Probabilities), mean),
    ] {
        let options = CompileOptions { average, ..command_line_options(LABELS) };
        let (source, network) = compile_end(end, &options);
        assert_eq!(label_rule(&network).as_deref(), rule, "{average:?}");
        assert_matches_and_streams(&source, &network);
    }
}

#[test]
fn one_frame_has_chunk_steps_as_well() {
    let options = CompileOptions { steps: Steps::Chunk, ..command_line_options(LABELS) };
    let (source, network) = compile_end(ENDS[0], &options);
    assert_matches_and_streams(&source, &network);
    let (_, network) = compile_end(ENDS[1], &options);
    let reason = network.window_only_reason.expect("there is a reason");
    assert!(reason.contains("mean_probabilities needs frame steps"), "{reason}");
}

/// A clip package averages logits, so it cannot follow `--average probabilities`.
#[test]
fn an_operator_of_onnx_runtime_gives_no_stream() {
    let sines: fn(&mut Source, &Val) -> Val = |s, logits| s.unary("Sin", logits);
    let (_, network) = compile_end(sines, &command_line_options(LABELS));
    assert_eq!((network.runtime_operator, network.stream.is_some()), (Some("Sin"), false));
    let mut s = Source::new(5);
    let logits = attention(&mut s, 1);
    let result = sines(&mut s, &logits);
    s.output(&result);
    let average = Some(Average::Probabilities);
    let options = CompileOptions { average, ..command_line_options(LABELS) };
    let error = compile(s.bytes(), &options).expect_err("nothing can be averaged");
    assert!(error.to_string().contains("compile without --average"), "{error}");
}

#[test]
fn several_images_with_attention_are_told_how_to_stream() {
    let mut s = Source::new(5);
    let logits = attention(&mut s, 4);
    s.output(&logits);
    let network = compile(s.bytes(), &command_line_options(LABELS)).expect("the network compiles");
    let reason = network.window_only_reason.as_ref().expect("there is a reason");
    assert!(reason.ends_with("[1,C,H,W], so that each frame is a step"), "{reason}");
    assert_clip_matches(&s, &network);
}
