//! The caller's input: the specification of the network, and the compile options.

use crate::error::{CompileError, Result, fail_spec};
use crate::labels::{Group, Label, LabelSet};
use crate::novelty::Novelty;
use crate::preprocess::Preprocess;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Mean of SlowFast's own normalisation.
pub(crate) const DEFAULT_MEAN: f64 = 0.45;
/// Standard deviation of SlowFast's own normalisation.
pub(crate) const DEFAULT_STD: f64 = 0.225;
/// Range of means of values from 0 to 1. Networks that take values from -1 to 1 have the mean 0.5.
const MEAN: std::ops::RangeInclusive<f64> = -2.0..=2.0;
/// Range of standard deviations of values from 0 to 1. It includes 1/65535, which turns these
/// values into 16-bit pixels.
const STD: std::ops::RangeInclusive<f64> = 0.000_01..=4.0;

/// Properties of the network's input and output that the ONNX file does not contain. They come from
/// the file `spec.toml`.
///
/// Every field has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// Mean of `pixel / 255`, with one value for each channel or a single value for all channels.
    /// If it is empty, it is 0.45, or 0 if the network normalises its input itself.
    pub mean: Vec<f64>,
    /// Standard deviation of `pixel / 255`, with one value for each channel or a single value for
    /// all channels. If it is empty, it is 0.225; if the network normalises its input itself, it is
    /// 1 for values from 0 to 1, and 1/255 for pixels from 0 to 255.
    pub std: Vec<f64>,
    /// Time in nanoseconds between two consecutive fast samples.
    pub sample_interval_ns: u64,
    /// Indices of the slow samples in a clip. Without this list, a network with one packed input
    /// keeps the indices that it selects itself, any other chunk-causal network gets the first
    /// sample of each chunk, and every other network gets the evenly spaced samples of
    /// docs/stream-contract.md#window-mode.
    pub slow_indices: Option<Vec<usize>>,
    /// Divisor of the logits before the softmax.
    pub temperature: f64,
    /// Confidence, from 0 to 1, below which the library withholds the label.
    pub threshold: f64,
    /// Confidence of a group, from 0 to 1, below which the library withholds the group and the
    /// label. It must be 0 if the labels have no groups.
    pub group_threshold: f64,
    /// Novelty score. If it has means, the output of the network contains the values of the
    /// projection after the logits.
    pub novelty: Option<Novelty>,
    /// Display orientation of the training data: `standard`, `mirrored`, `upside_down` or
    /// `mirrored_upside_down`.
    pub orientation: String,
    /// How the training images were resized, and the order of their channels.
    pub preprocess: Preprocess,
    /// Version of the model, for the device's records.
    pub model_version: String,
    /// Description of who trained the network and on which data.
    pub provenance: String,
}

impl Default for Spec {
    /// Returns a specification with SlowFast's own normalisation, 30 samples per second and no
    /// threshold.
    fn default() -> Self {
        Self {
            mean: Vec::new(),
            std: Vec::new(),
            sample_interval_ns: 33_333_333,
            slow_indices: None,
            temperature: 1.0,
            threshold: 0.0,
            group_threshold: 0.0,
            novelty: None,
            orientation: "standard".into(),
            preprocess: Preprocess::default(),
            model_version: String::new(),
            provenance: String::new(),
        }
    }
}

