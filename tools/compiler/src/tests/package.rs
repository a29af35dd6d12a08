//! The files: options, metadata, determinism.

use super::source::{LABELS, Padding, Source};
use super::{checked, compiled, options};
use crate::{CompileError, Precision, Products, Spec, compile, inspect};
use sha2::Digest;

fn causal(channels: usize) -> Source {
    let mut s = Source::new(11);
    let slow = s.input("slow", &[1, channels, 4, 8, 8]);
    let fast = s.input("fast", &[1, channels, 16, 8, 8]);
    let slow = s.conv(&slow, 16, [1, 3, 3], [1, 2, 2], 1, Padding::Left);
    let fast = s.conv(&fast, 4, [5, 3, 3], [1, 2, 2], 1, Padding::Left);
    let fast = s.unary("Relu", &fast);
    let joined = s.conv(&fast, 8, [5, 1, 1], [4, 1, 1], 1, Padding::Left);
    let slow = s.concat(&[&slow, &joined], 1);
    let slow = s.conv(&slow, 8, [3, 1, 1], [1, 1, 1], 1, Padding::Left);
    s.classify(&slow, &fast, LABELS);
    s
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let source = causal(3).bytes();
    let options = crate::CompileOptions { self_test: true, ..options(LABELS) };
    assert_eq!(compile(source.clone(), &options), compile(source, &options));
}

#[test]
fn grey_packages_give_what_three_equal_channels_give() {
    let source = causal(3);
    let mut options = options(LABELS);
    options.grey = true;
    let compiled = compile(source.bytes(), &options).expect("compiles");
    let inspection = inspect(&compiled.clip.bytes).expect("reads");
    assert_eq!(inspection.inputs[1].shape, [16, 1, 8, 8]);
    assert_eq!(inspection.metadata["mean"], "[0.45]");
    let result = checked(&source, &compiled).expect("runs");
    assert!(result.clip < 1e-5 && result.stream.expect("streams") < 1e-5, "{result}");
}

#[test]
fn grey_is_refused_where_channels_are_normalised_differently() {
    let mut options = options(LABELS);
    options.grey = true;
    options.spec = Spec { mean: vec![0.485, 0.456, 0.406], ..Spec::default() };
    assert!(matches!(compile(causal(3).bytes(), &options), Err(CompileError::Spec(_))));
}

#[test]
fn grey_is_refused_for_a_network_that_is_grey_already() {
    let mut options = options(LABELS);
    options.grey = true;
    assert!(matches!(compile(causal(1).bytes(), &options), Err(CompileError::Network(_))));
}

#[test]
fn half_precision_packages_run_with_float32_at_the_border() {
    let source = causal(3);
    let mut options = options(LABELS);
    options.precision = Precision::Fp16;
    let compiled = compile(source.bytes(), &options).expect("compiles");
    let result = checked(&source, &compiled).expect("runs");
    assert!(result.clip < 2e-2 && result.stream.expect("streams") < 2e-2, "{result}");
    assert!(result.clip > 1e-6, "an error this small is that of float32: {result}");
    assert_eq!(inspect(&compiled.clip.bytes).expect("reads").metadata["precision"], "fp16");
}

#[test]
fn wide_kernels_of_three_take_fewer_products_but_not_in_half_precision_nor_where_plain_is_asked_for() {
    let mut source = Source::new(12);
    let x = source.input("frames", &[1, 3, 8, 14, 14]);
    let x = source.conv(&x, 192, [1, 1, 1], [1, 1, 1], 1, Padding::Left);
    let x = source.unary("Relu", &x);
    let x = source.conv(&x, 192, [3, 1, 1], [1, 1, 1], 1, Padding::Left);
    let x = source.unary("Relu", &x);
    let x = source.conv(&x, 192, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let x = source.unary("Relu", &x);
    let pooled = source.mean(&x, &[2, 3, 4], true);
    let flat = source.flatten(&pooled);
    let logits = source.gemm(&flat, LABELS);
    source.output(&logits);
    let cost = |products, precision| {
        let options = crate::CompileOptions { products, precision, ..options(LABELS) };
        let compiled = compile(source.bytes(), &options).expect("compiles");
        let multiply_adds = inspect(&compiled.clip.bytes).expect("reads").multiply_adds;
        (multiply_adds as f64, checked(&source, &compiled).expect("runs"))
    };
    let (plain, _) = cost(Products::Plain, Precision::Fp32);
    let (fewer, result) = cost(Products::default(), Precision::Fp32);
    assert!(fewer < 0.6 * plain, "{fewer} of {plain}");
    assert!(result.clip < 1e-5 && result.stream.expect("streams") < 1e-5, "{result}");
    assert_eq!(cost(Products::default(), Precision::Fp16).0, plain);
}

#[test]
fn the_graph_hash_is_that_of_field_seven_as_it_stands_in_the_file() {
    let compiled = compiled(&causal(1));
    for package in compiled.packages() {
        let hash = inspect(&package.bytes).expect("reads").metadata["graph_sha256"].clone();
        // Field 7, length-delimited: tag byte 0x3a, then a varint length.
        let mut rest = package.bytes.as_slice();
        let mut found = None;
        while let [tag, tail @ ..] = rest {
            let (mut value, mut shift, mut used) = (0usize, 0, 0);
            for byte in tail {
                value |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                used += 1;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let body = &tail[used..];
            if tag & 7 == 0 {
                rest = body;
                continue;
            }
            if tag >> 3 == 7 {
                found = Some(&body[..value]);
            }
            rest = &body[value..];
        }
        let digest = sha2::Sha256::digest(found.expect("a graph"));
        assert_eq!(hash, digest.iter().map(|b| format!("{b:02x}")).collect::<String>());
    }
}

#[test]
fn the_self_test_names_a_seed_and_one_number_per_label() {
    let options = crate::CompileOptions { self_test: true, ..options(LABELS) };
    let compiled = compile(causal(1).bytes(), &options).expect("compiles");
    for package in compiled.packages() {
        let text = inspect(&package.bytes).expect("reads").metadata["self_test"].clone();
        let test: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(test["seed"], 1);
        assert_eq!(test["logits"].as_array().map(Vec::len), Some(LABELS));
    }
}

#[test]
fn a_wrong_number_of_labels_is_refused() {
    assert!(matches!(compile(causal(1).bytes(), &options(LABELS + 1)), Err(CompileError::Spec(_))));
}

#[test]
fn a_specification_is_read_from_toml_and_checked() {
    let spec = Spec::from_toml("mean = [0.1]\nstd = [0.2]\nsample_interval_ns = 66666667\n").expect("reads");
    assert_eq!((spec.mean.as_slice(), spec.sample_interval_ns), (&[0.1][..], 66_666_667));
    assert!(Spec::from_toml("meen = [0.1]").is_err());
    let mut options = options(LABELS);
    options.spec.std = vec![0.0];
    assert!(matches!(compile(causal(1).bytes(), &options), Err(CompileError::Spec(_))));
}

#[test]
fn several_slow_frames_per_step_give_the_same_result() {
    let source = causal(1);
    let mut options = options(LABELS);
    options.chunk = 2;
    let compiled = compile(source.bytes(), &options).expect("compiles");
    let stream = inspect(&compiled.stream.as_ref().expect("streams").bytes).expect("reads");
    assert_eq!(stream.inputs[0].shape[0], 2);
    assert_eq!(stream.inputs[1].shape[0], 8);
    assert!(checked(&source, &compiled).expect("runs").stream.expect("streams") < 1e-5);
}
