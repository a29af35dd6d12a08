//! Nodes that reduce, rename, pick or pad axes.

use super::ops::{Converted, Node, fail};
use crate::graph::{Op, ValueId};
use crate::tensor::{Tensor, volume};

/// Most elements a Slice may keep of an axis.
const MAX_SLICE: usize = 1 << 16;
/// Most elements a Gather may pick; each of them is kept.
const MAX_GATHER: usize = 1 << 12;

impl Node<'_> {
    pub(super) fn reduce_mean(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let axes = match self.ints(1, "axes")? {
            Some(axes) => axes,
            None => self.attributes.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
        };
        let axes = self.axes(&axes, shape.len())?;
        let keepdims = self.attributes.int("keepdims", 1)? != 0;
        let axes = match (axes.is_empty(), self.attributes.int("noop_with_empty_axes", 0)?) {
            (true, 0) => (0..shape.len()).collect(),
            (true, _) => return Ok(self.x),
            (false, _) => axes,
        };
        let out = reduced(&shape, &axes, keepdims);
        self.emit(Op::ReduceMean { axes, keepdims }, vec![self.x], out)
    }

    pub(super) fn rename(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let axes = match self.ints(1, "axes")? {
            Some(axes) => Some(axes),
            None => self.attributes.ints("axes").map(<[i64]>::to_vec),
        };
        let out = match self.proto.op_type.as_str() {
            "Flatten" => {
                let axis = self.attributes.int("axis", 1)?;
                let axis =
                    if axis == shape.len() as i64 { shape.len() } else { self.axis(axis, shape.len())? };
                let (left, right) = shape.split_at(axis);
                vec![volume(left).unwrap_or(0), volume(right).unwrap_or(0)]
            }
            "Squeeze" => {
                let all = || shape.iter().enumerate().filter(|(_, d)| **d == 1).map(|(i, _)| i).collect();
                let axes: Vec<usize> = axes.map_or_else(|| Ok(all()), |a| self.axes(&a, shape.len()))?;
                if axes.iter().any(|&a| shape.get(a) != Some(&1)) {
                    return fail("squeezes an axis that is longer than 1");
                }
                reduced(&shape, &axes, false)
            }
            "Unsqueeze" => {
                let axes = axes.unwrap_or_default();
                let rank = shape.len() + axes.len();
                if rank > super::MAX_RANK {
                    return fail("makes too many axes");
                }
                let axes = self.axes(&axes, rank)?;
                let mut dims = shape.iter();
                (0..rank)
                    .filter_map(|i| if axes.contains(&i) { Some(1) } else { dims.next().copied() })
                    .collect()
            }
            _ => self.reshape_target(&shape)?,
        };
        if let Some(constant) = self.importer.graph.constant(self.x) {
            return match constant.reshaped(out) {
                Some(tensor) => Ok(self.importer.constant(self.proto, tensor)),
                None => fail("the element count changes"),
            };
        }
        if volume(&out) != volume(&shape) {
            return fail(format!("cannot become {out:?}: the element count changes"));
        }
        self.emit(Op::Reshape, vec![self.x], out)
    }

    fn reshape_target(&self, shape: &[usize]) -> Converted<Vec<usize>> {
        let Some(target) = self.ints(1, "the target shape")? else { return fail("has no target shape") };
        let allow_zero = self.attributes.int("allowzero", 0)? != 0;
        if target.len() > super::MAX_RANK || (allow_zero && target.contains(&0)) {
            return fail("has too many axes, or an empty one");
        }
        let mut out = Vec::new();
        let mut rest = None;
        for (i, &dim) in target.iter().enumerate() {
            out.push(match (dim, usize::try_from(dim)) {
                (0, _) => shape.get(i).copied().unwrap_or(0),
                (-1, _) if rest.is_none() => {
                    rest = Some(i);
                    1
                }
                (_, Ok(size)) => size,
                _ => return fail(format!("target shape {target:?} is not valid")),
            });
        }
        if let Some(slot) = rest.and_then(|i| out.get(i).is_some().then_some(i)) {
            let known = volume(&out).unwrap_or(0);
            let inferred = volume(shape).and_then(|n| n.checked_div(known)).unwrap_or(0);
            if let Some(size) = out.get_mut(slot) {
                *size = inferred;
            }
        }
        Ok(out)
    }

    pub(super) fn transpose(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let perm = match self.attributes.ints("perm") {
            Some(perm) => perm.iter().map(|&a| self.axis(a, shape.len())).collect::<Converted<Vec<_>>>()?,
            None => (0..shape.len()).rev().collect(),
        };
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if sorted != (0..shape.len()).collect::<Vec<_>>() {
            return fail(format!("{perm:?} is no permutation of its axes"));
        }
        if let Some(constant) = self.importer.graph.constant(self.x) {
            return match constant.transposed(&perm) {
                Some(tensor) => self.importer.computed(self.proto, tensor),
                None => fail("cannot transpose the constant"),
            };
        }
        let out = perm.iter().filter_map(|&p| shape.get(p).copied()).collect();
        self.emit(Op::Transpose { perm }, vec![self.x], out)
    }

    pub(super) fn slice(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let (Some(starts), Some(ends)) = (self.ints(1, "starts")?, self.ints(2, "ends")?) else {
            return fail("needs starts and ends");
        };
        let axes = self.ints(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.ints(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return fail("starts, ends, axes and steps differ in length");
        }
        self.axes(&axes, shape.len())?;
        let mut id = self.x;
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let axis = self.axis(axis, shape.len())?;
            let size = shape.get(axis).copied().unwrap_or(0) as i64;
            let clamp = |v: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(0, size);
            let (start, end) = (clamp(start), clamp(end));
            if step < 1 {
                return fail("a negative step is not supported");
            }
            if (start, end, step) == (0, size, 1) {
                continue;
            }
            let count = ((end - start).max(0) as u64).div_ceil(step as u64) as usize;
            if count > MAX_SLICE {
                return fail("slices of more than 65536 elements are not supported");
            }
            let (start, step) = (start as usize, step as usize);
            let indices: Vec<usize> =
                (0..count).map(|i| start.saturating_add(i.saturating_mul(step))).collect();
            id = self.take(id, axis, &indices)?;
        }
        Ok(id)
    }

    /// Elements `indices` along `axis`; all are in range.
    fn take(&mut self, id: ValueId, axis: usize, indices: &[usize]) -> Converted<ValueId> {
        let mut shape = self.shape(id).to_vec();
        let size = shape.get(axis).copied().unwrap_or(0);
        if indices.iter().copied().eq(0..size) {
            return Ok(id);
        }
        if let Some(constant) = self.importer.graph.constant(id) {
            let ints = match (shape.len(), constant.as_i64()) {
                (1, Some(values)) => indices.iter().filter_map(|&i| values.get(i).copied()).collect(),
                _ => return fail("slicing a constant is supported for integer vectors only"),
            };
            return Ok(self.importer.constant(self.proto, Tensor::ints(ints)));
        }
        if let Some(slot) = shape.get_mut(axis) {
            *slot = indices.len();
        }
        let start = indices.first().copied().unwrap_or(0);
        let step =
            indices.get(1).and_then(|&second| second.checked_sub(start)).filter(|&s| s > 0).unwrap_or(1);
        let even =
            indices.iter().enumerate().all(|(i, &v)| v == start.saturating_add(i.saturating_mul(step)));
        let op = match even {
            true => Op::Slice { axis, start, step, count: indices.len() },
            false => Op::Gather { axis, indices: indices.to_vec() },
        };
        self.emit(op, vec![id], shape)
    }

    pub(super) fn gather(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let axis = self.axis(self.attributes.int("axis", 0)?, shape.len())?;
        let size = shape.get(axis).copied().unwrap_or(0);
        let index_id = self.input(1, "indices")?;
        let picks = self.shape(index_id).to_vec();
        let Some(indices) = self.ints(1, "indices")? else { return fail("has no indices") };
        if indices.len() > MAX_GATHER {
            return fail("picks more than 4096 elements");
        }
        let indices = indices.iter().map(|&i| self.axis(i, size)).collect::<Converted<Vec<_>>>()?;
        let taken = self.take(self.x, axis, &indices)?;
        if picks.len() == 1 {
            return Ok(taken);
        }
        // The axes of the indices take the place of the axis picked from.
        let (front, back) = (shape.get(..axis), shape.get(axis + 1..));
        let out = [front.unwrap_or_default(), &picks, back.unwrap_or_default()].concat();
        self.emit(Op::Reshape, vec![taken], out)
    }

    pub(super) fn pad(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        if !matches!(self.attributes.text("mode"), b"" | b"constant") {
            return fail("only constant padding is supported");
        }
        let Some(pads) = self.ints(1, "pads")? else { return fail("has no pads") };
        let value = self.float(2, 0.0)?;
        let axes = match self.ints(3, "axes")? {
            Some(axes) => axes.iter().map(|&a| self.axis(a, shape.len())).collect::<Converted<Vec<_>>>()?,
            None => (0..shape.len()).collect(),
        };
        if pads.len() != 2 * axes.len() || pads.iter().any(|p| p.unsigned_abs() >= 1 << 16) {
            return fail(format!("pads {pads:?} need two numbers per axis below 65536"));
        }
        let (mut before, mut after) = (vec![0i64; shape.len()], vec![0i64; shape.len()]);
        let (first, last) = pads.split_at(axes.len());
        for ((&axis, &b), &a) in axes.iter().zip(first).zip(last) {
            if let (Some(slot_b), Some(slot_a)) = (before.get_mut(axis), after.get_mut(axis)) {
                (*slot_b, *slot_a) = (b, a);
            }
        }
        let sizes = shape.iter().zip(before.iter().zip(&after));
        let out = sizes.map(|(&d, (b, a))| (d as i64 + b + a).max(0) as usize).collect();
        if before.iter().chain(&after).all(|&p| p == 0) {
            return Ok(self.x);
        }
        self.emit(Op::Pad { before, after, value }, vec![self.x], out)
    }
}

/// `shape` with `axes` reduced to 1 or removed.
pub(super) fn reduced(shape: &[usize], axes: &[usize], keepdims: bool) -> Vec<usize> {
    let one = |(i, &d): (usize, &usize)| match (axes.contains(&i), keepdims) {
        (false, _) => Some(d),
        (true, true) => Some(1),
        (true, false) => None,
    };
    shape.iter().enumerate().filter_map(one).collect()
}
