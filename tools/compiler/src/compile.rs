//! The pipeline, which runs the passes in order and builds the packages.

use crate::error::{Result, fail_network, fail_spec};
use crate::export::{encode_graph, encode_model, export_graph, sha256_hex};
use crate::frame_plan::{FramePlan, plan_frames};
use crate::graph::Recurrence;
use crate::label_rule::LabelRule;
use crate::layout::AxisRole;
use crate::lower::{SourceNetwork, lower_clip, lower_fast, lower_head, lower_slow, lower_step};
use crate::lowered::{LoweredGraph, LoweredOp};
use crate::metadata::{CommonMetadata, frame_self_test_entry, self_test_entry, states_entry};
use crate::onnx::GraphProto;
use crate::options::{CompileOptions, Precision, Steps};
use crate::output::{Content, has_unit_sum, is_distribution};
use crate::package::{CompiledNetwork, Package};
use crate::parts::{Division, HeadEntry, Parts, StateEntry, join_parts};
use crate::precision::convert_to_half;
use crate::prepare::{Prepared, prepare};
use crate::self_test::{SEED, run_frame_self_test, run_self_test};
use bytes::Bytes;

/// Maximum number of slow frames in a step.
const MAX_CHUNK: usize = 64;

/// What to do if an image network does not stream.
const ONE_IMAGE: &str = "; if the network labels each image by itself, export it with one image, \
    [1,C,H,W], so that each frame is a step";

/// Reason for an output with probabilities that are not a distribution, and the remedy.
const SIGMOIDS: &str = "the output contains probabilities whose sum is not constant, such as \
    sigmoids, but the labels of the library exclude each other; if the values before the sigmoid are \
    logits of exclusive labels, choose them with --logits NAME, otherwise train with a softmax";

/// The kind of a package.
#[derive(Clone, Copy)]
enum PackageKind {
    Clip,
    Stream,
}

impl PackageKind {
    /// Returns the part of the file name between `NAME.` and `.onnx`.
    fn suffix(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Stream => "stream",
        }
    }

    /// Returns the value of the metadata key `mode`.
    fn mode(self) -> &'static str {
        match self {
            Self::Clip => "window",
            Self::Stream => "stream",
        }
    }
}

