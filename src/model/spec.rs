//! The metadata of a model package.

use crate::abi::abi_enum;
use crate::frame::Orientation;
use std::fmt;

abi_enum! {
    /// Mode in which the network runs.
    pub enum Mode: u32 {
        /// The network runs on whole clips, which may overlap.
        Window = 0,
        /// The network runs on one chunk at a time and keeps a temporal state.
        Stream = 1,
    }
}

/// Precision of the numbers inside a graph. Inputs and outputs are always float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point.
    Fp16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
        })
    }
}

/// A view that the network can recognize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Short code, such as `A4C`.
    pub code: String,
    /// Human-readable name.
    pub name: String,
    /// DICOM coding scheme and code value, if the package defines them.
    pub scheme: Option<(String, String)>,
    /// Meaning of the DICOM code, if it differs from [`Self::name`].
    pub scheme_meaning: Option<String>,
    /// DICOM codes that are needed in addition to [`Self::scheme`] to describe the view; usually
    /// none.
    pub modifiers: Vec<Modifier>,
    /// Index of the label's group in [`ModelSpec::groups`]; `None` if the package has no groups.
    pub group: Option<usize>,
}

/// A DICOM code that modifies the code of a view (PS3.3, C.8.5.6.1.19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modifier {
    /// Human-readable name.
    pub name: String,
    /// DICOM coding scheme and code value.
    pub scheme: (String, String),
}

/// A group of labels, such as the apical views. Each label belongs to one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Short code, such as `APICAL`.
    pub code: String,
    /// Human-readable name.
    pub name: String,
    /// DICOM coding scheme and code value, if the package defines them.
    pub scheme: Option<(String, String)>,
}

/// Kind of a novelty score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoveltyKind {
    /// Squared distance of the mean projection from the nearest of several class means. The
    /// projection is whitened, so this is a Mahalanobis distance.
    Mahalanobis,
    /// Squared distance of the mean projection from one mean, in a space that the features of the
    /// training set hardly use.
    Residual,
    /// Energy of the logits, for which the network needs no projection.
    Energy,
}

impl fmt::Display for NoveltyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mahalanobis => "mahalanobis",
            Self::Residual => "residual",
            Self::Energy => "energy",
        })
    }
}

/// The score that says how far a cine is from all that the network was trained on
/// (docs/stream-contract.md#novelty).
#[derive(Clone, Debug, PartialEq)]
pub struct Novelty {
    /// Kind of the score.
    pub kind: NoveltyKind,
    /// Number of values in the projection, which follow the logits in the output of the network; 0
    /// for [`NoveltyKind::Energy`].
    pub values: usize,
    /// Means of the projection, one after the other, with `values` numbers each.
    pub means: Vec<f32>,
    /// Score above which the label and the group are withheld.
    pub threshold: f64,
}

/// How the region of interest is resized before it is centred in the sample
/// (docs/model-package.md#resizing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Size of the resized region.
    pub method: ResizeMethod,
    /// Whether the filter covers all pixels of the region. Without antialiasing, each pixel of the
    /// result depends on the four nearest pixels only.
    pub antialias: bool,
}

impl Default for Resize {
    /// Returns the antialiased letterbox, which a package without the key `resize` has.
    fn default() -> Self {
        Self { method: ResizeMethod::Letterbox, antialias: true }
    }
}

/// Size to which the region of interest is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeMethod {
    /// The largest size that fits into the sample and has the aspect ratio of the region.
    Letterbox,
    /// A fixed size, whatever the aspect ratio of the region is.
    Stretch {
        /// Width of the resized region in pixels.
        width_px: usize,
        /// Height of the resized region in pixels.
        height_px: usize,
    },
    /// The size whose shorter side has a fixed length and which has the aspect ratio of the region.
    ShortSide {
        /// Length of the shorter side in pixels.
        side_px: usize,
    },
}

/// Order of the channels in a sample with three channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// A tensor of the temporal state. The graph reads it from an input and writes its next value to an
/// output, whose name is the name of the input followed by `_next`.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpec {
    /// Name of the graph input.
    pub name: String,
    /// Shape of the tensor. All dimensions are static.
    pub shape: Vec<usize>,
    /// Value of all elements at the start of a segment.
    pub initial: f32,
}

/// Self-test that `Engine::prepare` runs to check the provider.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfTest {
    /// Seed of the input values.
    pub seed: u32,
    /// Expected logits of the first run, or of the first chunk of a package with frame steps.
    pub logits: Vec<f32>,
    /// Maximum absolute error of a logit in fp32.
    pub tolerance_fp32: f32,
    /// Maximum absolute error of a logit in fp16.
    pub tolerance_fp16: f32,
}

