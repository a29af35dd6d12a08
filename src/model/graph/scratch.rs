//! The memory that the embedded runtime needs while it runs one node, in addition to the values of
//! the graph.
//!
//! The bounds follow from the operators of rten 0.27. Every operator may copy its inputs to make
//! them contiguous, and may need a second buffer of the size of its outputs. Only convolutions and
//! matrix products need more. A runtime may fuse nodes, but a fused node needs no more than the
//! nodes that it replaces.

use super::context::Context;
use super::shape::multiply;
use std::collections::HashSet;

/// Maximum number of rows or columns in a tile of a matrix kernel. A packed matrix is padded to a
/// multiple of it.
const TILE: u64 = 32;

/// Bytes of the descriptions of the two factors of a matrix product. rten allocates them for each
/// product of a batch.
const PRODUCT_BYTES: u64 = 512;

/// Bytes of the tables for a value of a convolution's window: three offsets.
const WINDOW_VALUE_BYTES: u64 = 12;

/// Bytes of the tables for a position of a convolution's window: two offsets.
const POSITION_BYTES: u64 = 8;

/// Number of channels of a depthwise convolution that share scratch buffers.
const CHANNELS_PER_CHUNK: u64 = 16;

/// Number of outputs to a multiple of which such a buffer is padded.
const OUTPUT_BLOCK: u64 = 64;

/// Returns the bound in bytes for a node whose outputs have these shapes.
pub(super) fn bound_bytes<'s>(
    ctx: &Context<'_, '_>,
    outputs: impl Iterator<Item = &'s [usize]>,
) -> u64 {
    // A node may read the same value several times, but copies it once.
    let names: HashSet<&str> = ctx.node.inputs.iter().copied().collect();
    let find = |name: &&str| ctx.node.inputs.iter().position(|input| input == name);
    let inputs = names.iter().filter_map(find).filter_map(|index| ctx.optional(index));
    let inputs = inputs.map(|value| multiply(&value.shape));
    let outputs: Vec<&[usize]> = outputs.collect();
    let values = inputs.chain(outputs.iter().map(|shape| multiply(shape)));
    let copies = values.fold(0u64, u64::saturating_add).saturating_mul(4);
    let output = outputs.first().copied().unwrap_or_default();
    copies.saturating_add(match ctx.node.operator {
        "Conv" => bound_convolution(ctx, output),
        "Gemm" | "MatMul" => bound_product(ctx, output),
        _ => 0,
    })
}

/// Returns the bound for the tables of a convolution and for its packed kernel. Each group is
/// packed in turn. The images of a batch may be processed at the same time.
fn bound_convolution(ctx: &Context<'_, '_>, output: &[usize]) -> u64 {
    let weights = ctx.optional(1).map_or(&[][..], |weights| &weights.shape);
    let ([batch, _, positions @ ..], [_, window @ ..]) = (output, weights) else { return 0 };
    let (window, positions) = (multiply(window), multiply(positions));
    let tables = pad(window)
        .saturating_mul(WINDOW_VALUE_BYTES)
        .saturating_add(pad(positions).saturating_mul(POSITION_BYTES));
    tables
        .saturating_mul(*batch as u64)
        .saturating_add(window.saturating_mul(4 * TILE))
        .saturating_add(window.saturating_mul(8))
        .saturating_add(bound_depthwise(ctx, output))
}

/// Returns the bound for the padded channels and the padded outputs of a depthwise convolution.
/// Each thread has one of both, and there are at most as many as chunks of channels.
fn bound_depthwise(ctx: &Context<'_, '_>, output: &[usize]) -> u64 {
    let input = ctx.optional(0).map_or(&[][..], |input| &input.shape);
    let ([_, channels, sides @ ..], [_, _, positions @ ..]) = (input, output) else { return 0 };
    if ctx.integer_attribute("group", 1) != *channels as i64 {
        return 0;
    }
    let read = |name: &str, index: usize, default: i64| {
        let values = ctx.integers_attribute(name).unwrap_or_default();
        values.get(index).map_or(default, |&value| value).max(default) as u64
    };
    // The channel has a plane for each phase of the strides, so each side is padded to a multiple
    // of its stride. The outputs have the columns of a plane, which are at most those of the input.
    let padded: Vec<u64> = (0..sides.len())
        .zip(sides)
        .map(|(axis, &side)| {
            let pads = read("pads", axis, 0).saturating_add(read("pads", axis + sides.len(), 0));
            (side as u64).saturating_add(pads).saturating_add(read("strides", axis, 1))
        })
        .collect();
    let planes = padded.iter().copied().fold(1u64, u64::saturating_mul);
    let rows = positions.split_last().map_or(1, |(_, rows)| multiply(rows));
    let outputs =
        rows.saturating_mul(padded.last().copied().unwrap_or(1)).saturating_add(OUTPUT_BLOCK);
    // Behind the planes there is room for the outputs of the last tap.
    let values = outputs.saturating_mul(2).saturating_add(planes);
    values.saturating_mul(4 * (*channels as u64).div_ceil(CHANNELS_PER_CHUNK))
}

/// Returns the bound for the packed factors of a matrix product and for the descriptions of the
/// products of a batch. The copies of the inputs are counted elsewhere, so only the padding of the
/// packed factors is counted here.
fn bound_product(ctx: &Context<'_, '_>, output: &[usize]) -> u64 {
    let [batch @ .., _, _] = output else { return 0 };
    let inner = |index: usize| {
        let shape = ctx.optional(index).map_or(&[][..], |value| &value.shape);
        shape.iter().rev().take(2).copied().max().unwrap_or(0) as u64
    };
    let padding = inner(0).max(inner(1)).saturating_mul(2 * 4 * TILE);
    multiply(batch).saturating_mul(PRODUCT_BYTES).saturating_add(padding)
}

/// Rounds up to a multiple of a tile.
fn pad(count: u64) -> u64 {
    count.saturating_add(TILE)
}
