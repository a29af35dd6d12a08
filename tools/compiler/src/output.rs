//! Pass 2: finds the logits of the network, and recognises outputs that are probabilities.
//!
//! A package must output logits, of which the library takes the softmax. A softmax at the end is
//! removed. If the network computes with probabilities after a softmax, for example their mean over
//! the frames, the package ends in the logarithm of its result: the softmax of the logarithm of a
//! distribution is the distribution itself.

use crate::error::{Result, fail_network};
use crate::graph::{Graph, Node, Op, ValueId};
use crate::layout::{AxisRole, Layout};
use crate::lowered::Function;
use crate::tensor::Tensor;
use ndarray::arr2;

/// Smallest probability of which the package takes the logarithm.
pub(crate) const MIN_PROBABILITY: f32 = 1e-30;

/// What the output of the graph contains after [`find_logits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// Any numbers, which count as logits.
    Logits,
    /// Numbers that are not negative and come from sigmoids, so they are no distribution.
    Independent,
    /// Numbers that are not negative and come from probabilities, so the sum of their values shows
    /// whether they are a distribution.
    Positive,
    /// A distribution over the labels, up to a constant factor.
    Distribution,
    /// The values before a softmax that was removed. They are logits whatever they contain, even
    /// if another softmax computes them.
    BeforeSoftmax,
}

/// The relation between the logits of a package and a value of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogitsSource {
    /// Name of the value in the source.
    pub name: String,
    /// How the logits follow from the value.
    pub form: LogitsForm,
    /// Whether the axis of the labels precedes that of the frames.
    pub has_labels_first: bool,
}

/// How the logits of a package follow from a value of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitsForm {
    /// The logits are the value. If it has one row for each frame, they are the mean of the rows.
    Value,
    /// The logits are the logarithm of the value or, if it has one row for each frame, of the mean
    /// of the rows.
    Logarithm,
    /// The value has one row of logits for each frame, and the logits of the package are the
    /// logarithm of the mean of their probabilities.
    MeanProbabilities,
    /// The value has one row of probabilities for each frame, and the logits of the package are the
    /// mean of their logarithms.
    MeanLogarithm,
    /// The value is the logit of the second of two labels, and the first logit is zero.
    Binary,
}

/// The logits of a network, as [`find_logits`] finds them.
pub(crate) struct LogitsEnd {
    pub(crate) source: LogitsSource,
    pub(crate) content: Content,
    /// Whether the network ended with a softmax. A log-softmax does not count, because the mean of
    /// its results has the same softmax as the mean of the logits.
    pub(crate) had_softmax: bool,
}

/// Removes a softmax at the end of the network, and returns the source of the logits and their
/// content. A sigmoid at the end of a network with one output and two labels is removed, too.
pub(crate) fn find_logits(graph: &mut Graph, labels: usize) -> Result<LogitsEnd> {
    let output = graph.outputs[0];
    let count: usize = graph.shape(output).iter().product();
    let mut name = graph.value(output).name.clone();
    let (mut content, mut had_softmax) = (None, false);
    if let Some((at, passes)) = find_last_nonlinear(graph) {
        let node = graph.nodes[at].clone();
        match node.op {
            Op::Softmax { axis } | Op::LogSoftmax { axis } if passes => {
                check_softmax_axis(graph, &node, axis, labels)?;
                // The nodes that follow the softmax only rearrange axes.
                name.clone_from(&graph.value(node.inputs[0]).name);
                replace_value(graph, node.output, node.inputs[0]);
                content = Some(Content::BeforeSoftmax);
                had_softmax = matches!(node.op, Op::Softmax { .. });
            }
            Op::Sigmoid if passes && count == 1 && labels == 2 => {
                let name = graph.value(node.inputs[0]).name.clone();
                add_binary_logits(graph, node.inputs[0]);
                let source =
                    LogitsSource { name, form: LogitsForm::Binary, has_labels_first: false };
                return Ok(LogitsEnd { source, content: Content::BeforeSoftmax, had_softmax });
            }
            _ => {}
        }
    }
    if count == 1 {
        return fail_network(
            "the output is a single number, but a classifier needs a logit for each of at least two \
             labels; a network with a sigmoid at the end and two labels, the second for the number \
             near 1, is possible",
        );
    }
    let content = content.unwrap_or_else(|| classify_content(graph, labels));
    let source = LogitsSource { name, form: LogitsForm::Value, has_labels_first: false };
    Ok(LogitsEnd { source, content, had_softmax })
}

/// Finds the last node before the output that does more than rearrange axes. The flag is `true` if
/// only such nodes, and means over axes of size 1, follow it.
fn find_last_nonlinear(graph: &Graph) -> Option<(usize, bool)> {
    let mut id = graph.outputs[0];
    loop {
        let at = graph.nodes.iter().position(|node| node.output == id)?;
        let node = &graph.nodes[at];
        let input = node.inputs[0];
        match &node.op {
            Op::Reshape | Op::Transpose { .. } => id = input,
            Op::ReduceMean { axes, .. } if axes.iter().all(|&a| graph.shape(input)[a] == 1) => {
                id = input;
            }
            _ => return Some((at, true)),
        }
    }
}

