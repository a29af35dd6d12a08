//! Finds the normalisation that a network itself applies to its frames, and chooses the mean and
//! the standard deviation of the package.

use crate::error::{Result, fail_spec};
use crate::graph::{Graph, Node, Op, ValueId};
use crate::options::{DEFAULT_MEAN, DEFAULT_STD, Spec};

/// Largest factor of a normalisation whose input is pixels from 0 to 255. A normalisation of values
/// from 0 to 1 divides by a standard deviation, which is less than 1.
const MAX_BYTE_FACTOR: f64 = 0.1;

/// A normalisation in the network.
pub(crate) struct Normalisation {
    /// The first node.
    pub(crate) node: String,
    /// Whether it expects pixels from 0 to 255 instead of values from 0 to 1.
    pub(crate) takes_bytes: bool,
}

/// Finds the normalisation at the start of the network, or returns `None`.
pub(crate) fn find_normalisation(graph: &Graph) -> Option<Normalisation> {
    let is_byte = !graph.byte_inputs.is_empty();
    let found = graph.inputs.iter().find_map(|&input| follow(graph, input));
    found.map(|(node, factor)| Normalisation {
        node,
        takes_bytes: is_byte || factor <= MAX_BYTE_FACTOR,
    })
}

/// Follows the frames through nodes that scale or shift them. Returns the first such node and the
/// product of the factors.
fn follow(graph: &Graph, input: ValueId) -> Option<(String, f64)> {
    let (mut id, mut first, mut factor) = (input, None, 1.0f64);
    // Every step leads to a later node, so the loop ends.
    loop {
        let mut readers = graph.nodes.iter().filter(|node| node.inputs.contains(&id));
        let Some(node) = readers.find(|node| scale_of(graph, node, id).is_some()) else { break };
        let scale = scale_of(graph, node, id).unwrap_or(1.0);
        if matches!(node.op, Op::Add | Op::Sub | Op::Mul | Op::Div) {
            factor *= scale;
            first.get_or_insert_with(|| format!("{} ({})", node.name, node.source_op));
        }
        id = node.output;
    }
    first.map(|first| (first, factor))
}

/// Returns the mean factor by which a node multiplies its input, or `None` if the node does more
/// than scale, shift or rearrange.
fn scale_of(graph: &Graph, node: &Node, input: ValueId) -> Option<f64> {
    let constant = node.inputs.iter().find(|id| **id != input);
    let constant = constant.and_then(|&id| graph.constant_f32(id));
    let mean = |values: &[f32]| {
        values.iter().map(|&v| f64::from(v).abs()).sum::<f64>() / values.len().max(1) as f64
    };
    match (&node.op, constant) {
        (Op::Transpose { .. } | Op::Reshape | Op::Slice { .. } | Op::Gather { .. }, _) => Some(1.0),
        (Op::Add | Op::Sub, Some(values)) if values.len() <= 3 => Some(1.0),
        (Op::Mul, Some(values)) if values.len() <= 3 => Some(mean(values)),
        (Op::Div, Some(values)) if values.len() <= 3 && node.inputs.first() == Some(&input) => {
            Some(1.0 / mean(values))
        }
        _ => None,
    }
}

/// Sets the mean and the standard deviation that the specification does not contain, and returns
/// notes about them.
///
/// # Errors
/// Returns [`CompileError::Spec`](crate::CompileError::Spec) if an input takes bytes and the
/// specification contains another normalisation than the one that leaves the pixels unchanged.
pub(crate) fn choose_normalisation(graph: &Graph, spec: &mut Spec) -> Result<Vec<String>> {
    let found = find_normalisation(graph);
    let takes_bytes = !graph.byte_inputs.is_empty();
    let (mean, std) = match &found {
        _ if takes_bytes => (0.0, 1.0 / 255.0),
        Some(found) if found.takes_bytes => (0.0, 1.0 / 255.0),
        Some(_) => (0.0, 1.0),
        None => (DEFAULT_MEAN, DEFAULT_STD),
    };
    let given = !spec.mean.is_empty() || !spec.std.is_empty();
    if takes_bytes && given {
        let is_close = |values: &[f64], expected: f64| {
            values.iter().all(|v| (v - expected).abs() <= 1e-4 * expected.max(0.01))
        };
        if !is_close(&spec.mean, mean) || !is_close(&spec.std, std) {
            return fail_spec(format!(
                "the input takes bytes, so mean must be 0 and std 1/255 (0.00392156862745098), got \
                 mean {:?} and std {:?}",
                spec.mean, spec.std
            ));
        }
    }
    let mut notes = Vec::new();
    let range = if std < MAX_BYTE_FACTOR && mean == 0.0 { "0 to 255" } else { "0 to 1" };
    match (&found, given) {
        (Some(found), true) => notes.push(format!(
            "the network normalises its input itself at node {}; the mean and std of the \
             specification are applied before it",
            found.node
        )),
        (Some(found), false) => notes.push(format!(
            "the network normalises its input itself at node {}, so it gets pixels of {range}",
            found.node
        )),
        (None, _) => {}
    }
    for (name, values, default) in [("mean", &mut spec.mean, mean), ("std", &mut spec.std, std)] {
        if values.is_empty() {
            values.push(default);
            notes.push(format!(
                "{name} is {default}, because the specification does not contain it"
            ));
        }
    }
    Ok(notes)
}
