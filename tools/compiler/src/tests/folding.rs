//! Tests of constant folding: what exporters compute from sizes and weights becomes constants.

use super::source::{LABELS, Padding, Source, Val, int, ints};
use super::streaming::{SIZE, network};
use super::support::{assert_clip_matches, assert_matches_and_streams, compile_source, options};
use crate::onnx::{AttributeProto, ModelProto, TensorProto, data_type};
use crate::{CompileOptions, Winograd, compile, inspect};
use prost::Message;

/// The network contains the pads of a causal convolution as PyTorch's TorchScript exporter writes
/// them. The pads begin with the innermost axis, and shape arithmetic appends zeros and reverses
/// the order.
#[test]
fn pads_from_shape_arithmetic_are_folded() {
    let source = network(6, |s, x| {
        let given = s.ints(&[0, 0, 0, 0, 2, 0]);
        let four = s.ints(&[4]);
        let attribute = AttributeProto {
            name: "value".into(),
            t: Some(TensorProto {
                dims: vec![1],
                data_type: data_type::INT64,
                int64_data: vec![0],
                ..Default::default()
            }),
            r#type: 4,
            ..Default::default()
        };
        let rest = s.node("ConstantOfShape", &[&four], vec![4], vec![attribute]);
        let all = s.node("Concat", &[&given, &rest.name], vec![10], vec![int("axis", 0)]);
        let pairs = s.ints(&[-1, 2]);
        let table = s.node("Reshape", &[&all.name, &pairs], vec![5, 2], vec![]);
        let [start, end, axis, step] = [-1, i64::MIN + 1, 0, -1].map(|v| s.ints(&[v]));
        let turned =
            s.node("Slice", &[&table.name, &start, &end, &axis, &step], vec![5, 2], vec![]);
        let columns = s.transpose(&turned, &[1, 0]);
        let flat = s.ints(&[-1]);
        let pads = s.node("Reshape", &[&columns.name, &flat], vec![10], vec![]);
        let pads = s.node("Cast", &[&pads.name], vec![10], vec![int("to", 7)]);
        let mut shape = x.shape.clone();
        shape[2] += 2;
        let padded = s.node("Pad", &[&x.name, &pads.name], shape, vec![]);
        let valid = s.random(&[4, 3, 3, 1, 1], 1.0, 0.0);
        s.node("Conv", &[&padded.name, &valid], vec![1, 4, 6, SIZE, SIZE], vec![])
    });
    let compiled = compile_source(&source);
    assert_matches_and_streams(&source, &compiled);
}

/// The network contains the pads that keep the size of a frame as timm computes them: float
/// arithmetic on sizes, with a Clip that has a lower bound only.
#[test]
fn pads_from_float_arithmetic_are_folded() {
    let source = network(6, |s, x| {
        let number =
            |s: &mut Source, value: f32| Val { name: s.floats(&[1], vec![value]), shape: vec![1] };
        let [size, two, one] = [SIZE as f32, 2.0, 1.0].map(|v| number(s, v));
        let half = s.binary("Div", &size, &two);
        let steps = s.unary("Ceil", &half);
        let steps = s.binary("Sub", &steps, &one);
        let reach = s.binary("Mul", &steps, &two);
        let end = [&two, &one].into_iter().fold(reach, |sum, v| s.binary("Add", &sum, v));
        let total = s.binary("Sub", &end, &size);
        let zero = s.floats(&[], vec![0.0]);
        let total = s.node("Clip", &[&total.name, &zero], vec![1], vec![]);
        let one_each = s.node("Clip", &[&total.name, "", &one.name], vec![1], vec![]);
        let end = s.node("Cast", &[&one_each.name], vec![1], vec![int("to", 7)]);
        let zeros = s.ints(&[0, 0, 0, 0, 0, 0, 0, 0]);
        let parts = [zeros.as_str(), &end.name, &end.name];
        let pads = s.node("Concat", &parts, vec![10], vec![int("axis", 0)]);
        let padded = vec![1, 3, 6, SIZE + 1, SIZE + 1];
        let padded = s.node("Pad", &[&x.name, &pads.name], padded, vec![]);
        let weights = s.random(&[4, 3, 1, 3, 3], 0.5, 0.0);
        let strides = vec![ints("strides", &[1, 2, 2])];
        let half = SIZE / 2;
        s.node("Conv", &[&padded.name, &weights], vec![1, 4, 6, half, half], strides)
    });
    let compiled = compile_source(&source);
    assert_matches_and_streams(&source, &compiled);
}

