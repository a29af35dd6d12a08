//! The error for a node that cannot be converted. The caller adds the description of the node.

use crate::error::CompileError;

/// The reason why a node cannot be converted.
pub(super) enum NodeFailure {
    /// A reason to which the caller adds the description of the node.
    Reason(String),
    /// An error that is already complete.
    Error(CompileError),
}

pub(super) type NodeResult<T> = Result<T, NodeFailure>;

/// Returns a [`NodeFailure::Reason`]. The caller adds the description of the node.
pub(super) fn fail<T>(reason: impl Into<String>) -> NodeResult<T> {
    Err(NodeFailure::Reason(reason.into()))
}
