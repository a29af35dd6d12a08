//! The types of the lowered graph.

use crate::kept::KeptOp;
use crate::tensor::{DType, Tensor};
use std::collections::HashMap;

/// Index of a value in [`LoweredGraph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LoweredId(pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) struct LoweredValue {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    /// The elements, if the value is a constant.
    pub(crate) constant: Option<Tensor>,
}

/// A float attribute, stored as its bits so that operators can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FloatBits(u32);

impl From<f32> for FloatBits {
    fn from(value: f32) -> Self {
        Self(value.to_bits())
    }
}

impl FloatBits {
    pub(crate) fn value(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// A function of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Function {
    Abs,
    Elu(FloatBits),
    Erf,
    Exp,
    LeakyRelu(FloatBits),
    Log,
    Softplus,
    Sqrt,
    Tanh,
}

impl Function {
    /// Returns the ONNX operator and the value of its attribute `alpha`, if it has one.
    pub(crate) fn operator(self) -> (&'static str, Option<f32>) {
        match self {
            Self::Abs => ("Abs", None),
            Self::Elu(alpha) => ("Elu", Some(alpha.value())),
            Self::Erf => ("Erf", None),
            Self::Exp => ("Exp", None),
            Self::LeakyRelu(alpha) => ("LeakyRelu", Some(alpha.value())),
            Self::Log => ("Log", None),
            Self::Softplus => ("Softplus", None),
            Self::Sqrt => ("Sqrt", None),
            Self::Tanh => ("Tanh", None),
        }
    }
}

/// A window over height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window2d {
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilations: [usize; 2],
    /// Padding at the top, left, bottom and right, in the order of the ONNX attribute `pads`.
    pub(crate) pads: [usize; 4],
}

