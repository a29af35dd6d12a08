//! Runs the source and the packages of a random network in ONNX Runtime.

use super::super::support::RUNTIME;
use super::expected::{logarithm, mean, softmax};
use super::form::LOGITS;
use super::input::{HEIGHT, WIDTH, axes};
use super::spec::{Body, Network};
use crate::error::Result;
use crate::onnx::ModelProto;
use crate::parts::{Division, split_parts};
use crate::run::{FrameRunner, NamedTensor, RunModel, create_states};
use crate::xorshift::Xorshift;
use crate::{CompiledNetwork, Package, inspect};
use ndarray::{Array4, Axis};
use prost::Message;

/// The frames of a clip, and how a network and its packages receive them.
pub(super) struct Clip<'a> {
    network: &'a Network,
    /// Samples `[T,C,H,W]` of the source.
    samples: Array4<f32>,
    /// Number of samples in a chunk.
    alpha: usize,
}

impl<'a> Clip<'a> {
    /// Draws the samples of this number of chunks.
    pub(super) fn new(network: &'a Network, chunks: usize) -> Self {
        let (channels, alpha, [height, width], is_bytes) = match &network.body {
            Body::OnePathway(body) => {
                (body.input.channels, 1, [HEIGHT, WIDTH], body.input.is_bytes)
            }
            Body::TwoPathways(body) => {
                (body.channels, if body.two_pathways { body.alpha } else { 1 }, [8, 8], false)
            }
        };
        let frames = match &network.body {
            Body::TwoPathways(body) => chunks * body.alpha,
            Body::OnePathway(_) => chunks,
        };
        // A grey package receives one channel, and its source the same three times.
        let drawn = if network.options.is_grey { 1 } else { channels };
        let shape = (frames, drawn, height, width);
        let samples = Xorshift(77).fill(frames * drawn * height * width);
        let mut samples = Array4::from_shape_vec(shape, samples).expect("the shape fits");
        if is_bytes {
            samples.mapv_inplace(|v| ((v + 1.0) * 127.5).round());
        }
        Self { network, samples, alpha }
    }

    /// Returns some frames as an input of a package.
    fn select(&self, name: &str, indices: &[usize]) -> NamedTensor {
        let selected = self.samples.select(Axis(0), indices);
        NamedTensor {
            name: name.into(),
            shape: selected.shape().to_vec(),
            data: selected.iter().copied().collect(),
        }
    }

    fn frames(&self) -> usize {
        self.samples.len_of(Axis(0))
    }

    /// Returns the inputs of a package for the samples from `first` up to `end`.
    fn package_inputs(&self, first: usize, end: usize) -> Vec<NamedTensor> {
        let fast: Vec<usize> = (first..end).collect();
        let slow: Vec<usize> = (first..end).step_by(self.alpha).collect();
        match &self.network.body {
            Body::TwoPathways(body) if body.two_pathways => {
                vec![self.select("slow", &slow), self.select("fast", &fast)]
            }
            _ => vec![self.select("fast", &fast)],
        }
    }

    /// Returns the inputs of the source.
    fn source_inputs(&self) -> Vec<NamedTensor> {
        let all: Vec<usize> = (0..self.frames()).collect();
        let slow: Vec<usize> = all.iter().copied().step_by(self.alpha).collect();
        match &self.network.body {
            Body::OnePathway(body) => vec![self.arrange("frames", &all, &axes(&body.input))],
            Body::TwoPathways(body) => {
                let axes = [None, Some(1), Some(0), Some(2), Some(3)];
                if body.two_pathways && !body.packed {
                    vec![
                        self.arrange("slow_frames", &slow, &axes),
                        self.arrange("fast_frames", &all, &axes),
                    ]
                } else {
                    vec![self.arrange("frames", &all, &axes)]
                }
            }
        }
    }

