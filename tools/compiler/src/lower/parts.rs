//! The graphs of the fast and the slow part of a network, for frame steps.
//!
//! If the head is linear, the logits of a chunk are those of the slow features plus the mean of
//! those of the fast features. Each part lowers the whole head and reads zeros in place of the
//! features of the other part. Only the slow part adds the constants of the head. If the head is
//! not linear, both parts lower what comes before it, in the same way, and the head has a graph of
//! its own.

use super::graphs::{LOGITS, add_logits, add_node, lower_clip_as, lower_nodes};
use super::lowering::{Lowering, Mode, SourceNetwork};
use crate::error::{Result, fail_network};
use crate::frame_plan::{FramePlan, Part};
use crate::graph::{Node, Op, ValueId};
use crate::head::Head;
use crate::lowered::LoweredGraph;
use crate::timing::Time;
use std::collections::BTreeSet;

/// Name of the logits that a run of the fast part gives for its sample.
const FAST_LOGITS: &str = "fast_logits";

/// Name of the logits that a run of the slow part gives for its chunk.
const SLOW_LOGITS: &str = "slow_logits";

/// Name of the features that a run of the fast part gives for its sample if the head is not linear.
const FAST_FEATURES: &str = "fast_features";

/// Name of the features that a run of the slow part gives for its chunk if the head is not linear.
const SLOW_FEATURES: &str = "slow_features";

/// Name of the features that a head reads.
const FEATURES: &str = "features";

/// Builds the graph of the fast part, which runs once for each sample.
pub(crate) fn lower_fast(source: SourceNetwork, plan: &FramePlan) -> Result<LoweredGraph> {
    if plan.is_clip {
        return lower_clip_as(source, FAST_LOGITS);
    }
    let mut lowering = Lowering::new_part(source, plan, Part::Fast);
    let l = &mut lowering;
    add_sample_input(l, "fast", source.pathways.fast);
    if plan.has_slow_part {
        lower_part(l, plan, Part::Fast)?;
    } else {
        lower_nodes(l, |node| !plan.is_in_head(node))?;
    }
    l.connect_states();
    add_outputs(l, plan, [FAST_LOGITS, FAST_FEATURES])?;
    for (name, window) in plan.window_names().zip(&plan.windows) {
        let Some(newest) = l.find_lowered(window.value) else {
            return fail_network("a lateral connection reads a value that is not computed");
        };
        let mut shape = l.lowered.shape(newest).to_vec();
        shape[0] = window.frames;
        let state = l.add_named_state(name, shape, window.initial);
        let all = l.lowered.add_concat(0, &[state, newest]);
        let next = l.lowered.add_slice(all, 0, 1, window.frames + 1, 1);
        l.set_next_state(state, next);
    }
    Ok(lowering.finish())
}

/// Builds the graph of the slow part, which runs once for each chunk. It reads the lateral windows
/// under the names that they have as outputs of the fast part.
pub(crate) fn lower_slow(source: SourceNetwork, plan: &FramePlan) -> Result<LoweredGraph> {
    let mut lowering = Lowering::new_part(source, plan, Part::Slow);
    let l = &mut lowering;
    let Some(slow) = source.pathways.slow else {
        return fail_network("a network with one pathway has no slow part");
    };
    add_sample_input(l, "slow", slow);
    let mut windows = Vec::new();
    for (name, window) in plan.window_names().zip(&plan.windows) {
        let mut shape = l.clip_shape(window.value).to_vec();
        shape[0] = window.frames;
        windows.push(l.lowered.add_input(&format!("{name}_next"), shape));
    }
    let (graph, layout, timing) = (source.graph, source.layout, source.timing);
    for node in graph.nodes.iter().filter(|n| plan.part(timing, n.output) == Some(Part::Slow)) {
        if let Some((index, frames)) = plan.find_window(graph, layout, timing, node) {
            let frames = l.lowered.add_slice(windows[index], 0, frames.start, frames.end, 1);
            l.set_lowered(node.inputs[0], frames);
        }
        add_node(l, node)?;
    }
    add_features_and_head(l, plan, Part::Slow)?;
    l.connect_states();
    add_outputs(l, plan, [SLOW_LOGITS, SLOW_FEATURES])?;
    Ok(lowering.finish())
}

