//! Methods that append nodes to the lowered graph.

use super::graph::{LoweredGraph, LoweredId, LoweredNode, LoweredOp, Window2d};
use crate::tensor::{DType, Tensor};
use ndarray::{Array1, ArrayD};

/// Maximum number of operands in a merged concatenation. Without this limit, each concatenation in
/// a hostile file could double the number of operands.
const MAX_CONCAT_OPERANDS: usize = 64;

impl LoweredGraph {
    /// Returns the shape of an activation, which must have four axes.
    pub(crate) fn shape4(&self, x: LoweredId) -> [usize; 4] {
        match *self.shape(x) {
            [t, c, h, w] => [t, c, h, w],
            _ => unreachable!("lowered activations have four axes"),
        }
    }

    /// Adds a float32 constant whose elements are zero.
    pub(crate) fn add_zeros(&mut self, shape: &[usize]) -> LoweredId {
        self.add_constant(Tensor::from(ArrayD::<f32>::zeros(shape)))
    }

    /// Appends an operator whose result has the shape of its only input.
    pub(crate) fn add_unary(&mut self, op: LoweredOp, x: LoweredId) -> LoweredId {
        let shape = self.shape(x).to_vec();
        if !matches!(op, LoweredOp::Softmax(_) | LoweredOp::LogSoftmax(_))
            && let Some(source) = self.find_split_source(x)
        {
            let y = self.add_unary(op, source);
            return self.add_reshape(y, shape);
        }
        let dtype = self.dtype(x);
        self.add_node(op, vec![x], shape, dtype)
    }

