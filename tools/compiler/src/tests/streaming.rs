//! Tests of streaming: which networks stream, why others do not, and which states the step graph
//! has.

use super::source::{LABELS, Padding, Source, Val, int};
use super::support::{assert_clip_matches, assert_matches_and_streams, compile_source, options};
use crate::{compile, inspect};

/// Height and width of the samples.
pub(super) const SIZE: usize = 6;

/// Appends a mean over time and space and a linear head.
fn add_head(s: &mut Source, x: &Val) {
    let pooled = s.mean(x, &[2, 3, 4], true);
    let flat = s.flatten(&pooled);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
}

/// Returns a network with one pathway.
pub(super) fn network(frames: usize, body: impl Fn(&mut Source, &Val) -> Val) -> Source {
    let mut s = Source::new(3);
    let x = s.input("x", &[1, 3, frames, SIZE, SIZE]);
    let y = body(&mut s, &x);
    add_head(&mut s, &y);
    s
}

/// Returns a network with two pathways and a lateral connection of this kernel size.
fn lateral_network(kernel: usize, alpha: usize) -> Source {
    let mut s = Source::new(5);
    let slow = s.input("slow", &[1, 1, 4, SIZE, SIZE]);
    let fast = s.input("fast", &[1, 1, 4 * alpha, SIZE, SIZE]);
    let slow = s.conv(&slow, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&fast, 2, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let joined = s.conv(&fast, 4, [kernel, 1, 1], [alpha, 1, 1], 1, Padding::Left);
    let slow = s.concat(&[&slow, &joined], 1);
    s.classify(&slow, &fast, LABELS);
    s
}

#[test]
fn kernel_that_reads_later_frames_does_not_stream() {
    let compiled = compile_source(&network(8, |s, x| {
        s.conv(x, 4, [3, 1, 1], [1, 1, 1], 1, Padding::Symmetric)
    }));
    assert!(compiled.stream.is_none());
    let reason = compiled.window_only_reason.expect("there is a reason");
    assert!(reason.contains("/conv_0") && reason.contains("causal padding"), "{reason}");
}

#[test]
fn symmetric_pads_whose_end_no_window_reaches_stream() {
    // With a kernel of size 7, a stride of 4 and a padding of 3 at both ends, every window ends
    // with the last sample of its chunk.
    let source = lateral_network(7, 4);
    let compiled = compile_source(&source);
    assert!(compiled.stream.is_some(), "{:?}", compiled.window_only_reason);
    assert_matches_and_streams(&source, &compiled);
}

/// Returns a network whose lateral connection has its causal padding in a Pad node. If `is_shared`
/// is true, the fast pathway also reads the padded value.
fn padded_lateral_network(is_shared: bool) -> Source {
    let (kernel, alpha) = (5, 4);
    let mut s = Source::new(9);
    let slow = s.input("slow", &[1, 1, 4, SIZE, SIZE]);
    let fast = s.input("fast", &[1, 1, 4 * alpha, SIZE, SIZE]);
    let slow = s.conv(&slow, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&fast, 2, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let padded = s.pad(&fast, 2, kernel - 1, 0, 0.0);
    let joined = s.conv(&padded, 4, [kernel, 1, 1], [alpha, 1, 1], 1, Padding::None);
    let fast = if is_shared { &padded } else { &fast };
    let padding = if is_shared { Padding::None } else { Padding::Left };
    let fast = s.conv(fast, 2, [kernel, 1, 1], [1, 1, 1], 1, padding);
    let slow = s.concat(&[&slow, &joined], 1);
    s.classify(&slow, &fast, LABELS);
    s
}

#[test]
fn causal_padding_in_a_shared_pad_node_streams() {
    for is_shared in [false, true] {
        let source = padded_lateral_network(is_shared);
        let compiled = compile_source(&source);
        assert!(
            compiled.stream.is_some(),
            "shared: {is_shared}: {:?}",
            compiled.window_only_reason
        );
        assert_matches_and_streams(&source, &compiled);
    }
}

#[test]
fn lateral_kernel_that_leaves_its_chunk_does_not_stream() {
    let compiled = compile_source(&lateral_network(9, 4));
    assert!(compiled.stream.is_none());
}

#[test]
fn mean_over_time_inside_the_network_does_not_stream() {
    let source = network(8, |s, x| {
        let y = s.conv(x, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
        let gate = s.mean(&y, &[2, 3, 4], true);
        let gate = s.unary("Sigmoid", &gate);
        s.binary("Mul", &y, &gate)
    });
    let compiled = compile_source(&source);
    assert!(
        compiled
            .window_only_reason
            .as_ref()
            .is_some_and(|r| r.contains("a mean over the whole clip"))
    );
    assert_clip_matches(&source, &compiled);
}

#[test]
fn softmax_over_time_does_not_stream() {
    let mut s = Source::new(3);
    let x = s.input("x", &[1, 3, 8, SIZE, SIZE]);
    let y = s.conv(&x, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let features = s.mean(&y, &[3, 4], true);
    let scores = s.conv(&features, 4, [1, 1, 1], [1, 1, 1], 1, Padding::Left);
    let attention = s.softmax(&scores, 2);
    let weighted = s.binary("Mul", &features, &attention);
    add_head(&mut s, &weighted);
    let compiled = compile_source(&s);
    assert!(compiled.stream.is_none());
    let reason = compiled.window_only_reason.as_ref().expect("there is a reason");
    assert!(
        reason.contains("Softmax") && reason.contains("normalises over all frames"),
        "{reason}"
    );
    assert_clip_matches(&s, &compiled);
}

#[test]
fn constant_that_differs_between_frames_does_not_stream() {
    let source = network(8, |s, x| {
        let y = s.conv(x, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
        let embedding = s.random(&[8, 1, 1], 1.0, 0.0);
        s.node("Add", &[&y.name, &embedding], y.shape.clone(), vec![])
    });
    let compiled = compile_source(&source);
    let reason = compiled.window_only_reason.as_ref().expect("there is a reason");
    assert!(reason.contains("Add") && reason.contains("differs from frame to frame"), "{reason}");
    assert_clip_matches(&source, &compiled);
}

#[test]
fn constant_that_widens_time_after_the_mean_streams() {
    let source = network(8, |s, x| {
        let y = s.conv(x, 4, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
        let pooled = s.pool("AveragePool", &y, [8, SIZE, SIZE], [1, 1, 1], [0; 6], false);
        let weights = s.random(&[5, 1, 1], 1.0, 0.0);
        s.node("Mul", &[&pooled.name, &weights], vec![1, 4, 5, 1, 1], vec![])
    });
    assert_matches_and_streams(&source, &compile_source(&source));
}

#[test]
fn max_pool_over_time_starts_with_the_lowest_float() {
    // The pool's inputs are all negative, so a state of zeros would change the first maximum.
    let source = network(6, |s, x| {
        let y = s.conv(x, 4, [1, 1, 1], [1, 1, 1], 1, Padding::Left);
        let square = s.binary("Mul", &y, &y);
        let low = s.floats(&[1], vec![-1.0]);
        let negative = s.node("Mul", &[&square.name, &low], square.shape.clone(), vec![]);
        s.pool("MaxPool", &negative, [3, 1, 1], [1, 1, 1], [2, 0, 0, 0, 0, 0], false)
    });
    let compiled = compile_source(&source);
    let stream = compiled.stream.as_ref().expect("there is a stream package");
    let states = &inspect(&stream.bytes).expect("the package is readable").metadata["states"];
    assert!(states.contains("-3.4028234"), "{states}");
    assert_matches_and_streams(&source, &compiled);
}

#[test]
fn temporal_stride_streams_if_it_divides_the_step() {
    let source = network(8, |s, x| {
        let y = s.conv(x, 4, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
        let y = s.pool("MaxPool", &y, [2, 2, 2], [2, 2, 2], [0; 6], false);
        s.conv(&y, 6, [3, 1, 1], [1, 1, 1], 1, Padding::Left)
    });
    assert!(
        compile_source(&source)
            .window_only_reason
            .is_some_and(|r| r.contains("slow frames of a step") || r.contains("stride"))
    );
    let mut options = options(LABELS);
    options.chunk = 2;
    let compiled = compile(source.bytes(), &options).expect("the network compiles");
    assert_matches_and_streams(&source, &compiled);
}

#[test]
fn average_of_fewer_frames_at_the_start_does_not_stream() {
    let source = network(6, |s, x| {
        s.pool("AveragePool", x, [3, 1, 1], [1, 1, 1], [2, 0, 0, 0, 0, 0], false)
    });
    let compiled = compile_source(&source);
    assert!(compiled.stream.is_none());
    assert_clip_matches(&source, &compiled);
}

#[test]
fn slow_frames_selected_by_a_range_become_an_input() {
    let mut s = Source::new(4);
    let packed = s.input("x", &[1, 1, 8, SIZE, SIZE]);
    let scalars = [0, 8, 4].map(|v| {
        let name = s.ints(&[v]);
        s.graph.initializer.last_mut().expect("the initializer").dims.clear();
        name
    });
    let [start, limit, delta] = &scalars;
    let indices = s.node("Range", &[start, limit, delta], vec![2], vec![]);
    let shape = vec![1, 1, 2, SIZE, SIZE];
    let slow = s.node("Gather", &[&packed.name, &indices.name], shape, vec![int("axis", 2)]);
    let slow = s.conv(&slow, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&packed, 2, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    s.classify(&slow, &fast, LABELS);
    let compiled = compile_source(&s);
    let clip = inspect(&compiled.clip.bytes).expect("the package is readable");
    assert_eq!(clip.metadata["slow_indices"], "[0,4]");
    assert_eq!(clip.inputs[0].shape, [2, 1, SIZE, SIZE]);
    assert_matches_and_streams(&s, &compiled);
}
