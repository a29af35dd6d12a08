//! Pass 2: batch norm, per-channel scales and shifts, and padding become part of the convolution beside them.

use crate::error::Result;
use crate::graph::{Graph, Node, Op, ValueId};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// Folds what can be folded; values keep their shapes.
pub(crate) fn fold(graph: &mut Graph) -> Result<()> {
    let uses = graph.use_counts();
    let mut kept: Vec<Node> = Vec::new();
    let mut maker: BTreeMap<ValueId, usize> = BTreeMap::new();
    for node in std::mem::take(&mut graph.nodes) {
        let single = |id: ValueId| (uses[id.0] == 1).then(|| maker.get(&id).copied()).flatten();
        let affine = channel_affine(graph, &node);
        let source = affine.as_ref().and_then(|a| single(a.input));
        match (affine, source) {
            (Some(affine), Some(at)) if matches!(kept[at].op, Op::Conv { .. }) => {
                scale_conv(graph, &mut kept[at], &affine);
                kept[at].output = node.output;
                maker.insert(node.output, at);
                continue;
            }
            (Some(affine), _) if matches!(node.op, Op::BatchNorm { .. }) => {
                for part in split_affine(graph, &node, &affine) {
                    maker.insert(part.output, kept.len());
                    kept.push(part);
                }
                continue;
            }
            _ => {}
        }
        let mut node = node;
        // Whoever else reads the padded value, for a window that knows its padding is the one that is seen to be causal.
        if let Some(&at) = node.inputs.first().and_then(|id| maker.get(id))
            && let Some(input) = absorb_pad(graph, &kept[at], &mut node)
        {
            node.inputs[0] = input;
        }
        maker.insert(node.output, kept.len());
        kept.push(node);
    }
    graph.nodes = kept;
    graph.remove_dead_nodes();
    Ok(())
}

/// `out = in * scale + shift` per channel (axis 1).
struct Affine {
    input: ValueId,
    scale: Vec<f64>,
    shift: Vec<f64>,
}

fn channel_affine(graph: &Graph, node: &Node) -> Option<Affine> {
    let channels = *graph.shape(node.output).get(1)?;
    match node.op {
        Op::BatchNorm { epsilon } => {
            let column = |i: usize| graph.constant_f32(*node.inputs.get(i)?);
            let (gain, bias, mean, variance) = (column(1)?, column(2)?, column(3)?, column(4)?);
            let scale: Vec<f64> = gain
                .iter()
                .zip(variance)
                .map(|(&g, &v)| f64::from(g) / (f64::from(v) + f64::from(epsilon)).sqrt())
                .collect();
            let shift = (0..channels).map(|c| f64::from(bias[c]) - f64::from(mean[c]) * scale[c]).collect();
            Some(Affine { input: node.inputs[0], scale, shift })
        }
        Op::Add | Op::Sub | Op::Mul | Op::Div => {
            let (a, b) = (node.inputs[0], node.inputs[1]);
            let (input, constant, swapped) = match (graph.constant(a), graph.constant(b)) {
                (None, Some(_)) => (a, b, false),
                (Some(_), None) => (b, a, true),
                _ => return None,
            };
            if swapped && matches!(node.op, Op::Sub | Op::Div) {
                return None;
            }
            let rank = graph.shape(node.output).len();
            if graph.shape(input).len() != rank {
                return None;
            }
            let k = per_channel(graph.constant(constant)?, rank, channels)?;
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

/// A constant that varies along axis 1 of `rank` axes only, as one number per channel.
fn per_channel(constant: &Tensor, rank: usize, channels: usize) -> Option<Vec<f64>> {
    let data = constant.as_f32()?;
    let missing = rank.checked_sub(constant.shape.len())?;
    let varies = |(i, &d): (usize, &usize)| d != 1 && i + missing != 1;
    if constant.shape.iter().enumerate().any(varies) {
        return None;
    }
    match data.len() {
        1 => Some(vec![f64::from(data[0]); channels]),
        n if n == channels => Some(data.iter().map(|&v| v.into()).collect()),
        _ => None,
    }
}

fn scale_conv(graph: &mut Graph, conv: &mut Node, affine: &Affine) {
    let (Some(weights), Some(data)) = (graph.constant(conv.inputs[1]), graph.constant_f32(conv.inputs[1]))
    else {
        return;
    };
    let outputs = affine.scale.len();
    let per_output = data.len() / outputs.max(1);
    let scaled = data.iter().enumerate().map(|(i, &w)| (f64::from(w) * affine.scale[i / per_output]) as f32);
    let weights = Tensor::f32(weights.shape.clone(), scaled.collect());
    let bias: Vec<f32> = match conv.inputs.get(2).and_then(|&b| graph.constant_f32(b)) {
        Some(bias) => (0..outputs).map(|c| f64::from(bias[c]) * affine.scale[c] + affine.shift[c]).collect(),
        None => affine.shift.clone(),
    }
    .into_iter()
    .map(|v| v as f32)
    .collect();
    let bias = Tensor::f32(vec![outputs], bias);
    if let (Some(weights), Some(bias)) = (weights, bias) {
        let w = graph.add_constant(String::new(), weights);
        let b = graph.add_constant(String::new(), bias);
        conv.inputs = vec![conv.inputs[0], w, b];
    }
}

/// A batch norm with no convolution before it, as a multiplication and an addition.
fn split_affine(graph: &mut Graph, node: &Node, affine: &Affine) -> Vec<Node> {
    let mut shape = vec![1; graph.shape(node.output).len()];
    if let Some(channels) = shape.get_mut(1) {
        *channels = affine.scale.len();
    }
    let mut constant = |values: &[f64]| {
        let data = values.iter().map(|&v| v as f32).collect();
        Tensor::f32(shape.clone(), data).map(|t| graph.add_constant(String::new(), t))
    };
    let (Some(scale), Some(shift)) = (constant(&affine.scale), constant(&affine.shift)) else {
        return vec![];
    };
    let value = graph.value(node.output).clone();
    let scaled = graph.add_value(value.name, value.shape, value.dtype, None);
    vec![
        Node { op: Op::Mul, inputs: vec![affine.input, scale], output: scaled, ..node.clone() },
        Node { op: Op::Add, inputs: vec![scaled, shift], output: node.output, ..node.clone() },
    ]
}

/// Moves a zero Pad in front of a convolution into its window. Returns the Pad's own input.
fn absorb_pad(graph: &Graph, pad: &Node, node: &mut Node) -> Option<ValueId> {
    let Op::Pad { before, after, value } = &pad.op else { return None };
    let Op::Conv { window, .. } = &mut node.op else { return None };
    let outside = before.iter().zip(after).take(2).any(|(&b, &a)| b != 0 || a != 0);
    if outside || *value != 0.0 || before.len() != window.before.len() + 2 {
        return None;
    }
    // A crop cannot become padding, and a runtime's Conv takes no negative pads.
    if before.iter().chain(after).any(|&p| p < 0) {
        return None;
    }
    window.before.iter_mut().zip(&before[2..]).for_each(|(w, p)| *w += p);
    window.after.iter_mut().zip(&after[2..]).for_each(|(w, p)| *w += p);
    debug_assert_eq!(graph.shape(pad.inputs[0]).len(), before.len());
    Some(pad.inputs[0])
}
