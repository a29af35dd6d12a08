//! Pass 3: which axis of every value is time, channel, height and width.
//!
//! The lowered graph keeps every activation as `[T,C,H,W]`. A source value is described by the lane each of its
//! axes holds; an axis of length 1 may hold none. Flatten, Squeeze, Transpose and most Reshapes then only rename
//! axes and cost nothing in the lowered graph.

use crate::error::{CompileError, Result};
use crate::graph::{Graph, Node, Op, ValueId};

/// What an axis of a source value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Time,
    Channel,
    Height,
    Width,
    /// Length 1, no meaning.
    One,
}

/// Lanes of all values; empty for constants.
pub(crate) struct Layout {
    lanes: Vec<Vec<Lane>>,
}

impl Layout {
    pub(crate) fn lanes(&self, id: ValueId) -> &[Lane] {
        &self.lanes[id.0]
    }

    /// Shape of the value as `[T,C,H,W]`.
    pub(crate) fn lowered_shape(&self, graph: &Graph, id: ValueId) -> [usize; 4] {
        let mut shape = [1; 4];
        for (&lane, &size) in self.lanes(id).iter().zip(graph.shape(id)) {
            if lane != Lane::One {
                shape[lane as usize] = size;
            }
        }
        shape
    }

    /// Frames of the value over a whole clip.
    pub(crate) fn frames(&self, graph: &Graph, id: ValueId) -> usize {
        self.lowered_shape(graph, id)[0]
    }
}

/// Finds the lanes of every value.
pub(crate) fn infer(graph: &Graph) -> Result<Layout> {
    let mut layout = Layout { lanes: vec![Vec::new(); graph.values.len()] };
    for &input in &graph.inputs {
        layout.lanes[input.0] = input_lanes(graph, input)?;
    }
    for node in &graph.nodes {
        let lanes = node_lanes(graph, &layout, node).or_else(|reason| {
            graph.node_error(node, format!("{reason}; axes are {}", described(&layout, node)))
        })?;
        layout.lanes[node.output.0] = lanes;
    }
    Ok(layout)
}

fn described(layout: &Layout, node: &Node) -> String {
    let all: Vec<_> = node.inputs.iter().map(|&id| layout.lanes(id)).filter(|l| !l.is_empty()).collect();
    format!("{all:?}")
}

/// Cines enter as `[1,C,T,H,W]`, or with the frames before the channels, or without the batch axis. Channels are
/// the axis of length 1 or 3; where both axes qualify, the first.
fn input_lanes(graph: &Graph, id: ValueId) -> Result<Vec<Lane>> {
    let shape = graph.shape(id);
    let pair = |c: usize, t: usize| match (c, t) {
        (1 | 3, _) => Some([Lane::Channel, Lane::Time]),
        (_, 1 | 3) => Some([Lane::Time, Lane::Channel]),
        _ => None,
    };
    let front = match *shape {
        [1, a, b, _, _] => pair(a, b).map(|p| vec![Lane::One, p[0], p[1]]),
        [a, b, _, _] => pair(a, b).map(|p| p.to_vec()),
        _ => None,
    };
    match front {
        Some(mut lanes) => {
            lanes.extend([Lane::Height, Lane::Width]);
            Ok(lanes)
        }
        None => Err(CompileError::Network(format!(
            "input \"{}\" of shape {shape:?} is no cine [1,C,T,H,W] with one or three channels",
            graph.value(id).name
        ))),
    }
}

type Lanes = std::result::Result<Vec<Lane>, String>;

fn node_lanes(graph: &Graph, layout: &Layout, node: &Node) -> Lanes {
    let x = *node.inputs.first().ok_or("has no input")?;
    let lanes = layout.lanes(x).to_vec();
    let out = graph.shape(node.output);
    match &node.op {
        // The first operand of these may be a constant.
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max => return binary_lanes(graph, layout, node),
        Op::Concat { axis } => return concat_lanes(layout, node, *axis),
        _ => {}
    }
    if lanes.is_empty() {
        return Err("works on a constant, which the compiler does not evaluate for this operator".into());
    }
    match &node.op {
        Op::Conv { .. } | Op::MaxPool { .. } | Op::AveragePool { .. } => window_lanes(&lanes),
        Op::Relu | Op::Sigmoid | Op::HardSigmoid { .. } | Op::Clip { .. } | Op::Softmax { .. } => Ok(lanes),
        Op::Slice { .. } | Op::Gather { .. } | Op::Pad { .. } => Ok(lanes),
        Op::ReduceMean { axes, keepdims } => Ok(lanes
            .iter()
            .enumerate()
            .filter_map(|(i, &lane)| match (axes.contains(&i), keepdims) {
                (false, _) => Some(lane),
                (true, true) => Some(Lane::One),
                (true, false) => None,
            })
            .collect()),
        Op::Transpose { perm } => Ok(perm.iter().map(|&p| lanes[p]).collect()),
        Op::Reshape => reshape_lanes(&lanes, graph.shape(x), out),
        Op::Gemm { .. } | Op::MatMul => match lanes.last() {
            Some(Lane::Channel) => Ok(lanes),
            Some(Lane::One) if !lanes.contains(&Lane::Channel) => {
                let mut lanes = lanes;
                lanes.pop();
                lanes.push(Lane::Channel);
                Ok(lanes)
            }
            _ => Err("multiplies along an axis that is not the channels".into()),
        },
        Op::BatchNorm { .. } => Err("was not folded".into()),
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max | Op::Concat { .. } => Err("has no rule".into()),
    }
}

