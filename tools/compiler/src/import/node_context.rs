//! A node that is being converted, with methods that the conversions of all operators share.

use super::attributes::Attributes;
use super::builder::GraphBuilder;
use super::failure::{NodeResult, fail};
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

    pub(super) fn shape(&self, id: ValueId) -> &[usize] {
        self.builder.graph.shape(id)
    }

    pub(super) fn is_float(&self, id: ValueId) -> bool {
        self.builder.graph.value(id).dtype == DType::F32
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
