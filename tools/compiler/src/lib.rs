//! Compiles a SlowFast ONNX file into tteview model packages.
//!
//! A network as a training framework exports it has 3-D convolutions over `[1,C,T,H,W]`. The compiler writes
//! - `NAME.clip.onnx`: the same network, exactly, with 2-D convolutions only, over `[T,C,H,W]`;
//! - `NAME.stream.onnx`, where the network is chunk-causal: one streaming step with explicit state, whose mean over
//!   the chunks of a clip is the clip's result;
//! - `NAME.head.onnx`, where the head is not linear in the pooled features: from their mean to logits.
//!
//! The file format is described in `docs/model-package.md`.
//!
//! # Passes
//! | pass | module | what |
//! | --- | --- | --- |
//! | 1 | `import` | ONNX bytes to a typed graph with static shapes |
//! | 2 | `fold` | batch norm, scales and padding into convolutions |
//! | 3 | `layout` | which axis is time, channel, height, width |
//! | 4 | `pathways` | slow and fast input, softmax taken off, grey stem |
//! | 5 | `time` | frame rates, and the proof of chunk causality by reach |
//! | 6 | `lower` | clip graph and step graph, 4-D operators only |
//! | 7 | `precision` | typed fp16 |
//! | 8 | `export`, `metadata`, `self_test` | the file |
//!
//! Slices and joins are merged and equal nodes shared while the lowered graph is built (`net`).
//!
//! # Example
//! ```no_run
//! use tteview_compiler::{CompileOptions, compile, inspect, labels_from_json};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let labels = labels_from_json(&std::fs::read_to_string("labels.json")?)?;
//! let compiled = compile(std::fs::read("model.onnx")?, &CompileOptions::new("model", labels))?;
//! for package in compiled.packages() {
//!     std::fs::write(&package.file_name, &package.bytes)?;
//! }
//! if let Some(reason) = &compiled.window_only {
//!     eprintln!("window mode only: {reason}");
//! }
//! println!("{}", inspect(&compiled.clip.bytes)?);
//! # Ok(())
//! # }
//! ```
//!
//! [`verify`](mod@verify) runs source and packages in ONNX Runtime, loaded from a shared library at run time:
//! ```no_run
//! # #[cfg(feature = "verify")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::path::Path;
//! use tteview_compiler::verify::{Runtime, Source, verify};
//! # let compiled = tteview_compiler::compile(vec![], &tteview_compiler::CompileOptions::new("m", vec![]))?;
//! let runtime = Runtime::load(Path::new("libonnxruntime.so"))?;
//! println!("{}", verify(&runtime, Source::File(Path::new("model.onnx")), &compiled, 1)?);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "verify"))]
//! # fn main() {}
//! ```
//!
//! # Options of the command line
//! | option | field |
//! | --- | --- |
//! | `--labels FILE` | [`CompileOptions::labels`], by [`labels_from_json`] |
//! | `--spec FILE` | [`CompileOptions::spec`], by [`Spec::from_toml`] |
//! | `-o NAME` | [`CompileOptions::name`] |
//! | `--channels 1` | [`CompileOptions::grey`] |
//! | `--precision` | [`CompileOptions::precision`] |
//! | `--chunk N` | [`CompileOptions::chunk`] |
//! | `--products` | [`CompileOptions::products`] |
//! | `--verify` | [`verify::verify`] |

mod error;
mod export;
mod fold;
mod graph;
mod import;
mod inspect;
mod layout;
mod lower;
mod metadata;
mod net;
mod onnx;
mod options;
mod pathways;
mod precision;
mod self_test;
mod tensor;
mod time;
#[cfg(feature = "verify")]
pub mod verify;

pub use error::{CompileError, NodeRef, Result};
pub use inspect::{Inspection, TensorInfo, inspect, inspect_in};
pub use options::{CompileOptions, Label, Precision, Products, Spec, labels_from_json};

use bytes::Bytes;
use lower::{Analysed, Lowered};
use metadata::Common;

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name without folder, as `NAME.clip.onnx`.
    pub file_name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
}

/// What came out of one source network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The lowered clip graph.
    pub clip: Package,
    /// The step graph; `None` where the network cannot stream.
    pub stream: Option<Package>,
    /// The head of a streaming network whose head is not linear.
    pub head: Option<Package>,
    /// Why there is no step graph.
    pub window_only: Option<String>,
}

impl Compiled {
    /// The files, in the order clip, stream, head.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        [Some(&self.clip), self.stream.as_ref(), self.head.as_ref()].into_iter().flatten()
    }
}

