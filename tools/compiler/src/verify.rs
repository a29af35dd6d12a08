//! Comparison of a source network with its packages, and of frame steps with chunk steps. The
//! network and its packages run in ONNX Runtime on the same random input.

mod combination;
mod random_clip;
mod runtime;

pub(crate) use combination::average;
pub use runtime::Runtime;

use crate::error::{CompileError, Result};
use crate::import::{ExternalData, ImportForm, import_model};
use crate::inspect::{Inspection, inspect};
use crate::onnx::{GraphProto, ModelProto, NodeProto, ValueInfoProto, data_type};
use crate::output::{LogitsForm, LogitsSource};
use crate::package::{CompiledNetwork, Package};
use crate::parts::{Division, StateEntry, split_parts};
use crate::run::{FrameRunner, NamedTensor, RunModel, create_states};
use bytes::Bytes;
use combination::{Combination, logarithm};
use prost::Message;
use random_clip::RandomClip;
use runtime::{Runner, verify_error};
use std::fmt;
use std::path::Path;

/// The source network of the packages.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The content of a model file.
    Bytes(&'a [u8]),
    /// A model file, which may have external weights in its folder.
    File(&'a Path),
}

/// The largest errors of the packages, each relative to the largest absolute value in the expected
/// result.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// Error of the clip package, compared with the source network.
    pub clip: f64,
    /// Error of the combination of all chunks by the label rule, after a head that is not linear if
    /// there is one, compared with the clip package. It is `None` if there is no stream package.
    pub stream: Option<f64>,
    /// Whether the source computes in half precision, so its own rounding errors are part of
    /// `clip`.
    pub is_half_source: bool,
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relative error: clip against source {:.2e}", self.clip)?;
        match self.stream {
            Some(error) => write!(f, ", steps against clip {error:.2e}"),
            None => Ok(()),
        }
    }
}

/// Compares `source` with its packages on random input generated from `seed`.
///
/// The slow and fast inputs come from one sequence of samples, so that the comparison detects slow
/// samples that are taken at the wrong times. The logits of the clip package are compared with the
/// value of the source from which they follow, before any softmax, so that the comparison also
/// detects errors that a saturated softmax would hide. For a grey package, the source runs on three
/// identical channels.
///
/// # Errors
/// Returns [`CompileError::Verify`](crate::CompileError::Verify) if the source file cannot be read,
/// or if a graph cannot be loaded or run. Returns the errors of [`inspect`](crate::inspect()) if
/// the source or a package is not a usable model.
pub fn verify(
    runtime: &Runtime,
    source: Source,
    network: &CompiledNetwork,
    seed: u32,
) -> Result<Verification> {
    let clip_package = &network.clip.bytes;
    let source = LoadedSource::load(runtime, source, &network.logits)?;
    let mut clip = RandomClip::new(clip_package, seed)?;
    if source.runner.takes_bytes() {
        clip.use_bytes();
    }
    let logits = run_package(runtime, clip_package, &clip.package_inputs())?;
    let is_half_source = source.is_half;
    // Logarithms of probabilities may all be near 0, where only their absolute error matters.
    let least_scale = match network.logits.form {
        LogitsForm::Value | LogitsForm::Binary => f64::MIN_POSITIVE,
        _ => 1.0,
    };
    let error = |actual: &[f32], expected: &[f32]| scaled_error(actual, expected, least_scale);
    let expected = source.run(&clip, logits.len())?;
    let stream = match &network.stream {
        Some(package) => {
            // In a step, the first sample of each chunk is the slow sample, even if the source
            // selects other samples.
            let clip = clip.align_to_chunks();
            let expected = run_package(runtime, clip_package, &clip.package_inputs())?;
            let metadata = inspect(&package.bytes)?.metadata;
            let rule = Combination::read(&metadata);
            let expected = rule.normalise(expected);
            let mut mean = rule.combine(&run_chunks(runtime, &package.bytes, &clip)?);
            if let Some(division) = Division::read(&metadata)? {
                mean = load_frame_steps(runtime, &package.bytes, division)?.run_head(mean)?;
            }
            Some(error(&mean, &expected))
        }
        None => None,
    };
    Ok(Verification { clip: error(&logits, &expected), stream, is_half_source })
}

