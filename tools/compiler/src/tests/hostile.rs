//! Tests that broken and hostile files give errors that name the problem.

use super::source::{LABELS, Padding, Source, ints};
use super::support::options;
use crate::onnx::*;
use crate::{CompileError, compile, inspect};
use prost::Message;

/// Returns a network with one convolution, which is node 0.
fn small_network() -> Source {
    let mut s = Source::new(2);
    let x = s.input("x", &[1, 1, 2, 4, 4]);
    let y = s.conv(&x, 2, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let pooled = s.mean(&y, &[2, 3, 4], true);
    let flat = s.flatten(&pooled);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
    s
}

fn compile_error(source: &Source) -> CompileError {
    compile(source.bytes(), &options(LABELS)).expect_err("the network must not compile")
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small_network().bytes();
    // The operator set is the last field of the file, and a file without this field is refused.
    // Every truncated file must therefore be refused.
    for length in 0..bytes.len() {
        assert!(compile(bytes[..length].to_vec(), &options(LABELS)).is_err(), "{length} bytes");
    }
}

#[test]
fn no_single_changed_byte_makes_the_compiler_panic() {
    let bytes = small_network().bytes();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] ^= flip;
            let _ = compile(broken, &options(LABELS));
        }
    }
}

#[test]
fn cycle_is_refused_with_the_name_of_a_node() {
    let mut s = small_network();
    let last = s.graph.node[1].output[0].clone();
    s.graph.node[0].input[0] = last;
    let text = compile_error(&s).to_string();
    assert!(text.contains("/conv_0") && text.contains("cyclic"), "{text}");
}

#[test]
fn unknown_operator_names_the_node_and_its_shapes() {
    let mut s = small_network();
    s.graph.node[0].op_type = "ConvTranspose".into();
    let CompileError::Node { node, reason } = compile_error(&s) else {
        panic!("the error must name a node")
    };
    assert_eq!((node.name.as_str(), node.op.as_str()), ("/conv_0", "ConvTranspose"));
    assert_eq!(node.shapes[0], [1, 1, 2, 4, 4]);
    assert!(reason.contains("ConvTranspose is not supported"), "{reason}");
}

#[test]
fn shape_that_overflows_is_refused() {
    let mut s = small_network();
    s.graph.initializer[0].dims = vec![i64::MAX, i64::MAX, 4];
    assert!(matches!(compile_error(&s), CompileError::File(_)));
    let mut s = Source::new(1);
    s.input("x", &[1, 1, usize::MAX >> 1, 1 << 40, 4]);
    assert!(matches!(compile_error(&s), CompileError::File(_)));
}

#[test]
fn weight_with_too_few_elements_is_refused() {
    let mut s = small_network();
    s.graph.initializer[0].dims[0] += 1;
    assert!(matches!(compile_error(&s), CompileError::File(_)));
}

#[test]
fn constants_outside_the_range_of_their_type_are_refused() {
    let constant = |data_type: i32| TensorProto { dims: vec![1], data_type, ..Default::default() };
    let small =
        |data_type: i32, value: i32| TensorProto { int32_data: vec![value], ..constant(data_type) };
    let raw = |data_type: i32, raw: &[u8]| TensorProto {
        raw_data: Some(raw.to_vec().into()),
        ..constant(data_type)
    };
    let double =
        |value: f64| TensorProto { double_data: vec![value], ..constant(data_type::DOUBLE) };
    let load = |tensor: TensorProto| {
        let mut s = small_network();
        s.graph.initializer.push(tensor);
        inspect(&s.bytes()).map(drop)
    };
    for (tensor, range) in [
        (small(data_type::FLOAT16, 65_536), "0 to 65535, got 65536"),
        (small(data_type::FLOAT16, -1), "0 to 65535, got -1"),
        (small(data_type::INT8, 128), "-128 to 127, got 128"),
        (small(data_type::INT8, -129), "-128 to 127, got -129"),
        (small(data_type::UINT8, 256), "0 to 255, got 256"),
        (small(data_type::UINT8, -1), "0 to 255, got -1"),
        (small(data_type::BOOL, 2), "0 to 1, got 2"),
        (raw(data_type::BOOL, &[2]), "0 to 1, got 2"),
        (double(1e39), "got 1e39"),
        (raw(data_type::DOUBLE, &(-1e39f64).to_le_bytes()), "got -1e39"),
    ] {
        let text = load(tensor).expect_err(range).to_string();
        assert!(text.contains(range), "{text}");
    }
    for tensor in [
        small(data_type::FLOAT16, 65_535),
        small(data_type::INT8, -128),
        small(data_type::UINT8, 255),
        small(data_type::BOOL, 1),
        double(f64::INFINITY),
        double(3e38),
    ] {
        load(tensor).expect("the constant is in the range");
    }
}