impl Spec {
    /// Parses the content of `spec.toml`.
    ///
    /// # Errors
    /// Returns [`CompileError::Spec`] if `text` is not TOML, contains an unknown key or contains a
    /// value of the wrong type. [`compile`](crate::compile()) checks the ranges of the values.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| CompileError::Spec(format!("specification: {e}")))
    }

    /// Checks the ranges of all values for a package whose input has `channels` channels.
    pub(crate) fn check(&self, channels: usize) -> Result<()> {
        for (field, values) in [("mean", &self.mean), ("std", &self.std)] {
            // If a network is folded to grey, its specification may still list three channels.
            let fits = values.len() == 1
                || values.len() == channels
                || (channels == 1 && values.len() == 3);
            if !fits {
                return fail_spec(format!(
                    "{field} must have one value, or one for each of the {channels} channels, got {}",
                    values.len()
                ));
            }
        }
        self.check_units()?;
        if !(0.001..=1000.0).contains(&self.temperature) {
            let temperature = self.temperature;
            return fail_spec(format!("temperature must be 0.001 to 1000, got {temperature}"));
        }
        check_threshold("threshold", self.threshold)?;
        check_threshold("group_threshold", self.group_threshold)?;
        if let Some(novelty) = &self.novelty {
            novelty.check()?;
        }
        if self.sample_interval_ns == 0 {
            return fail_spec("sample_interval_ns must be at least 1 ns, got 0");
        }
        const ORIENTATIONS: [&str; 4] =
            ["standard", "mirrored", "upside_down", "mirrored_upside_down"];
        if !ORIENTATIONS.contains(&self.orientation.as_str()) {
            let allowed = ORIENTATIONS.join(", ");
            return fail_spec(format!(
                "orientation must be one of {allowed}, got \"{}\"",
                self.orientation
            ));
        }
        Ok(())
    }

    /// Checks that mean and standard deviation are in units of `pixel / 255`, and returns the
    /// corrected numbers in the error if they are in units of pixels.
    fn check_units(&self) -> Result<()> {
        let is_outside = |values: &[f64], range: &std::ops::RangeInclusive<f64>| {
            values.iter().any(|v| !range.contains(v))
        };
        if !is_outside(&self.mean, &MEAN) && !is_outside(&self.std, &STD) {
            return Ok(());
        }
        let scaled = |values: &[f64]| -> Vec<f64> {
            values.iter().map(|v| (v / 255.0 * 1e6).round() / 1e6).collect()
        };
        let (mean, std) = (scaled(&self.mean), scaled(&self.std));
        let range = "mean must be -2 to 2 and std 0.00001 to 4, in units of pixel / 255";
        if is_outside(&mean, &MEAN) || is_outside(&std, &STD) {
            return fail_spec(format!("{range}, got mean {:?} and std {:?}", self.mean, self.std));
        }
        fail_spec(format!(
            "{range}, got mean {:?} and std {:?}; for values in units of pixels from 0 to 255, write \
             mean = {mean:?} and std = {std:?}",
            self.mean, self.std
        ))
    }

    /// Returns the keys that `text`, the content of `spec.toml`, does not set, with the values that
    /// the compiler then uses. It does not list mean and std, whose values depend on the network.
    ///
    /// # Errors
    /// Returns [`CompileError::Spec`] if `text` is not TOML.
    pub fn assumed_values(text: &str) -> Result<Vec<String>> {
        let table: toml::Table =
            toml::from_str(text).map_err(|e| CompileError::Spec(format!("specification: {e}")))?;
        let default = Self::default();
        let interval = default.sample_interval_ns;
        let entries = [
            ("sample_interval_ns", format!("{interval} ({:.1} Hz)", 1e9 / interval as f64)),
            ("temperature", default.temperature.to_string()),
            ("threshold", format!("{} (no label is withheld)", default.threshold)),
            ("orientation", default.orientation),
        ];
        let missing = entries.into_iter().filter(|(key, _)| !table.contains_key(*key));
        Ok(missing
            .map(|(key, value)| {
                format!("{key} is {value}, because the specification does not contain it")
            })
            .collect())
    }

    /// Returns whether all channels have the same mean and standard deviation. If they do, folding
    /// a three-channel stem to grey is exact.
    pub(crate) fn has_equal_channels(&self) -> bool {
        let is_equal = |v: &[f64]| v.windows(2).all(|pair| pair[0] == pair[1]);
        is_equal(&self.mean) && is_equal(&self.std)
    }
}

/// Checks a threshold of a confidence.
pub(crate) fn check_threshold(field: &str, threshold: f64) -> Result<()> {
    if (0.0..=1.0).contains(&threshold) {
        return Ok(());
    }
    fail_spec(format!("{field} must be 0 to 1, got {threshold}"))
}

