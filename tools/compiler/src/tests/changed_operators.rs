//! Tests of forms of operators that random changes of networks found.

use super::operators::{assert_streams, finish, stem};
use super::source::{LABELS, Source, Val, float, int, ints};
use super::support::{
    assert_clip_matches, assert_matches_and_streams, command_line_options, options,
};
use crate::compile;

#[test]
fn powers_of_negative_bases_match_the_source() {
    for exponent in [0.0, 2.0, 65.0, 66.0] {
        assert_streams(&format!("Pow {exponent}"), |s, x| {
            let y = s.unary("Softsign", x);
            let y = s.unary("Neg", &y);
            let exponent = s.floats(&[], vec![exponent]);
            s.node("Pow", &[&y.name, &exponent], x.shape.clone(), vec![])
        });
    }
}

#[test]
fn a_celu_that_does_not_rise_is_refused() {
    for alpha in [0.0, -1.0] {
        let mut s = Source::new(13);
        let x = stem(&mut s);
        let y = s.node("Celu", &[&x.name], x.shape.clone(), vec![float("alpha", alpha)]);
        finish(&mut s, &y);
        let error = compile(s.bytes(), &options(LABELS)).expect_err("must be refused");
        assert!(error.to_string().contains("alpha must be greater than 0"), "{error}");
    }
}

#[test]
fn a_power_with_an_infinite_exponent_is_refused() {
    let mut s = Source::new(13);
    let x = stem(&mut s);
    let exponent = s.floats(&[], vec![f32::INFINITY]);
    let y = s.node("Pow", &[&x.name, &exponent], x.shape.clone(), vec![]);
    finish(&mut s, &y);
    let error = compile(s.bytes(), &options(LABELS)).expect_err("must be refused");
    assert!(error.to_string().contains("must be a finite number, got inf"), "{error}");
}

#[test]
fn padding_before_a_padded_max_pool_matches_the_source() {
    assert_streams("Pad and MaxPool", |s, x| {
        let y = s.unary("Softplus", x);
        let y = s.unary("Neg", &y);
        let y = s.pad(&y, 3, 1, 2, 0.0);
        s.pool("MaxPool", &y, [1, 3, 3], [1, 2, 2], [0, 1, 1, 0, 1, 1], false)
    });
}

#[test]
fn flags_other_than_0_and_1_are_refused() {
    for (operator, flag, number) in [
        ("ReduceMean", "keepdims", 2),
        ("ReduceMean", "keepdims", -1),
        ("MaxPool", "ceil_mode", 2),
        ("AveragePool", "count_include_pad", -1),
    ] {
        let mut s = Source::new(13);
        let x = stem(&mut s);
        let mut attribute = int(flag, 0);
        attribute.i = Some(number);
        let mut attributes = vec![attribute];
        if operator != "ReduceMean" {
            attributes.push(ints("kernel_shape", &[1, 2, 2]));
        }
        let y = s.node(operator, &[&x.name], x.shape.clone(), attributes);
        finish(&mut s, &y);
        let error = compile(s.bytes(), &options(LABELS)).expect_err("must be refused");
        let expected = format!("attribute {flag} must be 0 or 1, got {number}");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

/// Returns the logits of the four frames of the stem, `[4,L]`.
fn frame_logits(s: &mut Source) -> Val {
    let x = stem(s);
    let y = s.unary("Relu", &x);
    let y = s.mean(&y, &[3, 4], false);
    let y = s.transpose(&y, &[0, 2, 1]);
    let y = s.reshape(&y, &[4, 8]);
    s.gemm(&y, LABELS)
}

#[test]
fn labels_before_the_frames_match_the_source() {
    let mut s = Source::new(13);
    let rows = frame_logits(&mut s);
    let columns = s.transpose(&rows, &[1, 0]);
    s.output(&columns);
    let network = compile(s.bytes(), &command_line_options(LABELS)).expect("it compiles");
    assert!(network.logits.has_labels_first);
    assert_matches_and_streams(&s, &network);
}

#[test]
fn padding_in_place_of_dropped_frames_does_not_stream() {
    let mut s = Source::new(13);
    let x = stem(&mut s);
    let first = s.slice(&x, 2, 0, 2, 1);
    let w = s.random(&[8, 8, 3, 1, 1], 0.4, 0.0);
    let pads = vec![ints("pads", &[2, 0, 0, 2, 0, 0])];
    let y = s.node("Conv", &[&first.name, &w], vec![1, 8, 4, 6, 6], pads);
    finish(&mut s, &y);
    let network = compile(s.bytes(), &options(LABELS)).expect("it compiles");
    let reason = network.window_only_reason.as_deref().unwrap_or_default();
    assert!(reason.contains("after the end of the frame's chunk"), "{reason}");
    assert_clip_matches(&s, &network);
}

#[test]
fn the_newest_of_a_part_of_the_frames_does_not_stream() {
    let mut s = Source::new(13);
    let rows = frame_logits(&mut s);
    let first = s.slice(&rows, 0, 0, 3, 1);
    // The ReLU keeps the slices from becoming one.
    let first = s.unary("Relu", &first);
    let newest = s.slice(&first, 0, 2, 3, 1);
    s.output(&newest);
    let network = compile(s.bytes(), &command_line_options(LABELS)).expect("it compiles");
    let reason = network.window_only_reason.as_deref().unwrap_or_default();
    assert!(reason.contains("only a part of the frames"), "{reason}");
    assert_clip_matches(&s, &network);
}

#[test]
fn functions_of_constants_after_the_newest_frame_compile() {
    let mut s = Source::new(13);
    let rows = frame_logits(&mut s);
    let newest = s.slice(&rows, 0, 3, 4, 1);
    let constant = s.random(&[LABELS], 1.0, 0.0);
    let shift = s.node("Erf", &[&constant], vec![LABELS], vec![]);
    let sum = s.binary("Add", &newest, &shift);
    s.output(&sum);
    let network = compile(s.bytes(), &command_line_options(LABELS)).expect("it compiles");
    assert_clip_matches(&s, &network);
}
