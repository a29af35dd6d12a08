//! Limits on the content of a model file. They bound the memory and time that a hostile file can
//! use.

/// Oldest supported operator set. Older operator sets define Slice, Pad and Clip differently.
pub(super) const MIN_OPSET: i64 = 11;

/// First operator set in which Softmax normalises one axis. Before, it normalised all axes from
/// `axis` on.
pub(super) const SOFTMAX_OPSET: i64 = 13;

/// Maximum size in bytes of a model file, which is protobuf's limit.
pub(super) const MAX_FILE_BYTES: usize = i32::MAX as usize;

/// Maximum size in bytes of a file with external weights.
pub(super) const MAX_EXTERNAL_BYTES: u64 = 4 << 30;

/// Maximum number of messages, strings and unpacked scalars in a model. SlowFast R101 has about
/// 30,000.
pub(super) const MAX_FIELDS: usize = 1_000_000;

/// Maximum total size in bytes of all packed integers in a model. The decoded integers need up to
/// eight times as much memory.
pub(super) const MAX_PACKED_INTEGER_BYTES: usize = 16 << 20;

/// Maximum number of nodes in a model. SlowFast R101 has about 700, or 2,000 if the exporter leaves
/// shape arithmetic in the file.
pub(super) const MAX_NODES: usize = 20_000;

/// Maximum number of axes in a value.
pub(super) const MAX_RANK: usize = 8;

/// Maximum number of elements in one activation. The largest activation of SlowFast R50 at 224x224
/// has 26 million.
pub(super) const MAX_ELEMENTS: usize = 1 << 31;

/// Maximum number of weights in all nodes together. A weight that several nodes read counts once
/// for each node, because each node gets its own copy in the lowered graph. SlowFast R101 has 63
/// million.
pub(super) const MAX_WEIGHTS: usize = 160_000_000;

/// Maximum number of elements in one constant that takes part in constant folding. Weight
/// standardisation in the graph folds the weights of whole layers.
pub(super) const MAX_FOLDED: usize = 1 << 24;

/// Maximum number of multiplications in one matrix product of constants that is folded.
pub(super) const MAX_FOLDED_PRODUCTS: usize = 1 << 28;

/// Maximum number of elements in a constant that ConstantOfShape creates.
pub(super) const MAX_FILLED: usize = 1 << 22;

/// Maximum nesting of branches in If nodes.
pub(super) const MAX_BRANCH_DEPTH: usize = 4;

/// Maximum number of elements in all folded constants together, apart from those that
/// [`FOLDS_A_WEIGHT`] permits.
pub(super) const MAX_FOLDED_TOTAL: usize = 1 << 26;

/// Number of elements of folded constants that each element of an initializer permits in
/// addition. Weight standardisation in the graph folds each weight four times, and only a large
/// file needs much memory for it.
pub(super) const FOLDS_A_WEIGHT: usize = 4;

/// Exclusive upper limit on the number of elements in a Range.
pub(super) const MAX_RANGE: usize = 1 << 16;

/// Maximum number of elements that a Slice may keep along an axis.
pub(super) const MAX_SLICE: usize = 1 << 16;

/// Maximum number of elements that a Gather may select from an activation. The limit bounds the
/// memory of the graph, which stores the index of each selected element.
pub(super) const MAX_GATHER: usize = 1 << 12;

/// Exclusive upper limit for every pad, kernel size, stride and dilation.
pub(super) const WINDOW_LIMIT: i64 = 1 << 16;
