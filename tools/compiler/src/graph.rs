//! The source graph with typed operators. The module `import` builds the graph, and the later
//! passes read and rewrite it.
//!
//! Nodes are in execution order, every shape is static, and each value has one producer. Flatten,
//! Squeeze and Unsqueeze are all represented as `Reshape`. Identity, Dropout and Constant have no
//! nodes in this graph.

use crate::error::{CompileError, NodeRef, Result};
use crate::kept::KeptOp;
use crate::lowered::Function;
use crate::tensor::{DType, Tensor};

/// Index of a value in [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ValueId(pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    /// The elements, if the value is a constant.
    pub(crate) constant: Option<Tensor>,
}

/// A window that slides over all axes of a value except batch and channels. Each vector has one
/// entry for each axis over which the window slides.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) kernel: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    /// Distance between two elements of the kernel. A pool has only ones.
    pub(crate) dilations: Vec<usize>,
    /// Padding at the start of each axis. A negative number crops the axis.
    pub(crate) before: Vec<i64>,
    /// Padding at the end of each axis. A negative number crops the axis.
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
    /// Any other function of each element.
    Function(Function),
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
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
    ReduceMax {
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
    /// Padding with the constant `value`. `before` and `after` have one entry for each axis, and a
    /// negative entry crops the axis.
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
    LogSoftmax {
        axis: usize,
    },
    /// The value of the frame before, `[T,F]`, and zeros for the first frame. The operand shows
    /// only the axis of the frames; [`Graph::states`] contains the value that is delayed.
    Previous,
    /// An operator that the package contains as it is in the source.
    Kept(KeptOp),
}

/// The form of recurrent layers that run forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recurrence {
    /// The products of each frame of the clip.
    Unrolled,
    /// The products of all frames, with states.
    Stateful,
}

/// A value that a frame reads from the frame before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecurrentState {
    /// Result of the node with [`Op::Previous`].
    pub(crate) previous: ValueId,
    /// The value that the next frame reads.
    pub(crate) next: ValueId,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Operator in the source file, for messages.
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
    /// Values that recurrent layers carry from frame to frame.
    pub(crate) states: Vec<RecurrentState>,
    /// Inputs that contain pixels from 0 to 255 as bytes.
    pub(crate) byte_inputs: Vec<ValueId>,
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
        self.add_value(name, tensor.shape().to_vec(), tensor.dtype(), Some(tensor))
    }

    pub(crate) fn rename(&mut self, id: ValueId, name: &str) {
        self.values[id.0].name = name.to_owned();
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

    /// Returns the elements of a float constant in row-major order, and `None` for any other value.
    pub(crate) fn constant_f32(&self, id: ValueId) -> Option<&[f32]> {
        self.constant(id)?.f32_elements()
    }

    /// Returns, for each value, the number of node inputs and graph outputs that read it.
    pub(crate) fn count_uses(&self) -> Vec<usize> {
        let mut counts = vec![0; self.values.len()];
        let states = self.states.iter().map(|state| &state.next);
        for id in self.nodes.iter().flat_map(|n| &n.inputs).chain(&self.outputs).chain(states) {
            counts[id.0] += 1;
        }
        counts
    }

    /// Removes the nodes whose results are not used.
    pub(crate) fn remove_dead_nodes(&mut self) {
        let mut is_live = vec![false; self.values.len()];
        self.outputs.iter().for_each(|id| is_live[id.0] = true);
        loop {
            for node in self.nodes.iter().rev() {
                if is_live[node.output.0] {
                    node.inputs.iter().for_each(|id| is_live[id.0] = true);
                }
            }
            // A state that is read needs its value in the next frame.
            let is_new =
                |state: &&RecurrentState| is_live[state.previous.0] && !is_live[state.next.0];
            let next: Vec<ValueId> =
                self.states.iter().filter(is_new).map(|state| state.next).collect();
            if next.is_empty() {
                break;
            }
            next.into_iter().for_each(|id| is_live[id.0] = true);
        }
        self.nodes.retain(|node| is_live[node.output.0]);
        self.states.retain(|state| is_live[state.previous.0]);
    }

    /// Returns the description of `node` for an error message.
    pub(crate) fn node_ref(&self, node: &Node) -> NodeRef {
        NodeRef {
            name: node.name.clone(),
            op: node.source_op.clone(),
            shapes: node.inputs.iter().map(|&id| self.shape(id).to_vec()).collect(),
        }
    }

    /// Returns a [`CompileError::Node`] that describes `node`.
    pub(crate) fn fail_node<T>(&self, node: &Node, reason: impl Into<String>) -> Result<T> {
        Err(CompileError::Node { node: self.node_ref(node), reason: reason.into() })
    }
}