impl Window2d {
    /// The window that covers one pixel.
    pub(crate) const POINT: Self =
        Self { kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0; 4] };

    pub(crate) fn is_point(&self) -> bool {
        *self == Self::POINT
    }

    /// Returns the output's height and width. A size is zero if the window is larger than the
    /// padded input along that axis.
    pub(crate) fn output_size(&self, height: usize, width: usize) -> [usize; 2] {
        let [top, left, bottom, right] = self.pads;
        let positions = |size: usize, axis: usize| {
            let covered = (self.kernel[axis] - 1) * self.dilations[axis] + 1;
            size.checked_sub(covered).map_or(0, |room| room / self.strides[axis] + 1)
        };
        [positions(height + top + bottom, 0), positions(width + left + right, 1)]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LoweredOp {
    Conv {
        window: Window2d,
        group: usize,
    },
    MaxPool(Window2d),
    AveragePool {
        window: Window2d,
        count_include_pad: bool,
    },
    GlobalAveragePool,
    /// Mean over the given axes, which remain in the shape with size 1.
    Mean(Vec<usize>),
    /// Maximum over the given axes, which remain in the shape with size 1.
    ReduceMax(Vec<usize>),
    Relu,
    Sigmoid,
    HardSigmoid {
        alpha: FloatBits,
        beta: FloatBits,
    },
    Clip {
        min: FloatBits,
        max: FloatBits,
    },
    Function(Function),
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    /// Concatenation along the given axis.
    Concat(usize),
    /// Every `step`-th element of `start..end` along `axis`.
    Slice {
        axis: usize,
        start: usize,
        end: usize,
        step: usize,
    },
    Gather {
        axis: usize,
        indices: Vec<usize>,
    },
    /// Padding of each axis with `value`. A negative entry of `before` or `after` crops the axis.
    Pad {
        before: Vec<i64>,
        after: Vec<i64>,
        value: FloatBits,
    },
    Reshape(Vec<usize>),
    Gemm,
    MatMul,
    /// Permutation of the axes. Entry `i` is the input axis that becomes axis `i` of the result.
    Transpose(Vec<usize>),
    Softmax(usize),
    LogSoftmax(usize),
    Cast(DType),
    /// An operator that the package contains as it is in the source.
    Kept(KeptOp),
}

#[derive(Clone, Debug)]
pub(crate) struct LoweredNode {
    pub(crate) op: LoweredOp,
    pub(crate) inputs: Vec<LoweredId>,
    pub(crate) output: LoweredId,
}

/// A state of the step graph: a graph input whose value for the next step is a graph output.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// The value of every element at the start of a segment.
    pub(crate) initial: f32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LoweredGraph {
    pub(crate) values: Vec<LoweredValue>,
    pub(crate) nodes: Vec<LoweredNode>,
    pub(crate) inputs: Vec<LoweredId>,
    /// Outputs with their names in the file.
    pub(crate) outputs: Vec<(String, LoweredId)>,
    /// States in the order of their inputs. A clip graph has no states.
    pub(crate) states: Vec<State>,
    /// Index of the node that computes each value.
    producers: HashMap<LoweredId, usize>,
    /// Result of each node, by operator and inputs.
    results: HashMap<(LoweredOp, Vec<LoweredId>), LoweredId>,
}

impl LoweredGraph {
    pub(crate) fn shape(&self, id: LoweredId) -> &[usize] {
        &self.values[id.0].shape
    }

    pub(crate) fn dtype(&self, id: LoweredId) -> DType {
        self.values[id.0].dtype
    }

    pub(crate) fn constant(&self, id: LoweredId) -> Option<&Tensor> {
        self.values[id.0].constant.as_ref()
    }

    /// Returns the node that computes a value, or `None` for a graph input or a constant.
    pub(crate) fn producer(&self, id: LoweredId) -> Option<&LoweredNode> {
        self.producers.get(&id).map(|&i| &self.nodes[i])
    }

    fn add_value(
        &mut self,
        name: String,
        shape: Vec<usize>,
        dtype: DType,
        constant: Option<Tensor>,
    ) -> LoweredId {
        self.values.push(LoweredValue { name, shape, dtype, constant });
        LoweredId(self.values.len() - 1)
    }

    /// Adds a float32 graph input.
    pub(crate) fn add_input(&mut self, name: &str, shape: Vec<usize>) -> LoweredId {
        let id = self.add_value(name.to_owned(), shape, DType::F32, None);
        self.inputs.push(id);
        id
    }

    /// Adds a constant with a short, unique name.
    pub(crate) fn add_constant(&mut self, tensor: Tensor) -> LoweredId {
        let name = format!("w{}", self.values.len());
        self.add_value(name, tensor.shape().to_vec(), tensor.dtype(), Some(tensor))
    }

    /// Adds an output with its name in the file.
    pub(crate) fn add_output(&mut self, name: &str, id: LoweredId) {
        self.outputs.push((name.to_owned(), id));
    }

    /// Returns the result of a node with this operator and these inputs. The node is appended
    /// unless an equal node already exists.
    pub(crate) fn add_node(
        &mut self,
        op: LoweredOp,
        inputs: Vec<LoweredId>,
        shape: Vec<usize>,
        dtype: DType,
    ) -> LoweredId {
        let key = (op, inputs);
        if let Some(&id) = self.results.get(&key) {
            return id;
        }
        let output = self.add_result(shape, dtype);
        self.producers.insert(output, self.nodes.len());
        self.nodes.push(LoweredNode { op: key.0.clone(), inputs: key.1.clone(), output });
        self.results.insert(key, output);
        output
    }

    /// Adds a value for the result of a node that the caller will append.
    pub(super) fn add_result(&mut self, shape: Vec<usize>, dtype: DType) -> LoweredId {
        let name = format!("t{}", self.values.len());
        self.add_value(name, shape, dtype, None)
    }

    /// Removes nodes whose results are not used. Unused graph inputs are kept.
    pub(crate) fn remove_dead_nodes(&mut self) {
        let mut is_live = vec![false; self.values.len()];
        self.outputs.iter().for_each(|(_, id)| is_live[id.0] = true);
        for node in self.nodes.iter().rev() {
            if is_live[node.output.0] {
                node.inputs.iter().for_each(|id| is_live[id.0] = true);
            }
        }
        self.nodes.retain(|node| is_live[node.output.0]);
        self.results.retain(|_, id| is_live[id.0]);
        self.producers = self.nodes.iter().enumerate().map(|(i, n)| (n.output, i)).collect();
    }
}
