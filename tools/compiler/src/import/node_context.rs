//! A node that is being converted, with methods that the conversions of all operators share.

use super::attributes::Attributes;
use super::builder::GraphBuilder;
use super::failure::{NodeResult, fail};
use super::shapes::{broadcast_shapes, reduce_shape, unmerge_axes};
use crate::graph::{Op, ValueId};
use crate::onnx::NodeProto;
use crate::tensor::{DType, Tensor};

/// A node that is being converted.
pub(super) struct NodeContext<'a> {
    pub(super) builder: &'a mut GraphBuilder,
    pub(super) proto: &'a NodeProto,
    pub(super) attributes: Attributes<'a>,
    /// One entry for each input that the file lists for this node. An omitted input is `None`.
    pub(super) inputs: &'a [Option<ValueId>],
    /// The first input.
    pub(super) x: ValueId,
    /// The values of the outputs after the first, as far as the conversion defines them.
    pub(super) more_outputs: Vec<ValueId>,
}

impl NodeContext<'_> {
    /// Appends a typed node and returns its value.
    pub(super) fn add_node(
        &mut self,
        op: Op,
        inputs: Vec<ValueId>,
        shape: Vec<usize>,
    ) -> NodeResult<ValueId> {
        self.builder.add_node(self.proto, op, inputs, shape)
    }

    /// Adds a scalar constant, which has no name in the file.
    pub(super) fn add_scalar(&mut self, value: f32) -> ValueId {
        self.builder.graph.add_constant(String::new(), Tensor::from(ndarray::arr0(value)))
    }

    /// Adds a float constant, which has no name in the file.
    pub(super) fn add_constant(
        &mut self,
        shape: &[usize],
        elements: Vec<f32>,
    ) -> NodeResult<ValueId> {
        match Tensor::new(shape, elements) {
            Some(tensor) => Ok(self.builder.graph.add_constant(String::new(), tensor)),
            None => fail(format!("a constant does not fit into the shape {shape:?}")),
        }
    }

    /// Appends an operator whose result has the shape of its only input.
    pub(super) fn unary(&mut self, op: Op, x: ValueId) -> NodeResult<ValueId> {
        let shape = self.shape(x).to_vec();
        self.add_node(op, vec![x], shape)
    }

    /// Appends an operator on two values whose shapes can be broadcast.
    pub(super) fn binary(&mut self, op: Op, a: ValueId, b: ValueId) -> NodeResult<ValueId> {
        let both = |dtype| [a, b].iter().all(|&id| self.dtype(id) == dtype);
        let are_indices = both(DType::I64) && matches!(op, Op::Add | Op::Sub | Op::Mul);
        if !both(DType::F32) && !are_indices {
            return fail("one operand is a float tensor and the other an integer tensor");
        }
        match broadcast_shapes(self.shape(a), self.shape(b)) {
            Some(shape) => self.add_node(op, vec![a, b], shape),
            None => fail("the input shapes do not broadcast"),
        }
    }

    /// Appends a product with a number, unless the number is 1.
    pub(super) fn scale(&mut self, x: ValueId, factor: f32) -> NodeResult<ValueId> {
        if factor == 1.0 {
            return Ok(x);
        }
        let factor = self.add_scalar(factor);
        self.binary(Op::Mul, x, factor)
    }

    /// Appends the addition of a number.
    pub(super) fn shift(&mut self, x: ValueId, offset: f32) -> NodeResult<ValueId> {
        let offset = self.add_scalar(offset);
        self.binary(Op::Add, x, offset)
    }

    /// Appends a Reshape. No node is added if the shape does not change, or if the Reshape undoes
    /// the one before it.
    pub(super) fn reshape(&mut self, x: ValueId, shape: Vec<usize>) -> NodeResult<ValueId> {
        let source = self.builder.reshape_source(x).unwrap_or(x);
        for id in [x, source] {
            if self.shape(id) == shape {
                return Ok(id);
            }
        }
        self.add_node(Op::Reshape, vec![x], shape)
    }

    /// Appends a Transpose, unless the permutation changes nothing.
    pub(super) fn transpose(&mut self, x: ValueId, perm: Vec<usize>) -> NodeResult<ValueId> {
        if perm.iter().copied().eq(0..perm.len()) {
            return Ok(x);
        }
        let shape = perm.iter().filter_map(|&axis| self.shape(x).get(axis).copied()).collect();
        self.add_node(Op::Transpose { perm }, vec![x], shape)
    }

    /// Appends a concatenation, unless there is only one operand.
    pub(super) fn concat(&mut self, operands: &[ValueId], axis: usize) -> NodeResult<ValueId> {
        let (&[first, ..], false) = (operands, operands.len() == 1) else {
            return operands.first().map_or_else(|| fail("there is nothing to join"), |&id| Ok(id));
        };
        let mut shape = self.shape(first).to_vec();
        let total = operands.iter().filter_map(|&id| self.shape(id).get(axis)).sum();
        if let Some(slot) = shape.get_mut(axis) {
            *slot = total;
        }
        self.add_node(Op::Concat { axis }, operands.to_vec(), shape)
    }

    /// Appends a Pad. A negative entry crops an axis.
    pub(super) fn pad(
        &mut self,
        x: ValueId,
        before: Vec<i64>,
        after: Vec<i64>,
        value: f32,
    ) -> NodeResult<ValueId> {
        let sizes = self.shape(x).iter().zip(before.iter().zip(&after));
        let shape = sizes.map(|(&d, (b, a))| (d as i64 + b + a).max(0) as usize).collect();
        self.add_node(Op::Pad { before, after, value }, vec![x], shape)
    }

    /// Appends a mean over `axes`, which remain in the shape with size 1. A mean over axes that a
    /// Reshape has merged becomes a mean over the axes before the Reshape.
    pub(super) fn mean(&mut self, x: ValueId, axes: &[usize]) -> NodeResult<ValueId> {
        self.reduce(x, axes, |axes| Op::ReduceMean { axes, keepdims: true })
    }

    /// Appends a maximum over `axes` in the same way as [`Self::mean`].
    pub(super) fn max(&mut self, x: ValueId, axes: &[usize]) -> NodeResult<ValueId> {
        self.reduce(x, axes, |axes| Op::ReduceMax { axes, keepdims: true })
    }

    fn reduce(
        &mut self,
        x: ValueId,
        axes: &[usize],
        op: impl Fn(Vec<usize>) -> Op,
    ) -> NodeResult<ValueId> {
        let out = reduce_shape(self.shape(x), axes, true);
        if let Some(source) = self.builder.reshape_source(x)
            && let Some(unmerged) = unmerge_axes(self.shape(source), self.shape(x), axes)
        {
            let kept = reduce_shape(self.shape(source), &unmerged, true);
            let reduced = self.add_node(op(unmerged), vec![source], kept)?;
            return self.reshape(reduced, out);
        }
        self.add_node(op(axes.to_vec()), vec![x], out)
    }

    pub(super) fn shape(&self, id: ValueId) -> &[usize] {
        self.builder.graph.shape(id)
    }

    pub(super) fn dtype(&self, id: ValueId) -> DType {
        self.builder.graph.value(id).dtype
    }

    pub(super) fn is_float(&self, id: ValueId) -> bool {
        self.dtype(id) == DType::F32
    }

    pub(super) fn constant(&self, id: ValueId) -> Option<&Tensor> {
        self.builder.graph.constant(id)
    }

    /// Returns the elements of a float constant, and `None` for any other value.
    pub(super) fn constant_f32(&self, id: ValueId) -> Option<&[f32]> {
        self.builder.graph.constant_f32(id)
    }

    /// Returns a required input. The error message uses `role` as the name of the input.
    pub(super) fn input(&self, index: usize, role: &str) -> NodeResult<ValueId> {
        match self.optional_input(index) {
            Some(id) => Ok(id),
            None => fail(format!("input {index} ({role}) is missing")),
        }
    }

    pub(super) fn optional_input(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    /// Returns the integers of a constant input, or `None` if the input is omitted. The error
    /// message uses `role` as the name of the input.
    pub(super) fn int_input(&self, index: usize, role: &str) -> NodeResult<Option<Vec<i64>>> {
        let Some(id) = self.optional_input(index) else { return Ok(None) };
        match self.constant(id).and_then(Tensor::i64_elements) {
            Some(ints) => Ok(Some(ints.to_vec())),
            None => fail(format!("input {index} ({role}) must be a constant integer tensor")),
        }
    }

    /// Returns the value of a constant input with one element, or `default` if the input is
    /// omitted. The error message uses `role` as the name of the input.
    pub(super) fn float_input(&self, index: usize, role: &str, default: f32) -> NodeResult<f32> {
        let Some(id) = self.optional_input(index) else { return Ok(default) };
        match self.constant_f32(id) {
            Some([value]) => Ok(*value),
            _ => fail(format!(
                "input {index} ({role}) must be a constant float tensor with one element"
            )),
        }
    }

    /// Returns the axes to which an operator applies. They are input 1 or, in older operator sets,
    /// an attribute.
    pub(super) fn axes_input(&self) -> NodeResult<Option<Vec<i64>>> {
        Ok(match self.int_input(1, "axes")? {
            Some(axes) => Some(axes),
            None => self.attributes.ints("axes").map(<[i64]>::to_vec),
        })
    }
}
