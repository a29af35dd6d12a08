//! The error type of the compiler.

use std::fmt;

/// The description of a source node in an error message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRef {
    /// Name of the node in the file, or the name of its first output if the node has no name.
    pub name: String,
    /// ONNX operator, for example `Conv`.
    pub op: String,
    /// Shapes of the node's inputs, except for optional inputs that the node omits.
    pub shapes: Vec<Vec<usize>>,
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node \"{}\" ({}) with input shapes {:?}", self.name, self.op, self.shapes)
    }
}

/// The reason why a network cannot be compiled, inspected or verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompileError {
    /// The file is not a usable ONNX model: it is truncated, malformed, unsupported or larger than
    /// a limit.
    File(String),
    /// The compiler cannot handle one node of the network.
    Node {
        /// The node.
        node: NodeRef,
        /// The problem with the node, and a remedy if there is one.
        reason: String,
    },
    /// The network as a whole is not a view classifier that the compiler can handle, or an option
    /// does not fit the network.
    Network(String),
    /// The labels, the specification or an option has a value that is not allowed.
    Spec(String),
    /// In a self-test or in the module `verify`, a graph could not be loaded or run, or gave an
    /// unusable result.
    Verify(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(reason) => write!(f, "cannot read the model: {reason}"),
            Self::Node { node, reason } => write!(f, "{node}: {reason}"),
            Self::Network(reason) => write!(f, "cannot compile the network: {reason}"),
            Self::Spec(reason) => write!(f, "invalid labels or specification: {reason}"),
            Self::Verify(reason) => write!(f, "cannot verify the packages: {reason}"),
        }
    }
}

impl std::error::Error for CompileError {}

/// The result of a compiler operation.
pub type Result<T> = std::result::Result<T, CompileError>;

/// Returns a [`CompileError::File`] with this reason.
pub(crate) fn fail_file<T>(reason: impl Into<String>) -> Result<T> {
    Err(CompileError::File(reason.into()))
}

/// Returns a [`CompileError::Network`] with this reason.
pub(crate) fn fail_network<T>(reason: impl Into<String>) -> Result<T> {
    Err(CompileError::Network(reason.into()))
}

/// Returns a [`CompileError::Spec`] with this reason.
pub(crate) fn fail_spec<T>(reason: impl Into<String>) -> Result<T> {
    Err(CompileError::Spec(reason.into()))
}
