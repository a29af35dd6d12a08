//! Pass 4: finds the inputs of the slow and fast pathways, and folds the stem for grey input.

use crate::error::{Result, fail_network};
use crate::graph::{Graph, Op, ValueId};
use crate::layout::{AxisRole, Layout};
use crate::tensor::Tensor;
use ndarray::Axis;

/// The inputs of a network, and the number of frames that each has in a clip.
#[derive(Clone, Debug)]
pub(crate) struct Pathways {
    /// Input of the slow pathway. It is `None` in a network with one pathway.
    pub(crate) slow: Option<ValueId>,
    /// Input of the fast pathway, or of the only pathway.
    pub(crate) fast: ValueId,
    /// Number of fast samples for each slow sample. It is 1 in a network with one pathway.
    pub(crate) alpha: usize,
    pub(crate) slow_frames: usize,
    pub(crate) fast_frames: usize,
    /// Indices of the slow samples, if the network itself selects them from one packed input.
    pub(crate) packed_indices: Option<Vec<usize>>,
}

impl Pathways {
    /// Iterates over the inputs with their names, in the order in which a package lists them.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&'static str, ValueId)> {
        self.slow.map(|id| ("slow", id)).into_iter().chain([("fast", self.fast)])
    }

    /// Returns the number of chunks in a clip.
    pub(crate) fn chunks(&self) -> usize {
        self.fast_frames / self.alpha
    }
}

/// Finds the pathways. A packed input, from which the network selects its slow frames itself,
/// becomes two inputs.
pub(crate) fn find_pathways(graph: &mut Graph, layout: &Layout) -> Result<Pathways> {
    let frames = |graph: &Graph, id| layout.frames(graph, id);
    let (slow, fast, packed_indices) = match graph.inputs[..] {
        [a, b] if frames(graph, a) < frames(graph, b) => (Some(a), b, None),
        [a, b] if frames(graph, b) < frames(graph, a) => (Some(b), a, None),
        [a, _] => {
            return fail_network(format!(
                "both inputs have {} frames, but the slow input must have fewer frames than the fast input; \
                 join two inputs with the same frames into one, and split it in the network",
                frames(graph, a)
            ));
        }
        [packed] => match extract_slow_input(graph, layout, packed)? {
            Some((slow, indices)) => (Some(slow), packed, Some(indices)),
            None => (None, packed, None),
        },
        _ => {
            return fail_network(format!(
                "the network must have 1 or 2 inputs, got {}; export it with the frames as its only input",
                graph.inputs.len()
            ));
        }
    };
    let fast_frames = frames(graph, fast);
    let slow_frames = slow.map_or(fast_frames, |id| frames(graph, id));
    if !fast_frames.is_multiple_of(slow_frames) {
        return fail_network(format!(
            "the number of fast frames must be a multiple of the number of slow frames, got {fast_frames} \
             and {slow_frames}"
        ));
    }
    if let Some(slow) = slow {
        let (s, f) = (layout.lowered_shape(graph, slow), layout.lowered_shape(graph, fast));
        if s[1..] != f[1..] {
            return fail_network(format!(
                "slow and fast frames must have the same shape [C,H,W], got {:?} and {:?}; resize them in \
                 the network",
                &s[1..],
                &f[1..]
            ));
        }
    }
    graph.inputs = slow.into_iter().chain([fast]).collect();
    Ok(Pathways {
        slow,
        fast,
        alpha: fast_frames / slow_frames,
        slow_frames,
        fast_frames,
        packed_indices,
    })
}