    /// Returns the input of the Reshape that computes `x` and splits channels into frames, or
    /// `None` if no such Reshape computes `x`. An operator that treats each channel separately can
    /// be applied before this Reshape, where the data still has the memory layout of the preceding
    /// convolution.
    fn find_split_source(&self, x: LoweredId) -> Option<LoweredId> {
        let node = self.producer(x).filter(|node| matches!(node.op, LoweredOp::Reshape(_)))?;
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

    /// Appends a convolution with constant weights `[outputs, inputs/group, height, width]`.
    pub(crate) fn add_conv(
        &mut self,
        x: LoweredId,
        weights: Tensor,
        bias: Option<Vec<f32>>,
        window: Window2d,
        group: usize,
    ) -> LoweredId {
        let weights = self.add_constant(weights);
        self.add_conv_with(x, weights, bias, window, group)
    }

    /// Appends a convolution whose weights may be the result of a node. The weights have the same
    /// shape as in [`Self::add_conv`].
    pub(crate) fn add_conv_with(
        &mut self,
        x: LoweredId,
        weights: LoweredId,
        bias: Option<Vec<f32>>,
        window: Window2d,
        group: usize,
    ) -> LoweredId {
        let [frames, _, height, width] = self.shape4(x);
        let outputs = self.shape(weights)[0];
        let [out_height, out_width] = window.output_size(height, width);
        let mut inputs = vec![x, weights];
        if let Some(bias) = bias {
            inputs.push(self.add_constant(Tensor::from(Array1::from_vec(bias))));
        }
        let shape = vec![frames, outputs, out_height, out_width];
        self.add_node(LoweredOp::Conv { window, group }, inputs, shape, DType::F32)
    }

    /// Appends a MaxPool or an AveragePool with the given window.
    pub(crate) fn add_pool(&mut self, op: LoweredOp, window: Window2d, x: LoweredId) -> LoweredId {
        let [frames, channels, height, width] = self.shape4(x);
        let [out_height, out_width] = window.output_size(height, width);
        let shape = vec![frames, channels, out_height, out_width];
        if let Some(source) = self.find_split_source(x) {
            let y = self.add_pool(op, window, source);
            return self.add_reshape(y, shape);
        }
        self.add_node(op, vec![x], shape, DType::F32)
    }

    /// Appends a mean over `axes`, which remain in the shape with size 1.
    pub(crate) fn add_mean(&mut self, mut x: LoweredId, axes: &[usize]) -> LoweredId {
        let mut axes: Vec<usize> =
            axes.iter().copied().filter(|&a| self.shape(x)[a] != 1).collect();
        // A mean over height and width becomes a GlobalAveragePool, which is fast in every runtime.
        if self.shape(x).len() == 4 && axes.contains(&2) && axes.contains(&3) {
            let [frames, channels, ..] = self.shape4(x);
            let shape = vec![frames, channels, 1, 1];
            x = self.add_node(LoweredOp::GlobalAveragePool, vec![x], shape, DType::F32);
            axes.retain(|&a| a < 2);
        }
        if axes.is_empty() {
            return x;
        }
        let mut shape = self.shape(x).to_vec();
        axes.iter().for_each(|&a| shape[a] = 1);
        self.add_node(LoweredOp::Mean(axes), vec![x], shape, DType::F32)
    }

    /// Appends a maximum over `axes`, which remain in the shape with size 1.
    pub(crate) fn add_maximum(&mut self, x: LoweredId, axes: &[usize]) -> LoweredId {
        let axes: Vec<usize> = axes.iter().copied().filter(|&a| self.shape(x)[a] != 1).collect();
        if axes.is_empty() {
            return x;
        }
        let mut shape = self.shape(x).to_vec();
        axes.iter().for_each(|&a| shape[a] = 1);
        let dtype = self.dtype(x);
        self.add_node(LoweredOp::ReduceMax(axes), vec![x], shape, dtype)
    }

    /// Appends an elementwise operator on two values whose shapes can be broadcast.
    pub(crate) fn add_binary(&mut self, op: LoweredOp, a: LoweredId, b: LoweredId) -> LoweredId {
        let shape = self.shape(a).iter().zip(self.shape(b)).map(|(&x, &y)| x.max(y)).collect();
        let dtype = self.dtype(a);
        self.add_node(op, vec![a, b], shape, dtype)
    }

    /// Appends a concatenation along `axis`. Operands that are themselves concatenations along
    /// `axis` are replaced by their own operands, and adjacent slices of one value become one
    /// slice.
    pub(crate) fn add_concat(&mut self, axis: usize, operands: &[LoweredId]) -> LoweredId {
        let mut merged: Vec<LoweredId> = Vec::new();
        for &operand in operands {
            let parts = match self.producer(operand) {
                Some(node)
                    if node.op == LoweredOp::Concat(axis)
                        && node.inputs.len() + merged.len() <= MAX_CONCAT_OPERANDS =>
                {
                    node.inputs.clone()
                }
                _ => vec![operand],
            };
            for id in parts {
                match merged.last().copied().and_then(|last| self.join_slices(axis, last, id)) {
                    Some((source, start, end)) => {
                        merged.pop();
                        let joined = self.add_slice(source, axis, start, end, 1);
                        merged.push(joined);
                    }
                    None => merged.push(id),
                }
            }
        }
        if let [only] = merged[..] {
            return only;
        }
        let mut shape = self.shape(merged[0]).to_vec();
        shape[axis] = merged.iter().map(|&id| self.shape(id)[axis]).sum();
        let dtype = self.dtype(merged[0]);
        self.add_node(LoweredOp::Concat(axis), merged, shape, dtype)
    }

    /// Returns the source of the slices `a` and `b` and the range that they cover together, or
    /// `None` if `a` and `b` are not adjacent slices of one value.
    fn join_slices(
        &self,
        axis: usize,
        a: LoweredId,
        b: LoweredId,
    ) -> Option<(LoweredId, usize, usize)> {
        let slice = |id: LoweredId| match self.producer(id)? {
            LoweredNode {
                op: LoweredOp::Slice { axis: along, start, end, step: 1 },
                inputs,
                ..
            } if *along == axis => Some((inputs[0], *start, *end)),
            _ => None,
        };
        let ((source, start, middle), (other, next, end)) = (slice(a)?, slice(b)?);
        (source == other && middle == next).then_some((source, start, end))
    }

    /// Appends a slice that selects every `step`-th element of `start..end` along `axis`. A slice
    /// of a slice becomes one slice. A slice of a concatenation reads an operand directly if the
    /// slice lies inside that operand. A slice of a Pad reads the Pad's input directly if the slice
    /// lies inside that input.
    pub(crate) fn add_slice(
        &mut self,
        x: LoweredId,
        axis: usize,
        start: usize,
        end: usize,
        step: usize,
    ) -> LoweredId {
        let size = self.shape(x)[axis];
        let count = (end - start).div_ceil(step);
        let (end, step) = if count == 1 { (start + 1, 1) } else { (end, step) };
        if (start, step) == (0, 1) && end == size {
            return x;
        }
        if let Some(node) = self.producer(x) {
            match &node.op {
                LoweredOp::Slice { axis: along, start: outer_start, step: outer_step, .. }
                    if *along == axis =>
                {
                    let (source, stride) = (node.inputs[0], step * outer_step);
                    let begin = outer_start + start * outer_step;
                    return self.add_slice(
                        source,
                        axis,
                        begin,
                        begin + (count - 1) * stride + 1,
                        stride,
                    );
                }
                LoweredOp::Pad { before, .. }
                    if before.iter().all(|&b| b >= 0)
                        && self.is_inside_pad(node, axis, start, end) =>
                {
                    let (source, front) = (node.inputs[0], before[axis] as usize);
                    return self.add_slice(source, axis, start - front, end - front, step);
                }
                LoweredOp::Concat(along) if *along == axis => {
                    let mut base = 0;
                    for operand in node.inputs.clone() {
                        let length = self.shape(operand)[axis];
                        if start >= base && end <= base + length {
                            return self.add_slice(operand, axis, start - base, end - base, step);
                        }
                        base += length;
                    }
                }
                _ => {}
            }
        }
        let mut shape = self.shape(x).to_vec();
        shape[axis] = count;
        let dtype = self.dtype(x);
        self.add_node(LoweredOp::Slice { axis, start, end, step }, vec![x], shape, dtype)
    }

    /// Returns whether `start..end` lies inside the input of `pad` along `axis` and `pad` pads no
    /// other axis.
    fn is_inside_pad(&self, pad: &LoweredNode, axis: usize, start: usize, end: usize) -> bool {
        let LoweredOp::Pad { before, after, .. } = &pad.op else { return false };
        let mut others = (0..before.len()).filter(|&other| other != axis);
        let front = before[axis] as usize;
        others.all(|other| before[other] == 0 && after[other] == 0)
            && start >= front
            && end <= front + self.shape(pad.inputs[0])[axis]
    }

    /// Appends a Gather that selects the elements at `indices` along `axis`.
    pub(crate) fn add_gather(
        &mut self,
        x: LoweredId,
        axis: usize,
        indices: Vec<usize>,
    ) -> LoweredId {
        let mut shape = self.shape(x).to_vec();
        shape[axis] = indices.len();
        let dtype = self.dtype(x);
        self.add_node(LoweredOp::Gather { axis, indices }, vec![x], shape, dtype)
    }

    /// Appends a Pad that pads each axis with `value`. A negative entry of `before` or `after`
    /// crops the axis.
    pub(crate) fn add_pad(
        &mut self,
        x: LoweredId,
        before: &[i64],
        after: &[i64],
        value: f32,
    ) -> LoweredId {
        if before.iter().chain(after).all(|&pad| pad == 0) {
            return x;
        }
        let pads = before.iter().zip(after);
        let shape = self
            .shape(x)
            .iter()
            .zip(pads)
            .map(|(&d, (b, a))| (d as i64 + b + a) as usize)
            .collect();
        self.add_node(
            LoweredOp::Pad { before: before.to_vec(), after: after.to_vec(), value: value.into() },
            vec![x],
            shape,
            DType::F32,
        )
    }

    /// Shifts the frames by `distance` towards the end, or towards the start if `distance` is
    /// negative. The new frames are zero. The shift consists of a Slice and a Pad, because ONNX
    /// Runtime executes these two nodes faster than a single Pad that crops.
    pub(crate) fn shift_frames(&mut self, x: LoweredId, distance: i64) -> LoweredId {
        let (frames, shift) = (self.shape(x)[0], distance.unsigned_abs() as usize);
        let (front, back) = if distance > 0 { (shift, 0) } else { (0, shift) };
        let kept = self.add_slice(x, 0, back, frames - front, 1);
        self.add_pad(kept, &[front as i64, 0, 0, 0], &[back as i64, 0, 0, 0], 0.0)
    }

    /// Appends a Reshape. Two consecutive Reshapes become one.
    pub(crate) fn add_reshape(&mut self, x: LoweredId, shape: Vec<usize>) -> LoweredId {
        if self.shape(x) == shape {
            return x;
        }
        if let Some(node) = self.producer(x)
            && matches!(node.op, LoweredOp::Reshape(_))
        {
            let source = node.inputs[0];
            return self.add_reshape(source, shape);
        }
        let dtype = self.dtype(x);
        self.add_node(LoweredOp::Reshape(shape.clone()), vec![x], shape, dtype)
    }

    /// Appends the product of `x [rows, k]` and the constant `weights [k, columns]`, plus the bias.
    pub(crate) fn add_gemm(&mut self, x: LoweredId, weights: Tensor, bias: Vec<f32>) -> LoweredId {
        let shape = vec![self.shape(x)[0], weights.shape()[1]];
        let weights = self.add_constant(weights);
        let bias = self.add_constant(Tensor::from(Array1::from_vec(bias)));
        self.add_node(LoweredOp::Gemm, vec![x, weights, bias], shape, DType::F32)
    }

    /// Appends the product of the constant `left [rows, k]` and `x [k, columns]`.
    pub(crate) fn add_matmul(&mut self, left: Tensor, x: LoweredId) -> LoweredId {
        let shape = vec![left.shape()[0], self.shape(x)[1]];
        let left = self.add_constant(left);
        self.add_node(LoweredOp::MatMul, vec![left, x], shape, DType::F32)
    }

    /// Appends a matrix product with the given result shape.
    pub(crate) fn add_product(
        &mut self,
        a: LoweredId,
        b: LoweredId,
        shape: Vec<usize>,
    ) -> LoweredId {
        self.add_node(LoweredOp::MatMul, vec![a, b], shape, DType::F32)
    }

    /// Appends a Transpose. Axis `i` of the result is axis `perm[i]` of `x`. If only axes of size 1
    /// move, the Transpose is a Reshape.
    pub(crate) fn add_transpose(&mut self, x: LoweredId, perm: &[usize]) -> LoweredId {
        let shape: Vec<usize> = perm.iter().map(|&axis| self.shape(x)[axis]).collect();
        if perm.iter().filter(|&&axis| self.shape(x)[axis] != 1).is_sorted() {
            return self.add_reshape(x, shape);
        }
        let dtype = self.dtype(x);
        self.add_node(LoweredOp::Transpose(perm.to_vec()), vec![x], shape, dtype)
    }

    /// Appends a Cast, unless `x` already has the type `to`.
    pub(crate) fn add_cast(&mut self, x: LoweredId, to: DType) -> LoweredId {
        if self.dtype(x) == to {
            return x;
        }
        let shape = self.shape(x).to_vec();
        self.add_node(LoweredOp::Cast(to), vec![x], shape, to)
    }
}
