//! The lowered graph: 4-D tensors `[T,C,H,W]`, frames as batch, only operators every target runtime has.
//!
//! Nodes are made through the constructors here and in `net/build.rs`; they infer shapes, reuse equal nodes and
//! merge slices and joins on the spot, so that a lowering rule can be written plainly and still leave no waste.

mod build;
mod joins;

use crate::tensor::{DType, Tensor};
use std::collections::HashMap;

/// Index of a value in [`Net::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NetId(pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) struct NetValue {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) constant: Option<Tensor>,
}

/// A float attribute, compared by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bits(pub(crate) u32);

impl From<f32> for Bits {
    fn from(value: f32) -> Self {
        Self(value.to_bits())
    }
}

impl Bits {
    pub(crate) fn value(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// A spatial window: kernel, strides, and pads as top, left, bottom, right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window2 {
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) pads: [usize; 4],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NetOp {
    Conv {
        window: Window2,
        group: usize,
    },
    MaxPool(Window2),
    AveragePool {
        window: Window2,
        count_include_pad: bool,
    },
    GlobalAveragePool,
    /// Mean over the frame axis, kept as 1.
    MeanFrames,
    /// Mean over any of the four axes, kept as 1.
    Mean(Vec<usize>),
    Relu,
    Sigmoid,
    HardSigmoid {
        alpha: Bits,
        beta: Bits,
    },
    Clip {
        min: Bits,
        max: Bits,
    },
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Concat(usize),
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
    /// Negative pads crop.
    Pad {
        before: [i64; 4],
        after: [i64; 4],
        value: Bits,
    },
    Reshape(Vec<usize>),
    Gemm,
    /// A constant matrix from the left on a matrix.
    MatMul,
    Transpose([usize; 4]),
    Softmax(usize),
    Cast(DType),
}

#[derive(Clone, Debug)]
pub(crate) struct NetNode {
    pub(crate) op: NetOp,
    pub(crate) inputs: Vec<NetId>,
    pub(crate) output: NetId,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Net {
    pub(crate) values: Vec<NetValue>,
    pub(crate) nodes: Vec<NetNode>,
    pub(crate) inputs: Vec<NetId>,
    /// Outputs with their names in the file.
    pub(crate) outputs: Vec<(String, NetId)>,
    /// Node that made each value.
    maker: HashMap<NetId, usize>,
    /// Nodes by what they compute.
    known: HashMap<(NetOp, Vec<NetId>), NetId>,
}

impl Net {
    pub(crate) fn shape(&self, id: NetId) -> &[usize] {
        &self.values[id.0].shape
    }

    pub(crate) fn constant(&self, id: NetId) -> Option<&Tensor> {
        self.values[id.0].constant.as_ref()
    }

    pub(crate) fn maker(&self, id: NetId) -> Option<&NetNode> {
        self.maker.get(&id).map(|&i| &self.nodes[i])
    }

    fn add_value(
        &mut self,
        name: String,
        shape: Vec<usize>,
        dtype: DType,
        constant: Option<Tensor>,
    ) -> NetId {
        self.values.push(NetValue { name, shape, dtype, constant });
        NetId(self.values.len() - 1)
    }

    /// A float32 graph input.
    pub(crate) fn input(&mut self, name: &str, shape: Vec<usize>) -> NetId {
        let id = self.add_value(name.to_owned(), shape, DType::F32, None);
        self.inputs.push(id);
        id
    }

    /// A constant under a short, unique name.
    pub(crate) fn tensor(&mut self, tensor: Tensor) -> NetId {
        let name = format!("w{}", self.values.len());
        self.add_value(name, tensor.shape.clone(), tensor.dtype(), Some(tensor))
    }

    pub(crate) fn output(&mut self, name: &str, id: NetId) {
        self.outputs.push((name.to_owned(), id));
    }

    /// Appends a node, or returns the value of an equal one.
    pub(crate) fn node(&mut self, op: NetOp, inputs: Vec<NetId>, shape: Vec<usize>, dtype: DType) -> NetId {
        let key = (op, inputs);
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        let name = format!("t{}", self.values.len());
        let output = self.add_value(name, shape, dtype, None);
        self.maker.insert(output, self.nodes.len());
        self.nodes.push(NetNode { op: key.0.clone(), inputs: key.1.clone(), output });
        self.known.insert(key, output);
        output
    }

    /// Removes nodes whose results nobody reads. Graph inputs stay.
    pub(crate) fn remove_dead_nodes(&mut self) {
        let mut live = vec![false; self.values.len()];
        self.outputs.iter().for_each(|(_, id)| live[id.0] = true);
        for node in self.nodes.iter().rev() {
            if live[node.output.0] {
                node.inputs.iter().for_each(|id| live[id.0] = true);
            }
        }
        self.nodes.retain(|node| live[node.output.0]);
        self.known.retain(|_, id| live[id.0]);
        self.maker = self.nodes.iter().enumerate().map(|(i, n)| (n.output, i)).collect();
    }
}