    /// Returns some frames with their axes in this order.
    fn arrange(&self, name: &str, indices: &[usize], axes: &[Option<usize>]) -> NamedTensor {
        let channels = match &self.network.body {
            Body::OnePathway(body) => body.input.channels,
            Body::TwoPathways(body) => body.channels,
        };
        let last = self.samples.len_of(Axis(1)) - 1;
        let channels: Vec<usize> = (0..channels).map(|channel| channel.min(last)).collect();
        let selected = self.samples.select(Axis(0), indices).select(Axis(1), &channels);
        let order: Vec<usize> = axes.iter().filter_map(|&axis| axis).collect();
        let sizes = selected.shape().to_vec();
        let shape = axes.iter().map(|axis| axis.map_or(1, |axis| sizes[axis])).collect();
        let data = selected.into_dyn().permuted_axes(order).iter().copied().collect();
        NamedTensor { name: name.into(), shape, data }
    }

    /// Runs the source and returns its declared output.
    pub(super) fn run_source(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let graph = ModelProto::decode(bytes).expect("the source").graph.expect("a graph");
        let output = if self.network.form.has_second_output {
            LOGITS.to_owned()
        } else {
            graph.output[0].name.clone()
        };
        RUNTIME.load_source(bytes, None)?.run_output(&self.source_inputs(), &output)
    }

    /// Runs the clip package.
    pub(super) fn run_clip(&self, compiled: &CompiledNetwork) -> Result<Vec<f32>> {
        let inputs = self.package_inputs(0, self.frames());
        let outputs = RUNTIME.load_model(&compiled.clip.bytes)?.run(&inputs)?;
        Ok(outputs.into_iter().next().expect("an output").data)
    }

    /// Runs all chunks of the clip and combines their results by the label rule.
    pub(super) fn run_steps(&self, package: &Package) -> Result<Vec<f32>> {
        let metadata = inspect(&package.bytes)?.metadata;
        let rule = metadata.get("label_rule").map_or("", String::as_str);
        let (chunks, mut runner) = match Division::read(&metadata)? {
            Some(division) => {
                let parts = split_parts(&package.bytes, &division)?;
                let load = |model: Vec<u8>| RUNTIME.load_model(&model);
                let mut runner = FrameRunner::load(division, parts, load)?;
                let mut chunks = Vec::new();
                for first in (0..self.frames()).step_by(self.alpha) {
                    let samples = (first..first + self.alpha).map(|i| self.select("fast", &[i]));
                    let samples: Vec<NamedTensor> = samples.collect();
                    let shape = samples[0].shape.clone();
                    let samples: Vec<_> = samples.into_iter().map(|sample| sample.data).collect();
                    chunks.push(runner.run_chunk(&shape, &samples)?.sum());
                }
                (chunks, Some(runner))
            }
            None => (self.run_chunk_steps(package, &metadata["states"])?, None),
        };
        let rows: Vec<Vec<f64>> = chunks
            .iter()
            .map(|chunk| chunk.iter().map(|&value| f64::from(value)).collect())
            .collect();
        let combined = match rule {
            "newest" => rows.last().expect("a chunk").clone(),
            "mean_probabilities" => {
                let rows: Vec<Vec<f64>> = rows.iter().map(|row| softmax(row)).collect();
                logarithm(&mean(&rows))
            }
            _ => mean(&rows),
        };
        let combined: Vec<f32> = combined.into_iter().map(|value| value as f32).collect();
        match &mut runner {
            Some(runner) => runner.run_head(combined),
            None => Ok(combined),
        }
    }

    fn run_chunk_steps(&self, package: &Package, states: &str) -> Result<Vec<Vec<f32>>> {
        let entries: Vec<_> = serde_json::from_str(states).expect("the states are JSON");
        let mut states = create_states(&entries);
        let mut model = RUNTIME.load_model(&package.bytes)?;
        let mut results = Vec::new();
        for first in (0..self.frames()).step_by(self.alpha) {
            let inputs = [self.package_inputs(first, first + self.alpha), states.clone()].concat();
            let mut outputs = model.run(&inputs)?.into_iter();
            results.push(outputs.next().expect("a step has logits").data);
            states.iter_mut().zip(outputs).for_each(|(state, next)| state.data = next.data);
        }
        Ok(results)
    }
}