/// Finds the node that selects the slow frames from `packed`, and turns it into an input. Returns
/// the input and the indices of its frames, or `None` if the network selects no slow frames.
fn extract_slow_input(
    graph: &mut Graph,
    layout: &Layout,
    packed: ValueId,
) -> Result<Option<(ValueId, Vec<usize>)>> {
    let selection = |op: &Op| -> Option<(usize, Vec<usize>)> {
        match op {
            Op::Gather { axis, indices } => Some((*axis, indices.clone())),
            Op::Slice { axis, start, step, count } => {
                Some((*axis, (0..*count).map(|i| start + i * step).collect()))
            }
            _ => None,
        }
    };
    let frames = layout.frames(graph, packed);
    let mut selections = Vec::new();
    let mut is_read_elsewhere = false;
    for node in graph.nodes.iter().filter(|node| node.inputs.contains(&packed)) {
        match selection(&node.op) {
            Some((axis, indices)) if layout.role(packed, axis) == AxisRole::Time => {
                selections.push((node.output, indices));
            }
            _ => is_read_elsewhere = true,
        }
    }
    let Some((slow, indices)) = selections.first().cloned() else { return Ok(None) };
    // Other selections are part of the network: every second frame, differences of frames, or
    // several clips.
    let is_slow = is_read_elsewhere
        && indices.len() < frames
        && frames.is_multiple_of(indices.len())
        && indices.is_sorted_by(|a, b| a < b)
        && selections.iter().all(|(_, other)| *other == indices);
    if !is_slow {
        return Ok(None);
    }
    let is_selection = |id: &ValueId| selections.iter().any(|(output, _)| output == id);
    graph.nodes.retain(|node| !is_selection(&node.output));
    let readers = graph.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut());
    readers.filter(|id| is_selection(id)).for_each(|id| *id = slow);
    Ok(Some((slow, indices)))
}

/// Converts a network with three input channels to grey input. The original network would receive
/// three equal channels for a grey frame, so a stem whose weights are summed over the channels
/// gives the same result.
pub(crate) fn fold_grey(graph: &mut Graph, layout: &Layout, pathways: &Pathways) -> Result<()> {
    let mut pending: Vec<ValueId> = pathways.inputs().map(|(_, id)| id).collect();
    for &id in &pending {
        let channels = layout.lowered_shape(graph, id)[1];
        if channels != 3 {
            return fail_network(format!("grey needs an input with 3 channels, got {channels}"));
        }
    }
    while let Some(id) = pending.pop() {
        let channel_axis = layout.find_axis(id, AxisRole::Channel);
        for at in 0..graph.nodes.len() {
            if !graph.nodes[at].inputs.contains(&id) {
                continue;
            }
            let node = graph.nodes[at].clone();
            let keeps_channels = match &node.op {
                Op::Slice { axis, .. } | Op::Gather { axis, .. } => Some(*axis) != channel_axis,
                Op::Pad { before, after, .. } => channel_axis
                    .is_some_and(|a| before.get(a) == Some(&0) && after.get(a) == Some(&0)),
                Op::Transpose { .. } => true,
                Op::Reshape => !layout.must_reshape(graph, &node),
                _ => false,
            };
            match &node.op {
                Op::Conv { group: 1, .. } => sum_input_channels(graph, at)?,
                _ if keeps_channels => pending.push(node.output),
                _ => {
                    return graph.fail_node(
                        &node,
                        "the network cannot be folded to grey, because this node is between the input and the \
                         first convolution",
                    );
                }
            }
        }
        if let Some(axis) = channel_axis {
            graph.values[id.0].shape[axis] = 1;
        }
    }
    Ok(())
}

/// Sums the weights of the convolution at index `at` over the input channels.
fn sum_input_channels(graph: &mut Graph, at: usize) -> Result<()> {
    let weights = graph.nodes[at].inputs[1];
    let Some(weights) = graph.constant(weights).and_then(Tensor::f32_view) else {
        return graph
            .fail_node(&graph.nodes[at], "the weights must be constant to fold the stem to grey");
    };
    let sum = |channels: ndarray::ArrayView1<f32>| {
        channels.iter().map(|&w| f64::from(w)).sum::<f64>() as f32
    };
    let summed = weights.map_axis(Axis(1), sum).insert_axis(Axis(1));
    graph.nodes[at].inputs[1] = graph.add_constant(String::new(), Tensor::from(summed));
    Ok(())
}
