//! Pass 2: folds batch norm, per-channel scales and shifts, and padding into adjacent convolutions.

use crate::graph::{Graph, Node, Op, ValueId};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// Folds every operator that a convolution can absorb. The shapes of the remaining values do not
/// change.
pub(crate) fn fold_into_convolutions(graph: &mut Graph) {
    let uses = graph.count_uses();
    let mut kept: Vec<Node> = Vec::new();
    let mut producers: BTreeMap<ValueId, usize> = BTreeMap::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        if let Some(affine) = channel_affine(graph, &node) {
            let conv = producers.get(&affine.input).copied().filter(|&at| {
                uses[affine.input.0] == 1
                    && matches!(kept[at].op, Op::Conv { .. })
                    && graph.constant_f32(kept[at].inputs[1]).is_some()
            });
            if let Some(at) = conv {
                scale_conv(graph, &mut kept[at], &affine);
                kept[at].output = node.output;
                producers.insert(node.output, at);
                continue;
            }
            if matches!(node.op, Op::BatchNorm { .. })
                && let Some(parts) = split_affine(graph, &node, &affine)
            {
                for part in parts {
                    producers.insert(part.output, kept.len());
                    kept.push(part);
                }
                continue;
            }
        }
        // A Pad is folded even if other nodes also read its result, because the causality proof
        // needs the padding in the window.
        if let Some(&at) = node.inputs.first().and_then(|id| producers.get(id))
            && let Some(input) = fold_pad(&kept[at], &mut node)
        {
            node.inputs[0] = input;
        }
        if let Some(&at) = node.inputs.first().and_then(|id| producers.get(id))
            && let Some(parts) = merge_pool_pad(graph, &kept[at], &node)
        {
            for part in parts {
                producers.insert(part.output, kept.len());
                kept.push(part);
            }
            continue;
        }
        if let Some(&at) = node.inputs.first().and_then(|id| producers.get(id))
            && let Some(barrier) = separate_pool_pad(graph, &kept[at], &mut node)
        {
            kept.push(barrier);
        }
        producers.insert(node.output, kept.len());
        kept.push(node);
    }
    graph.nodes = kept;
    graph.remove_dead_nodes();
}