/// Builds the graph of a head that is not linear. It maps the input `features [1,F,1,1]` to the
/// output `logits [1,L]`.
pub(crate) fn lower_head(source: SourceNetwork, head: &Head) -> Result<LoweredGraph> {
    let mut lowering = Lowering::new(source, Mode::Clip);
    let l = &mut lowering;
    let shapes: Vec<_> = head.features.iter().map(|&id| (id, l.clip_shape(id))).collect();
    let total = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    let features = l.lowered.add_input(FEATURES, vec![1, total, 1, 1]);
    let mut start = 0;
    for (id, shape) in shapes {
        let count: usize = shape.iter().product();
        let part = l.lowered.add_slice(features, 1, start, start + count, 1);
        let value = l.lowered.add_reshape(part, shape.to_vec());
        l.set_lowered(id, value);
        start += count;
    }
    lower_nodes(l, |node| head.contains(node))?;
    add_logits(l, LOGITS)?;
    Ok(lowering.finish())
}

/// Adds the first output of a part: the logits or, if the head is not linear, the features. `names`
/// are the names of both.
fn add_outputs(l: &mut Lowering, plan: &FramePlan, [logits, features]: [&str; 2]) -> Result<()> {
    let Some(head) = &plan.head else { return add_logits(l, logits) };
    let mut parts = Vec::new();
    for &id in &head.features {
        let count = l.clip_shape(id).iter().product();
        parts.push(match l.find_lowered(id) {
            Some(value) => l.lowered.add_reshape(value, vec![1, count]),
            // The other part computes this feature.
            None => l.lowered.add_zeros(&[1, count]),
        });
    }
    let joined = l.lowered.add_concat(1, &parts);
    l.lowered.add_output(features, joined);
    Ok(())
}

/// Adds an input for one sample.
fn add_sample_input(l: &mut Lowering, name: &str, id: ValueId) {
    let mut shape = l.clip_shape(id).to_vec();
    shape[0] = 1;
    let input = l.lowered.add_input(name, shape);
    l.set_lowered(id, input);
}

/// Lowers the nodes of a part and the head.
fn lower_part(l: &mut Lowering, plan: &FramePlan, part: Part) -> Result<()> {
    let timing = l.source.timing;
    lower_nodes(l, |node| plan.part(timing, node.output) == Some(part))?;
    add_features_and_head(l, plan, part)
}

/// Lowers the means over time that belong to a part, and then the head.
fn add_features_and_head(l: &mut Lowering, plan: &FramePlan, part: Part) -> Result<()> {
    let (graph, timing) = (l.source.graph, l.source.timing);
    let is_mean = |node: &Node| timing.pooled.contains(&node.output);
    // The values that are zero because they depend only on features of the other part.
    let mut zeros = BTreeSet::new();
    for node in graph.nodes.iter().filter(|node| is_mean(node)) {
        if plan.pooled_part(timing, node) == Some(part) {
            add_node(l, node)?;
        } else {
            zeros.insert(node.output);
        }
    }
    let is_head = |node: &Node| {
        let is_pooled = matches!(timing.time(node.output), Time::Pooled { .. });
        is_pooled && !is_mean(node) && !plan.is_in_head(node)
    };
    for node in graph.nodes.iter().filter(|node| is_head(node)) {
        let mut operands = node.inputs.iter().filter(|&&id| graph.constant(id).is_none());
        let is_zero = operands.clone().count() > 0
            && operands.all(|id| zeros.contains(id))
            && (l.omits_constants(node) || !adds_constants(l, node));
        if is_zero {
            zeros.insert(node.output);
            continue;
        }
        for id in node.inputs.iter().filter(|id| zeros.contains(id)) {
            if l.find_lowered(*id).is_none() {
                let shape = l.clip_shape(*id);
                let constant = l.lowered.add_zeros(&shape);
                l.set_lowered(*id, constant);
            }
        }
        add_node(l, node)?;
    }
    Ok(())
}

/// Returns whether the result of a node with zeros as operands can differ from zero.
fn adds_constants(l: &Lowering, node: &Node) -> bool {
    let has_constant = |first: usize| {
        node.inputs.iter().skip(first).any(|&id| l.source.graph.constant(id).is_some())
    };
    match node.op {
        Op::Conv { .. } | Op::Gemm { .. } => has_constant(2),
        Op::Add | Op::Sub => has_constant(0),
        Op::Pad { value, .. } => value != 0.0,
        _ => false,
    }
}
