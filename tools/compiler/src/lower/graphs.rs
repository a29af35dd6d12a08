//! The lowered graphs of a network, and the dispatch of each operator to its lowering rule.

use super::lowering::{Lowering, Mode, SourceNetwork};
use super::{axes, convolution, elementwise, matrix, plain, pool};
use crate::error::{Result, fail_network};
use crate::graph::{Node, Op};
use crate::lowered::{LoweredGraph, LoweredId, LoweredOp};

/// Maximum number of nodes in a lowered graph. SlowFast R101 has about 1,000.
const MAX_NODES: usize = 50_000;

/// Name of the logits of a clip or a step.
pub(super) const LOGITS: &str = "logits";

/// Builds the clip graph.
pub(crate) fn lower_clip(source: SourceNetwork) -> Result<LoweredGraph> {
    lower_clip_as(source, LOGITS)
}

/// Builds the clip graph, whose output has the given name.
pub(super) fn lower_clip_as(source: SourceNetwork, output: &str) -> Result<LoweredGraph> {
    let mut lowering = Lowering::new(source, Mode::Clip);
    add_inputs(&mut lowering);
    lower_nodes(&mut lowering, |_| true)?;
    add_logits(&mut lowering, output)?;
    Ok(lowering.finish())
}

/// Builds the step graph of a network whose head is linear.
pub(crate) fn lower_step(source: SourceNetwork) -> Result<LoweredGraph> {
    let mut lowering = Lowering::new(source, Mode::Step);
    add_inputs(&mut lowering);
    lower_nodes(&mut lowering, |_| true)?;
    lowering.connect_states();
    add_logits(&mut lowering, LOGITS)?;
    Ok(lowering.finish())
}

fn add_inputs(l: &mut Lowering) {
    for (name, id) in l.source.pathways.inputs() {
        let mut shape = l.clip_shape(id).to_vec();
        shape[0] = l.frames(id);
        let input = l.lowered.add_input(name, shape);
        l.set_lowered(id, input);
    }
}

/// Adds the output of the network under the given name.
pub(super) fn add_logits(l: &mut Lowering, name: &str) -> Result<()> {
    let output = l.source.graph.outputs[0];
    if let (Some(_), Some(id)) = (l.source.layout.plain_reason(output), l.find_lowered(output)) {
        let shape = l.source.graph.shape(output);
        let labels: usize = shape.iter().product();
        if shape.iter().filter(|&&size| size != 1).count() > 1 {
            return fail_network(format!(
                "the output must have one number for each label, but has the shape {shape:?}; average \
                 over its other axes in the network, or name a value with the logits with --logits NAME"
            ));
        }
        let logits = l.lowered.add_reshape(id, vec![1, labels]);
        l.lowered.add_output(name, logits);
        return Ok(());
    }
    let shape = l.clip_shape(output);
    let ([1, labels, 1, 1], Some(id)) = (shape, l.find_lowered(output)) else {
        return fail_network(format!(
            "the output must be [1,L], with one number for each label, but is {shape:?} as [T,C,H,W]"
        ));
    };
    let logits = l.lowered.add_reshape(id, vec![1, labels]);
    l.lowered.add_output(name, logits);
    Ok(())
}

/// Lowers the nodes that `is_wanted` selects.
pub(super) fn lower_nodes(l: &mut Lowering, is_wanted: impl Fn(&Node) -> bool) -> Result<()> {
    let graph = l.source.graph;
    for node in graph.nodes.iter().filter(|node| is_wanted(node)) {
        add_node(l, node)?;
    }
    Ok(())
}

/// Lowers a node and sets the lowered value of its result.
pub(super) fn add_node(l: &mut Lowering, node: &Node) -> Result<()> {
    let lowered = lower_node(l, node)?;
    if l.lowered.nodes.len() > MAX_NODES {
        return l.fail(node, format!("the lowered graph must have at most {MAX_NODES} nodes"));
    }
    l.set_lowered(node.output, lowered);
    Ok(())
}

fn lower_node(l: &mut Lowering, node: &Node) -> Result<LoweredId> {
    if l.source.layout.plain_reason(node.output).is_some() {
        return plain::lower_plain(l, node);
    }
    // These operators are lowered first, because their first operand may be a constant. The first
    // operand of any other operator must be an activation.
    match &node.op {
        Op::Add => return elementwise::lower_binary(l, node, LoweredOp::Add),
        Op::Sub => return elementwise::lower_binary(l, node, LoweredOp::Sub),
        Op::Mul => return elementwise::lower_binary(l, node, LoweredOp::Mul),
        Op::Div => return elementwise::lower_binary(l, node, LoweredOp::Div),
        Op::Max => return elementwise::lower_binary(l, node, LoweredOp::Max),
        Op::Min => return elementwise::lower_binary(l, node, LoweredOp::Min),
        Op::Concat { axis } => return axes::lower_concat(l, node, *axis),
        _ => {}
    }
    let x = l.activation(node, 0)?;
    match &node.op {
        Op::Conv { window, group } => convolution::lower_conv(l, node, x, window, *group),
        Op::MaxPool { window } => pool::lower_max_pool(l, node, x, window),
        Op::AveragePool { window, count_include_pad } => {
            pool::lower_average_pool(l, node, x, window, *count_include_pad)
        }
        Op::Relu | Op::Sigmoid | Op::HardSigmoid { .. } | Op::Clip { .. } | Op::Function(_) => {
            elementwise::lower_unary(l, node, x)
        }
        Op::Softmax { axis } => axes::lower_softmax(l, node, x, *axis, LoweredOp::Softmax),
        Op::LogSoftmax { axis } => axes::lower_softmax(l, node, x, *axis, LoweredOp::LogSoftmax),
        Op::ReduceMax { axes, .. } => Ok(axes::lower_maximum(l, node, x, axes)),
        Op::ReduceMean { axes, .. } => Ok(axes::lower_mean(l, node, x, axes)),
        Op::Reshape => Ok(axes::lower_reshape(l, node, x)),
        Op::Transpose { .. } => Ok(x),
        Op::Slice { axis, start, step, count } => {
            axes::lower_slice(l, node, x, *axis, *start, *step, *count)
        }
        Op::Gather { axis, indices } => axes::lower_gather(l, node, x, *axis, indices),
        Op::Pad { before, after, value } => axes::lower_pad(l, node, x, before, after, *value),
        Op::Previous => {
            let [_, columns, ..] = l.clip_shape(node.output);
            Ok(l.add_previous(x, columns))
        }
        Op::Gemm { alpha, beta, trans_b } => {
            matrix::lower_product(l, node, x, *alpha, *beta, *trans_b)
        }
        Op::MatMul => matrix::lower_product(l, node, x, 1.0, 1.0, false),
        Op::BatchNorm { .. }
        | Op::Add
        | Op::Sub
        | Op::Mul
        | Op::Div
        | Op::Max
        | Op::Min
        | Op::Concat { .. }
        | Op::Kept(_) => l.fail(node, "the operator has no lowering rule"),
    }
}