#[test]
fn numbers_that_do_not_fit_into_32_bits_are_refused() {
    // Encodes a graph with one initializer, whose int32_data are packed or not.
    let load = |data: &[u8]| {
        let mut tensor = vec![0x08, 1, 0x10, 6, 0x42, 1, b'c'];
        tensor.extend(data);
        let mut graph = small_network().graph.encode_to_vec();
        graph.extend([0x2a, tensor.len() as u8]);
        graph.extend(tensor);
        let model = EncodedModelProto {
            ir_version: 8,
            graph: graph.into(),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
            ..Default::default()
        };
        inspect(&model.encode_to_vec()).map(drop)
    };
    // The value 2^32 and, in the last case, the type 2^32 + 6.
    for data in [
        &[0x2a, 5, 0x80, 0x80, 0x80, 0x80, 0x10][..],
        &[0x28, 0x80, 0x80, 0x80, 0x80, 0x10],
        &[0x28, 1, 0x10, 0x86, 0x80, 0x80, 0x80, 0x10],
    ] {
        let text = load(data).expect_err("the number does not fit").to_string();
        assert!(text.contains("must be -2147483648 to 2147483647, got 4294967"), "{text}");
    }
    // The largest value and, with its sign extended to ten bytes, -1.
    load(&[0x2a, 5, 0xff, 0xff, 0xff, 0xff, 0x07]).expect("the largest value");
    load(&[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).expect("-1");
}

#[test]
fn initializer_with_too_many_axes_is_refused() {
    let mut s = small_network();
    let dims = &mut s.graph.initializer[0].dims;
    dims.extend([1; 4]);
    let text = compile_error(&s).to_string();
    assert!(text.contains("rank") && text.contains("got 9"), "{text}");
}

#[test]
fn folded_constant_with_too_many_axes_is_refused() {
    let mut s = small_network();
    let data = s.floats(&[2, 1, 1, 1, 1, 1, 1, 1], vec![0.5, 1.5]);
    let indices = s.ints(&[0, 1]);
    s.graph.initializer.last_mut().expect("the indices").dims = vec![1, 2];
    s.node("Gather", &[&data, &indices], vec![], vec![]);
    let text = compile_error(&s).to_string();
    assert!(text.contains("at most 8 axes"), "{text}");
}

#[test]
fn constant_of_shape_with_a_negative_size_is_refused() {
    let mut s = small_network();
    let shape = s.ints(&[-3, 2]);
    s.node("ConstantOfShape", &[&shape], vec![], vec![]);
    let text = compile_error(&s).to_string();
    assert!(text.contains("negative"), "{text}");
}

#[test]
fn millions_of_empty_nodes_are_refused_before_decoding() {
    let mut graph = Vec::new();
    for _ in 0..2_000_000 {
        graph.extend([0x0a, 0x00]);
    }
    let model = EncodedModelProto {
        ir_version: 8,
        graph: graph.into(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        ..Default::default()
    };
    let CompileError::File(reason) =
        inspect(&model.encode_to_vec()).expect_err("the file must be refused")
    else {
        panic!("the error must be about the file")
    };
    assert!(reason.contains("fields"), "{reason}");
}

#[test]
fn concatenation_that_doubles_with_every_node_is_bounded() {
    let mut s = Source::new(2);
    let x = s.input("x", &[1, 1, 1, 1, 1]);
    let mut y = s.unary("Relu", &x);
    for _ in 0..28 {
        y = s.concat(&[&y, &y], 1);
    }
    let logits = s.flatten(&y);
    s.output(&logits);
    // The number of labels is wrong. The compiler must reach this error quickly.
    assert!(matches!(compile_error(&s), CompileError::Spec(_)));
}

#[test]
fn shared_weights_count_for_each_node() {
    let mut s = Source::new(2);
    let mut x = s.input("x", &[1, 1, 1, 512, 512]);
    let w = s.random(&[1, 1, 1, 511, 511], 0.1, 0.0);
    let attributes = vec![ints("pads", &[0, 255, 255, 0, 255, 255])];
    for _ in 0..700 {
        x = s.node("Conv", &[&x.name, &w], x.shape.clone(), attributes.clone());
    }
    s.output(&x);
    assert!(compile_error(&s).to_string().contains("weights"), "{}", compile_error(&s));
}

#[test]
fn external_weights_outside_the_folder_are_refused() {
    let mut s = small_network();
    s.graph.initializer[0].raw_data = None;
    s.graph.initializer[0].data_location = 1;
    let entry = StringStringEntryProto { key: "location".into(), value: "../secret".into() };
    s.graph.initializer[0].external_data = vec![entry];
    let mut options = options(LABELS);
    options.folder = Some(std::env::temp_dir());
    let text = compile(s.bytes(), &options).expect_err("the file must be refused").to_string();
    assert!(text.contains("outside the model's folder"), "{text}");
}

#[test]
fn old_operator_set_is_refused() {
    let mut model =
        ModelProto::decode(small_network().bytes().as_slice()).expect("the model decodes");
    model.opset_import[0].version = 10;
    assert!(matches!(compile(model.encode_to_vec(), &options(LABELS)), Err(CompileError::File(_))));
}

#[test]
fn multiply_adds_of_a_huge_graph_do_not_overflow() {
    let mut s = Source::new(2);
    let x = s.input("x", &[1, 1, 1, 65_535, 32_767]);
    let weights = s.input("weights", &[1, 1, 1, 32_768, 16_384]);
    let shape = [1, 1, 1, 32_768, 16_384];
    // Each convolution has 2^29 outputs, and each output needs 2^29 multiply-adds.
    for _ in 0..70 {
        let y = s.node("Conv", &[&x.name, &weights.name], shape.to_vec(), vec![]);
        s.output(&y);
    }
    let inspection = inspect(&s.bytes()).expect("the file is readable");
    assert_eq!(inspection.multiply_adds, u64::MAX);
}
