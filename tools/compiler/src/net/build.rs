//! Constructors of the lowered graph's nodes.

use super::{Net, NetId, NetOp, Window2};
use crate::tensor::{DType, Tensor};

/// Most parts of a join made out of joins. A file could double them node by node.
const MAX_JOINED: usize = 64;

impl Window2 {
    /// The 1x1 window.
    pub(crate) const POINT: Self = Self { kernel: [1, 1], strides: [1, 1], pads: [0; 4] };

    pub(crate) fn is_point(&self) -> bool {
        *self == Self::POINT
    }

    /// Height and width after the window; zero where it does not fit.
    pub(crate) fn extent(&self, height: usize, width: usize) -> [usize; 2] {
        let [top, left, bottom, right] = self.pads;
        let along = |size: usize, axis: usize| {
            (size.checked_sub(self.kernel[axis])).map_or(0, |room| room / self.strides[axis] + 1)
        };
        [along(height + top + bottom, 0), along(width + left + right, 1)]
    }
}

impl Net {
    fn dims(&self, x: NetId) -> [usize; 4] {
        match *self.shape(x) {
            [t, c, h, w] => [t, c, h, w],
            _ => unreachable!("lowered activations have four axes"),
        }
    }

    fn unary(&mut self, op: NetOp, x: NetId) -> NetId {
        if !matches!(op, NetOp::Softmax(_))
            && let Some(joined) = self.split_of(x)
        {
            let y = self.unary(op, joined);
            let shape = self.shape(x).to_vec();
            return self.reshape(y, shape);
        }
        let (shape, dtype) = (self.shape(x).to_vec(), self.values[x.0].dtype);
        self.node(op, vec![x], shape, dtype)
    }

    /// Where `x` is a Reshape that splits the channels of some value into frames, that value. What works on every
    /// channel alone is then done before the split, in the layout the convolution before it gave.
    fn split_of(&self, x: NetId) -> Option<NetId> {
        let node = self.maker(x).filter(|node| matches!(node.op, NetOp::Reshape(_)))?;
        let source = node.inputs[0];
        match (self.shape(source), self.shape(x)) {
            (&[t, c, h, w], &[split_t, split_c, same_h, same_w])
                if (h, w) == (same_h, same_w)
                    && split_t > t
                    && split_t * split_c == t * c
                    && c % split_c == 0 =>
            {
                Some(source)
            }
            _ => None,
        }
    }

    /// Any op that keeps its input's shape.
    pub(crate) fn pointwise(&mut self, op: NetOp, x: NetId) -> NetId {
        self.unary(op, x)
    }

    /// Convolution; `weights` is `[co, ci/group, kh, kw]`.
    pub(crate) fn conv(
        &mut self,
        x: NetId,
        weights: Tensor,
        bias: Option<Vec<f32>>,
        window: Window2,
        group: usize,
    ) -> NetId {
        let weights = self.tensor(weights);
        self.conv_by(x, weights, bias, window, group)
    }

    /// As [`Self::conv`], by weights that a node made.
    pub(crate) fn conv_by(
        &mut self,
        x: NetId,
        weights: NetId,
        bias: Option<Vec<f32>>,
        window: Window2,
        group: usize,
    ) -> NetId {
        let [t, _, h, w] = self.dims(x);
        let co = self.shape(weights)[0];
        let [oh, ow] = window.extent(h, w);
        let mut inputs = vec![x, weights];
        if let Some(bias) = bias.and_then(|b| Tensor::f32(vec![co], b)) {
            inputs.push(self.tensor(bias));
        }
        self.node(NetOp::Conv { window, group }, inputs, vec![t, co, oh, ow], DType::F32)
    }

    pub(crate) fn pool(&mut self, op: NetOp, window: Window2, x: NetId) -> NetId {
        let [t, c, h, w] = self.dims(x);
        let [oh, ow] = window.extent(h, w);
        if let Some(joined) = self.split_of(x) {
            let y = self.pool(op, window, joined);
            return self.reshape(y, vec![t, c, oh, ow]);
        }
        self.node(op, vec![x], vec![t, c, oh, ow], DType::F32)
    }