/// Runs the source on the input of [`verify`], multiplied by a factor, and returns the logits that
/// its clip package must give.
#[cfg(test)]
pub(crate) fn run_source(
    runtime: &Runtime,
    source: Source,
    network: &CompiledNetwork,
    seed: u32,
    factor: f32,
) -> Result<Vec<f32>> {
    let source = LoadedSource::load(runtime, source, &network.logits)?;
    let mut clip = RandomClip::new(&network.clip.bytes, seed)?;
    clip.scale(factor);
    if source.runner.takes_bytes() {
        clip.use_bytes();
    }
    let labels = inspect(&network.clip.bytes)?.outputs.iter().flat_map(|o| o.shape.last()).sum();
    source.run(&clip, labels)
}

/// Returns the largest difference between two results, relative to the largest absolute value in
/// `expected`. Returns infinity if the lengths differ or a number is not finite.
pub(crate) fn relative_error(actual: &[f32], expected: &[f32]) -> f64 {
    scaled_error(actual, expected, f64::MIN_POSITIVE)
}

/// Returns the error as [`relative_error`] does, but relative to at least this number.
fn scaled_error(actual: &[f32], expected: &[f32], least_scale: f64) -> f64 {
    let is_comparable =
        actual.len() == expected.len() && actual.iter().chain(expected).all(|v| v.is_finite());
    if !is_comparable {
        return f64::INFINITY;
    }
    let scale = expected.iter().fold(least_scale, |m, v| m.max(f64::from(v.abs())));
    let differences =
        actual.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    differences.fold(0.0, f64::max) / scale
}

/// Runs a package once and returns its first output.
fn run_package(runtime: &Runtime, package: &[u8], inputs: &[NamedTensor]) -> Result<Vec<f32>> {
    let outputs = runtime.load_model(package)?.run(inputs)?;
    outputs.into_iter().next().map(|output| output.data).ok_or_else(|| no_output("a package"))
}

/// The source network, loaded with the value from which the logits follow as an output.
struct LoadedSource<'a> {
    runner: Runner,
    inputs: Vec<(String, Vec<usize>)>,
    logits: &'a LogitsSource,
    /// Whether the network computes in half precision.
    is_half: bool,
}