/// The division of a chunk into runs for single samples: the fast part of the network runs once for
/// each sample, and the slow part once for each chunk (docs/stream-contract.md#frame-steps).
#[derive(Clone, Debug, PartialEq)]
pub struct FrameSteps {
    /// Position in a chunk of the sample after which the slow run is due.
    pub lateral_reach: usize,
    /// Number of nodes of the fast part, which come first in the graph.
    pub fast_nodes: usize,
    /// Number of states of the fast part, which come first in [`ModelSpec::states`].
    pub fast_states: usize,
    /// Names of the fast states that the slow part reads after the sample at the reach.
    pub lateral_windows: Vec<String>,
    /// The head, if it is not linear.
    pub head: Option<HeadSpec>,
    /// Expected results of the chunks of the self-test. The first starts from the initial state.
    pub self_test: Vec<ChunkSelfTest>,
}

/// A head that is not linear. The runs of the other parts give features, and the head gives the
/// logits for the mean of the features whenever a label is due
/// (docs/stream-contract.md#heads-that-are-not-linear).
#[derive(Clone, Debug, PartialEq)]
pub struct HeadSpec {
    /// Number of features.
    pub features: usize,
    /// Number of nodes of the head, which come last in the graph.
    pub nodes: usize,
    /// Maximum absolute error of a logit of the head in fp32.
    pub tolerance_fp32: f32,
    /// Maximum absolute error of a logit of the head in fp16.
    pub tolerance_fp16: f32,
}

/// Expected results of one chunk of the self-test.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkSelfTest {
    /// Mean of the logits of the fast runs.
    pub fast: Vec<f32>,
    /// Logits of the slow run; zeros in a network with one pathway.
    pub slow: Vec<f32>,
    /// Logits of the chunk, which are the sum of both.
    pub logits: Vec<f32>,
    /// Logits that a head that is not linear gives for the chunk; empty if the head is linear. The
    /// other fields then contain features instead of logits.
    pub head: Vec<f32>,
}

/// The rule by which the posterior follows from the outputs of the chunks that count
/// (docs/stream-contract.md#label). In window mode, the rule is always
/// [`Self::MeanProbabilities`] with the windows as outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelRule {
    /// The posterior is the softmax of the mean logits.
    #[default]
    MeanLogits,
    /// The posterior is the mean of the softmax of each output.
    MeanProbabilities,
    /// The posterior is the softmax of the newest output.
    Newest,
}

/// Checked metadata of a model package.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Mode in which the network runs.
    pub mode: Mode,
    /// Labels, in the order of the logits.
    pub labels: Vec<Label>,
    /// Groups of the labels; empty if the package has none.
    pub groups: Vec<Group>,
    /// Width of a sample in pixels.
    pub width_px: usize,
    /// Height of a sample in pixels.
    pub height_px: usize,
    /// Number of channels: 1 (luma) or 3 (in the order [`Self::channel_order`]).
    pub channels: usize,
    /// Order of the channels; [`ChannelOrder::Rgb`] if the package has one channel.
    pub channel_order: ChannelOrder,
    /// How the region of interest is resized.
    pub resize: Resize,
    /// Mean that normalisation subtracts from `pixel / 255`, for each channel.
    pub mean: Vec<f32>,
    /// Standard deviation by which normalisation then divides, for each channel.
    pub std: Vec<f32>,
    /// Time from one sample to the next.
    pub sample_interval_ns: i64,
    /// Number of fast samples per slow sample.
    pub alpha: usize,
    /// Number of samples in a clip.
    pub clip_samples: usize,
    /// Indices of the slow samples in a clip; empty for a network with one pathway.
    pub slow_indices: Vec<usize>,
    /// Tensors of the temporal state, in the order of the graph inputs.
    pub states: Vec<StateSpec>,
    /// The runs of a chunk, or `None` if one run takes a whole chunk or a clip.
    pub frame_steps: Option<FrameSteps>,
    /// The rule by which the posterior follows from the outputs.
    pub label_rule: LabelRule,
    /// Number by which the logits are divided before the softmax.
    pub temperature: f32,
    /// Confidence below which the label is withheld.
    pub threshold: f32,
    /// Confidence of a group below which the group and the label are withheld; 0 if the package has
    /// no groups.
    pub group_threshold: f32,
    /// The novelty score, if the package defines one.
    pub novelty: Option<Novelty>,
    /// Display orientation of the training images.
    pub orientation: Orientation,
    /// Precision of the numbers inside the graph.
    pub precision: Precision,
    /// The self-test.
    pub self_test: SelfTest,
    /// SHA-256 of the source file in hexadecimal.
    pub source_sha256: String,
    /// SHA-256 of the package file in hexadecimal.
    pub package_sha256: String,
    /// Version of the model, for the device's records.
    pub model_version: String,
    /// Text or JSON about the origin of the model.
    pub provenance: String,
    /// Model card as JSON, if the package has one; see docs/model-package.md#model-card.
    pub model_card: Option<String>,
}