    /// Mean over `axes`, each kept as 1.
    pub(crate) fn mean(&mut self, x: NetId, axes: &[usize]) -> NetId {
        let mut x = x;
        let mut axes: Vec<usize> = axes.iter().copied().filter(|&a| self.shape(x)[a] != 1).collect();
        // Height and width together are the global pool that every runtime has a fast kernel for.
        if axes.contains(&2) && axes.contains(&3) {
            let [t, c, ..] = self.dims(x);
            x = self.node(NetOp::GlobalAveragePool, vec![x], vec![t, c, 1, 1], DType::F32);
            axes.retain(|&a| a < 2);
        }
        if axes.is_empty() {
            return x;
        }
        let mut shape = self.shape(x).to_vec();
        axes.iter().for_each(|&a| shape[a] = 1);
        let op = if axes == [0] { NetOp::MeanFrames } else { NetOp::Mean(axes) };
        self.node(op, vec![x], shape, DType::F32)
    }

    /// Elementwise op on two values that broadcast to `[T,C,H,W]`.
    pub(crate) fn binary(&mut self, op: NetOp, a: NetId, b: NetId) -> NetId {
        let shape = self.shape(a).iter().zip(self.shape(b)).map(|(&x, &y)| x.max(y)).collect();
        self.node(op, vec![a, b], shape, DType::F32)
    }

    /// Join along `axis`; joins of joins become one, and neighbouring slices of one value are put back together.
    pub(crate) fn concat(&mut self, axis: usize, parts: &[NetId]) -> NetId {
        let mut flat: Vec<NetId> = Vec::new();
        for &part in parts {
            let inner = match self.maker(part) {
                Some(node)
                    if node.op == NetOp::Concat(axis) && node.inputs.len() + flat.len() <= MAX_JOINED =>
                {
                    node.inputs.clone()
                }
                _ => vec![part],
            };
            for id in inner {
                match flat.last().copied().and_then(|last| self.adjacent(axis, last, id)) {
                    Some((source, start, end)) => {
                        flat.pop();
                        let merged = self.slice(source, axis, start, end, 1);
                        flat.push(merged);
                    }
                    None => flat.push(id),
                }
            }
        }
        if let [only] = flat[..] {
            return only;
        }
        let mut shape = self.shape(flat[0]).to_vec();
        shape[axis] = flat.iter().map(|&id| self.shape(id)[axis]).sum();
        let dtype = self.values[flat[0].0].dtype;
        self.node(NetOp::Concat(axis), flat, shape, dtype)
    }

    /// The slice that two neighbouring slices of one value make together.
    fn adjacent(&self, axis: usize, a: NetId, b: NetId) -> Option<(NetId, usize, usize)> {
        let part = |id: NetId| match self.maker(id)? {
            super::NetNode { op: NetOp::Slice { axis: at, start, end, step: 1 }, inputs, .. }
                if *at == axis =>
            {
                Some((inputs[0], *start, *end))
            }
            _ => None,
        };
        let ((x, s0, e0), (y, s1, e1)) = (part(a)?, part(b)?);
        (x == y && e0 == s1).then_some((x, s0, e1))
    }

    /// `x[start..end]` in steps along `axis`; slices of slices become one, and a slice within one part of a join
    /// reads that part alone.
    pub(crate) fn slice(&mut self, x: NetId, axis: usize, start: usize, end: usize, step: usize) -> NetId {
        let size = self.shape(x)[axis];
        let count = (end - start).div_ceil(step);
        let (end, step) = if count == 1 { (start + 1, 1) } else { (end, step) };
        if (start, step) == (0, 1) && end == size {
            return x;
        }
        if let Some(node) = self.maker(x) {
            match &node.op {
                NetOp::Slice { axis: at, start: s0, step: t0, .. } if *at == axis => {
                    let (source, begin, stride) = (node.inputs[0], s0 + start * t0, step * t0);
                    return self.slice(source, axis, begin, begin + (count - 1) * stride + 1, stride);
                }
                NetOp::Pad { before, .. }
                    if before.iter().all(|&b| b >= 0) && self.is_inside(node, axis, start, end) =>
                {
                    let (source, front) = (node.inputs[0], before[axis] as usize);
                    return self.slice(source, axis, start - front, end - front, step);
                }
                NetOp::Concat(at) if *at == axis => {
                    let mut base = 0;
                    for part in node.inputs.clone() {
                        let length = self.shape(part)[axis];
                        if start >= base && end <= base + length {
                            return self.slice(part, axis, start - base, end - base, step);
                        }
                        base += length;
                    }
                }
                _ => {}
            }
        }
        let mut shape = self.shape(x).to_vec();
        shape[axis] = count;
        let dtype = self.values[x.0].dtype;
        self.node(NetOp::Slice { axis, start, end, step }, vec![x], shape, dtype)
    }