/// Checks that a softmax at the end normalises the labels.
fn check_softmax_axis(graph: &Graph, node: &Node, axis: usize, labels: usize) -> Result<()> {
    let shape = graph.shape(node.output);
    let is_only = shape.iter().filter(|&&size| size != 1).count() == 1 && shape[axis] != 1;
    if is_only || shape[axis] == labels {
        return Ok(());
    }
    graph.fail_node(
        node,
        format!(
            "the softmax at the end normalises axis {axis} of size {}, but must normalise the labels; \
             set its axis, for example dim=1 in PyTorch",
            shape[axis]
        ),
    )
}

/// Makes all readers of `from` read `to`.
pub(crate) fn replace_value(graph: &mut Graph, from: ValueId, to: ValueId) {
    let inputs = graph.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut());
    let readers = inputs.chain(&mut graph.outputs).filter(|slot| **slot == from);
    readers.for_each(|slot| *slot = to);
}

/// Makes the logits `[0, x]` the output.
fn add_binary_logits(graph: &mut Graph, x: ValueId) {
    let push = |graph: &mut Graph, op, inputs: Vec<ValueId>, shape: &[usize]| {
        let dtype = graph.value(x).dtype;
        let output = graph.add_value("binary logits".into(), shape.to_vec(), dtype, None);
        let (name, source_op) = ("binary logits".to_owned(), "Sigmoid".to_owned());
        graph.nodes.push(Node { name, source_op, op, inputs, output });
        output
    };
    let flat = match graph.shape(x) {
        [1, 1] => x,
        _ => push(graph, Op::Reshape, vec![x], &[1, 1]),
    };
    let weights = graph.add_constant(String::new(), Tensor::from(arr2(&[[0.0f32, 1.0]])));
    let logits = push(graph, Op::MatMul, vec![flat, weights], &[1, 2]);
    graph.outputs = vec![logits];
}

/// Returns the content of the output.
fn classify_content(graph: &Graph, labels: usize) -> Content {
    let mut contents = vec![Content::Logits; graph.values.len()];
    for (content, value) in contents.iter_mut().zip(&graph.values) {
        let elements = value.constant.as_ref().and_then(Tensor::f32_elements);
        if elements.is_some_and(|elements| elements.iter().all(|&v| v >= 0.0)) {
            *content = Content::Positive;
        }
    }
    for node in &graph.nodes {
        let content =
            |index: usize| node.inputs.get(index).map_or(Content::Logits, |&id| contents[id.0]);
        let is_number = |index: usize| {
            let constant = node.inputs.get(index).and_then(|&id| graph.constant_f32(id));
            constant.is_some_and(|elements| elements.len() == 1 && elements[0] > 0.0)
        };
        let is_constant =
            |index: usize| node.inputs.get(index).is_some_and(|&id| graph.constant(id).is_some());
        let both = content(0).min(content(1));
        let shape = graph.shape(node.output);
        let result = match &node.op {
            Op::Softmax { axis } if shape[*axis] == labels => Content::Distribution,
            Op::Sigmoid | Op::HardSigmoid { .. } => Content::Independent,
            Op::Softmax { .. } | Op::Function(Function::Exp) => Content::Positive,
            // Sigmoids that are divided by their sum may be a distribution.
            Op::Div if both == Content::Independent && !is_constant(1) => Content::Positive,
            Op::Function(Function::Sqrt) => content(0).min(Content::Positive),
            Op::Reshape | Op::Transpose { .. } | Op::ReduceMean { .. } | Op::AveragePool { .. } => {
                content(0)
            }
            // A ReLU does not change what is not negative.
            Op::Relu => content(0),
            Op::Clip { min, .. } if *min >= 0.0 => content(0),
            Op::ReduceMax { .. } | Op::MaxPool { .. } => content(0).min(Content::Positive),
            Op::Slice { axis, .. } | Op::Gather { axis, .. } => {
                match graph.shape(node.inputs[0])[*axis] == labels {
                    true => content(0).min(Content::Positive),
                    false => content(0),
                }
            }
            Op::Mul | Op::Div if is_number(1) => content(0),
            Op::Mul if is_number(0) => content(1),
            Op::Mul | Op::Div | Op::Max | Op::Min | Op::MatMul => both.min(Content::Positive),
            Op::Add => both,
            Op::Concat { .. } => {
                let contents = node.inputs.iter().map(|id| contents[id.0]);
                contents.min().unwrap_or(Content::Logits).min(Content::Positive)
            }
            _ => Content::Logits,
        };
        // Constants are positive, but a result of constants and other values needs a probability.
        let has_probability = node
            .inputs
            .iter()
            .any(|&id| graph.constant(id).is_none() && contents[id.0] != Content::Logits);
        let starts = matches!(
            node.op,
            Op::Softmax { .. } | Op::Sigmoid | Op::HardSigmoid { .. } | Op::Function(_)
        );
        contents[node.output.0] = if starts || has_probability { result } else { Content::Logits };
    }
    contents[graph.outputs[0].0]
}

