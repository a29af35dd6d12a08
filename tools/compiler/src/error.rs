//! Why a model cannot be compiled.

use std::fmt;

/// A node of the source graph, as an error names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRef {
    /// Name in the file; the first output's name where the file gives none.
    pub name: String,
    /// Operator, as `Conv`.
    pub op: String,
    /// Shapes of the inputs, as far as they are known.
    pub shapes: Vec<Vec<usize>>,
}

/// Error of the compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompileError {
    /// The file is not a usable ONNX model: truncated, type-broken, over a limit.
    File(String),
    /// A node cannot be compiled.
    Node {
        /// The node with its op and shapes.
        node: NodeRef,
        /// Why.
        reason: String,
    },
    /// The network as a whole does not have the form of a view classifier, or an option does not fit it.
    Network(String),
    /// Labels or specification are wrong.
    Spec(String),
    /// A compiled graph did not run, or its result is not the source's.
    Verify(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(reason) => write!(f, "cannot read the model: {reason}"),
            Self::Node { node, reason } => {
                write!(
                    f,
                    "node \"{}\" ({}) with input shapes {:?}: {reason}",
                    node.name, node.op, node.shapes
                )
            }
            Self::Network(reason) => write!(f, "cannot compile the network: {reason}"),
            Self::Spec(reason) => write!(f, "labels or specification: {reason}"),
            Self::Verify(reason) => write!(f, "verification: {reason}"),
        }
    }
}

impl std::error::Error for CompileError {}

/// Result of the compiler.
pub type Result<T> = std::result::Result<T, CompileError>;

pub(crate) fn file_error<T>(reason: impl Into<String>) -> Result<T> {
    Err(CompileError::File(reason.into()))
}
