//! Tests of frame networks on whole streams: after as many frames as its clip has, the label of a
//! stream equals the evaluation of the source network, which ONNX Runtime runs.
#![cfg(all(feature = "ort", feature = "rten"))]

mod common;

use common::{runtime_library, wait};
use ort::environment::Environment;
use ort::session::Session;
use ort::value::Tensor;
use std::path::Path;
use std::time::Duration;
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::{
    EarlyStop, Engine, EngineConfig, LabelRule, ModelPackage, ModelSpec, Stream, StreamConfig,
};
use tteview_compiler::{CompileOptions, Label, LabelSet, compile};

const LABELS: usize = 26;
const INTERVAL_NS: i64 = 33_333_333;

/// A source network, and what its package must say about it.
struct Network {
    name: &'static str,
    rule: LabelRule,
    has_head: bool,
    gives_probabilities: bool,
}

const NETWORKS: [Network; 4] = [
    Network {
        name: "per_frame_softmax_then_mean",
        rule: LabelRule::MeanProbabilities,
        has_head: false,
        gives_probabilities: true,
    },
    Network {
        name: "cnn_lstm_last",
        rule: LabelRule::Newest,
        has_head: false,
        gives_probabilities: false,
    },
    Network {
        name: "cnn_gru_mean",
        rule: LabelRule::MeanLogits,
        has_head: false,
        gives_probabilities: false,
    },
    Network {
        name: "mlp_head_causal",
        rule: LabelRule::MeanLogits,
        has_head: true,
        gives_probabilities: false,
    },
];

impl Network {
    fn source(&self) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/compiler/testdata/exported");
        std::fs::read(folder.join(format!("{}.onnx", self.name))).unwrap()
    }

    fn package(&self) -> ModelPackage {
        let label = |i| Label { code: format!("L{i}"), name: format!("{i}"), ..Label::default() };
        let labels: LabelSet = (0..LABELS).map(label).collect();
        let compiled = compile(self.source(), &CompileOptions::new("m", labels)).unwrap();
        let stream = compiled.stream.expect("the network streams");
        ModelPackage::from_bytes(stream.bytes, None).unwrap()
    }
}

/// Returns the pixels of a frame with three channels, which differ from frame to frame.
fn pixels(frame: usize, side: usize) -> Vec<u8> {
    let mut x = 0x9E37_79B9u32.wrapping_mul(frame as u32 + 1);
    let values = (0..3 * side * side).map(|i| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        ((x >> 25) as usize + 16 * frame + i % side) as u8
    });
    values.collect()
}

/// Returns the probabilities that the source network gives for the frames of a clip.
fn evaluate(environment: &Environment, network: &Network, spec: &ModelSpec) -> Vec<f32> {
    let (side, frames) = (spec.width_px, spec.clip_samples);
    let builder = Session::builder(environment).unwrap();
    let mut session = builder.with_intra_threads(1).unwrap();
    let mut session = session.commit_from_memory(&network.source()).unwrap();
    let all: Vec<Vec<u8>> = (0..frames).map(|frame| pixels(frame, side)).collect();
    let value = |frame: usize, channel: usize, at: usize| {
        let pixel = f32::from(all[frame][3 * at + channel]);
        (pixel / 255.0 - spec.mean[channel]) / spec.std[channel]
    };
    let area = side * side;
    // The channels come before the frames in the cine of the third axis, and after them otherwise.
    let has_channels_first = network.name.starts_with("mlp");
    let data: Vec<f32> = (0..3 * frames * area)
        .map(|i| {
            let (outer, at) = (i / area, i % area);
            match has_channels_first {
                true => value(outer % frames, outer / frames, at),
                false => value(outer / 3, outer % 3, at),
            }
        })
        .collect();
    let shape = match has_channels_first {
        true => vec![1, 3, frames, side, side],
        false => vec![1, frames, 3, side, side],
    };
    let input = Tensor::from_array((shape, data)).unwrap();
    let outputs = session.run(vec![("frames", input)]).unwrap();
    let (_, values) = outputs[0].try_extract_tensor::<f32>().unwrap();
    if network.gives_probabilities {
        return values.to_vec();
    }
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = values.iter().map(|value| (value - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn assert_near(name: &str, scores: &[f32], expected: &[f32]) {
    assert_eq!(scores.len(), expected.len());
    for (index, (score, expected)) in scores.iter().zip(expected).enumerate() {
        assert!((score - expected).abs() < 1e-5, "{name}, label {index}: {score} {expected}");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn a_label_after_a_clip_is_the_evaluation_of_the_source() {
    let environment = ort::init_from(runtime_library()).unwrap().build().unwrap();
    for network in &NETWORKS {
        let package = network.package();
        let spec = package.spec.clone();
        assert_eq!(spec.label_rule, network.rule, "{}", network.name);
        assert_eq!(spec.head().is_some(), network.has_head, "{}", network.name);
        let expected = evaluate(&environment, network, &spec);
        let config = EngineConfig { providers: vec!["embedded".into()], ..EngineConfig::default() };
        let engine = Engine::new(package, &config).unwrap();
        engine.prepare().unwrap();
        let side = u32::try_from(spec.width_px).unwrap();
        let config = StreamConfig {
            ring_slots: 32,
            max_width_px: side,
            max_height_px: side,
            max_frame_bytes: (3 * side * side) as usize,
            exact_history_ns: 1_000_000_000,
            // The rules compare posteriors, and never agree with a margin of 1.
            early_stop: Some(EarlyStop { outputs: 1, margin: 1.0 }),
            publish_each_sample: true,
            ..StreamConfig::default()
        };
        let mut stream = Stream::open(&engine, &config).unwrap();
        for repetition in 0..2 {
            let first_ns = repetition * 10_000_000_000;
            let acquisition = stream.acquirer.begin().unwrap();
            for frame in 0..spec.clip_samples {
                let geometry = Geometry::new(PixelFormat::Rgb24, side, side).unwrap();
                let pixels = pixels(frame, spec.width_px);
                let view = FrameView::new(geometry, &pixels).unwrap();
                let time_ns = first_ns + frame as i64 * INTERVAL_NS;
                stream.acquirer.push(&view.with_time_ns(time_ns)).unwrap();
            }
            stream.acquirer.end().unwrap();
            let labelled = wait(&stream.reader, acquisition);
            assert_eq!(labelled.chunks as usize, spec.clip_samples, "{}", network.name);
            assert_near(network.name, &labelled.scores, &expected);
            let mut scores = vec![0.0; LABELS];
            let (to_ns, limit) = (first_ns + 1_000_000_000, Duration::from_secs(60));
            stream.reader.query(first_ns, to_ns, limit, &mut scores).unwrap();
            assert_near(network.name, &scores, &expected);
            stream.reader.query_exact(first_ns, to_ns, limit, &mut scores).unwrap();
            assert_near(network.name, &scores, &expected);
        }
    }
}
