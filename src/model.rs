//! Model packages: one ONNX file with metadata, read and checked. The format is `docs/model-package.md`.

mod read;
mod wire;

use crate::frame::Orientation;
use crate::{Error, Result, Status};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// A package whose hashes and metadata are checked. Its graph is checked when a backend loads it.
#[derive(Clone, Debug)]
pub struct ModelPackage {
    /// What the metadata says.
    pub spec: ModelSpec,
    /// The whole file.
    pub bytes: Arc<[u8]>,
}

impl ModelPackage {
    /// Reads a package; with `pinned`, only the file with this SHA-256.
    ///
    /// # Errors
    /// `ModelUnreadable` where the file cannot be read, else as [`ModelPackage::from_bytes`].
    pub fn from_path(path: &Path, pinned: Option<[u8; 32]>) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| Error::new(Status::ModelUnreadable, format!("{}: {e}", path.display())))?;
        Self::from_bytes(bytes, pinned)
    }

    /// Checks a package in memory; with `pinned`, only the one with this SHA-256.
    ///
    /// # Errors
    /// `ModelHash` where the pinned hash differs; `ModelInvalid` for a file that is not well-formed or whose graph
    /// was altered; `ModelMismatch` where two keys do not fit each other; `Unsupported` for a head that is not
    /// linear, a package of a head, and steps of several chunks.
    pub fn from_bytes(bytes: Vec<u8>, pinned: Option<[u8; 32]>) -> Result<Self> {
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        if pinned.is_some_and(|pinned| pinned != hash) {
            return Err(Error::new(Status::ModelHash, format!("the file's SHA-256 is {}", hex(&hash))));
        }
        let model = wire::read(&bytes)?;
        let graph = bytes.get(model.graph.clone()).unwrap_or_default();
        let spec = read::spec(&model.metadata, hex(&Sha256::digest(graph)), hex(&hash))?;
        Ok(Self { spec, bytes: bytes.into() })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The values of the self-test's input, in the order slow, fast: 32-bit xorshift, each number as `x / 2^31 - 1`.
/// A seed of 0 gives the same value for ever and is refused when a package is read.
pub fn self_test_input(seed: u32) -> impl Iterator<Item = f32> {
    let mut x = seed;
    std::iter::from_fn(move || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        Some((f64::from(x) / f64::from(1u32 << 31) - 1.0) as f32)
    })
}

/// How the network is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whole clips, overlapping.
    Window,
    /// One chunk at a time with carried state.
    Stream,
}

/// Precision of the numbers inside a graph; its inputs and outputs are float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats.
    Fp16,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
        })
    }
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
    /// Precision inside the graph.
    pub precision: Precision,
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

    /// Shapes `[T, C, H, W]` of slow and fast in one run; slow has T = 0 in a network with one pathway.
    #[must_use]
    pub fn input_shapes(&self) -> [[usize; 4]; 2] {
        let (slow, fast) = match self.mode {
            Mode::Window => (self.slow_indices.len(), self.clip_samples),
            Mode::Stream => (usize::from(!self.slow_indices.is_empty()), self.alpha),
        };
        [slow, fast].map(|frames| [frames, self.channels, self.height_px, self.width_px])
    }
}

#[cfg(test)]
mod tests;
