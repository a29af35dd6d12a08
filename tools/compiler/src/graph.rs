//! The typed source graph: what import makes and every later pass reads.
//!
//! Nodes stand in execution order, every shape is static, and a value is made once. Ops that only rename axes
//! (Flatten, Squeeze, Unsqueeze) are all `Reshape` here; Identity, Dropout and Constant leave no node.

use crate::error::{CompileError, NodeRef, Result};
use crate::tensor::{DType, Tensor};

/// Index of a value in [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ValueId(pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) constant: Option<Tensor>,
}

/// A window sliding over the trailing axes of a value. All vectors have one entry per spatial axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) kernel: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    /// Padding before each axis, then after each axis. Negative crops.
    pub(crate) before: Vec<i64>,
    pub(crate) after: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Conv {
        window: Window,
        group: usize,
    },
    BatchNorm {
        epsilon: f32,
    },
    Relu,
    Sigmoid,
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    Clip {
        min: f32,
        max: f32,
    },
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Concat {
        axis: usize,
    },
    MaxPool {
        window: Window,
    },
    AveragePool {
        window: Window,
        count_include_pad: bool,
    },
    ReduceMean {
        axes: Vec<usize>,
        keepdims: bool,
    },
    Reshape,
    Transpose {
        perm: Vec<usize>,
    },
    /// `out[i] = in[start + i * step]` for `count` elements along `axis`.
    Slice {
        axis: usize,
        start: usize,
        step: usize,
        count: usize,
    },
    Gather {
        axis: usize,
        indices: Vec<usize>,
    },
    /// Constant padding of one axis; negative crops.
    Pad {
        before: Vec<i64>,
        after: Vec<i64>,
        value: f32,
    },
    Gemm {
        alpha: f32,
        beta: f32,
        trans_b: bool,
    },
    MatMul,
    Softmax {
        axis: usize,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Name of the operator in the file, for messages.
    pub(crate) source_op: String,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) output: ValueId,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
}

impl Graph {
    pub(crate) fn add_value(
        &mut self,
        name: String,
        shape: Vec<usize>,
        dtype: DType,
        constant: Option<Tensor>,
    ) -> ValueId {
        self.values.push(Value { name, shape, dtype, constant });
        ValueId(self.values.len() - 1)
    }

    pub(crate) fn add_constant(&mut self, name: String, tensor: Tensor) -> ValueId {
        self.add_value(name, tensor.shape.clone(), tensor.dtype(), Some(tensor))
    }

    pub(crate) fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    pub(crate) fn shape(&self, id: ValueId) -> &[usize] {
        &self.values[id.0].shape
    }

    pub(crate) fn constant(&self, id: ValueId) -> Option<&Tensor> {
        self.values[id.0].constant.as_ref()
    }

    pub(crate) fn constant_f32(&self, id: ValueId) -> Option<&[f32]> {
        self.constant(id)?.as_f32()
    }

    /// How many node inputs and graph outputs read each value.
    pub(crate) fn use_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.values.len()];
        for id in self.nodes.iter().flat_map(|n| &n.inputs).chain(&self.outputs) {
            counts[id.0] += 1;
        }
        counts
    }

    /// Removes the nodes whose results nobody reads.
    pub(crate) fn remove_dead_nodes(&mut self) {
        let mut live = vec![false; self.values.len()];
        self.outputs.iter().for_each(|id| live[id.0] = true);
        for node in self.nodes.iter().rev() {
            if live[node.output.0] {
                node.inputs.iter().for_each(|id| live[id.0] = true);
            }
        }
        self.nodes.retain(|node| live[node.output.0]);
    }

    pub(crate) fn node_ref(&self, node: &Node) -> NodeRef {
        NodeRef {
            name: node.name.clone(),
            op: node.source_op.clone(),
            shapes: node.inputs.iter().map(|&id| self.shape(id).to_vec()).collect(),
        }
    }

    pub(crate) fn node_error<T>(&self, node: &Node, reason: impl Into<String>) -> Result<T> {
        Err(CompileError::Node { node: self.node_ref(node), reason: reason.into() })
    }
}
