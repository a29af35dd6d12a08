//! Pass 4: the slow and fast pathway's inputs, the end of the network, and the number of channels.

use crate::error::{CompileError, Result};
use crate::graph::{Graph, Op, ValueId};
use crate::layout::{Lane, Layout};
use crate::tensor::Tensor;

/// Where the samples of a clip enter.
#[derive(Clone, Debug)]
pub(crate) struct Pathways {
    /// Input of the slow pathway; `None` in a network with one.
    pub(crate) slow: Option<ValueId>,
    pub(crate) fast: ValueId,
    /// Fast samples per slow sample; 1 with one pathway.
    pub(crate) alpha: usize,
    pub(crate) slow_frames: usize,
    pub(crate) fast_frames: usize,
    /// Samples the source itself takes as slow, where it takes one packed input.
    pub(crate) packed_indices: Option<Vec<usize>>,
}

impl Pathways {
    /// Inputs in the order of a package.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&'static str, ValueId)> {
        self.slow.map(|id| ("slow", id)).into_iter().chain([("fast", self.fast)])
    }

    /// Chunks in a clip.
    pub(crate) fn chunks(&self) -> usize {
        self.fast_frames / self.alpha
    }
}

/// Finds the pathways. A packed input, from which the network picks its slow frames itself, becomes two inputs.
pub(crate) fn find(graph: &mut Graph, layout: &Layout) -> Result<Pathways> {
    let fail = |reason: String| Err(CompileError::Network(reason));
    let frames = |graph: &Graph, id| layout.frames(graph, id);
    let (slow, fast, packed_indices) = match graph.inputs[..] {
        [a, b] if frames(graph, a) < frames(graph, b) => (Some(a), b, None),
        [a, b] if frames(graph, b) < frames(graph, a) => (Some(b), a, None),
        [_, _] => {
            return fail("both inputs have the same number of frames; which is slow is not clear".into());
        }
        [packed] => match unpack(graph, layout, packed)? {
            Some((slow, indices)) => (Some(slow), packed, Some(indices)),
            None => (None, packed, None),
        },
        _ => return fail(format!("has {} inputs; one or two were expected", graph.inputs.len())),
    };
    let fast_frames = frames(graph, fast);
    let slow_frames = slow.map_or(fast_frames, |id| frames(graph, id));
    if !fast_frames.is_multiple_of(slow_frames) {
        return fail(format!("{fast_frames} fast frames are no multiple of {slow_frames} slow frames"));
    }
    if let Some(slow) = slow {
        let (s, f) = (layout.lowered_shape(graph, slow), layout.lowered_shape(graph, fast));
        if s[1..] != f[1..] {
            return fail(format!("slow frames {s:?} and fast frames {f:?} differ in channels or size"));
        }
    }
    graph.inputs = slow.into_iter().chain([fast]).collect();
    Ok(Pathways { slow, fast, alpha: fast_frames / slow_frames, slow_frames, fast_frames, packed_indices })
}

/// Turns the node that picks slow frames from `packed` into an input of its own.
fn unpack(graph: &mut Graph, layout: &Layout, packed: ValueId) -> Result<Option<(ValueId, Vec<usize>)>> {
    let picks = |op: &Op| -> Option<(usize, Vec<usize>)> {
        match op {
            Op::Gather { axis, indices } => Some((*axis, indices.clone())),
            Op::Slice { axis, start, step, count } => {
                Some((*axis, (0..*count).map(|i| start + i * step).collect()))
            }
            _ => None,
        }
    };
    let mut found: Option<(ValueId, Vec<usize>)> = None;
    for node in &graph.nodes {
        if node.inputs.first() != Some(&packed) {
            continue;
        }
        if let Some((axis, indices)) = picks(&node.op)
            && layout.lanes(packed).get(axis) == Some(&Lane::Time)
        {
            match &found {
                None => found = Some((node.output, indices)),
                Some((_, known)) if *known == indices => {
                    return graph.node_error(node, "picks the slow frames a second time");
                }
                Some(_) => {
                    return graph.node_error(node, "picks a third set of frames from the packed input");
                }
            }
        }
    }
    if let Some((slow, _)) = &found {
        graph.nodes.retain(|node| node.output != *slow);
    }
    Ok(found)
}