/// Compiles the network in `source`, the content of an ONNX file.
///
/// The same source and options always give the same bytes. For a network that is not chunk-causal,
/// the result contains only a clip package, and [`CompiledNetwork::window_only_reason`] contains
/// the reason. If only ONNX Runtime runs the clip package,
/// [`CompiledNetwork::runtime_operator`] contains an operator that is the reason.
///
/// # Errors
/// Returns one of these errors:
/// - [`CompileError::File`](crate::CompileError::File) if the file is not a usable model;
/// - [`CompileError::Node`](crate::CompileError::Node) if a node cannot be compiled;
/// - [`CompileError::Network`](crate::CompileError::Network) if the network is not a view
///   classifier over cines, or does not fit the options;
/// - [`CompileError::Spec`](crate::CompileError::Spec) if the labels, the specification or an
///   option has a value that is not allowed;
/// - [`CompileError::Verify`](crate::CompileError::Verify) if the result of a package's self-test
///   cannot be computed.
pub fn compile(source: Vec<u8>, options: &CompileOptions) -> Result<CompiledNetwork> {
    if options.chunk == 0 || options.chunk > MAX_CHUNK {
        return fail_spec(format!(
            "chunk must be 1 to {MAX_CHUNK} slow frames, got {}",
            options.chunk
        ));
    }
    let source = Bytes::from(source);
    let source_sha256 = sha256_hex(&source);
    let mut network = prepare(&source, options, Recurrence::Unrolled)?;
    let options = &network.options.clone();
    let winograd = options.effective_winograd();
    let mut clip = lower_clip(network.source(winograd))?;
    let mut result = run_clip(&clip, options, SEED)?;
    let has_probabilities = has_probabilities(&clip, network.content, result.as_deref(), options)?;
    if network.end_in_logits(has_probabilities)? {
        clip = lower_clip(network.source(winograd))?;
        result = run_clip(&clip, options, SEED)?;
    }
    let (logits, notes) = (network.logits.clone(), network.notes.clone());
    if network.is_recurrent() {
        // The steps of a stream carry the state of a recurrent layer from frame to frame.
        network = prepare(&source, options, Recurrence::Stateful)?;
        network.end_in_logits(has_probabilities)?;
    }
    drop(source);
    if network.rule == LabelRule::MeanProbabilities {
        network.average_logits()?;
    }
    let has_one_frame = network.has_one_frame();
    let Prepared { graph, layout, pathways, timing, rule, .. } = &network;
    let source = network.source(winograd);
    let [_, channels, height, width] = layout.lowered_shape(graph, pathways.fast);
    let common = CommonMetadata {
        options,
        pathways,
        input: [channels, height, width],
        outputs: graph.shape(graph.outputs[0]).iter().product(),
        is_causal: timing.can_stream() || has_one_frame,
        source_sha256,
    };
    let runtime_operator = clip.nodes.iter().find_map(|node| match &node.op {
        LoweredOp::Kept(kept) => Some(kept.operator),
        _ => None,
    });
    let clip = build_package(&common, PackageKind::Clip, clip, &[], result)?;
    let mut compiled = CompiledNetwork {
        clip,
        stream: None,
        window_only_reason: None,
        chunk_steps_reason: None,
        runtime_operator,
        logits,
        notes,
    };
    if !timing.can_stream() && !has_one_frame {
        let advice = if has_images(&network) { ONE_IMAGE } else { "" };
        compiled.window_only_reason = Some(timing.obstacles.join("; ") + advice);
        return Ok(compiled);
    }
    if let Some(operator) = compiled.runtime_operator {
        // The operator may follow the mean over time, where it would be part of the head.
        compiled.window_only_reason = Some(format!("only ONNX Runtime runs {operator}"));
        return Ok(compiled);
    }
    let plan = match options.steps {
        Steps::Frame if has_one_frame => Ok(Some(FramePlan::of_one_frame())),
        Steps::Frame => plan_frames(graph, layout, pathways, timing, options.chunk).map(Some),
        Steps::Chunk => Ok(None),
    };
    let needs_frame_steps = match (rule.key(), timing.nonlinear_head.as_slice()) {
        (Some(key), _) => Some(format!("the label rule {key}")),
        (None, []) => None,
        (None, _) if has_one_frame => None,
        (None, nodes) => Some(format!("a head that is not linear ({})", nodes.join(", "))),
    };
    if let (Some(what), Ok(None) | Err(_)) = (needs_frame_steps, &plan) {
        let reason = plan.err().unwrap_or_else(|| "compile without --steps chunk".into());
        compiled.window_only_reason = Some(format!("{what} needs frame steps: {reason}"));
        return Ok(compiled);
    }
    match plan {
        Ok(Some(plan)) => {
            compiled.stream = Some(build_frame_package(&common, source, &plan, *rule)?);
            return Ok(compiled);
        }
        Ok(None) => {}
        Err(reason) => compiled.chunk_steps_reason = Some(reason),
    }
    let extra = vec![("chunk", options.chunk.to_string())];
    let step = if has_one_frame { lower_clip(source)? } else { lower_step(source)? };
    compiled.stream = Some(build_package(&common, PackageKind::Stream, step, &extra, None)?);
    Ok(compiled)
}

/// Returns whether the input of a network consists of several images.
fn has_images(network: &Prepared) -> bool {
    let Prepared { graph, layout, pathways, .. } = network;
    let is_batch = layout.roles(pathways.fast).first() == Some(&AxisRole::Time);
    is_batch && graph.shape(pathways.fast).len() == 4 && pathways.fast_frames > 1
}

/// Runs the clip graph on random input. Returns `None` if the options turn the self-test off.
fn run_clip(clip: &LoweredGraph, options: &CompileOptions, seed: u32) -> Result<Option<Vec<f32>>> {
    if !options.self_test {
        return Ok(None);
    }
    run_self_test(encode_part(&export_graph(clip, &options.name)), &clip.states, seed).map(Some)
}

/// Returns whether the result of the network is a distribution over the labels. `result` is the
/// result of one run.
///
/// # Errors
/// Returns [`CompileError::Network`](crate::CompileError::Network) if the network computes
/// probabilities that are not a distribution, because the library cannot use them.
fn has_probabilities(
    clip: &LoweredGraph,
    content: Content,
    result: Option<&[f32]>,
    options: &CompileOptions,
) -> Result<bool> {
    match content {
        Content::Independent => return fail_network(SIGMOIDS),
        Content::BeforeSoftmax => return Ok(false),
        Content::Logits | Content::Positive | Content::Distribution => {}
    }
    let is_possible = content == Content::Positive || result.is_some_and(has_unit_sum);
    if content == Content::Distribution || !is_possible {
        return Ok(content == Content::Distribution);
    }
    let mut results: Vec<Vec<f32>> = result.map(<[f32]>::to_vec).into_iter().collect();
    for seed in 2..4 {
        results.extend(run_clip(clip, options, seed)?);
    }
    match (is_distribution(&results), content) {
        (true, _) => Ok(true),
        (false, Content::Positive) => fail_network(SIGMOIDS),
        (false, _) => Ok(false),
    }
}

