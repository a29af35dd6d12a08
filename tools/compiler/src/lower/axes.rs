//! Lowering of operators on axes. The role of a source axis determines the corresponding axis of
//! the lowered value.

use super::elementwise;
use super::lowering::Lowering;
use crate::error::Result;
use crate::graph::{Node, ValueId};
use crate::layout::AxisRole;
use crate::lowered::{LoweredId, LoweredOp};

/// The channel axis of a lowered value.
const CHANNEL_AXIS: usize = 1;

/// Returns the lowered axis for `axis` of the node's first input, or `None` if that axis has no
/// role.
fn lowered_axis(l: &Lowering, node: &Node, axis: usize) -> Option<usize> {
    l.source.layout.role(node.inputs[0], axis).lowered_axis()
}

pub(super) fn lower_softmax(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    axis: usize,
    op: impl Fn(usize) -> LoweredOp,
) -> Result<LoweredId> {
    match lowered_axis(l, node, axis) {
        Some(axis) => Ok(l.lowered.add_unary(op(axis), x)),
        None => l.fail(node, "a softmax over an axis of size 1 is not supported; remove the node"),
    }
}

pub(super) fn lower_concat(l: &mut Lowering, node: &Node, axis: usize) -> Result<LoweredId> {
    let lowered_axis = match l.source.layout.role(node.output, axis) {
        AxisRole::Time => 0,
        _ => CHANNEL_AXIS,
    };
    let shape = l.clip_shape(node.output);
    let mut operands = Vec::new();
    for &id in &node.inputs {
        let operand = match (l.find_lowered(id), l.source.graph.constant(id)) {
            (Some(operand), _) => operand,
            (None, Some(constant)) => {
                let constant = elementwise::lower_constant(l, node, constant)?;
                l.lowered.add_constant(constant)
            }
            (None, None) => return l.fail(node, "an input has not been lowered"),
        };
        operands.push((id, operand));
    }
    // A constant, and the mean over time of another value, have one frame.
    let has_activation =
        |id: ValueId| l.source.graph.constant(id).is_none() && l.find_lowered(id).is_some();
    let frames = operands
        .iter()
        .filter(|(id, _)| has_activation(*id))
        .map(|(_, operand)| l.lowered.shape(*operand)[0])
        .max()
        .unwrap_or(shape[0]);
    let mut ids = Vec::new();
    for (_, operand) in operands {
        let is_short = lowered_axis != 0 && l.lowered.shape(operand)[0] != frames;
        ids.push(match is_short {
            true => l.lowered.add_gather(operand, 0, vec![0; frames]),
            false => operand,
        });
    }
    Ok(l.lowered.add_concat(lowered_axis, &ids))
}

pub(super) fn lower_maximum(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    axes: &[usize],
) -> LoweredId {
    let axes: Vec<usize> = axes.iter().filter_map(|&axis| lowered_axis(l, node, axis)).collect();
    l.lowered.add_maximum(x, &axes)
}

pub(super) fn lower_mean(l: &mut Lowering, node: &Node, x: LoweredId, axes: &[usize]) -> LoweredId {
    let axes: Vec<usize> = axes.iter().filter_map(|&axis| lowered_axis(l, node, axis)).collect();
    l.lowered.add_mean(x, &axes)
}

/// Lowers a Reshape. The lowered graph needs no node unless the Reshape merges axes into the
/// channels.
pub(super) fn lower_reshape(l: &mut Lowering, node: &Node, x: LoweredId) -> LoweredId {
    if !l.source.layout.must_reshape(l.source.graph, node) {
        return x;
    }
    let mut shape = l.clip_shape(node.output).to_vec();
    shape[0] = l.lowered.shape(x)[0];
    l.lowered.add_reshape(x, shape)
}

pub(super) fn lower_slice(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    axis: usize,
    start: usize,
    step: usize,
    count: usize,
) -> Result<LoweredId> {
    // In a step, the newest frame is the only one.
    let is_newest = l.is_streaming(node.inputs[0]) && l.is_newest(node.output);
    if l.is_lateral(node) || is_newest {
        return Ok(x);
    }
    let role = l.source.layout.role(node.output, axis);
    let Some(lowered) = role.lowered_axis() else {
        return l.fail(node, "a slice of an axis of size 1 is not supported; remove the node");
    };
    // In a clip, a slice may drop frames at the end. In a step, no frames are dropped at the end,
    // because the stream continues.
    let count = match (role, l.is_streaming(node.inputs[0])) {
        (AxisRole::Time, true) => l.frames(node.output),
        _ => count,
    };
    Ok(l.lowered.add_slice(x, lowered, start, start + (count - 1) * step + 1, step))
}

pub(super) fn lower_gather(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    axis: usize,
    indices: &[usize],
) -> Result<LoweredId> {
    match l.source.layout.role(node.output, axis).lowered_axis() {
        Some(axis) => Ok(l.lowered.add_gather(x, axis, indices.to_vec())),
        None if indices.len() == 1 => Ok(x),
        None => l.fail(node, "a Gather that repeats an axis of size 1 is not supported"),
    }
}

pub(super) fn lower_pad(
    l: &mut Lowering,
    node: &Node,
    mut x: LoweredId,
    before: &[i64],
    after: &[i64],
    value: f32,
) -> Result<LoweredId> {
    let (mut front, mut back) = ([0i64; 4], [0i64; 4]);
    for (axis, (&b, &a)) in before.iter().zip(after).enumerate() {
        match lowered_axis(l, node, axis) {
            Some(axis) => (front[axis], back[axis]) = (b, a),
            None if b == 0 && a == 0 => {}
            None => {
                return l.fail(
                    node,
                    format!("axis {axis} of size 1 has no role, so it cannot be padded"),
                );
            }
        }
    }
    if l.is_streaming(node.inputs[0]) {
        // Padding before the first frame delays the frames by the length of the padding. Padding
        // after the last frame is dropped, because it would come after the end of the stream.
        let delay = front[0].max(0) as usize;
        let frames = l.lowered.shape(x)[0];
        x = l.add_look_back(x, delay, delay + frames, value, true);
        x = l.lowered.add_slice(x, 0, 0, frames, 1);
        (front[0], back[0]) = (0, 0);
    }
    for axis in 0..4 {
        let size = l.lowered.shape(x)[axis];
        let (start, end) = ((-front[axis]).max(0) as usize, size as i64 - (-back[axis]).max(0));
        match usize::try_from(end) {
            Ok(end) if end > start => x = l.lowered.add_slice(x, axis, start, end, 1),
            _ => return l.fail(node, "negative pads remove all elements of an axis"),
        }
    }
    Ok(l.lowered.add_pad(x, &front.map(|p| p.max(0)), &back.map(|p| p.max(0)), value))
}
