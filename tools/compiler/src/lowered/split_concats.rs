//! A pass that slices the operands of a concatenation instead of its result, wherever this copies
//! fewer elements.

use super::graph::{LoweredGraph, LoweredId, LoweredNode, LoweredOp};
use std::collections::BTreeMap;

/// The range `start..end` of an operand of a concatenation.
#[derive(Clone, Copy)]
struct Part {
    operand: LoweredId,
    start: usize,
    end: usize,
    /// Size of the whole operand along the axis.
    length: usize,
}

impl Part {
    fn is_whole(&self) -> bool {
        (self.start, self.end) == (0, self.length)
    }

    fn size(&self) -> usize {
        self.end - self.start
    }
}

impl LoweredGraph {
    /// Rewrites the slices of a concatenation as slices of its operands, if nothing else reads the
    /// concatenation and the rewritten graph copies fewer elements.
    pub(crate) fn split_concats(&mut self) {
        let mut readers: BTreeMap<LoweredId, Vec<usize>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&id| readers.entry(id).or_default().push(index));
        }
        let mut replacements: BTreeMap<LoweredId, (usize, Vec<Part>)> = BTreeMap::new();
        for concat in &self.nodes {
            let LoweredOp::Concat(axis) = concat.op else { continue };
            let readers = readers.get(&concat.output).map_or(&[][..], Vec::as_slice);
            if readers.is_empty() || self.outputs.iter().any(|(_, id)| *id == concat.output) {
                continue;
            }
            let slices: Option<Vec<_>> =
                readers.iter().map(|&i| self.parts_of_slice(concat, &self.nodes[i])).collect();
            let Some(slices) = slices else { continue };
            // Only sizes along the axis are compared, because the sizes along the other axes are
            // equal. Without the split, the concatenation copies its operands, and then each slice
            // is copied.
            let sliced: usize = slices.iter().flatten().map(Part::size).sum();
            let before = self.shape(concat.output)[axis] + sliced;
            if slices.iter().map(|parts| copied_size(parts)).sum::<usize>() < before {
                let outputs = readers.iter().map(|&i| self.nodes[i].output);
                replacements.extend(outputs.zip(slices.into_iter().map(|parts| (axis, parts))));
            }
        }
        for node in std::mem::take(&mut self.nodes) {
            match replacements.get(&node.output) {
                Some((axis, parts)) => self.push_concat_of_slices(node.output, *axis, parts),
                None => self.nodes.push(node),
            }
        }
        self.remove_dead_nodes();
    }

    /// Returns the parts of the concatenation's operands that `reader` selects, or `None` if
    /// `reader` is not a slice with step 1 along the same axis.
    fn parts_of_slice(&self, concat: &LoweredNode, reader: &LoweredNode) -> Option<Vec<Part>> {
        let LoweredOp::Slice { axis, start, end, step: 1 } = reader.op else { return None };
        if concat.op != LoweredOp::Concat(axis) {
            return None;
        }
        let mut base = 0;
        let mut parts = Vec::new();
        for &operand in &concat.inputs {
            let length = self.shape(operand)[axis];
            let (from, to) = (start.max(base), end.min(base + length));
            if from < to {
                parts.push(Part { operand, start: from - base, end: to - base, length });
            }
            base += length;
        }
        Some(parts)
    }

    /// Appends the nodes that compute `output` as the concatenation of `parts`.
    fn push_concat_of_slices(&mut self, output: LoweredId, axis: usize, parts: &[Part]) {
        let dtype = self.dtype(output);
        let slice = |p: &Part| LoweredOp::Slice { axis, start: p.start, end: p.end, step: 1 };
        if let [part] = parts
            && !part.is_whole()
        {
            self.nodes.push(LoweredNode { op: slice(part), inputs: vec![part.operand], output });
            return;
        }
        let mut inputs = Vec::new();
        for part in parts {
            if part.is_whole() {
                inputs.push(part.operand);
                continue;
            }
            let mut shape = self.shape(part.operand).to_vec();
            shape[axis] = part.size();
            let result = self.add_result(shape, dtype);
            self.nodes.push(LoweredNode {
                op: slice(part),
                inputs: vec![part.operand],
                output: result,
            });
            inputs.push(result);
        }
        self.nodes.push(LoweredNode { op: LoweredOp::Concat(axis), inputs, output });
    }
}

/// Counts the elements along the axis that slicing and concatenating `parts` would copy.
fn copied_size(parts: &[Part]) -> usize {
    let sliced: usize = parts.iter().filter(|p| !p.is_whole()).map(Part::size).sum();
    let concatenated: usize = if parts.len() > 1 { parts.iter().map(Part::size).sum() } else { 0 };
    sliced + concatenated
}