    /// Whether `start..end` along `axis` lies within what `pad` pads, and no other axis is padded.
    fn is_inside(&self, pad: &super::NetNode, axis: usize, start: usize, end: usize) -> bool {
        let NetOp::Pad { before, after, .. } = &pad.op else { return false };
        let others = (0..4).filter(|&other| other != axis);
        let front = before[axis] as usize;
        others.into_iter().all(|other| before[other] == 0 && after[other] == 0)
            && start >= front
            && end <= front + self.shape(pad.inputs[0])[axis]
    }

    pub(crate) fn gather(&mut self, x: NetId, axis: usize, indices: Vec<usize>) -> NetId {
        let mut shape = self.shape(x).to_vec();
        shape[axis] = indices.len();
        self.node(NetOp::Gather { axis, indices }, vec![x], shape, DType::F32)
    }

    /// Pads each axis with `value`; negative pads crop.
    pub(crate) fn pad(&mut self, x: NetId, before: [i64; 4], after: [i64; 4], value: f32) -> NetId {
        if before == [0; 4] && after == [0; 4] {
            return x;
        }
        let pads = before.iter().zip(&after);
        let shape = self.shape(x).iter().zip(pads).map(|(&d, (b, a))| (d as i64 + b + a) as usize).collect();
        self.node(NetOp::Pad { before, after, value: value.into() }, vec![x], shape, DType::F32)
    }

    /// Frames moved towards the end (`by` > 0) or the start; what moves in is zero. A slice and a pad, because ONNX
    /// Runtime takes longer over one pad that crops.
    pub(crate) fn shift_frames(&mut self, x: NetId, by: i64) -> NetId {
        let (frames, distance) = (self.shape(x)[0], by.unsigned_abs() as usize);
        let (delay, advance) = if by > 0 { (distance, 0) } else { (0, distance) };
        let kept = self.slice(x, 0, advance, frames - delay, 1);
        self.pad(kept, [delay as i64, 0, 0, 0], [advance as i64, 0, 0, 0], 0.0)
    }

    pub(crate) fn reshape(&mut self, x: NetId, shape: Vec<usize>) -> NetId {
        if self.shape(x) == shape {
            return x;
        }
        if let Some(node) = self.maker(x)
            && matches!(node.op, NetOp::Reshape(_))
        {
            let source = node.inputs[0];
            return self.reshape(source, shape);
        }
        let dtype = self.values[x.0].dtype;
        self.node(NetOp::Reshape(shape.clone()), vec![x], shape, dtype)
    }

    /// `[rows, k] x [k, columns] + bias`.
    pub(crate) fn gemm(&mut self, x: NetId, weights: Tensor, bias: Vec<f32>) -> NetId {
        let (rows, columns) = (self.shape(x)[0], weights.shape[1]);
        let w = self.tensor(weights);
        let mut inputs = vec![x, w];
        if let Some(bias) = Tensor::f32(vec![columns], bias) {
            inputs.push(self.tensor(bias));
        }
        self.node(NetOp::Gemm, inputs, vec![rows, columns], DType::F32)
    }

    /// `left [rows, k] x [k, columns]`.
    pub(crate) fn matmul(&mut self, left: Tensor, x: NetId) -> NetId {
        let shape = vec![left.shape[0], self.shape(x)[1]];
        let left = self.tensor(left);
        self.node(NetOp::MatMul, vec![left, x], shape, DType::F32)
    }

    /// Axis `i` of the result is axis `perm[i]` of `x`.
    pub(crate) fn transpose(&mut self, x: NetId, perm: [usize; 4]) -> NetId {
        let shape = perm.iter().map(|&axis| self.shape(x)[axis]).collect();
        self.node(NetOp::Transpose(perm), vec![x], shape, DType::F32)
    }

    pub(crate) fn cast(&mut self, x: NetId, to: DType) -> NetId {
        if self.values[x.0].dtype == to {
            return x;
        }
        let shape = self.shape(x).to_vec();
        self.node(NetOp::Cast(to), vec![x], shape, to)
    }
}