/// Swin V2 and CoAtNet compute a table with a small network from positions, and select a row of it
/// for each pair of pixels.
#[test]
fn products_of_constants_are_folded() {
    let source = network(6, |s, x| {
        let positions = s.random(&[3, 3, 2], 1.0, 0.0);
        let weights = s.random(&[2, 5], 1.0, 0.0);
        let hidden = s.node("MatMul", &[&positions, &weights], vec![3, 3, 5], vec![]);
        let hidden = s.unary("Relu", &hidden);
        let hidden = s.reshape(&hidden, &[9, 5]);
        let (weights, bias) = (s.random(&[3, 5], 1.0, 0.0), s.random(&[3], 1.0, 0.0));
        let operands = [&hidden.name, &weights, &bias].map(String::as_str);
        let table = s.node("Gemm", &operands, vec![9, 3], vec![int("transB", 1)]);
        // More rows than a Gather may select from an activation.
        let rows: Vec<i64> = (0..5000).map(|i| i * i % 9).collect();
        let rows = s.ints(&rows);
        let all = s.node("Gather", &[&table.name, &rows], vec![5000, 3], vec![]);
        let row = s.slice(&all, 0, 1234, 1235, 1);
        let row = s.reshape(&row, &[1, 3, 1, 1, 1]);
        s.binary("Add", x, &row)
    });
    let compiled = compile_source(&source);
    assert_matches_and_streams(&source, &compiled);
}

#[test]
fn identity_matrix_and_size_of_a_known_shape_are_folded() {
    let source = network(6, |s, x| {
        let like = s.floats(&[SIZE, SIZE], vec![0.0; SIZE * SIZE]);
        let above = vec![int("k", 1)];
        let turned = s.node("EyeLike", &[&like], vec![SIZE, SIZE], above);
        let turned = s.node("MatMul", &[&x.name, &turned.name], x.shape.clone(), vec![]);
        let plain = s.node("EyeLike", &[&like], vec![SIZE, SIZE], vec![int("dtype", 7)]);
        let plain = s.node("Cast", &[&plain.name], vec![SIZE, SIZE], vec![int("to", 1)]);
        let size = s.node("Size", &[&x.name], vec![], vec![]);
        let size = s.node("Cast", &[&size.name], vec![], vec![int("to", 1)]);
        let plain = s.node("Div", &[&plain.name, &size.name], vec![SIZE, SIZE], vec![]);
        let plain = s.node("MatMul", &[&x.name, &plain.name], x.shape.clone(), vec![]);
        s.concat(&[&turned, &plain], 1)
    });
    let compiled = compile_source(&source);
    assert_clip_matches(&source, &compiled);
}

/// A package contains plain weights and a product that transforms them to Winograd's form. Folded
/// weights would be several times as large.
#[test]
fn products_of_constants_in_a_package_are_kept() {
    let source = network(6, |s, x| s.conv(x, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left));
    let options = CompileOptions { winograd: Winograd::Always, ..options(LABELS) };
    let compiled = compile(source.bytes(), &options).expect("the network compiles");
    let bytes = &compiled.clip.bytes;
    let inspection = inspect(bytes).expect("the package is readable");
    let model = ModelProto::decode(bytes.as_slice()).expect("a model");
    let nodes = model.graph.expect("a graph").node;
    let products = nodes.iter().filter(|node| node.op_type == "MatMul").count();
    assert!(products > 0, "the network is too small for Winograd's form");
    assert_eq!(inspection.operators.get("MatMul"), Some(&products));
}
