//! Checks of a graph's inputs and outputs against the metadata of its package.

use crate::error::{Error, Result, Status};
use crate::model::part::{NamedShape, PartSpec};

/// An input or output of a graph, as the runtime reports it.
pub(crate) struct GraphTensor<'a> {
    pub(crate) name: &'a str,
    /// Length of each dimension; `None` for a dimension that is not static.
    pub(crate) shape: Vec<Option<usize>>,
    pub(crate) is_float32: bool,
}

/// Checks the inputs of a graph.
///
/// # Errors
/// Returns [`Status::ModelMismatch`] if an input does not match the metadata.
pub(crate) fn check_inputs<'a>(
    spec: &PartSpec,
    inputs: impl ExactSizeIterator<Item = GraphTensor<'a>>,
) -> Result<()> {
    check("input", inputs, &spec.inputs())
}

/// Checks the outputs of a graph.
///
/// # Errors
/// Returns [`Status::ModelMismatch`] if an output does not match the metadata.
pub(crate) fn check_outputs<'a>(
    spec: &PartSpec,
    outputs: impl ExactSizeIterator<Item = GraphTensor<'a>>,
) -> Result<()> {
    check("output", outputs, &spec.outputs())
}

fn check<'a>(
    kind: &str,
    found: impl ExactSizeIterator<Item = GraphTensor<'a>>,
    expected: &[NamedShape],
) -> Result<()> {
    let mismatch = |message: String| Err(Error::new(Status::ModelMismatch, message));
    if found.len() != expected.len() {
        let (found, expected) = (found.len(), expected.len());
        return mismatch(format!("the graph must have {expected} {kind}s, got {found}"));
    }
    for (number, (tensor, (name, shape))) in found.zip(expected).enumerate() {
        if tensor.name != name {
            let found = tensor.name;
            return mismatch(format!("{kind} {number} must be named {name:?}, got {found:?}"));
        }
        if !tensor.shape.iter().copied().eq(shape.iter().copied().map(Some)) {
            let side = |side: &Option<usize>| side.map_or("?".into(), |side| side.to_string());
            let found = tensor.shape.iter().map(side).collect::<Vec<_>>().join(", ");
            return mismatch(format!("the {kind} {name} must have shape {shape:?}, got [{found}]"));
        }
        if !tensor.is_float32 {
            return mismatch(format!("the {kind} {name} must be float32"));
        }
    }
    Ok(())
}
