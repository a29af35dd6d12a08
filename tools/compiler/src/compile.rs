//! The pipeline, which runs the passes in order and builds the packages.

use crate::causality::analyse_timing;
use crate::error::{Result, fail_network, fail_spec};
use crate::export::{encode_graph, encode_model, export_graph, sha256_hex};
use crate::fold::fold_into_convolutions;
use crate::frame_plan::{FramePlan, plan_frames};
use crate::graph::Graph;
use crate::import::{ExternalData, import_model};
use crate::layout::infer_layout;
use crate::lower::{SourceNetwork, lower_clip, lower_fast, lower_head, lower_slow, lower_step};
use crate::lowered::LoweredGraph;
use crate::metadata::{CommonMetadata, frame_self_test_entry, self_test_entry, states_entry};
use crate::onnx::GraphProto;
use crate::options::{CompileOptions, Precision, Steps};
use crate::package::{CompiledNetwork, Package};
use crate::parts::{Division, Parts, StateEntry, join_parts};
use crate::pathways::{find_pathways, fold_grey, remove_softmax};
use crate::precision::convert_to_half;
use crate::self_test::{run_frame_self_test, run_self_test};
use bytes::Bytes;
use serde_json::json;

/// Maximum number of slow frames in a step.
const MAX_CHUNK: usize = 64;

/// The kind of a package.
#[derive(Clone, Copy)]
enum PackageKind {
    Clip,
    Stream,
    Head,
}

impl PackageKind {
    /// Returns the part of the file name between `NAME.` and `.onnx`.
    fn suffix(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Stream => "stream",
            Self::Head => "head",
        }
    }

    /// Returns the value of the metadata key `mode`.
    fn mode(self) -> &'static str {
        match self {
            Self::Clip => "window",
            Self::Stream => "stream",
            Self::Head => "head",
        }
    }
}

/// Compiles the network in `source`, the content of an ONNX file.
///
/// The same source and options always give the same bytes. For a network that is not chunk-causal,
/// the result contains only a clip package, and [`CompiledNetwork::window_only_reason`] contains
/// the reason.
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
    let mut graph = import_network(&source, options)?;
    drop(source);
    remove_softmax(&mut graph);
    graph.remove_dead_nodes();
    fold_into_convolutions(&mut graph);
    let layout = infer_layout(&graph)?;
    let pathways = find_pathways(&mut graph, &layout)?;
    if options.grey {
        if !options.spec.has_equal_channels() {
            return fail_spec(format!(
                "grey needs the same mean and std in all channels, got mean {:?} and std {:?}",
                options.spec.mean, options.spec.std
            ));
        }
        fold_grey(&mut graph, &layout, &pathways)?;
    }
    let timing = analyse_timing(&graph, &layout, &pathways, options.chunk)?;
    let network = SourceNetwork {
        graph: &graph,
        layout: &layout,
        pathways: &pathways,
        timing: &timing,
        winograd: options.effective_winograd(),
    };
    let [_, channels, height, width] = layout.lowered_shape(&graph, pathways.fast);
    options.spec.check(channels)?;
    let common = CommonMetadata {
        options,
        pathways: &pathways,
        input: [channels, height, width],
        outputs: graph.shape(graph.outputs[0]).iter().product(),
        is_causal: timing.can_stream(),
        source_sha256,
    };
    let clip = build_package(&common, PackageKind::Clip, lower_clip(network)?, &[])?;
    if !timing.can_stream() {
        let window_only_reason = Some(timing.obstacles.join("; "));
        return Ok(CompiledNetwork {
            clip,
            stream: None,
            head: None,
            window_only_reason,
            chunk_steps_reason: None,
        });
    }
    let plan = match options.steps {
        Steps::Frame => plan_frames(&graph, &layout, &pathways, &timing, options.chunk).map(Some),
        Steps::Chunk => Ok(None),
    };
    let chunk_steps_reason = match plan {
        Ok(Some(plan)) => {
            return Ok(CompiledNetwork {
                clip,
                stream: Some(build_frame_package(&common, network, &plan)?),
                head: None,
                window_only_reason: None,
                chunk_steps_reason: None,
            });
        }
        Ok(None) => None,
        Err(reason) => Some(reason),
    };
    let mut extra = vec![("chunk", options.chunk.to_string())];
    let mut head = None;
    if !timing.nonlinear_head.is_empty() {
        let package = build_package(&common, PackageKind::Head, lower_head(network)?, &extra)?;
        let entry = json!({ "file": package.file_name, "nodes": timing.nonlinear_head });
        extra.push(("head", entry.to_string()));
        head = Some(package);
    }
    let stream = build_package(&common, PackageKind::Stream, lower_step(network)?, &extra)?;
    Ok(CompiledNetwork {
        clip,
        stream: Some(stream),
        head,
        window_only_reason: None,
        chunk_steps_reason,
    })
}

/// Imports the source network and keeps one output: the only one, or the one named `logits`.
fn import_network(source: &Bytes, options: &CompileOptions) -> Result<Graph> {
    let model = import_model(source, &mut ExternalData::new(options.folder.as_deref()))?;
    let mut graph = model.graph;
    let names = &model.output_names;
    let logits =
        if names.len() == 1 { Some(0) } else { names.iter().position(|name| name == "logits") };
    match logits.and_then(|at| graph.outputs.get(at).copied()) {
        Some(id) => graph.outputs = vec![id],
        None => {
            return fail_network(format!(
                "the network has the outputs {names:?}; rename the one that contains the logits \
                 to \"logits\", or export the network with only that output"
            ));
        }
    }
    graph.remove_dead_nodes();
    Ok(graph)
}

/// Encodes one lowered graph with its metadata, which consists of the common entries, the entries
/// in `extra` and the entries that depend on the graph.
fn build_package(
    common: &CommonMetadata,
    kind: PackageKind,
    graph: LoweredGraph,
    extra: &[(&str, String)],
) -> Result<Package> {
    let options = common.options;
    let mut metadata = common.entries(kind.mode())?;
    metadata.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    if options.self_test {
        // The expected result of the self-test is computed with the float32 graph, even for a
        // half-precision package.
        let result =
            run_self_test(encode_part(&export_graph(&graph, &options.name)), &graph.states)?;
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
) -> Result<Package> {
    let options = common.options;
    let name = &options.name;
    let kind = PackageKind::Stream;
    let mut metadata = common.entries(kind.mode())?;
    metadata.insert("format".into(), "2".into());
    let fast = lower_fast(network, plan)?;
    let slow = if plan.has_slow_part { Some(lower_slow(network, plan)?) } else { None };
    let mut division = Division {
        alpha: common.pathways.alpha,
        lateral_reach: plan.reach,
        fast_nodes: 0,
        fast_states: fast.states.iter().map(StateEntry::new).collect(),
        slow_states: slow.iter().flat_map(|slow| &slow.states).map(StateEntry::new).collect(),
        lateral_windows: plan.window_names().collect(),
    };
    if options.self_test {
        let plain = |graph: &LoweredGraph| encode_part(&export_graph(graph, name));
        let parts = Parts { fast: plain(&fast), slow: slow.as_ref().map(plain) };
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
    division.fast_nodes = fast.node.len();
    division.write(&mut metadata);
    let graph = match slow {
        Some(slow) => join_parts(fast, export_graph(&slow, name)),
        None => fast,
    };
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