/// Returns whether all results are the same distribution up to a constant factor: no number is
/// negative, and all sums agree.
pub(crate) fn is_distribution(results: &[Vec<f32>]) -> bool {
    let sum = |result: &Vec<f32>| result.iter().map(|&v| f64::from(v)).sum::<f64>();
    let Some(first) = results.first().map(sum).filter(|sum| *sum > 0.0) else { return false };
    results.iter().all(|result| {
        result.iter().all(|&v| v >= 0.0) && (sum(result) - first).abs() < 1e-5 * first
    })
}

/// Returns whether a result looks like a distribution with the sum 1.
pub(crate) fn has_unit_sum(result: &[f32]) -> bool {
    let sum: f64 = result.iter().map(|&v| f64::from(v)).sum();
    result.len() > 1 && result.iter().all(|&v| v >= 0.0) && (sum - 1.0).abs() < 1e-3
}

/// The axes of an output that has one row of logits or probabilities for each frame.
#[derive(Clone, Copy)]
pub(crate) struct RowAxes {
    /// The axis of the frames.
    pub(crate) row: usize,
    /// The axis of the labels, if the output has one.
    label: Option<usize>,
}

/// Finds the axes of an output that has one row of logits for each frame. In a plain output, the
/// labels are the last axis that is longer than 1, and the frames the only other one.
pub(crate) fn find_rows(graph: &Graph, layout: &Layout, labels: usize) -> Option<RowAxes> {
    let output = graph.outputs[0];
    let shape = graph.shape(output);
    if layout.plain_reason(output).is_none() {
        let is_unit = |axis: &usize| shape[*axis] == 1;
        let row = layout
            .find_axis(output, AxisRole::Time)
            .or_else(|| (0..layout.roles(output).len()).find(is_unit))?;
        return Some(RowAxes { row, label: layout.find_axis(output, AxisRole::Channel) });
    }
    match (0..shape.len()).filter(|&axis| shape[axis] != 1).collect::<Vec<_>>()[..] {
        [row, label] if shape[label] == labels => Some(RowAxes { row, label: Some(label) }),
        _ => None,
    }
}

/// Appends the mean over the frames to a network whose output has one row for each frame.
pub(crate) fn average_frames(graph: &mut Graph, layout: &mut Layout, axes: RowAxes) {
    let (output, axis) = (graph.outputs[0], axes.row);
    layout.set_time_axis(output, axis);
    let mut shape = graph.shape(output).to_vec();
    shape[axis] = 1;
    let mut roles = layout.roles(output).to_vec();
    if let Some(role) = roles.get_mut(axis) {
        *role = AxisRole::Unit;
    }
    append(graph, layout, Op::ReduceMean { axes: vec![axis], keepdims: true }, shape, roles);
}

/// Appends a softmax over the labels to a network whose output has one row for each frame.
///
/// # Errors
/// Returns [`CompileError::Network`](crate::CompileError::Network) if the labels are not along one
/// axis.
pub(crate) fn append_softmax(graph: &mut Graph, layout: &mut Layout, axes: RowAxes) -> Result<()> {
    let output = graph.outputs[0];
    let Some(axis) = axes.label else {
        return fail_network(
            "the output has no axis of labels for each frame, so the probabilities of the frames cannot \
             be averaged; compile with --average logits",
        );
    };
    let (shape, roles) = (graph.shape(output).to_vec(), layout.roles(output).to_vec());
    append(graph, layout, Op::Softmax { axis }, shape, roles);
    Ok(())
}

/// Appends the logarithm of the output.
pub(crate) fn append_logarithm(graph: &mut Graph, layout: &mut Layout) {
    for op in [Op::Clip { min: MIN_PROBABILITY, max: f32::MAX }, Op::Function(Function::Log)] {
        let output = graph.outputs[0];
        let (shape, roles) = (graph.shape(output).to_vec(), layout.roles(output).to_vec());
        append(graph, layout, op, shape, roles);
    }
}

/// Appends an operator on the output, whose result becomes the output.
fn append(graph: &mut Graph, layout: &mut Layout, op: Op, shape: Vec<usize>, roles: Vec<AxisRole>) {
    let input = graph.outputs[0];
    let dtype = graph.value(input).dtype;
    let output = graph.add_value(String::new(), shape, dtype, None);
    let (name, source_op) = match op {
        Op::ReduceMean { .. } => ("mean over the frames", "ReduceMean"),
        Op::Softmax { .. } => ("probabilities of the frames", "Softmax"),
        _ => ("logarithm of the probabilities", "Log"),
    };
    layout.set(output, roles, layout.plain_reason(input).map(str::to_owned));
    let (name, source_op) = (name.to_owned(), source_op.to_owned());
    graph.nodes.push(Node { name, source_op, op, inputs: vec![input], output });
    graph.outputs = vec![output];
}
