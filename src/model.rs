//! Model packages.

use crate::frame::Orientation;

/// How the network is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whole clips, overlapping.
    Window,
    /// One chunk at a time with carried state.
    Stream,
}

/// One view a network can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Stable short code, as `A4C`.
    pub code: String,
    /// Name for people.
    pub name: String,
    /// Coding scheme and code in it, as DICOM writes them, where there is one.
    pub scheme: Option<(String, String)>,
}

/// One temporal state tensor; its output has the same name with `_next` after it.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpec {
    /// Name of the graph input.
    pub name: String,
    /// Shape, all dimensions static.
    pub shape: Vec<usize>,
    /// Value that fills the tensor at the start of a segment.
    pub initial: f32,
}

/// What `prepare` computes to prove the provider.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfTest {
    /// Seed of the input.
    pub seed: u32,
    /// Logits it gives.
    pub logits: Vec<f32>,
    /// Largest absolute difference allowed in fp32.
    pub tolerance_fp32: f32,
    /// Largest absolute difference allowed in fp16.
    pub tolerance_fp16: f32,
}

/// The metadata of a package, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Window or stream.
    pub mode: Mode,
    /// Labels in the order of the logits.
    pub labels: Vec<Label>,
    /// Width of a sample in pixels.
    pub width_px: usize,
    /// Height of a sample in pixels.
    pub height_px: usize,
    /// 1 (luma) or 3 (RGB).
    pub channels: usize,
    /// Mean of pixel / 255, per channel.
    pub mean: Vec<f32>,
    /// Standard deviation of pixel / 255, per channel.
    pub std: Vec<f32>,
    /// Time between samples.
    pub sample_interval_ns: i64,
    /// Fast samples per slow sample.
    pub alpha: usize,
    /// Samples of a clip.
    pub clip_samples: usize,
    /// Slow samples of a clip; empty for a network with one pathway.
    pub slow_indices: Vec<usize>,
    /// Temporal states in graph order.
    pub states: Vec<StateSpec>,
    /// Logits are divided by it before the softmax.
    pub temperature: f32,
    /// Confidence under which the label is withheld.
    pub threshold: f32,
    /// Display orientation the network was trained with.
    pub orientation: Orientation,
    /// Self-test.
    pub self_test: SelfTest,
    /// SHA-256 of the source file, hex.
    pub source_sha256: String,
    /// SHA-256 of the package file, hex.
    pub package_sha256: String,
    /// For the device's records.
    pub model_version: String,
    /// Who made it, from what.
    pub provenance: String,
}

impl ModelSpec {
    /// Values of one sample: channels * height * width.
    #[must_use]
    pub fn sample_len(&self) -> usize {
        self.channels * self.height_px * self.width_px
    }
}