impl<'a> LoadedSource<'a> {
    fn load(runtime: &Runtime, source: Source, logits: &'a LogitsSource) -> Result<Self> {
        let (bytes, path) = match source {
            Source::Bytes(bytes) => (Bytes::copy_from_slice(bytes), None),
            Source::File(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|e| verify_error("the source cannot be read", e))?;
                (Bytes::from(bytes), Some(path))
            }
        };
        let folder = path.and_then(Path::parent);
        let model = import_model(
            &bytes,
            &mut ExternalData::new(folder),
            ImportForm { output: Some(&logits.name), ..ImportForm::SOURCE },
        )?;
        let inputs = model
            .graph
            .inputs
            .iter()
            .map(|&id| (model.graph.value(id).name.clone(), model.graph.shape(id).to_vec()));
        let inputs = inputs.collect();
        let decoded = ModelProto::decode(bytes.clone())
            .map_err(|e| verify_error("the source cannot be read", e))?;
        let graph = decoded.graph.unwrap_or_default();
        let model = add_output(&bytes, &graph, &logits.name);
        let runner = runtime.load_source(&model, folder).map_err(|error| {
            CompileError::Verify(format!(
                "{error}; export the network in float32, or compile without --verify"
            ))
        })?;
        Ok(Self { runner, inputs, logits, is_half: is_half(&graph) })
    }

    /// Runs the source and returns the logits that a package with `count` labels must give.
    fn run(mut self, clip: &RandomClip, count: usize) -> Result<Vec<f32>> {
        let size = |shape: &[usize]| shape.iter().product::<usize>();
        let largest = self.inputs.iter().map(|(_, shape)| size(shape)).max().unwrap_or(0);
        let all: Vec<usize> = (0..clip.frames()).collect();
        let mut tensors = Vec::new();
        for (name, shape) in self.inputs {
            // The largest input is the fast or packed input, so it receives all samples.
            let indices = if size(&shape) == largest { &all } else { clip.slow_indices() };
            let data = clip.arrange(&shape, indices)?;
            tensors.push(NamedTensor { name, shape, data });
        }
        let values = self.runner.run_output(&tensors, &self.logits.name)?;
        let rows: Vec<Vec<f32>> = match self.logits.form {
            LogitsForm::Binary => return Ok([0.0].into_iter().chain(values).collect()),
            _ if self.logits.has_labels_first => {
                let frames = (values.len() / count.max(1)).max(1);
                let row = |frame| values.iter().skip(frame).step_by(frames).copied().collect();
                (0..frames).map(row).collect()
            }
            _ => values.chunks(count.max(1)).map(<[f32]>::to_vec).collect(),
        };
        Ok(match self.logits.form {
            LogitsForm::Logarithm => logarithm(&average(&rows)),
            LogitsForm::MeanLogarithm => {
                average(&rows.iter().map(|row| logarithm(row)).collect::<Vec<_>>())
            }
            LogitsForm::MeanProbabilities => Combination::MeanProbabilities.combine(&rows),
            _ => average(&rows),
        })
    }
}

