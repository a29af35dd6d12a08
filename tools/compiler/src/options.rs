//! What the caller decides: labels, the specification of the input, and how to compile.

use crate::error::{CompileError, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One view label, as `labels` in the package has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Short code, as `A4C`.
    pub code: String,
    /// Name for people.
    pub name: String,
    /// Coding scheme, as `SRT`; null where no scheme has the view.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Code in that scheme.
    #[serde(default)]
    pub scheme_code: Option<String>,
}

/// Reads `labels.json`: a list of labels in the order of the logits.
pub fn labels_from_json(text: &str) -> Result<Vec<Label>> {
    serde_json::from_str(text).map_err(|e| CompileError::Spec(format!("labels: {e}")))
}

/// What the network cannot say about its input: `spec.toml`. Every field has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// Mean per channel of pixel / 255; a single number stands for all channels.
    pub mean: Vec<f64>,
    /// Standard deviation per channel of pixel / 255; a single number stands for all channels.
    pub std: Vec<f64>,
    /// Time from one fast sample to the next.
    pub sample_interval_ns: u64,
    /// Slow samples within a clip; where it is not given, the network's own, or those of the stream contract.
    pub slow_indices: Option<Vec<usize>>,
    /// Logits are divided by it before the softmax.
    pub temperature: f64,
    /// Confidence under which a label is withheld.
    pub threshold: f64,
    /// Display orientation of the training data.
    pub orientation: String,
    /// Text for the device's records.
    pub model_version: String,
    /// Who made the network, from what.
    pub provenance: String,
}

impl Default for Spec {
    /// SlowFast's own normalisation, 30 samples per second, no threshold.
    fn default() -> Self {
        Self {
            mean: vec![0.45],
            std: vec![0.225],
            sample_interval_ns: 33_333_333,
            slow_indices: None,
            temperature: 1.0,
            threshold: 0.0,
            orientation: "standard".into(),
            model_version: String::new(),
            provenance: String::new(),
        }
    }
}

impl Spec {
    /// Reads `spec.toml`.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| CompileError::Spec(format!("specification: {e}")))
    }

    /// Checks ranges; `channels` is that of the package.
    pub(crate) fn check(&self, channels: usize) -> Result<()> {
        let fail = |reason: &str| Err(CompileError::Spec(reason.into()));
        let fits = |v: &[f64]| v.len() == 1 || v.len() == channels || (channels == 1 && v.len() == 3);
        if !fits(&self.mean) || !fits(&self.std) {
            return fail("mean and std need one number, or one per channel");
        }
        if self.mean.iter().any(|v| !v.is_finite()) || self.std.iter().any(|v| !(v.is_finite() && *v > 0.0)) {
            return fail("mean must be finite and std positive");
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return fail("temperature must be positive");
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            return fail("threshold must lie from 0 to 1");
        }
        if self.sample_interval_ns == 0 {
            return fail("sample_interval_ns must be positive");
        }
        const ORIENTATIONS: [&str; 4] = ["standard", "mirrored", "upside_down", "mirrored_upside_down"];
        if !ORIENTATIONS.contains(&self.orientation.as_str()) {
            return fail("orientation must be standard, mirrored, upside_down or mirrored_upside_down");
        }
        Ok(())
    }

    /// Whether all channels share mean and std, so that a three-channel stem folds to grey exactly.
    pub(crate) fn is_grey(&self) -> bool {
        let equal = |v: &[f64]| v.windows(2).all(|pair| pair[0] == pair[1]);
        equal(&self.mean) && equal(&self.std)
    }
}

/// Precision inside the compiled graph. Inputs, states and outputs are float32 in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// IEEE single.
    #[default]
    Fp32,
    /// IEEE half for convolutions and what lies between; means and the head stay single.
    Fp16,
}

impl Precision {
    /// As in the package's metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
        }
    }
}

/// How convolutions of kernel 3 are multiplied out, along time and along rows.
///
/// Runtimes for CPUs multiply as the graph says, so that fewer products are less time; TensorRT picks such kernels
/// itself and is better served by plain convolutions. Half precision is always plain: its rounding would show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Products {
    /// As in the source network.
    Plain,
    /// Winograd's form where it saves more time than its transforms take on a CPU.
    #[default]
    WherePaying,
    /// Winograd's form wherever there is one. For tests: small networks gain nothing from it.
    Fewest,
}

/// How to compile.
#[derive(Clone, Debug, PartialEq)]
pub struct CompileOptions {
    /// `NAME` of the files written.
    pub name: String,
    /// Labels in the order of the logits.
    pub labels: Vec<Label>,
    /// What the network cannot say about its input.
    pub spec: Spec,
    /// Fold a three-channel stem for grey input (`--channels 1`).
    pub grey: bool,
    /// Precision inside the graph.
    pub precision: Precision,
    /// How convolutions are multiplied out.
    pub products: Products,
    /// Slow frames per step (`--chunk`), at least 1.
    pub chunk: usize,
    /// Folder of the source file, where its external weights lie; `None` refuses external weights.
    pub folder: Option<PathBuf>,
    /// Run the packages once for the expected logits of the self-test. Without it the package has no `self_test`
    /// and the library refuses it; for tools that only look at graphs.
    pub self_test: bool,
}

impl CompileOptions {
    /// Defaults: fp32, all channels, one slow frame per step, with self-test.
    pub fn new(name: impl Into<String>, labels: Vec<Label>) -> Self {
        Self {
            name: name.into(),
            labels,
            spec: Spec::default(),
            grey: false,
            precision: Precision::Fp32,
            products: Products::default(),
            chunk: 1,
            folder: None,
            self_test: true,
        }
    }

    /// The form of products that suits the precision.
    pub(crate) fn form_of_products(&self) -> Products {
        match self.precision {
            Precision::Fp32 => self.products,
            Precision::Fp16 => Products::Plain,
        }
    }
}
