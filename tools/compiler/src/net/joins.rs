//! Joins that only slices read are not made: each slice joins the parts it needs, where that copies less.

use super::{Net, NetId, NetNode, NetOp};
use std::collections::BTreeMap;

/// `start..end` of `part`, whose length along the axis is `length`.
#[derive(Clone, Copy)]
struct Piece {
    part: NetId,
    start: usize,
    end: usize,
    length: usize,
}

impl Piece {
    fn is_whole(&self) -> bool {
        (self.start, self.end) == (0, self.length)
    }
}

impl Net {
    /// Replaces slices of joins by joins of slices where fewer numbers are copied in all.
    pub(crate) fn split_joins(&mut self) {
        let mut readers: BTreeMap<NetId, Vec<usize>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&id| readers.entry(id).or_default().push(index));
        }
        let mut replaced: BTreeMap<NetId, (usize, Vec<Piece>)> = BTreeMap::new();
        for join in &self.nodes {
            let NetOp::Concat(axis) = join.op else { continue };
            let readers = readers.get(&join.output).map_or(&[][..], Vec::as_slice);
            if readers.is_empty() || self.outputs.iter().any(|(_, id)| *id == join.output) {
                continue;
            }
            let pieces: Option<Vec<_>> = readers.iter().map(|&i| self.pieces(join, &self.nodes[i])).collect();
            let Some(pieces) = pieces else { continue };
            // Along the axis; the others are equal. A slice of one part alone is copied either way.
            let copied = |pieces: &[Piece]| {
                let lengths = pieces.iter().map(|p| if p.is_whole() { 0 } else { p.end - p.start });
                let joined = if pieces.len() > 1 { pieces.iter().map(|p| p.end - p.start).sum() } else { 0 };
                lengths.sum::<usize>() + joined
            };
            let before: usize = self.shape(join.output)[axis]
                + pieces.iter().flatten().map(|p| p.end - p.start).sum::<usize>();
            if pieces.iter().map(|p| copied(p)).sum::<usize>() < before {
                let outputs = readers.iter().map(|&i| self.nodes[i].output);
                replaced.extend(outputs.zip(pieces.into_iter().map(|p| (axis, p))));
            }
        }
        let nodes = std::mem::take(&mut self.nodes);
        for node in nodes {
            match replaced.get(&node.output) {
                Some((axis, pieces)) => self.joined(node.output, *axis, pieces),
                None => self.nodes.push(node),
            }
        }
        self.remove_dead_nodes();
    }

    /// The pieces of the join's parts that a slice of it reads; `None` for any other reader.
    fn pieces(&self, join: &NetNode, reader: &NetNode) -> Option<Vec<Piece>> {
        let NetOp::Slice { axis, start, end, step: 1 } = reader.op else { return None };
        if join.op != NetOp::Concat(axis) {
            return None;
        }
        let mut base = 0;
        let mut pieces = Vec::new();
        for &part in &join.inputs {
            let length = self.shape(part)[axis];
            let (from, to) = (start.max(base), end.min(base + length));
            if from < to {
                pieces.push(Piece { part, start: from - base, end: to - base, length });
            }
            base += length;
        }
        Some(pieces)
    }

    /// Appends the nodes that give `output` as a join of these pieces.
    fn joined(&mut self, output: NetId, axis: usize, pieces: &[Piece]) {
        let dtype = self.values[output.0].dtype;
        let slice = |p: &Piece| NetOp::Slice { axis, start: p.start, end: p.end, step: 1 };
        if let [piece] = pieces
            && !piece.is_whole()
        {
            self.nodes.push(NetNode { op: slice(piece), inputs: vec![piece.part], output });
            return;
        }
        let mut inputs = Vec::new();
        for piece in pieces {
            if piece.is_whole() {
                inputs.push(piece.part);
                continue;
            }
            let mut shape = self.shape(piece.part).to_vec();
            shape[axis] = piece.end - piece.start;
            let name = format!("t{}", self.values.len());
            let part = self.add_value(name, shape, dtype, None);
            self.nodes.push(NetNode { op: slice(piece), inputs: vec![piece.part], output: part });
            inputs.push(part);
        }
        self.nodes.push(NetNode { op: NetOp::Concat(axis), inputs, output });
    }
}