/// The operation `out = in * scale + shift` with one scale and one shift for each channel (axis 1).
struct Affine {
    input: ValueId,
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// Returns the operation of the node as an [`Affine`], or `None` if the node does anything else or
/// changes the shape of its input.
fn channel_affine(graph: &Graph, node: &Node) -> Option<Affine> {
    let shape = graph.shape(node.output);
    let channels = *shape.get(1)?;
    match node.op {
        Op::BatchNorm { epsilon } => {
            let column = |i: usize| graph.constant_f32(*node.inputs.get(i)?);
            let (gain, bias, mean, variance) = (column(1)?, column(2)?, column(3)?, column(4)?);
            let scale: Vec<f64> = gain
                .iter()
                .zip(variance)
                .map(|(&g, &v)| f64::from(g) / (f64::from(v) + f64::from(epsilon)).sqrt())
                .collect();
            let shift =
                (0..channels).map(|c| f64::from(bias[c]) - f64::from(mean[c]) * scale[c]).collect();
            Some(Affine { input: node.inputs[0], scale, shift })
        }
        Op::Add | Op::Sub | Op::Mul | Op::Div => {
            let (a, b) = (node.inputs[0], node.inputs[1]);
            let (input, constant, is_swapped) = match (graph.constant(a), graph.constant(b)) {
                (None, Some(_)) => (a, b, false),
                (Some(_), None) => (b, a, true),
                _ => return None,
            };
            if is_swapped && matches!(node.op, Op::Sub | Op::Div) {
                return None;
            }
            // A constant with more channels than the input widens the input, so the node is not an
            // affine operation on each channel.
            if graph.shape(input) != shape {
                return None;
            }
            let k = per_channel_values(graph.constant(constant)?, shape.len(), channels)?;
            let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
            let (scale, shift) = match node.op {
                Op::Add => (ones, k),
                Op::Sub => (ones, k.iter().map(|v| -v).collect()),
                Op::Mul => (k, zeros),
                _ => (k.iter().map(|v| 1.0 / v).collect(), zeros),
            };
            Some(Affine { input, scale, shift })
        }
        _ => None,
    }
}

/// Returns one number for each channel, or `None` if the constant varies along any of the `rank`
/// axes other than axis 1.
fn per_channel_values(constant: &Tensor, rank: usize, channels: usize) -> Option<Vec<f64>> {
    let elements = constant.f32_elements()?;
    let missing = rank.checked_sub(constant.shape().len())?;
    let varies = |(i, &d): (usize, &usize)| d != 1 && i + missing != 1;
    if constant.shape().iter().enumerate().any(varies) {
        return None;
    }
    match elements.len() {
        1 => Some(vec![f64::from(elements[0]); channels]),
        n if n == channels => Some(elements.iter().map(|&v| v.into()).collect()),
        _ => None,
    }
}

/// Applies `affine` to the output of a convolution by changing its constant weights and its bias.
fn scale_conv(graph: &mut Graph, conv: &mut Node, affine: &Affine) {
    let Some(weights) = graph.constant(conv.inputs[1]).and_then(Tensor::f32_view) else { return };
    let mut scaled = weights.to_owned();
    for (mut kernel, &scale) in scaled.outer_iter_mut().zip(&affine.scale) {
        kernel.mapv_inplace(|w| (f64::from(w) * scale) as f32);
    }
    let channels = affine.scale.iter().zip(&affine.shift);
    let bias: Vec<f32> = match conv.inputs.get(2).and_then(|&b| graph.constant_f32(b)) {
        Some(bias) => bias
            .iter()
            .zip(channels)
            .map(|(&b, (scale, shift))| (f64::from(b) * scale + shift) as f32)
            .collect(),
        None => affine.shift.iter().map(|&v| v as f32).collect(),
    };
    let w = graph.add_constant(String::new(), Tensor::from(scaled));
    let b = graph.add_constant(String::new(), Tensor::from(ndarray::Array1::from_vec(bias)));
    conv.inputs = vec![conv.inputs[0], w, b];
}

/// Splits a batch norm that no convolution can absorb into a multiplication and an addition.
fn split_affine(graph: &mut Graph, node: &Node, affine: &Affine) -> Option<[Node; 2]> {
    let mut shape = vec![1; graph.shape(node.output).len()];
    *shape.get_mut(1)? = affine.scale.len();
    let mut add_constant = |values: &[f64]| {
        let values = values.iter().map(|&v| v as f32).collect();
        Tensor::new(&shape, values).map(|tensor| graph.add_constant(String::new(), tensor))
    };
    let (scale, shift) = (add_constant(&affine.scale)?, add_constant(&affine.shift)?);
    let value = graph.value(node.output).clone();
    let scaled = graph.add_value(value.name, value.shape, value.dtype, None);
    Some([
        Node { op: Op::Mul, inputs: vec![affine.input, scale], output: scaled, ..node.clone() },
        Node { op: Op::Add, inputs: vec![scaled, shift], output: node.output, ..node.clone() },
    ])
}

/// Moves the zeros of a Pad into the window of the convolution after it, and returns the Pad's
/// input. Returns `None` if `pad` is not a Pad, if `node` is not a convolution, or if the window of
/// a convolution cannot express the padding.
fn fold_pad(pad: &Node, node: &mut Node) -> Option<ValueId> {
    let Op::Pad { before, after, value } = &pad.op else { return None };
    let Op::Conv { window, .. } = &mut node.op else { return None };
    let pads_batch_or_channels = before.iter().zip(after).take(2).any(|(&b, &a)| b != 0 || a != 0);
    if pads_batch_or_channels || *value != 0.0 || before.len() != window.before.len() + 2 {
        return None;
    }
    // A Pad that crops is not folded, because runtimes do not accept negative pads in a Conv.
    if before.iter().chain(after).any(|&p| p < 0) {
        return None;
    }
    window.before.iter_mut().zip(&before[2..]).for_each(|(w, p)| *w += p);
    window.after.iter_mut().zip(&after[2..]).for_each(|(w, p)| *w += p);
    Some(pad.inputs[0])
}

/// Puts a maximum with the lowest float, which changes nothing, between a Pad and a pool that stay
/// separate. ONNX Runtime 1.31 would otherwise merge them. It merges a Pad and a max pool wrongly,
/// see [`merge_pool_pad`]. After merging a Pad and an average pool, it refuses the pool if the
/// padding is not smaller than the kernel.
fn separate_pool_pad(graph: &mut Graph, pad: &Node, pool: &mut Node) -> Option<Node> {
    let Op::Pad { before, after, .. } = &pad.op else { return None };
    let is_larger = |pads: &[i64], window_pads: &[i64], kernel: &[usize]| {
        let sums = pads.iter().skip(2).zip(window_pads).map(|(p, w)| p + w);
        sums.zip(kernel).any(|(sum, &size)| sum >= size as i64)
    };
    match &pool.op {
        Op::MaxPool { .. } => {}
        Op::AveragePool { window, .. }
            if is_larger(before, &window.before, &window.kernel)
                || is_larger(after, &window.after, &window.kernel) => {}
        _ => return None,
    }
    let padded = graph.value(pad.output).clone();
    let lowest = Tensor::new(&vec![1; padded.shape.len()], vec![f32::MIN])?;
    let lowest = graph.add_constant(String::new(), lowest);
    let output = graph.add_value(padded.name, padded.shape, padded.dtype, None);
    pool.inputs[0] = output;
    let inputs = vec![pad.output, lowest];
    Some(Node { op: Op::Max, inputs, output, ..pool.clone() })
}

/// Moves the spatial padding of a Pad into the max pool after it. A maximum with a constant then
/// puts the padded value into the windows that reach the padding. Returns `None` if `pad` is not a
/// Pad over height and width, or if a window may lie in the padding alone.
///
/// ONNX Runtime 1.31 merges a padding with zeros and a max pool as if the zeros were the lowest
/// float. It does not find the two operators in this form.
fn merge_pool_pad(graph: &mut Graph, pad: &Node, pool: &Node) -> Option<[Node; 2]> {
    let (Op::Pad { before, after, value }, Op::MaxPool { window }) = (&pad.op, &pool.op) else {
        return None;
    };
    let axes = window.kernel.len();
    let rank = before.len();
    let is_spatial = |pads: &[i64]| {
        pads.iter().enumerate().all(|(axis, &p)| p == 0 || (p > 0 && axis + 2 >= rank))
    };
    if rank != axes + 2 || axes < 2 || !is_spatial(before) || !is_spatial(after) {
        return None;
    }
    let mut merged = window.clone();
    let (mut mask_shape, mut padded) = (vec![1; rank], Vec::new());
    for axis in axes - 2..axes {
        let size = graph.shape(pad.inputs[0])[axis + 2] as i64;
        let (front, back) = (before[axis + 2], after[axis + 2]);
        let (kernel, stride) = (window.kernel[axis] as i64, window.strides[axis] as i64);
        let (first, last) = (front + window.before[axis], back + window.after[axis]);
        if window.before[axis] != 0 || window.after[axis] != 0 || first.max(last) >= kernel {
            return None;
        }
        (merged.before[axis], merged.after[axis]) = (first, last);
        let count = graph.shape(pool.output)[axis + 2];
        mask_shape[axis + 2] = count;
        let reaches = |at: usize| {
            let start = at as i64 * stride - first;
            start < 0 || start + kernel > size
        };
        padded.push((0..count).map(reaches).collect::<Vec<bool>>());
    }
    let (rows, columns) = (padded.first()?, padded.get(1)?);
    let mask = rows.iter().flat_map(|&row| {
        columns.iter().map(move |&column| if row || column { *value } else { f32::MIN })
    });
    let mask = Tensor::new(&mask_shape, mask.collect())?;
    let mask = graph.add_constant(String::new(), mask);
    let out = graph.value(pool.output).clone();
    let pooled = graph.add_value(out.name, out.shape, out.dtype, None);
    let op = Op::MaxPool { window: merged };
    Some([
        Node { op, inputs: vec![pad.inputs[0]], output: pooled, ..pool.clone() },
        Node { op: Op::Max, inputs: vec![pooled, mask], ..pool.clone() },
    ])
}