/// Returns the model with a further output. In protobuf, a field that occurs twice extends the
/// message, so the output is appended without encoding the file again.
fn add_output(model: &Bytes, graph: &GraphProto, name: &str) -> Vec<u8> {
    let mut bytes = model.to_vec();
    if graph.output.iter().all(|output| output.name != name) {
        let output = vec![ValueInfoProto { name: name.to_owned(), r#type: None }];
        let graph = Some(GraphProto { output, ..GraphProto::default() });
        bytes.extend(ModelProto { graph, ..ModelProto::default() }.encode_to_vec());
    }
    bytes
}

/// Returns whether a graph computes in half precision: it has such weights or casts to such a type.
fn is_half(graph: &GraphProto) -> bool {
    let is_half = |element: i32| matches!(element, data_type::FLOAT16 | data_type::BFLOAT16);
    let casts = |node: &NodeProto| {
        let mut to = node.attribute.iter().filter(|a| node.op_type == "Cast" && a.name == "to");
        to.any(|a| a.i.and_then(|i| i32::try_from(i).ok()).is_some_and(is_half))
    };
    graph.initializer.iter().any(|tensor| is_half(tensor.data_type)) || graph.node.iter().any(casts)
}

/// Compares a stream package in frame steps with one in chunk steps, chunk by chunk, on random
/// input generated from `seed`. `clip` is the clip package of the same network. Returns the largest
/// difference of a logit, relative to the largest absolute logit of all chunk steps.
///
/// # Errors
/// Returns the errors of [`verify`].
pub fn compare_steps(
    runtime: &Runtime,
    clip: &Package,
    frame_steps: &Package,
    chunk_steps: &Package,
    seed: u32,
) -> Result<f64> {
    let clip = RandomClip::new(&clip.bytes, seed)?.align_to_chunks();
    let [frames, chunks] = [frame_steps, chunk_steps]
        .map(|package| run_chunks(runtime, &package.bytes, &clip).map(|chunks| chunks.concat()));
    Ok(relative_error(&frames?, &chunks?))
}

/// Runs all chunks of the clip and returns the first output of each.
fn run_chunks(runtime: &Runtime, package: &[u8], clip: &RandomClip) -> Result<Vec<Vec<f32>>> {
    let inspection = inspect(package)?;
    match Division::read(&inspection.metadata)? {
        Some(division) => run_frame_steps(runtime, package, division, clip),
        None => run_chunk_steps(runtime, package, &inspection, clip),
    }
}

fn load_frame_steps(
    runtime: &Runtime,
    package: &[u8],
    division: Division,
) -> Result<FrameRunner<Runner>> {
    let parts = split_parts(package, &division)?;
    FrameRunner::load(division, parts, |model| runtime.load_model(&model))
}

fn run_frame_steps(
    runtime: &Runtime,
    package: &[u8],
    division: Division,
    clip: &RandomClip,
) -> Result<Vec<Vec<f32>>> {
    let alpha = division.alpha;
    let mut runner = load_frame_steps(runtime, package, division)?;
    let mut chunks = Vec::new();
    for chunk in 0..clip.frames() / alpha {
        let samples = chunk * alpha..(chunk + 1) * alpha;
        let samples: Vec<NamedTensor> = samples.map(|i| clip.select("fast", &[i])).collect();
        let shape = samples.first().map(|s| s.shape.clone()).unwrap_or_default();
        let samples: Vec<Vec<f32>> = samples.into_iter().map(|sample| sample.data).collect();
        chunks.push(runner.run_chunk(&shape, &samples)?.sum());
    }
    Ok(chunks)
}

fn run_chunk_steps(
    runtime: &Runtime,
    package: &[u8],
    inspection: &Inspection,
    clip: &RandomClip,
) -> Result<Vec<Vec<f32>>> {
    let text = inspection.metadata.get("states").map_or("[]", String::as_str);
    let entries: Vec<StateEntry> = serde_json::from_str(text)
        .map_err(|e| verify_error("the metadata key \"states\" cannot be parsed", e))?;
    let mut states = create_states(&entries);
    let fast = inspection.inputs.iter().find(|t| t.name == "fast").map_or(1, |t| t.shape[0]);
    let steps = clip.frames() / fast;
    let slow = clip.slow_indices().len() / steps.max(1);
    let mut runner = runtime.load_model(package)?;
    let mut results = Vec::new();
    for step in 0..steps {
        let mut inputs = Vec::new();
        if slow > 0 {
            inputs.push(clip.select("slow", &clip.slow_indices()[step * slow..][..slow]));
        }
        let samples: Vec<usize> = (step * fast..(step + 1) * fast).collect();
        inputs.push(clip.select("fast", &samples));
        inputs.extend(states.iter().cloned());
        let mut outputs = runner.run(&inputs)?.into_iter();
        results.push(outputs.next().ok_or_else(|| no_output("the stream package"))?.data);
        for (state, next) in states.iter_mut().zip(outputs) {
            if next.name != format!("{}_next", state.name) {
                return Err(verify_error(
                    "the stream package",
                    format!("the output of the state {} is named {}", state.name, next.name),
                ));
            }
            state.data = next.data;
        }
    }
    Ok(results)
}

fn no_output(graph: &str) -> CompileError {
    verify_error(graph, "it has no output")
}

#[cfg(test)]
mod tests {
    use super::{relative_error, scaled_error};

    #[test]
    fn logarithms_near_zero_are_compared_by_their_absolute_error() {
        // The logarithms of the probabilities of a label that is nearly certain.
        let (actual, expected) = ([-2e-7f32], [-1e-7f32]);
        assert!((relative_error(&actual, &expected) - 1.0).abs() < 1e-6);
        assert!((scaled_error(&actual, &expected, 1.0) - 1e-7).abs() < 1e-12);
        // Larger values are compared relative to the largest of them.
        assert!((scaled_error(&[-8.0, 0.0], &[-8.0, 0.4], 1.0) - 0.05).abs() < 1e-6);
    }

    #[test]
    fn results_that_cannot_be_compared_have_an_infinite_error() {
        for (actual, expected) in
            [(&[1.0][..], &[1.0, 2.0][..]), (&[f32::NAN], &[1.0]), (&[1.0], &[f32::INFINITY])]
        {
            assert_eq!(scaled_error(actual, expected, 1.0), f64::INFINITY);
        }
    }
}
