//! The source graph under construction.

use super::failure::{NodeResult, fail};
use super::form::ImportForm;
use super::limits::{FOLDS_A_WEIGHT, MAX_ELEMENTS, MAX_FOLDED_TOTAL, MAX_RANK, MAX_WEIGHTS};
use crate::error::{NodeRef, Result, fail_file};
use crate::graph::{Graph, Node, Op, Recurrence, ValueId};
use crate::onnx::{NodeProto, ValueInfoProto, data_type};
use crate::tensor::{DType, Tensor, element_count};
use std::collections::BTreeMap;

/// Remedy for an input whose shape is not known.
const FIXED_SHAPE: &str = "export with static shapes, or set them with \
    python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name NAME --input_shape SHAPE IN OUT";

/// The graph under construction. The builder also stores the value of each name in the file, and
/// the numbers of weights and of elements of folded constants that the rest of the file may still
/// add.
pub(super) struct GraphBuilder {
    pub(super) graph: Graph,
    names: BTreeMap<String, ValueId>,
    /// Index of the node that computes each value.
    producers: BTreeMap<ValueId, usize>,
    /// Version of the operator set of the file.
    pub(super) opset: i64,
    pub(super) recurrence: Recurrence,
    pub(super) is_source: bool,
    weights_left: usize,
    folded_left: usize,
}

impl GraphBuilder {
    pub(super) fn new(opset: i64, form: ImportForm) -> Self {
        Self {
            opset,
            recurrence: form.recurrence,
            is_source: form.is_source,
            graph: Graph::default(),
            names: BTreeMap::new(),
            producers: BTreeMap::new(),
            weights_left: MAX_WEIGHTS,
            folded_left: MAX_FOLDED_TOTAL,
        }
    }

    /// Returns the value that a name in the file refers to.
    pub(super) fn find_value(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    /// Sets the value that a name in the file refers to.
    pub(super) fn define_name(&mut self, name: &str, id: ValueId) -> Result<()> {
        if name.is_empty() {
            return Ok(());
        }
        if self.names.insert(name.to_owned(), id).is_some() {
            return fail_file(format!("the name \"{name}\" is defined twice"));
        }
        // All values of a node are at first named after its first output.
        if self.names.get(&self.graph.value(id).name) != Some(&id) {
            self.graph.rename(id, name);
        }
        Ok(())
    }

    /// Appends a graph input, whose shape must be static except for the batch axis.
    pub(super) fn add_input(&mut self, info: &ValueInfoProto) -> Result<()> {
        let fail = |reason: String| fail_file(format!("input \"{}\" {reason}", info.name));
        let Some(tensor) = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()) else {
            return fail("is not a tensor".into());
        };
        let float_types =
            [data_type::FLOAT, data_type::FLOAT16, data_type::BFLOAT16, data_type::DOUBLE];
        let is_byte = tensor.elem_type == data_type::UINT8;
        if !float_types.contains(&tensor.elem_type) && !is_byte {
            return fail(format!(
                "must be float, float16, bfloat16, double or uint8, got element type {}",
                tensor.elem_type
            ));
        }
        let Some(proto) = &tensor.shape else {
            return fail(format!("has no shape; {FIXED_SHAPE}"));
        };
        let mut shape = Vec::new();
        for (axis, dim) in proto.dim.iter().enumerate() {
            match dim.dim_value.map(usize::try_from) {
                Some(Ok(size)) if size > 0 => shape.push(size),
                // The library runs one clip at a time, so a dynamic batch axis gets the size 1.
                None if axis == 0 => shape.push(1),
                None => {
                    return fail(format!(
                        "has a dynamic axis {axis}, but only the batch axis may be dynamic; {FIXED_SHAPE}"
                    ));
                }
                Some(_) => {
                    let size = dim.dim_value.unwrap_or(0);
                    return fail(format!("must have positive sizes, got {size} for axis {axis}"));
                }
            }
        }
        if shape.len() > MAX_RANK || element_count(&shape).is_none_or(|n| n > MAX_ELEMENTS) {
            return fail(format!(
                "must have at most {MAX_RANK} axes and {MAX_ELEMENTS} elements, got the shape {shape:?}"
            ));
        }
        if shape.is_empty() {
            return fail(format!("has no axes; {FIXED_SHAPE}"));
        }
        let id = self.graph.add_value(info.name.clone(), shape, DType::F32, None);
        self.graph.inputs.push(id);
        if is_byte {
            self.graph.byte_inputs.push(id);
        }
        self.define_name(&info.name, id)
    }

