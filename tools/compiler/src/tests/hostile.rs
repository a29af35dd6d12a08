//! Files that are broken or hostile give errors that name what is wrong.

use super::options;
use super::source::{LABELS, Padding, Source};
use crate::onnx::*;
use crate::{CompileError, compile, inspect};
use prost::Message;

fn small() -> Source {
    let mut s = Source::new(2);
    let x = s.input("x", &[1, 1, 2, 4, 4]);
    let y = s.conv(&x, 2, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let pooled = s.mean(&y, &[2, 3, 4], true);
    let flat = s.flatten(&pooled);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
    s
}

fn error(source: &Source) -> CompileError {
    compile(source.bytes(), &options(LABELS)).expect_err("must not compile")
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = small().bytes();
    // The last fields are metadata and operator sets; losing those is an error as well.
    for length in 0..bytes.len() {
        assert!(compile(bytes[..length].to_vec(), &options(LABELS)).is_err(), "{length} bytes");
    }
}

#[test]
fn every_single_byte_change_gives_a_result_or_an_error() {
    let bytes = small().bytes();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] ^= flip;
            let _ = compile(broken, &options(LABELS));
        }
    }
}

#[test]
fn a_cycle_is_named() {
    let mut s = small();
    let last = s.graph.node[1].output[0].clone();
    s.graph.node[0].input[0] = last;
    let text = error(&s).to_string();
    assert!(text.contains("/conv_0") && text.contains("cyclic"), "{text}");
}

#[test]
fn an_unsupported_operator_is_named_with_its_shapes() {
    let mut s = small();
    s.graph.node[0].op_type = "ConvTranspose".into();
    let CompileError::Node { node, reason } = error(&s) else { panic!("a node error") };
    assert_eq!((node.name.as_str(), node.op.as_str()), ("/conv_0", "ConvTranspose"));
    assert_eq!(node.shapes[0], [1, 1, 2, 4, 4]);
    assert!(reason.contains("does not support"), "{reason}");
}

#[test]
fn dimensions_that_overflow_are_refused() {
    let mut s = small();
    s.graph.initializer[0].dims = vec![i64::MAX, i64::MAX, 4];
    assert!(matches!(error(&s), CompileError::File(_)));
    let mut s = Source::new(1);
    s.input("x", &[1, 1, usize::MAX >> 1, 1 << 40, 4]);
    assert!(matches!(error(&s), CompileError::File(_)));
}

#[test]
fn a_weight_that_does_not_fill_its_shape_is_refused() {
    let mut s = small();
    s.graph.initializer[0].dims[0] += 1;
    assert!(matches!(error(&s), CompileError::File(_)));
}

#[test]
fn millions_of_empty_nodes_are_refused_before_they_are_decoded() {
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
    let CompileError::File(reason) = inspect(&model.encode_to_vec()).expect_err("refused") else {
        panic!("a file error")
    };
    assert!(reason.contains("fields"), "{reason}");
}

#[test]
fn joins_that_double_at_every_node_stay_small() {
    let mut s = Source::new(2);
    let x = s.input("x", &[1, 1, 1, 1, 1]);
    let mut y = s.unary("Relu", &x);
    for _ in 0..28 {
        y = s.concat(&[&y, &y], 1);
    }
    let logits = s.flatten(&y);
    s.output(&logits);
    // The labels do not fit; what counts is that the error comes at once.
    assert!(matches!(error(&s), CompileError::Spec(_)));
}

#[test]
fn weights_that_many_nodes_share_are_counted_for_each() {
    let mut s = Source::new(2);
    let mut x = s.input("x", &[1, 1, 1, 512, 512]);
    let w = s.random(&[1, 1, 1, 511, 511], 0.1, 0.0);
    let attributes = vec![super::source::ints("pads", &[0, 255, 255, 0, 255, 255])];
    for _ in 0..600 {
        x = s.node("Conv", &[&x.name, &w], x.shape.clone(), attributes.clone());
    }
    s.output(&x);
    assert!(error(&s).to_string().contains("weights"), "{}", error(&s));
}

#[test]
fn external_weights_outside_the_models_folder_are_refused() {
    let mut s = small();
    s.graph.initializer[0].raw_data = None;
    s.graph.initializer[0].data_location = 1;
    let entry = StringStringEntryProto { key: "location".into(), value: "../secret".into() };
    s.graph.initializer[0].external_data = vec![entry];
    let mut options = options(LABELS);
    options.folder = Some(std::env::temp_dir());
    let text = compile(s.bytes(), &options).expect_err("refused").to_string();
    assert!(text.contains("outside the model's folder"), "{text}");
}

#[test]
fn an_old_operator_set_is_refused() {
    let mut model = ModelProto::decode(small().bytes().as_slice()).expect("decodes");
    model.opset_import[0].version = 11;
    assert!(matches!(compile(model.encode_to_vec(), &options(LABELS)), Err(CompileError::File(_))));
}
