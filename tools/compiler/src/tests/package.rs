//! Tests of the package files: options, metadata and determinism.

use super::source::{LABELS, Padding, Source};
use super::support::{
    TOLERANCE, assert_matches_and_streams, compile_source, options, verify_source,
};
use crate::{CompileError, Precision, Spec, Winograd, compile, inspect};
use prost::Message;
use sha2::Digest;

/// Returns a causal network with two pathways.
pub(super) fn causal_network(channels: usize) -> Source {
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
fn same_source_gives_the_same_bytes() {
    let source = causal_network(3).bytes();
    let options = crate::CompileOptions { self_test: true, ..options(LABELS) };
    assert_eq!(compile(source.clone(), &options), compile(source, &options));
}

#[test]
fn grey_packages_match_the_source_on_three_equal_channels() {
    let source = causal_network(3);
    let mut options = options(LABELS);
    options.grey = true;
    let compiled = compile(source.bytes(), &options).expect("the network compiles");
    let inspection = inspect(&compiled.clip.bytes).expect("the package is readable");
    assert_eq!(inspection.inputs[1].shape, [16, 1, 8, 8]);
    assert_eq!(inspection.metadata["mean"], "[0.45]");
    assert_matches_and_streams(&source, &compiled);
}

#[test]
fn grey_is_refused_if_the_channels_have_different_means() {
    let mut options = options(LABELS);
    options.grey = true;
    options.spec = Spec { mean: vec![0.485, 0.456, 0.406], ..Spec::default() };
    assert!(matches!(compile(causal_network(3).bytes(), &options), Err(CompileError::Spec(_))));
}

#[test]
fn grey_is_refused_for_a_network_with_one_channel() {
    let mut options = options(LABELS);
    options.grey = true;
    assert!(matches!(compile(causal_network(1).bytes(), &options), Err(CompileError::Network(_))));
}

#[test]
fn half_precision_packages_take_and_give_float32() {
    let source = causal_network(3);
    let mut options = options(LABELS);
    options.precision = Precision::Fp16;
    let compiled = compile(source.bytes(), &options).expect("the network compiles");
    let errors = verify_source(&source, &compiled).expect("the packages run");
    let stream = errors.stream.expect("the network streams");
    assert!(errors.clip < 2e-2 && stream < 2e-2, "{errors}");
    assert!(
        errors.clip > 1e-6,
        "the error is as small as in float32, so the package is not fp16: {errors}"
    );
    assert_eq!(
        inspect(&compiled.clip.bytes).expect("the package is readable").metadata["precision"],
        "fp16"
    );
}

#[test]
fn winograd_form_is_used_where_it_is_faster_and_allowed() {
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
    let cost = |winograd, precision| {
        let options = crate::CompileOptions { winograd, precision, ..options(LABELS) };
        let compiled = compile(source.bytes(), &options).expect("the network compiles");
        let multiply_adds =
            inspect(&compiled.clip.bytes).expect("the package is readable").multiply_adds;
        (multiply_adds as f64, verify_source(&source, &compiled).expect("the packages run"))
    };
    let (plain, _) = cost(Winograd::Never, Precision::Fp32);
    let (fewer, errors) = cost(Winograd::default(), Precision::Fp32);
    assert!(fewer < 0.6 * plain, "{fewer} of {plain}");
    let stream = errors.stream.expect("the network streams");
    assert!(errors.clip < TOLERANCE && stream < TOLERANCE, "{errors}");
    assert_eq!(cost(Winograd::default(), Precision::Fp16).0, plain);
}

#[test]
fn graph_hash_is_that_of_field_seven_in_the_file() {
    let compiled = compile_source(&causal_network(1));
    for package in compiled.packages() {
        let hash =
            inspect(&package.bytes).expect("the package is readable").metadata["graph_sha256"]
                .clone();
        // In the file, field 7 consists of the tag byte 0x3a, its length as a varint, and its
        // content.
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
        let digest = sha2::Sha256::digest(found.expect("the file has a graph"));
        assert_eq!(hash, digest.iter().map(|b| format!("{b:02x}")).collect::<String>());
    }
}

#[test]
fn self_test_has_the_seed_and_one_number_for_each_label() {
    let options = crate::CompileOptions { self_test: true, ..options(LABELS) };
    let compiled = compile(causal_network(1).bytes(), &options).expect("the network compiles");
    for package in compiled.packages() {
        let text =
            inspect(&package.bytes).expect("the package is readable").metadata["self_test"].clone();
        let test: serde_json::Value = serde_json::from_str(&text).expect("the self-test is JSON");
        assert_eq!(test["seed"], 1);
        assert_eq!(test["logits"].as_array().map(Vec::len), Some(LABELS));
    }
}

#[test]
fn wrong_number_of_labels_is_refused() {
    assert!(matches!(
        compile(causal_network(1).bytes(), &options(LABELS + 1)),
        Err(CompileError::Spec(_))
    ));
}

#[test]
fn specification_is_parsed_from_toml_and_checked() {
    let spec = Spec::from_toml("mean = [0.1]\nstd = [0.2]\nsample_interval_ns = 66666667\n")
        .expect("the specification parses");
    assert_eq!((spec.mean.as_slice(), spec.sample_interval_ns), (&[0.1][..], 66_666_667));
    assert!(Spec::from_toml("meen = [0.1]").is_err());
    let mut options = options(LABELS);
    options.spec.std = vec![0.0];
    assert!(matches!(compile(causal_network(1).bytes(), &options), Err(CompileError::Spec(_))));
}

#[test]
fn steps_of_two_slow_frames_match_the_source() {
    let source = causal_network(1);
    let mut options = options(LABELS);
    options.chunk = 2;
    let compiled = compile(source.bytes(), &options).expect("the network compiles");
    let stream = inspect(&compiled.stream.as_ref().expect("there is a stream package").bytes)
        .expect("the package is readable");
    assert_eq!(stream.inputs[0].shape[0], 2);
    assert_eq!(stream.inputs[1].shape[0], 8);
    assert_matches_and_streams(&source, &compiled);
}

/// Packages with chunk steps must not change when the compiler changes, because a device records
/// the hash of its package.
#[test]
fn chunk_steps_give_the_bytes_of_earlier_versions() {
    let expected = [
        (3, 1, Precision::Fp32, "f73457221b3de11a7baf086f0465c743ad2865ccd6e45a898bef21d0255e8be1"),
        (1, 2, Precision::Fp32, "c552b0d48a4093dea4276efe4899dd11a87574ea1e5585d5bbf43f48d00877b8"),
        (3, 1, Precision::Fp16, "3bc6a161b4aa210312f6daa3e1e2c06da540607c4bf88779da517375461b0f94"),
    ];
    for (channels, chunk, precision, hash) in expected {
        let options = crate::CompileOptions { chunk, precision, ..options(LABELS) };
        let network = compile(causal_network(channels).bytes(), &options).expect("it compiles");
        let stream = network.stream.expect("there is a stream package");
        let metadata = inspect(&stream.bytes).expect("the package is readable").metadata;
        assert_eq!(metadata["graph_sha256"], hash);
        let keys: Vec<&str> = metadata.keys().map(String::as_str).collect();
        // Without a self-test.
        let expected = "alpha chunk clip_samples format graph_sha256 input labels mean mode \
            model_version orientation precision provenance sample_interval_ns slow_indices \
            source_sha256 states std temperature threshold";
        assert_eq!(keys.join(" "), expected);
        assert_eq!(metadata["format"], "1");
    }
}

/// Returns options for a network whose output consists of logits and of a projection.
fn projection_options(values: usize) -> crate::CompileOptions {
    let means = vec![vec![0.5; values], vec![-0.5; values]];
    let novelty = crate::Novelty { kind: crate::NoveltyKind::Mahalanobis, threshold: 2.0, means };
    let mut options = options(LABELS - values);
    options.spec.novelty = Some(novelty);
    options
}

#[test]
fn a_projection_follows_the_logits_in_every_package() {
    let source = causal_network(1);
    for steps in [crate::Steps::Chunk, crate::Steps::Frame] {
        let options = crate::CompileOptions { steps, ..projection_options(2) };
        let compiled = compile(source.bytes(), &options).expect("the network compiles");
        assert_matches_and_streams(&source, &compiled);
        for package in compiled.packages() {
            let inspection = inspect(&package.bytes).expect("the package is readable");
            assert!(inspection.outputs.iter().all(|output| output.shape == [1, LABELS]));
            assert!(inspection.metadata["novelty"].starts_with("{\"kind\":\"mahalanobis\""));
        }
    }
}

#[test]
fn a_projection_stays_in_float32_in_half_precision() {
    let options = crate::CompileOptions {
        precision: Precision::Fp16,
        self_test: true,
        ..projection_options(2)
    };
    let compiled = compile(causal_network(1).bytes(), &options).expect("the network compiles");
    for package in compiled.packages() {
        let model = crate::onnx::ModelProto::decode(package.bytes.as_slice());
        let graph = model.expect("the model decodes").graph.expect("the model has a graph");
        let heads: Vec<_> = graph.node.iter().filter(|node| node.op_type == "Gemm").collect();
        assert!(!heads.is_empty(), "{}", package.file_name);
        let weights = heads
            .iter()
            .flat_map(|head| &head.input)
            .filter_map(|name| graph.initializer.iter().find(|tensor| tensor.name == *name));
        let types: Vec<_> = weights.map(|tensor| tensor.data_type).collect();
        assert!(!types.is_empty());
        assert!(types.iter().all(|&t| t == crate::onnx::data_type::FLOAT), "{types:?}");
    }
}

#[test]
fn a_projection_must_fit_the_outputs_of_the_network() {
    let mut options = projection_options(2);
    options.labels.truncate(LABELS - 3);
    let error = compile(causal_network(1).bytes(), &options).unwrap_err().to_string();
    assert!(error.contains("2 values of the projection must be"), "{error}");
}
