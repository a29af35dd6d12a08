//! The lowered graph. Its activations are 4-D tensors `[T,C,H,W]`, except around matrix products.
//! The frames are on the batch axis. All operators exist in every target runtime.
//!
//! The methods `add_*` append nodes. These methods infer shapes, return the result of an equal node
//! if one exists, and merge slices and concatenations. This keeps the lowering rules simple.

mod build;
mod graph;
mod split_concats;

pub(crate) use graph::{
    FloatBits, Function, LoweredGraph, LoweredId, LoweredNode, LoweredOp, State, Window2d,
};
