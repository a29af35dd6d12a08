//! The random input of a verification.

use super::runtime::verify_error;
use crate::error::Result;
use crate::inspect::inspect;
use crate::layout::{AxisRole, input_roles};
use crate::run::NamedTensor;
use crate::xorshift::Xorshift;
use ndarray::{Array4, Axis};

/// A clip of random samples.
pub(super) struct RandomClip {
    /// Samples `[T,C,H,W]`.
    samples: Array4<f32>,
    /// Indices of the slow samples. The list is empty for a network with one pathway.
    slow_indices: Vec<usize>,
}

impl RandomClip {
    /// Draws random samples for the input of a clip package.
    pub(super) fn new(package: &[u8], seed: u32) -> Result<Self> {
        let clip = inspect(package)?;
        let fast = clip.inputs.iter().find(|t| t.name == "fast").map(|t| t.shape.as_slice());
        let Some(&[frames, channels, height, width]) = fast else {
            return Err(verify_error("the clip package", "it has no input fast [T,C,H,W]"));
        };
        let text = clip.metadata.get("slow_indices").map_or("[]", String::as_str);
        let slow_indices = serde_json::from_str(text)
            .map_err(|e| verify_error("the metadata key \"slow_indices\" cannot be parsed", e))?;
        let shape = (frames, channels, height, width);
        let samples = Xorshift(seed.max(1)).fill(frames * channels * height * width);
        let samples = Array4::from_shape_vec(shape, samples)
            .map_err(|e| verify_error("the clip package", e))?;
        Ok(Self { samples, slow_indices })
    }

    /// Returns the number of samples.
    pub(super) fn frames(&self) -> usize {
        self.samples.len_of(Axis(0))
    }

    pub(super) fn slow_indices(&self) -> &[usize] {
        &self.slow_indices
    }

    /// Returns a clip with the same samples, in which the first sample of each chunk is the slow
    /// sample.
    pub(super) fn align_to_chunks(&self) -> Self {
        let slow = self.slow_indices.len();
        let alpha = self.frames() / slow.max(1);
        Self { samples: self.samples.clone(), slow_indices: (0..slow).map(|i| i * alpha).collect() }
    }

    /// Returns the samples at `indices` as the package input `name`.
    pub(super) fn select(&self, name: &str, indices: &[usize]) -> NamedTensor {
        let selected = self.samples.select(Axis(0), indices);
        NamedTensor {
            name: name.to_owned(),
            shape: selected.shape().to_vec(),
            data: selected.iter().copied().collect(),
        }
    }

    /// Returns the inputs of a clip package.
    pub(super) fn package_inputs(&self) -> Vec<NamedTensor> {
        let all: Vec<usize> = (0..self.frames()).collect();
        let slow = (!self.slow_indices.is_empty()).then(|| self.select("slow", &self.slow_indices));
        slow.into_iter().chain([self.select("fast", &all)]).collect()
    }

    /// Multiplies the samples by a factor.
    #[cfg(test)]
    pub(super) fn scale(&mut self, factor: f32) {
        self.samples.mapv_inplace(|v| v * factor);
    }

    /// Turns the samples, which are -1 to 1, into pixels from 0 to 255.
    pub(super) fn use_bytes(&mut self) {
        self.samples.mapv_inplace(|v| ((v + 1.0) * 127.5).round());
    }

    /// Returns the samples at `indices` in the layout of a source input. If the source has three
    /// channels and the clip is grey, the three channels are equal.
    pub(super) fn arrange(&self, shape: &[usize], indices: &[usize]) -> Result<Vec<f32>> {
        let roles = input_roles(shape).map_err(|reason| {
            verify_error(&format!("a source input of shape {shape:?}"), reason)
        })?;
        let mut order: Vec<usize> = roles.iter().filter_map(|role| role.lowered_axis()).collect();
        let channels = roles
            .iter()
            .zip(shape)
            .find_map(|(&role, &size)| (role == AxisRole::Channel).then_some(size))
            .unwrap_or(1);
        let last_channel = self.samples.len_of(Axis(1)) - 1;
        let channels: Vec<usize> = (0..channels).map(|channel| channel.min(last_channel)).collect();
        let selected = self.samples.select(Axis(0), indices).select(Axis(1), &channels);
        order.extend((0..4).filter(|axis| !order.contains(axis)).collect::<Vec<_>>());
        Ok(selected.into_dyn().permuted_axes(order).iter().copied().collect())
    }
}
