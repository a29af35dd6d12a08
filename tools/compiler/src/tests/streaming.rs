//! What streams, what does not, and what the step graph's states are.

use super::source::{LABELS, Padding, Source, Val};
use super::{checked, compiled, options};
use crate::{compile, inspect};

const SIZE: usize = 6;

fn finish(s: &mut Source, x: &Val) {
    let pooled = s.mean(x, &[2, 3, 4], true);
    let flat = s.flatten(&pooled);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
}

fn network(frames: usize, body: impl Fn(&mut Source, &Val) -> Val) -> Source {
    let mut s = Source::new(3);
    let x = s.input("x", &[1, 3, frames, SIZE, SIZE]);
    let y = body(&mut s, &x);
    finish(&mut s, &y);
    s
}

/// A slow and a fast pathway with a lateral connection of the given kernel.
fn lateral(kernel: usize, alpha: usize) -> Source {
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
fn a_symmetric_kernel_that_looks_ahead_compiles_to_window_mode_with_the_reason() {
    let compiled = compiled(&network(8, |s, x| s.conv(x, 4, [3, 1, 1], [1, 1, 1], 1, Padding::Symmetric)));
    assert!(compiled.stream.is_none());
    let reason = compiled.window_only.expect("a reason");
    assert!(reason.contains("/conv_0") && reason.contains("causal padding"), "{reason}");
}

#[test]
fn symmetric_pads_whose_right_side_a_stride_never_reaches_stream() {
    // Kernel 7, stride 4, pads 3 and 3: the last window ends with the chunk.
    let source = lateral(7, 4);
    let compiled = compiled(&source);
    assert!(compiled.stream.is_some(), "{:?}", compiled.window_only);
    assert!(checked(&source, &compiled).expect("runs").stream.expect("streams") < 1e-5);
}

/// A lateral connection whose causal padding is a Pad node, which the fast pathway reads too where it is shared.
fn padded_lateral(shared: bool) -> Source {
    let (kernel, alpha) = (5, 4);
    let mut s = Source::new(9);
    let slow = s.input("slow", &[1, 1, 4, SIZE, SIZE]);
    let fast = s.input("fast", &[1, 1, 4 * alpha, SIZE, SIZE]);
    let slow = s.conv(&slow, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&fast, 2, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let padded = s.pad(&fast, 2, kernel - 1, 0, 0.0);
    let joined = s.conv(&padded, 4, [kernel, 1, 1], [alpha, 1, 1], 1, Padding::InFront);
    let fast = if shared { &padded } else { &fast };
    let padding = if shared { Padding::InFront } else { Padding::Left };
    let fast = s.conv(fast, 2, [kernel, 1, 1], [1, 1, 1], 1, padding);
    let slow = s.concat(&[&slow, &joined], 1);
    s.classify(&slow, &fast, LABELS);
    s
}

#[test]
fn causal_padding_in_a_node_of_its_own_streams_whoever_else_reads_it() {
    for shared in [false, true] {
        let source = padded_lateral(shared);
        let compiled = compiled(&source);
        assert!(compiled.stream.is_some(), "shared: {shared}: {:?}", compiled.window_only);
        let apart = checked(&source, &compiled).expect("runs");
        assert!(apart.clip < 1e-5 && apart.stream.expect("streams") < 1e-5, "shared: {shared}");
    }
}

#[test]
fn a_lateral_kernel_that_leaves_its_chunk_does_not_stream() {
    let compiled = compiled(&lateral(9, 4));
    assert!(compiled.stream.is_none());
}

#[test]
fn a_pool_over_time_inside_the_network_does_not_stream_and_says_so() {
    let source = network(8, |s, x| {
        let y = s.conv(x, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
        let gate = s.mean(&y, &[2, 3, 4], true);
        let gate = s.unary("Sigmoid", &gate);
        s.binary("Mul", &y, &gate)
    });
    let compiled = compiled(&source);
    assert!(compiled.window_only.as_ref().is_some_and(|r| r.contains("pools over time inside")));
    assert!(checked(&source, &compiled).expect("runs").clip < 1e-5);
}

#[test]
fn a_max_pool_over_time_starts_below_every_number() {
    // All values are negative: a state of zeros would win the first maximum.
    let source = network(6, |s, x| {
        let y = s.conv(x, 4, [1, 1, 1], [1, 1, 1], 1, Padding::Left);
        let square = s.binary("Mul", &y, &y);
        let low = s.floats(&[1], vec![-1.0]);
        let negative = s.node("Mul", &[&square.name, &low], square.shape.clone(), vec![]);
        s.pool("MaxPool", &negative, [3, 1, 1], [1, 1, 1], [2, 0, 0, 0, 0, 0], false)
    });
    let compiled = compiled(&source);
    let stream = compiled.stream.as_ref().expect("streams");
    let states = &inspect(&stream.bytes).expect("reads").metadata["states"];
    assert!(states.contains("-3.4028234"), "{states}");
    assert!(checked(&source, &compiled).expect("runs").stream.expect("streams") < 1e-5);
}

#[test]
fn a_temporal_stride_inside_the_network_streams_when_the_chunk_is_a_multiple_of_it() {
    let source = network(8, |s, x| {
        let y = s.conv(x, 4, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
        let y = s.pool("MaxPool", &y, [2, 2, 2], [2, 2, 2], [0; 6], false);
        s.conv(&y, 6, [3, 1, 1], [1, 1, 1], 1, Padding::Left)
    });
    assert!(compiled(&source).window_only.is_some_and(|r| r.contains("--chunk")));
    let mut options = options(LABELS);
    options.chunk = 2;
    let compiled = compile(source.bytes(), &options).expect("compiles");
    assert!(checked(&source, &compiled).expect("runs").stream.expect("streams") < 1e-5);
}

#[test]
fn an_average_that_counts_fewer_frames_at_the_start_does_not_stream() {
    let source = network(6, |s, x| s.pool("AveragePool", x, [3, 1, 1], [1, 1, 1], [2, 0, 0, 0, 0, 0], false));
    let compiled = compiled(&source);
    assert!(compiled.stream.is_none());
    assert!(checked(&source, &compiled).expect("runs").clip < 1e-5);
}

#[test]
fn a_head_that_is_not_linear_gives_features_and_a_head_package() {
    let mut s = Source::new(9);
    let x = s.input("x", &[1, 3, 4, SIZE, SIZE]);
    let y = s.conv(&x, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let pooled = s.mean(&y, &[2, 3, 4], true);
    let hidden = s.unary("Relu", &pooled);
    let flat = s.flatten(&hidden);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
    let compiled = compiled(&s);
    let stream = inspect(&compiled.stream.as_ref().expect("streams").bytes).expect("reads");
    assert_eq!(
        (stream.outputs[0].name.as_str(), stream.outputs[0].shape.as_slice()),
        ("features", &[1, 8][..])
    );
    assert!(stream.metadata["head"].contains("model.head.onnx"));
    assert!(checked(&s, &compiled).expect("runs").stream.expect("streams") < 1e-5);
}

/// The pads of a causal convolution as PyTorch's TorchScript exporter leaves them: innermost axis first, filled up
/// with zeros and turned around by shape arithmetic.
#[test]
fn pads_that_the_exporter_left_as_shape_arithmetic_are_read() {
    let source = network(6, |s, x| {
        let given = s.ints(&[0, 0, 0, 0, 2, 0]);
        let four = s.ints(&[4]);
        let attribute = crate::onnx::AttributeProto {
            name: "value".into(),
            t: Some(crate::onnx::TensorProto {
                dims: vec![1],
                data_type: crate::onnx::data_type::INT64,
                int64_data: vec![0],
                ..Default::default()
            }),
            r#type: 4,
            ..Default::default()
        };
        let rest = s.node("ConstantOfShape", &[&four], vec![4], vec![attribute]);
        let all = s.node("Concat", &[&given, &rest.name], vec![10], vec![super::source::int("axis", 0)]);
        let pairs = s.ints(&[-1, 2]);
        let table = s.node("Reshape", &[&all.name, &pairs], vec![5, 2], vec![]);
        let [start, end, axis, step] = [-1, i64::MIN + 1, 0, -1].map(|v| s.ints(&[v]));
        let turned = s.node("Slice", &[&table.name, &start, &end, &axis, &step], vec![5, 2], vec![]);
        let columns = s.transpose(&turned, &[1, 0]);
        let flat = s.ints(&[-1]);
        let pads = s.node("Reshape", &[&columns.name, &flat], vec![10], vec![]);
        let pads = s.node("Cast", &[&pads.name], vec![10], vec![super::source::int("to", 7)]);
        let mut shape = x.shape.clone();
        shape[2] += 2;
        let padded = s.node("Pad", &[&x.name, &pads.name], shape, vec![]);
        let valid = s.random(&[4, 3, 3, 1, 1], 1.0, 0.0);
        s.node("Conv", &[&padded.name, &valid], vec![1, 4, 6, SIZE, SIZE], vec![])
    });
    let compiled = compiled(&source);
    assert!(checked(&source, &compiled).expect("runs").stream.expect("streams") < 1e-5);
}

/// A packed input whose slow frames are picked by a computed range.
#[test]
fn slow_frames_picked_by_a_range_become_an_input() {
    let mut s = Source::new(4);
    let packed = s.input("x", &[1, 1, 8, SIZE, SIZE]);
    let scalars = [0, 8, 4].map(|v| {
        let name = s.ints(&[v]);
        s.graph.initializer.last_mut().expect("just added").dims.clear();
        name
    });
    let [start, limit, delta] = &scalars;
    let indices = s.node("Range", &[start, limit, delta], vec![2], vec![]);
    let shape = vec![1, 1, 2, SIZE, SIZE];
    let slow = s.node("Gather", &[&packed.name, &indices.name], shape, vec![super::source::int("axis", 2)]);
    let slow = s.conv(&slow, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&packed, 2, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    s.classify(&slow, &fast, LABELS);
    let compiled = compiled(&s);
    let clip = inspect(&compiled.clip.bytes).expect("reads");
    assert_eq!(clip.metadata["slow_indices"], "[0,4]");
    assert_eq!(clip.inputs[0].shape, [2, 1, SIZE, SIZE]);
    assert!(checked(&s, &compiled).expect("runs").stream.expect("streams") < 1e-5);
}