/// Compiles the network in `source`, the bytes of an ONNX file.
///
/// The same source and options give the same bytes. A network that is not chunk-causal compiles to a clip package
/// alone, and [`Compiled::window_only`] says why.
///
/// # Errors
/// [`CompileError::File`] for a file that is no usable model, [`CompileError::Node`] for a node that cannot be
/// compiled, [`CompileError::Network`] and [`CompileError::Spec`] where network, options and labels do not fit.
pub fn compile(source: Vec<u8>, options: &CompileOptions) -> Result<Compiled> {
    if options.chunk == 0 || options.chunk > 64 {
        return Err(CompileError::Spec("a step has 1 to 64 slow frames".into()));
    }
    let source = Bytes::from(source);
    let source_sha256 = export::sha256_hex(&source);
    let mut graph = read(&source, options)?;
    drop(source);
    pathways::strip_softmax(&mut graph)?;
    graph.remove_dead_nodes();
    fold::fold(&mut graph)?;
    let layout = layout::infer(&graph)?;
    let pathways = pathways::find(&mut graph, &layout)?;
    if options.grey {
        if !options.spec.is_grey() {
            let reason = "channels fold to grey only where mean and std are equal in all channels";
            return Err(CompileError::Spec(reason.into()));
        }
        pathways::fold_grey(&mut graph, &layout, &pathways)?;
    }
    let timing = time::analyse(&graph, &layout, &pathways, options.chunk)?;
    let analysed = Analysed {
        graph: &graph,
        layout: &layout,
        pathways: &pathways,
        timing: &timing,
        products: options.form_of_products(),
    };
    let [_, channels, height, width] = layout.lowered_shape(&graph, pathways.fast);
    options.spec.check(channels)?;
    let common = Common {
        options,
        pathways: &pathways,
        input: [channels, height, width],
        labels: graph.shape(graph.outputs[0]).iter().product(),
        causal: timing.streams(),
        source_sha256,
    };
    let clip = package(&common, lower::clip(analysed)?, "clip", "window", &[])?;
    let (mut stream, mut head) = (None, None);
    if timing.streams() {
        let mut extra = vec![("chunk", options.chunk.to_string())];
        if !timing.nonlinear_head.is_empty() {
            let file = package(&common, lower::head(analysed)?, "head", "head", &extra)?;
            let entry = serde_json::json!({ "file": file.file_name, "nodes": timing.nonlinear_head });
            extra.push(("head", entry.to_string()));
            head = Some(file);
        }
        stream = Some(package(&common, lower::step(analysed)?, "stream", "stream", &extra)?);
    }
    let window_only = (!timing.streams()).then(|| timing.obstacles.join("; "));
    Ok(Compiled { clip, stream, head, window_only })
}

/// Reads the source network and keeps one output: the only one, or the one named `logits`.
fn read(source: &Bytes, options: &CompileOptions) -> Result<graph::Graph> {
    let imported = import::import(source, &mut import::ExternalData::new(options.folder.as_deref()))?;
    let mut graph = imported.graph;
    let names = &imported.output_names;
    let logits = if names.len() == 1 { Some(0) } else { names.iter().position(|name| name == "logits") };
    match logits.and_then(|at| graph.outputs.get(at).copied()) {
        Some(id) => graph.outputs = vec![id],
        None => {
            let reason = format!("has the outputs {names:?}; with several, one must be named logits");
            return Err(CompileError::Network(reason));
        }
    }
    graph.remove_dead_nodes();
    Ok(graph)
}

/// Encodes one lowered graph with its metadata.
fn package(
    common: &Common,
    lowered: Lowered,
    kind: &str,
    mode: &str,
    extra: &[(&str, String)],
) -> Result<Package> {
    let options = common.options;
    let mut metadata = common.entries(mode, &lowered.states)?;
    metadata.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    if options.self_test {
        // The expected numbers are those of the float32 graph in either precision.
        let plain = export::model(&export::encode(&lowered.net, &options.name), &Default::default());
        let result = self_test::expected(plain, &lowered.states)?;
        metadata.insert("self_test".into(), metadata::self_test(&result, options.precision));
    }
    let lowered = match options.precision {
        Precision::Fp32 => lowered,
        Precision::Fp16 => precision::to_half(lowered)?,
    };
    let states = common.entries(mode, &lowered.states)?.remove("states").unwrap_or_default();
    metadata.insert("states".into(), states);
    let graph = export::encode(&lowered.net, &options.name);
    metadata.insert("graph_sha256".into(), graph.sha256.clone());
    let bytes = export::model(&graph, &metadata);
    Ok(Package { file_name: format!("{}.{kind}.onnx", options.name), bytes })
}

#[cfg(all(test, feature = "verify"))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]
mod tests;
