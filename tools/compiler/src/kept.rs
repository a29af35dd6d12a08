//! Nodes that a package contains as they are in the source, because the lowered graph has no
//! equivalent. Only ONNX Runtime runs such a package.

use crate::tensor::DType;

/// The operator of a node that a package contains as it is in the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeptOp {
    pub(crate) operator: &'static str,
    pub(crate) attributes: Vec<(&'static str, KeptAttribute)>,
    /// Number of outputs of the node in the file.
    pub(crate) outputs: usize,
    /// Index of the output that the value is.
    pub(crate) output: usize,
    /// Element type of this output.
    pub(crate) dtype: DType,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeptAttribute {
    Integer(i64),
    Text(&'static str),
}

impl KeptOp {
    /// Returns an operator without attributes and with one output.
    pub(crate) fn new(operator: &'static str, dtype: DType) -> Self {
        Self { operator, attributes: Vec::new(), outputs: 1, output: 0, dtype }
    }

    pub(crate) fn integer(mut self, name: &'static str, value: i64) -> Self {
        self.attributes.push((name, KeptAttribute::Integer(value)));
        self
    }

    pub(crate) fn text(mut self, name: &'static str, value: &'static str) -> Self {
        self.attributes.push((name, KeptAttribute::Text(value)));
        self
    }
}
