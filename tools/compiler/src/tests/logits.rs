//! Tests of the places where the compiler finds the logits.

use super::source::{LABELS, Source, Val, int};
use super::support::{assert_matches_and_streams, command_line_options, compile_source};
use crate::compile;

/// Returns the features of as many images as there are labels, `[L,8]`.
fn features(s: &mut Source) -> Val {
    let x = s.input("x", &[LABELS, 3, 6, 6]);
    let weights = s.random(&[8, 3, 3, 3], 0.5, 0.0);
    let y = s.node("Conv", &[&x.name, &weights], vec![LABELS, 8, 4, 4], vec![]);
    let y = s.unary("Relu", &y);
    s.mean(&y, &[2, 3], false)
}

/// The result has the labels before the frames. Nothing but the product shows this, because both
/// axes have the same size.
#[test]
fn labels_precede_the_frames_behind_a_constant_on_the_left() {
    for is_gemm in [true, false] {
        let mut s = Source::new(6);
        let features = features(&mut s);
        let weights = s.random(&[LABELS, 8], 1.0, 0.0);
        let bias = s.random(&[LABELS, 1], 1.0, 0.0);
        let shape = vec![LABELS, LABELS];
        let logits = if is_gemm {
            let operands = [&weights, &features.name, &bias].map(String::as_str);
            s.node("Gemm", &operands, shape, vec![int("transB", 1)])
        } else {
            let turned = s.transpose(&features, &[1, 0]);
            let product = s.node("MatMul", &[&weights, &turned.name], shape.clone(), vec![]);
            s.node("Add", &[&product.name, &bias], shape, vec![])
        };
        s.output(&logits);
        let network = compile_source(&s);
        assert!(network.logits.has_labels_first);
        assert_matches_and_streams(&s, &network);
    }
}

#[test]
fn a_further_output_of_a_node_contains_the_logits() {
    let mut s = Source::new(9);
    let features = features(&mut s);
    let pooled = s.mean(&features, &[0], true);
    let both = s.gemm(&pooled, 2 * LABELS);
    let parts = s.split(&both, 1, &[LABELS, LABELS]);
    s.output(&parts[1]);
    let network = compile_source(&s);
    assert_eq!(network.logits.name, parts[1].name);
    assert_matches_and_streams(&s, &network);
}

/// The compiler leaves out a Reshape that undoes another one, so the logits are a value inside of
/// the recurrent layer, whose name is not that of its first output.
#[test]
fn the_last_output_of_a_recurrent_layer_contains_the_logits() {
    let mut s = Source::new(9);
    let features = features(&mut s);
    let sequence = s.reshape(&features, &[LABELS, 1, 8]);
    let weights = s.random(&[1, 3 * LABELS, 8], 0.5, 0.0);
    let recurrence = s.random(&[1, 3 * LABELS, LABELS], 0.5, 0.0);
    let operands = [&sequence.name, &weights, &recurrence].map(String::as_str);
    let size = vec![int("hidden_size", LABELS as i64)];
    let all = s.node("GRU", &operands, vec![LABELS, 1, 1, LABELS], size);
    let last = Val { name: format!("{}_last", all.name), shape: vec![1, 1, LABELS] };
    let layer = s.graph.node.last_mut().expect("the layer");
    layer.output.push(last.name.clone());
    let logits = s.reshape(&last, &[1, LABELS]);
    s.output(&logits);
    let network = compile(s.bytes(), &command_line_options(LABELS)).expect("the network compiles");
    assert_eq!(network.logits.name, logits.name);
    assert_matches_and_streams(&s, &network);
}
