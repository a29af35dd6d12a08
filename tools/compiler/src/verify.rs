//! Runs source and packages in ONNX Runtime on the same seeded input and measures how far apart they are.

use crate::error::{CompileError, Result};
use crate::self_test::Xorshift;
use crate::{Compiled, inspect, inspect_in};
use ort::environment::Environment;
use ort::session::builder::SessionBuilder;
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;
use serde::Deserialize;
use std::fmt;
use std::path::Path;

/// ONNX Runtime in this process.
pub struct Runtime {
    environment: Environment,
}

/// Named float32 tensors.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

/// Errors of the packages, relative to the largest number of the result they should give.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// Clip package against the source network, logits without softmax.
    pub clip: f64,
    /// Steps run one by one against the clip package; `None` without a stream package.
    pub stream: Option<f64>,
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

fn failed(what: &str, error: impl fmt::Display) -> CompileError {
    CompileError::Verify(format!("{what}: {error}"))
}

/// A graph loaded for running on one CPU thread.
pub struct Runner {
    session: Session,
    outputs: Vec<String>,
}

impl Runtime {
    /// Loads ONNX Runtime from a shared library. A process has one environment; where the program has one already,
    /// use [`Self::from_environment`].
    ///
    /// # Errors
    /// [`CompileError::Verify`] where the library cannot be loaded, or another environment exists.
    pub fn load(library: &Path) -> Result<Self> {
        let builder = ort::init_from(library).map_err(|e| failed("loading ONNX Runtime", e))?;
        let environment = builder.build().map_err(|e| failed("starting ONNX Runtime", e))?;
        Ok(Self { environment })
    }

    /// Uses an environment the program already has.
    pub fn from_environment(environment: Environment) -> Self {
        Self { environment }
    }

    /// Loads a model for one thread of the CPU.
    pub fn runner(&self, model: &[u8]) -> Result<Runner> {
        self.load_session(|builder| builder.commit_from_memory(model))
    }

    /// Loads a model file, whose weights may lie in files beside it.
    pub fn file_runner(&self, model: &Path) -> Result<Runner> {
        self.load_session(|builder| builder.commit_from_file(model))
    }

    fn load_session(
        &self,
        commit: impl Fn(&mut SessionBuilder) -> std::result::Result<Session, ort::Error>,
    ) -> Result<Runner> {
        let build = || -> std::result::Result<Session, ort::Error> {
            let builder = Session::builder(&self.environment)?;
            let mut builder = builder.with_intra_threads(1)?;
            commit(&mut builder)
        };
        let session = build().map_err(|e| failed("loading a graph", e))?;
        let outputs = session.outputs().iter().map(|o| o.name().to_owned()).collect();
        Ok(Runner { session, outputs })
    }
}

impl Runner {
    /// Runs the graph once; outputs in graph order.
    pub fn run(&mut self, inputs: &[(String, Vec<usize>, Vec<f32>)]) -> Result<Tensors> {
        let mut values: Vec<(String, SessionInputValue)> = Vec::new();
        for (name, shape, data) in inputs {
            let tensor = Tensor::from_array((shape.clone(), data.clone())).map_err(|e| failed("input", e))?;
            values.push((name.clone(), tensor.into()));
        }
        let results = self.session.run(values).map_err(|e| failed("running", e))?;
        let mut outputs = Tensors::new();
        for name in &self.outputs {
            let value = results.get(name).ok_or_else(|| failed("running", format!("no output {name}")))?;
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(|e| failed("output", e))?;
            outputs.push((name.clone(), shape.iter().map(|&d| d as usize).collect(), data.to_vec()));
        }
        Ok(outputs)
    }
}

#[derive(Deserialize)]
struct StateEntry {
    name: String,
    shape: Vec<usize>,
    initial: f64,
}

/// Largest difference of two results, relative to the largest number in `expected`.
pub fn relative_error(actual: &[f32], expected: &[f32]) -> f64 {
    if actual.len() != expected.len() {
        return f64::INFINITY;
    }
    let scale = expected.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(f64::from(v.abs())));
    let worst =
        actual.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, f64::max);
    // A result that is not a number is no agreement.
    if actual.iter().chain(expected).all(|v| v.is_finite()) { worst / scale } else { f64::INFINITY }
}