/// Takes a softmax off the end of the network; the package's logits carry none.
pub(crate) fn strip_softmax(graph: &mut Graph) -> Result<()> {
    let mut id = graph.outputs[0];
    loop {
        let Some(at) = graph.nodes.iter().position(|n| n.output == id) else { return Ok(()) };
        let node = &graph.nodes[at];
        let input = node.inputs[0];
        match &node.op {
            Op::Softmax { .. } => {
                graph.nodes.remove(at);
                let reroute = |slot: &mut ValueId| {
                    if *slot == id {
                        *slot = input;
                    }
                };
                graph.nodes.iter_mut().flat_map(|n| n.inputs.iter_mut()).for_each(reroute);
                graph.outputs.iter_mut().for_each(|slot| {
                    if *slot == id {
                        *slot = input;
                    }
                });
                return Ok(());
            }
            Op::Reshape | Op::Transpose { .. } => id = input,
            Op::ReduceMean { axes, .. } => {
                if axes.iter().any(|&a| graph.shape(input)[a] != 1) {
                    return Ok(());
                }
                id = input;
            }
            _ => return Ok(()),
        }
    }
}

/// Turns a three-channel network into one for grey input: where all channels carry the same plane, the sum of a
/// stem's three kernels gives the same result. Exact when mean and std are equal in all channels.
pub(crate) fn fold_grey(graph: &mut Graph, layout: &Layout, pathways: &Pathways) -> Result<()> {
    let mut pending: Vec<ValueId> = pathways.inputs().map(|(_, id)| id).collect();
    for &id in &pending {
        if layout.lowered_shape(graph, id)[1] != 3 {
            return Err(CompileError::Network("has no three-channel input to fold to grey".into()));
        }
    }
    while let Some(id) = pending.pop() {
        for at in 0..graph.nodes.len() {
            if !graph.nodes[at].inputs.contains(&id) {
                continue;
            }
            let node = graph.nodes[at].clone();
            let channel_axis = layout.lanes(id).iter().position(|&l| l == Lane::Channel);
            let keeps = match &node.op {
                Op::Slice { axis, .. } | Op::Gather { axis, .. } => Some(*axis) != channel_axis,
                Op::Pad { before, after, .. } => {
                    channel_axis.is_some_and(|a| before.get(a) == Some(&0) && after.get(a) == Some(&0))
                }
                Op::Transpose { .. } => true,
                _ => false,
            };
            match &node.op {
                Op::Conv { group: 1, .. } => sum_kernels(graph, at)?,
                _ if keeps => pending.push(node.output),
                _ => {
                    return graph
                        .node_error(&node, "stands between input and stem, so grey cannot be folded");
                }
            }
        }
        if let Some(axis) = layout.lanes(id).iter().position(|&l| l == Lane::Channel) {
            graph.values[id.0].shape[axis] = 1;
        }
    }
    Ok(())
}

fn sum_kernels(graph: &mut Graph, at: usize) -> Result<()> {
    let node = graph.nodes[at].clone();
    let Some((shape, data)) =
        graph.constant(node.inputs[1]).and_then(|w| Some((w.shape.clone(), w.as_f32()?)))
    else {
        return graph.node_error(&node, "has no constant weights");
    };
    let window: usize = shape[2..].iter().product();
    let plane = |o: usize, i: usize| {
        let sum: f64 = (0..3).map(|c| f64::from(data[(o * 3 + c) * window + i])).sum();
        sum as f32
    };
    let summed =
        (0..shape[0]).flat_map(|o| (0..window).map(move |i| (o, i))).map(|(o, i)| plane(o, i)).collect();
    let mut grey = shape.clone();
    grey[1] = 1;
    match Tensor::f32(grey, summed) {
        Some(weights) => graph.nodes[at].inputs[1] = graph.add_constant(String::new(), weights),
        None => return graph.node_error(&node, "has weights of another shape than its channels"),
    }
    Ok(())
}