impl ModelSpec {
    /// Returns the head, if it is not linear.
    #[must_use]
    pub fn head(&self) -> Option<&HeadSpec> {
        self.frame_steps.as_ref()?.head.as_ref()
    }

    /// Returns the number of values in the output of a run of the samples: the features, if the
    /// head is not linear, or else [`Self::output_len`].
    #[must_use]
    pub fn run_output_len(&self) -> usize {
        self.head().map_or_else(|| self.output_len(), |head| head.features)
    }

    /// Returns the number of values in the output of the network: the logits and, after them, the
    /// values of the projection for the novelty score.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.labels.len() + self.novelty.as_ref().map_or(0, |novelty| novelty.values)
    }

    /// Returns whether posteriors are averaged instead of logits.
    pub(crate) fn averages_posteriors(&self) -> bool {
        self.mode == Mode::Window || self.label_rule == LabelRule::MeanProbabilities
    }

    /// Returns whether the label follows from the newest output instead of a mean.
    pub(crate) fn uses_newest(&self) -> bool {
        self.mode == Mode::Stream && self.label_rule == LabelRule::Newest
    }

    /// Returns the number of values of an output that are averaged. If posteriors are averaged, the
    /// posterior of an output takes the place of its logits, so the energy follows it.
    pub(crate) fn averaged_len(&self) -> usize {
        let is_energy = |novelty: &Novelty| novelty.kind == NoveltyKind::Energy;
        let has_energy = self.averages_posteriors() && self.novelty.as_ref().is_some_and(is_energy);
        self.run_output_len() + usize::from(has_energy)
    }

    /// Returns the number of values that a combination of outputs needs, before and after a head
    /// that is not linear.
    pub(crate) fn combined_len(&self) -> usize {
        self.averaged_len().max(self.output_len())
    }

    /// Returns the number of values in a sample: channels * height * width.
    #[must_use]
    pub fn sample_len(&self) -> usize {
        self.channels * self.height_px * self.width_px
    }

    /// Returns the shapes `[T, C, H, W]` of the slow and fast inputs of one run. With frame steps,
    /// they are inputs of separate runs. In a network with one pathway, the slow input has T = 0.
    #[must_use]
    pub fn input_shapes(&self) -> [[usize; 4]; 2] {
        let (slow, fast) = match self.mode {
            Mode::Window => (self.slow_indices.len(), self.clip_samples),
            Mode::Stream => {
                let fast = if self.frame_steps.is_some() { 1 } else { self.alpha };
                (usize::from(!self.slow_indices.is_empty()), fast)
            }
        };
        [slow, fast].map(|frames| [frames, self.channels, self.height_px, self.width_px])
    }

    /// Returns the total size in bytes of the tensors in the sessions of a classifier, and of its
    /// own samples. There are at most three sets of states: the set that a run reads, the set that
    /// the run writes, and the initial set.
    pub(crate) fn session_bytes(&self) -> usize {
        let len = |shape: &[usize]| shape.iter().product::<usize>();
        let inputs: usize = self.input_shapes().iter().map(|shape| len(shape)).sum();
        let states: usize = self.states.iter().map(|state| 3 * len(&state.shape)).sum();
        // A session of the slow part has inputs for the lateral windows, and each of the two slow
        // runs that may be outstanding has a copy of the windows and of its sample.
        let windows: usize = self.lateral_windows().map(|state| 3 * len(&state.shape)).sum();
        // A classifier and plain queries have sessions of the head.
        let head = self.head().map_or(0, |head| 2 * (head.features + self.output_len()));
        let kept = match self.mode {
            Mode::Window => self.clip_samples * self.sample_len(),
            Mode::Stream if windows > 0 => 2 * self.sample_len(),
            Mode::Stream => 0,
        };
        (inputs + states + windows + head + kept) * size_of::<f32>()
    }

    /// Returns the states that are lateral windows, in the order in which the slow part reads them.
    pub(crate) fn lateral_windows(&self) -> impl Iterator<Item = &StateSpec> {
        let names = self.frame_steps.iter().flat_map(|steps| &steps.lateral_windows);
        names.filter_map(|name| self.states.iter().find(|state| state.name == *name))
    }
}