/// The network a package was compiled from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A whole model.
    Bytes(&'a [u8]),
    /// A model file, whose weights may lie in files beside it.
    File(&'a Path),
}

/// Runs `source` (as compiled, with its softmax if it has one) and the packages on input from `seed`.
///
/// Slow and fast input are drawn from one sequence of samples, so that a wrong alignment in time shows. A grey
/// package is compared with the source on three equal channels.
///
/// # Errors
/// [`CompileError::Verify`] where a graph does not run.
pub fn verify(runtime: &Runtime, source: Source, compiled: &Compiled, seed: u32) -> Result<Verification> {
    let clip = Clip::new(compiled, seed)?;
    let expected = clip.source(runtime, source)?;
    let mut logits = first(runtime.runner(&compiled.clip.bytes)?.run(&clip.inputs())?)?;
    // A source with a softmax at its end gives probabilities; so must the package's logits then.
    if is_distribution(&expected) && !is_distribution(&logits) {
        logits = softmax(&logits);
    }
    let stream = match &compiled.stream {
        Some(package) => {
            // The slow sample of a chunk is its first, whatever the source picks from a packed clip.
            let chunks = clip.in_chunks();
            let clip_logits = first(runtime.runner(&compiled.clip.bytes)?.run(&chunks.inputs())?)?;
            let mut mean = chunks.steps(runtime, &package.bytes)?;
            if let Some(head) = &compiled.head {
                let features = vec![("features".to_owned(), vec![1, mean.len()], mean)];
                mean = first(runtime.runner(&head.bytes)?.run(&features)?)?;
            }
            Some(relative_error(&mean, &clip_logits))
        }
        None => None,
    };
    Ok(Verification { clip: relative_error(&logits, &expected), stream })
}

fn first(outputs: Tensors) -> Result<Vec<f32>> {
    outputs.into_iter().next().map(|(_, _, data)| data).ok_or_else(|| failed("running", "no output"))
}

/// The output the compiler takes as logits.
fn logits(outputs: Tensors) -> Result<Vec<f32>> {
    let named = outputs.iter().position(|(name, ..)| name == "logits").unwrap_or(0);
    first(outputs.into_iter().skip(named).collect())
}

fn is_distribution(values: &[f32]) -> bool {
    values.len() > 1 && values.iter().all(|&v| v >= 0.0) && (values.iter().sum::<f32>() - 1.0).abs() < 1e-3
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let exp: Vec<f64> = logits.iter().map(|&v| f64::from(v - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|v| (v / sum) as f32).collect()
}

/// One random clip: samples `[T,C,H,W]` and which of them are slow.
struct Clip {
    samples: Vec<f32>,
    shape: [usize; 4],
    slow: Vec<usize>,
}

impl Clip {
    fn new(compiled: &Compiled, seed: u32) -> Result<Self> {
        let clip = inspect(&compiled.clip.bytes)?;
        let fast = clip.inputs.iter().find(|t| t.name == "fast").map(|t| t.shape.clone()).unwrap_or_default();
        let shape: [usize; 4] = fast.try_into().map_err(|_| failed("clip package", "no input fast"))?;
        let text = clip.metadata.get("slow_indices").map_or("[]", String::as_str);
        let slow: Vec<usize> = serde_json::from_str(text).map_err(|e| failed("slow_indices", e))?;
        let samples = Xorshift(seed.max(1)).fill(shape.iter().product());
        Ok(Self { samples, shape, slow })
    }

    /// The same samples, the first of every chunk being slow.
    fn in_chunks(&self) -> Self {
        let alpha = self.shape[0] / self.slow.len().max(1);
        let slow = (0..self.slow.len()).map(|i| i * alpha).collect();
        Self { samples: self.samples.clone(), shape: self.shape, slow }
    }

    fn frames(&self, indices: &[usize]) -> Vec<f32> {
        let frame: usize = self.shape[1..].iter().product();
        indices.iter().flat_map(|&i| &self.samples[i * frame..][..frame]).copied().collect()
    }

    fn tensor(&self, name: &str, indices: &[usize]) -> (String, Vec<usize>, Vec<f32>) {
        let [_, c, h, w] = self.shape;
        (name.to_owned(), vec![indices.len(), c, h, w], self.frames(indices))
    }

    fn inputs(&self) -> Tensors {
        let all: Vec<usize> = (0..self.shape[0]).collect();
        let slow = (!self.slow.is_empty()).then(|| self.tensor("slow", &self.slow));
        slow.into_iter().chain([self.tensor("fast", &all)]).collect()
    }

    /// The source's result: its inputs take the same samples in its own layout.
    fn source(&self, runtime: &Runtime, source: Source) -> Result<Vec<f32>> {
        let (inputs, mut runner) = match source {
            Source::Bytes(bytes) => (inspect(bytes)?.inputs, runtime.runner(bytes)?),
            Source::File(path) => {
                let bytes = std::fs::read(path).map_err(|e| failed("reading the source", e))?;
                (inspect_in(&bytes, path.parent())?.inputs, runtime.file_runner(path)?)
            }
        };
        let mut feeds = Tensors::new();
        let most = inputs.iter().map(|t| t.shape.iter().product::<usize>()).max().unwrap_or(0);
        for input in &inputs {
            let packed_or_fast = input.shape.iter().product::<usize>() == most;
            let indices = if packed_or_fast { (0..self.shape[0]).collect() } else { self.slow.clone() };
            feeds.push((input.name.clone(), input.shape.clone(), self.in_layout(&input.shape, &indices)?));
        }
        logits(runner.run(&feeds)?)
    }

    /// Frames in the layout of a source input: `[1,C,T,H,W]`, `[1,T,C,H,W]` or one of these without batch.
    fn in_layout(&self, shape: &[usize], indices: &[usize]) -> Result<Vec<f32>> {
        let [_, c, h, w] = self.shape;
        let plane = h * w;
        let front = &shape[shape.len().saturating_sub(4)..];
        let &[a, b, ..] = front else { return Err(failed("source", "an input is no cine")) };
        let (channels, channels_first) = match (a, b) {
            (channels @ (1 | 3), _) => (channels, true),
            (_, channels) => (channels, false),
        };
        let at = |t: usize, ch: usize| {
            let start = (indices[t] * c + ch.min(c - 1)) * plane;
            &self.samples[start..start + plane]
        };
        let (t, ch) = (indices.len(), channels);
        let planes: Vec<&[f32]> = match channels_first {
            true => (0..ch).flat_map(|ch| (0..t).map(move |t| (t, ch))).map(|(t, ch)| at(t, ch)).collect(),
            false => (0..t).flat_map(|t| (0..ch).map(move |ch| (t, ch))).map(|(t, ch)| at(t, ch)).collect(),
        };
        Ok(planes.concat())
    }

    /// Mean of the first output over all steps of the clip.
    fn steps(&self, runtime: &Runtime, package: &[u8]) -> Result<Vec<f32>> {
        let inspection = inspect(package)?;
        let text = inspection.metadata.get("states").map_or("[]", String::as_str);
        let entries: Vec<StateEntry> = serde_json::from_str(text).map_err(|e| failed("states", e))?;
        let fast = inspection.inputs.iter().find(|t| t.name == "fast").map_or(1, |t| t.shape[0]);
        let mut states: Tensors = entries
            .into_iter()
            .map(|e| {
                let count = e.shape.iter().product();
                (e.name, e.shape, vec![e.initial as f32; count])
            })
            .collect();
        let mut runner = runtime.runner(package)?;
        let steps = self.shape[0] / fast;
        let slow_per_step = self.slow.len() / steps.max(1);
        let mut mean: Vec<f64> = Vec::new();
        for step in 0..steps {
            let mut inputs = Tensors::new();
            if !self.slow.is_empty() {
                inputs.push(self.tensor("slow", &self.slow[step * slow_per_step..][..slow_per_step]));
            }
            let samples: Vec<usize> = (step * fast..(step + 1) * fast).collect();
            inputs.push(self.tensor("fast", &samples));
            inputs.extend(states.iter().cloned());
            let mut outputs = runner.run(&inputs)?.into_iter();
            let logits = outputs.next().map(|(_, _, data)| data).unwrap_or_default();
            mean.resize(logits.len(), 0.0);
            mean.iter_mut().zip(&logits).for_each(|(m, &v)| *m += f64::from(v) / steps as f64);
            for (state, (name, _, data)) in states.iter_mut().zip(outputs) {
                if name != format!("{}_next", state.0) {
                    return Err(failed("steps", format!("output {name} does not follow state {}", state.0)));
                }
                state.2 = data;
            }
        }
        Ok(mean.into_iter().map(|v| v as f32).collect())
    }
}