/// Precision inside the compiled graph. Inputs, states and outputs are float32 at either precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// IEEE 754 single precision.
    #[default]
    Fp32,
    /// IEEE 754 half precision for convolutions and the operators between them. Means over space or
    /// time, average pools and the head stay in single precision.
    Fp16,
}

impl Precision {
    /// Returns the value of the package's metadata key `precision`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
        }
    }
}

/// The use of Winograd's form for convolutions with a kernel of size 3. The form needs fewer
/// multiplications than a plain convolution.
///
/// CPU runtimes execute the convolutions exactly as the graph contains them, so the form saves time
/// in these runtimes. TensorRT itself selects such forms and is fastest with plain convolutions.
/// Half-precision packages never use the form, because it would amplify rounding errors that are
/// already large in half precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Winograd {
    /// The compiler does not use Winograd's form.
    Never,
    /// The compiler uses Winograd's form where a CPU cost model predicts that it saves time.
    #[default]
    WhereFaster,
    /// The compiler uses Winograd's form wherever it applies. This choice is for tests, whose
    /// networks are so small that the form saves no time.
    Always,
}

/// The runs into which a stream package divides a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steps {
    /// The fast pathway runs once for each sample, and the slow pathway once for each chunk. A
    /// network for which this is not possible gets chunk steps.
    #[default]
    Frame,
    /// One run takes all samples of a chunk.
    Chunk,
}

/// What the label of a network with one result for each frame follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// The mean of the logits.
    Logits,
    /// The mean of the probabilities, which are the softmax of the logits of a frame.
    Probabilities,
}

/// Options of [`compile`](crate::compile()).
#[derive(Clone, Debug, PartialEq)]
pub struct CompileOptions {
    /// `NAME` in the file names of the packages.
    pub name: String,
    /// Labels in the order of the logits.
    pub labels: Vec<Label>,
    /// Groups of the labels; empty if there are none.
    pub groups: Vec<Group>,
    /// Properties of the network's input and output that the ONNX file does not contain.
    pub spec: Spec,
    /// Whether to fold a three-channel stem to one grey channel (`--channels 1`).
    pub grey: bool,
    /// Precision inside the graph.
    pub precision: Precision,
    /// Use of Winograd's form for convolutions.
    pub winograd: Winograd,
    /// Number of slow frames in a step, from 1 to 64. The library runs only packages with 1.
    pub chunk: usize,
    /// Runs into which the stream package divides a chunk (`--steps`).
    pub steps: Steps,
    /// Name of the output that contains the logits, or of any other value of the network
    /// (`--logits`). If it is `None`, the logits are the only output or the one named `logits`.
    pub output: Option<String>,
    /// What the package averages over the frames (`--average`). If it is `None`, the package
    /// averages what the network averages: probabilities if the network computes them for each
    /// frame, or logits otherwise.
    pub average: Option<Average>,
    /// Folder that contains the source file and its external weights. If it is `None`, a model with
    /// external weights is refused.
    pub folder: Option<PathBuf>,
    /// Whether to run each package once and store the result in the package as its self-test. The
    /// library refuses a package without a self-test, so only tools whose packages the library
    /// never loads may set this option to `false`.
    pub self_test: bool,
}

impl CompileOptions {
    /// Returns the default options: single precision, all channels, frame steps, one slow frame per
    /// step, and a self-test.
    pub fn new(name: impl Into<String>, labels: LabelSet) -> Self {
        let LabelSet { labels, groups } = labels;
        Self {
            name: name.into(),
            labels,
            groups,
            spec: Spec::default(),
            grey: false,
            precision: Precision::Fp32,
            winograd: Winograd::default(),
            chunk: 1,
            steps: Steps::default(),
            output: None,
            average: None,
            folder: None,
            self_test: true,
        }
    }

    /// Returns the option `winograd`, or [`Winograd::Never`] in half precision.
    pub(crate) fn effective_winograd(&self) -> Winograd {
        match self.precision {
            Precision::Fp32 => self.winograd,
            Precision::Fp16 => Winograd::Never,
        }
    }
}