/// Windows read batch, channels, then space; with five axes time comes before space.
fn window_lanes(lanes: &[Lane]) -> Lanes {
    use Lane::{Channel, Height, One, Time, Width};
    let wanted: &[Lane] = match lanes {
        [One, ..] if lanes.len() == 5 => &[One, Channel, Time, Height, Width],
        [Time, ..] if lanes.len() == 4 => &[Time, Channel, Height, Width],
        [One, ..] if lanes.len() == 4 && !lanes.contains(&Time) => &[One, Channel, Height, Width],
        _ => return Err("needs axes [1,C,T,H,W] or [T,C,H,W]".into()),
    };
    match lanes.iter().zip(wanted).all(|(&have, &want)| have == want || have == One) {
        true => Ok(wanted.to_vec()),
        false => Err(format!("needs axes {wanted:?}")),
    }
}

fn binary_lanes(graph: &Graph, layout: &Layout, node: &Node) -> Lanes {
    let rank = graph.shape(node.output).len();
    let mut merged = vec![Lane::One; rank];
    for &input in &node.inputs {
        if graph.constant(input).is_some() {
            continue;
        }
        let lanes = layout.lanes(input);
        for (slot, &lane) in merged[rank - lanes.len()..].iter_mut().zip(lanes) {
            match (*slot, lane) {
                (have, lane) if have == lane || lane == Lane::One => {}
                (Lane::One, lane) => *slot = lane,
                _ => return Err("combines different axes".into()),
            }
        }
    }
    let named: Vec<Lane> = merged.iter().copied().filter(|&l| l != Lane::One).collect();
    if (1..named.len()).any(|i| named[..i].contains(&named[i])) {
        return Err("combines different axes".into());
    }
    // A constant may stretch an axis that had length 1 and no name; nothing says what it would mean.
    let unnamed = graph.shape(node.output).iter().zip(&merged).any(|(&d, &l)| d != 1 && l == Lane::One);
    if unnamed { Err("a constant stretches an axis of length 1".into()) } else { Ok(merged) }
}

fn concat_lanes(layout: &Layout, node: &Node, axis: usize) -> Lanes {
    let mut merged: Vec<Lane> = Vec::new();
    for &input in &node.inputs {
        let lanes = layout.lanes(input);
        if lanes.is_empty() {
            return Err("joins a constant".into());
        }
        if merged.is_empty() {
            merged = lanes.to_vec();
        }
        for (slot, &lane) in merged.iter_mut().zip(lanes) {
            match (*slot, lane) {
                (have, lane) if have == lane || lane == Lane::One => {}
                (Lane::One, lane) => *slot = lane,
                _ => return Err("joins values whose axes differ".into()),
            }
        }
    }
    match merged.get(axis) {
        Some(Lane::Channel) => Ok(merged),
        Some(Lane::One) if !merged.contains(&Lane::Channel) => {
            merged[axis] = Lane::Channel;
            Ok(merged)
        }
        _ => Err("joins along an axis that is not the channels".into()),
    }
}

/// Axes longer than 1 keep their lanes; several may merge into one where they lie in memory order.
fn reshape_lanes(lanes: &[Lane], from: &[usize], to: &[usize]) -> Lanes {
    let mut source = from.iter().zip(lanes).filter(|(d, _)| **d != 1).map(|(&d, &l)| (d, l));
    let mut result = Vec::new();
    for &size in to {
        if size == 1 {
            result.push(Lane::One);
            continue;
        }
        let (mut product, mut group) = (1usize, Vec::new());
        while product < size {
            let (dim, lane) = source.next().ok_or("changes the element count")?;
            product *= dim;
            group.push(lane);
        }
        match (product == size, group.as_slice()) {
            (true, [lane]) => result.push(*lane),
            (true, group) if group.is_sorted() && group.iter().all(|&l| l != Lane::Time) => {
                result.push(Lane::Channel);
            }
            _ => return Err("splits or mixes axes in a way the compiler cannot follow".into()),
        }
    }
    // A merge leaves one lane for what were several; any other space lane would then be read wrongly.
    let channels = result.iter().filter(|&&l| l == Lane::Channel).count();
    if channels > 1 {
        Err("splits or mixes axes in a way the compiler cannot follow".into())
    } else {
        Ok(result)
    }
}

/// Whether a Reshape merges lanes into channels, so that the lowered graph must reshape too.
pub(crate) fn merges(graph: &Graph, layout: &Layout, node: &Node) -> bool {
    node.op == Op::Reshape
        && layout.lowered_shape(graph, node.inputs[0]) != layout.lowered_shape(graph, node.output)
}
