//! Conversion of operators that move pixels of a block to channels, and back.

use super::failure::{NodeResult, fail};
use super::limits::MAX_GATHER;
use super::node_context::NodeContext;
use crate::graph::{Op, ValueId, Window};
use crate::tensor::Tensor;

/// Finds a Reshape `[N,C,H/b,b,W/b,b]`, a Transpose and a Reshape to `[N,C*b*b,H/b,W/b]`. Returns
/// the source, `b`, and the order of channel, row and column in the new channels.
pub(super) fn find_space_to_depth(
    node: &NodeContext,
    out: &[usize],
) -> Option<(ValueId, usize, [usize; 3])> {
    let (source, split, perm) = node.builder.find_transposed(node.x)?;
    let &[batch, channels, height, width] = node.shape(source) else { return None };
    let &[n, c, rows, block, columns, other] = split.as_slice() else { return None };
    let is_split = (n, c, block) == (batch, channels, other)
        && rows * block == height
        && columns * block == width
        && block > 1
        && channels * block * block <= MAX_GATHER;
    let &[0, a, b, d, 2, 4] = perm.as_slice() else { return None };
    let mut sorted = [a, b, d];
    sorted.sort_unstable();
    let is_result = out == [batch, channels * block * block, rows, columns];
    let place = |axis: usize| match axis {
        1 => 0,
        3 => 1,
        _ => 2,
    };
    (is_split && sorted == [1, 3, 5] && is_result).then_some((
        source,
        block,
        [place(a), place(b), place(d)],
    ))
}

/// Appends a convolution whose kernels copy one pixel of a block to one channel.
pub(super) fn add_space_to_depth(
    node: &mut NodeContext,
    source: ValueId,
    block: usize,
    order: &[usize; 3],
    out: Vec<usize>,
) -> NodeResult<ValueId> {
    let channels = node.shape(source).get(1).copied().unwrap_or(0);
    let sizes = [channels, block, block];
    let outputs = channels * block * block;
    let mut kernels = ndarray::Array4::<f32>::zeros([outputs, channels, block, block]);
    for output in 0..outputs {
        let mut rest = output;
        let mut at = [0usize; 3];
        for &place in order.iter().rev() {
            if let (Some(slot), Some(&size)) = (at.get_mut(place), sizes.get(place)) {
                *slot = rest % size;
                rest /= size;
            }
        }
        let [channel, row, column] = at;
        if let Some(weight) = kernels.get_mut([output, channel, row, column]) {
            *weight = 1.0;
        }
    }
    let kernels = node.builder.add_folded_constant(node.proto, Tensor::from(kernels))?;
    let window = Window {
        kernel: vec![block; 2],
        strides: vec![block; 2],
        dilations: vec![1; 2],
        before: vec![0; 2],
        after: vec![0; 2],
    };
    node.add_node(Op::Conv { window, group: 1 }, vec![source, kernels], out)
}

/// Converts SpaceToDepth, whose new channels are ordered by row, column and old channel.
pub(super) fn convert_space_to_depth(node: &mut NodeContext) -> NodeResult<ValueId> {
    let block = usize::try_from(node.attributes.int("blocksize", 0)?).unwrap_or(0);
    let &[batch, channels, height, width] = node.shape(node.x) else {
        return fail("the input must have four axes");
    };
    let fits = block > 0 && height.is_multiple_of(block) && width.is_multiple_of(block);
    let outputs = block.checked_mul(block).and_then(|area| area.checked_mul(channels));
    match outputs.filter(|&outputs| fits && outputs <= MAX_GATHER) {
        Some(outputs) => {
            let out = vec![batch, outputs, height / block, width / block];
            add_space_to_depth(node, node.x, block, &[1, 2, 0], out)
        }
        None => fail(format!("blocksize must divide {height} and {width}, got {block}")),
    }
}

/// Converts DepthToSpace to a Reshape, a Transpose and a Reshape.
pub(super) fn convert_depth_to_space(node: &mut NodeContext) -> NodeResult<ValueId> {
    let block = usize::try_from(node.attributes.int("blocksize", 0)?).unwrap_or(0);
    let &[batch, channels, height, width] = node.shape(node.x) else {
        return fail("the input must have four axes");
    };
    let Some(depth) = block
        .checked_mul(block)
        .filter(|&area| area > 0 && channels.is_multiple_of(area))
        .map(|area| channels / area)
    else {
        return fail(format!("blocksize {block} does not fit {channels} channels"));
    };
    let (split, perm) = match node.attributes.text("mode") {
        b"" | b"DCR" => (vec![batch, block, block, depth, height, width], vec![0, 3, 4, 1, 5, 2]),
        _ => (vec![batch, depth, block, block, height, width], vec![0, 1, 4, 2, 5, 3]),
    };
    let parts = node.reshape(node.x, split)?;
    let moved = node.transpose(parts, perm)?;
    node.reshape(moved, vec![batch, depth, height * block, width * block])
}