/// Encodes one lowered graph with its metadata, which consists of the common entries, the entries
/// in `extra` and the entries that depend on the graph. `result` is the expected result of the
/// self-test, if it is known.
fn build_package(
    common: &CommonMetadata,
    kind: PackageKind,
    graph: LoweredGraph,
    extra: &[(&str, String)],
    result: Option<Vec<f32>>,
) -> Result<Package> {
    let options = common.options;
    let mut metadata = common.entries(kind.mode())?;
    metadata.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    if options.self_test {
        // The expected result of the self-test is computed with the float32 graph, even for a
        // half-precision package.
        let result = match result {
            Some(result) => result,
            None => {
                let model = encode_part(&export_graph(&graph, &options.name));
                run_self_test(model, &graph.states, SEED)?
            }
        };
        metadata.insert("self_test".into(), self_test_entry(&result, options.precision));
    }
    let graph = convert_precision(graph, options.precision)?;
    metadata.insert("states".into(), states_entry(&graph.states));
    let encoded = encode_graph(&export_graph(&graph, &options.name));
    metadata.insert("graph_sha256".into(), encoded.sha256.clone());
    let file_name = format!("{}.{}.onnx", options.name, kind.suffix());
    Ok(Package { file_name, bytes: encode_model(&encoded, &metadata) })
}

/// Encodes the graphs of both parts and their metadata as a package with frame steps.
fn build_frame_package(
    common: &CommonMetadata,
    network: SourceNetwork,
    plan: &FramePlan,
    rule: LabelRule,
) -> Result<Package> {
    let options = common.options;
    let name = &options.name;
    let kind = PackageKind::Stream;
    let mut metadata = common.entries(kind.mode())?;
    metadata.insert("format".into(), "2".into());
    metadata.extend(rule.key().map(|key| ("label_rule".to_owned(), key.to_owned())));
    let fast = lower_fast(network, plan)?;
    let slow = if plan.has_slow_part { Some(lower_slow(network, plan)?) } else { None };
    let mut division = Division {
        alpha: common.pathways.alpha,
        lateral_reach: plan.reach,
        fast_nodes: 0,
        fast_states: fast.states.iter().map(StateEntry::new).collect(),
        slow_states: slow.iter().flat_map(|slow| &slow.states).map(StateEntry::new).collect(),
        lateral_windows: plan.window_names().collect(),
        head: None,
    };
    let head = plan.head.as_ref().map(|head| lower_head(network, head)).transpose()?;
    if let Some(head) = &head {
        let features = head.inputs.first().map_or(0, |&id| head.shape(id).iter().product());
        division.head = Some(HeadEntry { features, nodes: 0 });
    }
    if options.self_test {
        let plain = |graph: &LoweredGraph| encode_part(&export_graph(graph, name));
        let parts = Parts {
            fast: plain(&fast),
            slow: slow.as_ref().map(plain),
            head: head.as_ref().map(plain),
        };
        let [channels, height, width] = common.input;
        let shape = [1, channels, height, width];
        let chunks = run_frame_self_test(&division, parts, &shape)?;
        metadata.insert("self_test".into(), frame_self_test_entry(&chunks, options.precision));
    }
    let fast = convert_precision(fast, options.precision)?;
    let slow = slow.map(|slow| convert_precision(slow, options.precision)).transpose()?;
    let states: Vec<_> =
        fast.states.iter().chain(slow.iter().flat_map(|slow| &slow.states)).cloned().collect();
    metadata.insert("states".into(), states_entry(&states));
    let fast = export_graph(&fast, name);
    let slow = slow.map(|slow| export_graph(&slow, name));
    // The head stays in single precision.
    let head = head.map(|head| export_graph(&head, name));
    division.fast_nodes = fast.node.len();
    if let (Some(entry), Some(head)) = (&mut division.head, &head) {
        entry.nodes = head.node.len();
    }
    division.write(&mut metadata);
    let graph = join_parts(fast, slow, head);
    let encoded = encode_graph(&graph);
    metadata.insert("graph_sha256".into(), encoded.sha256.clone());
    let file_name = format!("{name}.{}.onnx", kind.suffix());
    Ok(Package { file_name, bytes: encode_model(&encoded, &metadata) })
}

/// Encodes a graph as a model without metadata.
fn encode_part(graph: &GraphProto) -> Vec<u8> {
    encode_model(&encode_graph(graph), &Default::default())
}

fn convert_precision(graph: LoweredGraph, precision: Precision) -> Result<LoweredGraph> {
    match precision {
        Precision::Fp32 => Ok(graph),
        Precision::Fp16 => convert_to_half(&graph),
    }
}
