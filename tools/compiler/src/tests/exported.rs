//! Tests of files that training frameworks exported. They contain the operators and the shape
//! arithmetic that exporters write.

use super::support::{RUNTIME, TOLERANCE, command_line_options, options};
use crate::verify::{Source, verify};
use crate::{CompileOptions, CompiledNetwork, Result, compile, inspect};
use std::path::PathBuf;

/// What compiling a file must give.
enum Expected {
    /// A clip package alone.
    Clip,
    /// A clip package that only ONNX Runtime runs, because of this operator.
    Runtime(&'static str),
    /// A clip package and a stream package whose label follows from the mean of the logits.
    Stream,
    /// A clip package and a stream package with this label rule.
    Rule(&'static str),
    /// An error with this text.
    Error(&'static str),
}

use Expected::{Clip, Error, Rule, Runtime, Stream};

/// The files, their numbers of labels and the expected results.
const FILES: &[(&str, usize, Expected)] = &[
    ("attention_conv1d", 26, Clip),
    ("attention_over_frames", 26, Clip),
    ("attention_pool_time", 26, Clip),
    ("batch_frames_2d", 26, Stream),
    ("binary_sigmoid_1", 2, Clip),
    ("channel_shuffle", 26, Clip),
    ("cnn_bilstm", 26, Clip),
    ("cnn_gru_last", 26, Rule("newest")),
    ("cnn_gru_mean", 26, Stream),
    ("cnn_lstm_last", 26, Rule("newest")),
    ("cnn_lstm_mean", 26, Stream),
    ("cnn_rnn_last", 26, Rule("newest")),
    ("cnn_rnn_mean", 26, Stream),
    ("cnn_tcn_conv1d", 26, Clip),
    ("cosine_head", 26, Clip),
    ("dilation2_space", 26, Clip),
    ("end_argmax", 26, Error("--logits")),
    ("end_sigmoid", 26, Error("--logits")),
    ("end_softmax_times100", 26, Clip),
    ("end_squeeze_l", 26, Clip),
    ("ensemble_probs", 26, Clip),
    ("flatten_time_fc", 26, Clip),
    ("frames_as_channels_2d", 26, Clip),
    ("g_const_widens_add", 26, Stream),
    ("g_flip_tta", 26, Stream),
    ("g_luma_in_graph", 26, Stream),
    ("g_softmax_over_batch", 26, Error("dim=1")),
    ("g_temporal_conv2d", 26, Clip),
    ("g_two_clips_in_graph", 26, Clip),
    ("gap_by_flatten_mean", 26, Clip),
    ("gem_pool", 26, Clip),
    ("head_per_frame_probs_mean", 26, Rule("mean_probabilities")),
    ("in_nthwc_u8", 26, Stream),
    ("in_resize", 26, Stream),
    ("logsumexp_over_time", 26, Clip),
    ("max_over_time", 26, Clip),
    ("maxpool_ceil", 26, Clip),
    ("mlp_head_causal", 26, Stream),
    ("mlp_head_gelu", 26, Clip),
    ("mlp_head_ln", 26, Clip),
    ("mlp_head_relu", 26, Clip),
    ("mm_6d_one_crop", 26, Clip),
    ("nonlocal", 26, Clip),
    ("norm_groupnorm", 26, Clip),
    ("per_frame_softmax_then_mean", 26, Rule("mean_probabilities")),
    ("perframe_logprobs_ncthw", 26, Stream),
    ("perframe_logprobs_ntchw", 26, Stream),
    ("perframe_logprobs_tchw", 26, Stream),
    ("perframe_probs_ncthw", 26, Rule("mean_probabilities")),
    ("psf_fullyconv_softmax_mean", 26, Stream),
    ("single_frame_2d", 26, Stream),
    ("single_frame_2d_grey", 26, Stream),
    ("space_to_depth_stem", 26, Stream),
    ("three_frames_as_channels", 26, Stream),
    ("token_pruning", 3, Runtime("TopK")),
    ("transposed_conv", 26, Error("Resize and Conv")),
    ("zeropad_maxpool_space", 26, Stream),
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/exported/{name}.onnx"))
}

/// Compiles a file as the command line does.
fn compile_file(name: &str, labels: usize) -> Result<CompiledNetwork> {
    let source = std::fs::read(path(name)).expect("the file is readable");
    compile(source, &command_line_options(labels))
}

#[test]
fn exported_networks_give_agreeing_packages() {
    for (name, labels, expected) in FILES {
        match (compile_file(name, *labels), expected) {
            (Err(error), Error(text)) => {
                assert!(error.to_string().contains(text), "{name}: {error}");
            }
            (Ok(network), Clip | Runtime(_) | Stream | Rule(_)) => {
                let reason = &network.window_only_reason;
                let is_stream = !matches!(expected, Clip | Runtime(_));
                assert_eq!(network.stream.is_some(), is_stream, "{name}: {reason:?}");
                let rule = network.stream.as_ref().and_then(|stream| {
                    let metadata = inspect(&stream.bytes).expect("readable").metadata;
                    metadata.get("label_rule").cloned()
                });
                let wanted =
                    if let Rule(rule) = expected { Some((*rule).to_owned()) } else { None };
                assert_eq!(rule, wanted, "{name}");
                let wanted = if let Runtime(operator) = expected { Some(*operator) } else { None };
                assert_eq!(network.runtime_operator, wanted, "{name}");
                let errors = verify(&RUNTIME, Source::File(&path(name)), &network, 7);
                let errors = errors.unwrap_or_else(|error| panic!("{name}: {error}"));
                let stream = errors.stream.unwrap_or(0.0);
                assert!(errors.clip <= TOLERANCE && stream <= TOLERANCE, "{name}: {errors}");
            }
            (Ok(_), Error(_)) => panic!("{name} must not compile"),
            (Err(error), _) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn every_exported_file_has_an_expected_result() {
    let folder = std::fs::read_dir(path("x").parent().expect("a folder")).expect("readable");
    let names =
        folder.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned));
    for name in names.filter(|name| name != "README") {
        assert!(FILES.iter().any(|(file, ..)| *file == name), "{name}");
    }
}

#[test]
fn logits_before_an_argmax_can_be_chosen_by_name() {
    let source = std::fs::read(path("end_argmax")).expect("the file is readable");
    let name = "/b/head/Gemm_output_0";
    let options = CompileOptions { output: Some(name.into()), ..options(26) };
    let network = compile(source, &options).expect("the network compiles");
    let errors = verify(&RUNTIME, Source::File(&path("end_argmax")), &network, 7).expect("runs");
    assert_eq!(network.logits.name, name);
    assert!(errors.clip <= TOLERANCE, "{errors}");
}