    /// Appends a typed node and returns its value.
    pub(super) fn add_node(
        &mut self,
        proto: &NodeProto,
        op: Op,
        inputs: Vec<ValueId>,
        shape: Vec<usize>,
    ) -> NodeResult<ValueId> {
        let weights: usize =
            inputs.iter().filter_map(|&id| self.graph.constant_f32(id)).map(<[f32]>::len).sum();
        match self.weights_left.checked_sub(weights) {
            Some(left) => self.weights_left = left,
            None => {
                return fail(format!(
                    "the network has more than {MAX_WEIGHTS} weights, counting a shared weight once for each node"
                ));
            }
        }
        if shape.len() > MAX_RANK
            || shape.contains(&0)
            || element_count(&shape).is_none_or(|n| n > MAX_ELEMENTS)
        {
            return fail(format!(
                "the result must have at most {MAX_RANK} axes and 1 to {MAX_ELEMENTS} elements, got the shape \
                 {shape:?}"
            ));
        }
        let name = proto.output.first().cloned().unwrap_or_default();
        let is_computed = |id: &&ValueId| self.graph.constant(**id).is_none();
        let dtype = match &op {
            Op::Kept(kept) => kept.dtype,
            _ => {
                inputs.iter().find(is_computed).map_or(DType::F32, |&id| self.graph.value(id).dtype)
            }
        };
        let output = self.graph.add_value(name, shape, dtype, None);
        let node =
            Node { name: node_name(proto), source_op: proto.op_type.clone(), op, inputs, output };
        self.producers.insert(output, self.graph.nodes.len());
        self.graph.nodes.push(node);
        Ok(output)
    }

    /// Sets the name of a value.
    pub(super) fn rename(&mut self, id: ValueId, name: &str) {
        if let Some(value) = self.graph.values.get_mut(id.0) {
            value.name = name.to_owned();
        }
    }

    /// Returns the input of the Reshape that computes `id`, or `None` if no Reshape computes it.
    pub(super) fn reshape_source(&self, id: ValueId) -> Option<ValueId> {
        let node = self.producer(id)?;
        if node.op == Op::Reshape { node.inputs.first().copied() } else { None }
    }

    /// Returns the input and the result shape of the Reshape before the Transpose that computes
    /// `id`, and the permutation of the Transpose.
    pub(super) fn find_transposed(&self, id: ValueId) -> Option<(ValueId, Vec<usize>, Vec<usize>)> {
        let transpose = self.producer(id)?;
        let Op::Transpose { perm } = &transpose.op else { return None };
        let split = *transpose.inputs.first()?;
        let source = self.reshape_source(split)?;
        Some((source, self.graph.shape(split).to_vec(), perm.clone()))
    }

    /// Returns the node that computes `id`, or `None` if it is an input or a constant.
    pub(super) fn producer(&self, id: ValueId) -> Option<&Node> {
        self.producers.get(&id).and_then(|&index| self.graph.nodes.get(index))
    }

    /// Adds a constant as the result of a node. The constant does not count against the limit on
    /// folded constants.
    pub(super) fn add_constant(&mut self, proto: &NodeProto, tensor: Tensor) -> ValueId {
        self.graph.add_constant(proto.output.first().cloned().unwrap_or_default(), tensor)
    }

    /// Adds a constant as the result of a node. Its elements count against the limit on folded
    /// constants.
    pub(super) fn add_folded_constant(
        &mut self,
        proto: &NodeProto,
        tensor: Tensor,
    ) -> NodeResult<ValueId> {
        if tensor.shape().len() > MAX_RANK {
            return fail(format!(
                "the result must have at most {MAX_RANK} axes, got the shape {:?}",
                tensor.shape()
            ));
        }
        match element_count(tensor.shape()).and_then(|n| self.folded_left.checked_sub(n)) {
            Some(left) => self.folded_left = left,
            None => {
                return fail(format!(
                    "the folded constants have more than {MAX_FOLDED_TOTAL} elements and \
                     {FOLDS_A_WEIGHT} for each element of the initializers"
                ));
            }
        }
        Ok(self.add_constant(proto, tensor))
    }

    /// Adds a constant of the file. Its elements permit more elements of folded constants.
    pub(super) fn add_initializer(&mut self, name: String, tensor: Tensor) -> ValueId {
        let allowance = element_count(tensor.shape()).unwrap_or(0).saturating_mul(FOLDS_A_WEIGHT);
        self.folded_left = self.folded_left.saturating_add(allowance);
        self.graph.add_constant(name, tensor)
    }

    /// Returns the description of a node for an error message.
    pub(super) fn node_ref(&self, proto: &NodeProto, inputs: &[Option<ValueId>]) -> NodeRef {
        NodeRef {
            name: node_name(proto),
            op: proto.op_type.clone(),
            shapes: inputs.iter().flatten().map(|&id| self.graph.shape(id).to_vec()).collect(),
        }
    }
}

/// Returns the name of the node, or the name of the node's first output if the node has no name.
fn node_name(proto: &NodeProto) -> String {
    match (proto.name.as_str(), proto.output.first()) {
        ("", Some(output)) => output.clone(),
        (name, _) => name.to_owned(),
    }
}
