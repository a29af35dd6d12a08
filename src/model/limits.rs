//! Limits on the content of a model package. They bound the memory and time that a hostile file
//! can use. docs/model-package.md#limits states each limit and its reason, and a test compares that
//! page with these constants.

use std::ops::RangeInclusive;

/// Maximum size in bytes of a package.
pub(super) const MAX_FILE_BYTES: u64 = 640 << 20;

/// Versions of the ONNX file format.
pub(super) const IR_VERSIONS: RangeInclusive<i64> = 4..=10;

/// Versions of the ONNX operator set.
pub(super) const OPSETS: RangeInclusive<i64> = 13..=21;

/// Maximum number of entries in the metadata.
pub(super) const MAX_METADATA_ENTRIES: usize = 256;

/// Maximum size in bytes of all metadata entries together.
pub(super) const MAX_METADATA_BYTES: usize = 4 << 20;

/// Maximum size in bytes of a metadata key.
pub(super) const MAX_METADATA_KEY_BYTES: usize = 256;

/// Maximum size in bytes of a metadata value.
pub(super) const MAX_METADATA_VALUE_BYTES: usize = 1 << 20;

/// Maximum size in bytes of `model_version`, `source_sha256`, the producer and other short texts.
pub(super) const MAX_TEXT_BYTES: usize = 4096;

/// Maximum number of labels.
pub(super) const MAX_LABELS: usize = 1024;

/// Maximum number of groups.
pub(super) const MAX_GROUPS: usize = 64;

/// Maximum size in bytes of the code of a label or a group, its coding scheme and its code in that
/// scheme.
pub(super) const MAX_LABEL_CODE_BYTES: usize = 64;

/// Maximum size in bytes of the name of a label or a group.
pub(super) const MAX_LABEL_NAME_BYTES: usize = 256;

/// Maximum number of modifiers of a label.
pub(super) const MAX_MODIFIERS: usize = 4;

/// Maximum number of features of a head that is not linear. The history keeps them for each output.
pub(super) const MAX_FEATURES: usize = 16_384;

/// Maximum number of values in the projection for the novelty score.
pub(super) const MAX_PROJECTION_VALUES: usize = 256;

/// Width and height of a sample in pixels.
pub(super) const SIDE_PX: RangeInclusive<usize> = 1..=4096;

/// Time in nanoseconds from one sample to the next.
pub(super) const SAMPLE_INTERVAL_NS: RangeInclusive<i64> = 1_000_000..=10_000_000_000;

/// Number of fast samples for each slow sample.
pub(super) const ALPHA: RangeInclusive<usize> = 1..=256;

/// Maximum number of samples in a clip.
pub(super) const MAX_CLIP_SAMPLES: usize = 4096;

/// Maximum number of values in the samples of one run together.
pub(super) const MAX_INPUT_VALUES: usize = 1 << 24;

/// Maximum number of states.
pub(super) const MAX_STATES: usize = 1024;

/// Maximum size in bytes of the name of a state.
pub(super) const MAX_STATE_NAME_BYTES: usize = 256;

/// Maximum number of values in all states together.
pub(super) const MAX_STATE_VALUES: usize = 1 << 24;

/// Maximum number of dimensions of a tensor.
pub(super) const MAX_RANK: usize = 8;

/// Maximum number of nodes in a graph.
pub(super) const MAX_NODES: usize = 8192;

/// Maximum number of initializers, inputs, outputs and value descriptions of a graph, each.
pub(super) const MAX_VALUES: usize = 16_384;

/// Maximum number of inputs of a node.
pub(super) const MAX_NODE_INPUTS: usize = 1024;

/// Maximum number of inputs of all nodes together.
pub(super) const MAX_EDGES: usize = 65_536;

/// Maximum number of outputs of a node.
pub(super) const MAX_NODE_OUTPUTS: usize = 256;

/// Maximum number of outputs of all nodes together.
pub(super) const MAX_OUTPUTS: usize = 16_384;

/// Maximum number of attributes of a node.
pub(super) const MAX_ATTRIBUTES: usize = 8;

/// Maximum number of integers in an attribute.
pub(super) const MAX_ATTRIBUTE_INTEGERS: usize = 64;

/// Maximum size in bytes of a name in a graph.
pub(super) const MAX_NAME_BYTES: usize = 65_535;

/// Maximum number of integers in a constant that a node reads as indices or as a shape.
pub(super) const MAX_INTEGERS: usize = 4096;

/// Maximum number of values of a constant that is not stored as `raw_data`.
pub(super) const MAX_TYPED_VALUES: usize = 1024;

/// Maximum number of values of all constants that are not stored as `raw_data`.
pub(super) const MAX_GRAPH_TYPED_VALUES: usize = 1 << 20;

/// Maximum number of values in a tensor.
pub(super) const MAX_TENSOR_VALUES: usize = 1 << 27;

/// Maximum size of a kernel, stride, dilation and padding along one axis.
pub(super) const MAX_WINDOW: i64 = 65_535;

/// Maximum number of nodes on a path from an input to an output.
pub(super) const MAX_DEPTH: usize = 2048;

/// Maximum number of operands of nested additions or nested multiplications.
pub(super) const MAX_OPERANDS: usize = 256;

/// Maximum work of one run, in multiply-adds.
pub(super) const MAX_WORK: u64 = 4_000_000_000_000;

/// Maximum work of the nodes that read only constants, in multiply-adds.
pub(super) const MAX_CONSTANT_WORK: u64 = 1 << 29;

/// Size in bytes that the values computed from constants may always have. They may have
/// [`CONSTANT_BYTES_PER_BYTE`] more for each byte of the graph.
pub(super) const MAX_CONSTANT_BYTES: u64 = 64 << 20;

/// Size in bytes that the values computed from constants may have for each byte of the graph.
pub(super) const CONSTANT_BYTES_PER_BYTE: u64 = 8;

/// Maximum size in bytes of the tensors of one run.
pub(super) const MAX_RUN_BYTES: u64 = 384 << 20;

/// Returns the beginning of a text, for messages.
pub(super) fn shorten(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}
