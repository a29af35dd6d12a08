//! Source networks with seeded random weights, in the form that a training framework exports.

use crate::onnx::*;
use crate::xorshift::Xorshift;
use prost::Message;

/// Number of logits of the test networks.
pub(super) const LABELS: usize = 5;

/// A value of a network under construction.
#[derive(Clone, Debug)]
pub(super) struct Val {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
}

/// The temporal padding of a convolution with a temporal stride of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// The convolution pads equally before and after the frames, so its window reads later frames.
    Symmetric,
    /// The convolution pads only before the frames.
    Left,
    /// A Pad node that precedes the convolution pads only before the frames.
    LeftPadNode,
    /// The convolution pads after the frames only as far as its window reads this number of later
    /// frames, also if it has a temporal stride.
    Reach(usize),
    /// There is no padding, because the input is already padded.
    None,
    /// The convolution pads `kernel - 1` frames both before and after the clip, and a Slice removes
    /// the last frames of the result.
    Chomp,
}

impl Padding {
    pub(super) fn is_causal(self) -> bool {
        self != Self::Symmetric
    }
}

/// A source network under construction. Most methods append a node and return its result.
pub(super) struct Source {
    pub(super) graph: GraphProto,
    random: Xorshift,
    count: usize,
}

impl Source {
    pub(super) fn new(seed: u32) -> Self {
        Self { graph: GraphProto::default(), random: Xorshift(seed.max(1)), count: 0 }
    }

    /// Returns the content of the ONNX file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
            graph: Some(self.graph.clone()),
            ..Default::default()
        }
        .encode_to_vec()
    }

    /// Returns the declaration of an input or output.
    fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
        let dim = |&d: &usize| DimensionProto { dim_value: Some(d as i64), dim_param: None };
        let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
        let tensor = TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(shape) };
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
    }

    pub(super) fn input(&mut self, name: &str, shape: &[usize]) -> Val {
        self.graph.input.push(Self::value_info(name, shape));
        Val { name: name.into(), shape: shape.to_vec() }
    }

    pub(super) fn output(&mut self, x: &Val) {
        self.graph.output.push(Self::value_info(&x.name, &x.shape));
    }

    /// Makes the first axis of all inputs and outputs dynamic.
    pub(super) fn make_batch_dynamic(&mut self) {
        for value in self.graph.input.iter_mut().chain(&mut self.graph.output) {
            let dims = value
                .r#type
                .as_mut()
                .and_then(|t| t.tensor_type.as_mut())
                .and_then(|t| t.shape.as_mut());
            if let Some(dim) = dims.and_then(|s| s.dim.first_mut()) {
                *dim = DimensionProto { dim_value: None, dim_param: Some("batch".into()) };
            }
        }
    }

    /// Appends a node whose result has the shape `shape`.
    pub(super) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        shape: Vec<usize>,
        attribute: Vec<AttributeProto>,
    ) -> Val {
        let name = format!("{}_{}", op.to_lowercase(), self.count);
        self.count += 1;
        self.graph.node.push(NodeProto {
            name: format!("/{name}"),
            op_type: op.into(),
            input: inputs.iter().map(|&s| s.to_owned()).collect(),
            output: vec![name.clone()],
            attribute,
            domain: String::new(),
        });
        Val { name, shape }
    }

    /// Adds a float constant and returns its name.
    pub(super) fn floats(&mut self, shape: &[usize], values: Vec<f32>) -> String {
        let name = format!("c{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: shape.iter().map(|&d| d as i64).collect(),
            data_type: data_type::FLOAT,
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into()),
            ..Default::default()
        });
        name
    }

    /// Adds a constant integer vector and returns its name.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        let name = format!("c{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: vec![values.len() as i64],
            data_type: data_type::INT64,
            int64_data: values.to_vec(),
            ..Default::default()
        });
        name
    }

    /// Adds a constant of random weights in the range from `offset - scale` to `offset + scale` and
    /// returns its name.
    pub(super) fn random(&mut self, shape: &[usize], scale: f32, offset: f32) -> String {
        let values = self.random.fill(shape.iter().product());
        self.floats(shape, values.into_iter().map(|v| v * scale + offset).collect())
    }

    /// Appends a convolution. With a spatial stride of 1, its padding keeps the height and width.
    pub(super) fn conv(
        &mut self,
        x: &Val,
        outputs: usize,
        kernel: [usize; 3],
        strides: [usize; 3],
        group: usize,
        padding: Padding,
    ) -> Val {
        let [kt, kh, kw] = kernel;
        let inputs = x.shape[1];
        let total = kt - 1;
        let (before, after) = match (padding, strides[0]) {
            (Padding::None, _) => (0, 0),
            (Padding::Reach(reach), _) => (total - reach.min(total), reach.min(total)),
            // A convolution with a temporal stride, such as a lateral connection, is always padded
            // symmetrically.
            (_, stride) if stride > 1 => (kt / 2, kt / 2),
            (Padding::Symmetric, _) => (kt / 2, kt / 2),
            (Padding::Left | Padding::LeftPadNode, _) => (total, 0),
            (Padding::Chomp, _) => (total, total),
        };
        let fan = (inputs / group * kt * kh * kw) as f32;
        let w = self.random(&[outputs, inputs / group, kt, kh, kw], 2.0 / fan.sqrt(), 0.0);
        let b = self.random(&[outputs], 0.3, 0.0);
        let mut x = x.clone();
        let (mut front, mut back) = (before, after);
        if padding == Padding::LeftPadNode && strides[0] == 1 && total > 0 {
            x = self.pad(&x, 2, before, after, 0.0);
            (front, back) = (0, 0);
        }
        let extent = |size: usize, pads: usize, k: usize, s: usize| (size + pads - k) / s + 1;
        let shape = vec![
            1,
            outputs,
            extent(x.shape[2], front + back, kt, strides[0]),
            extent(x.shape[3], kh / 2 * 2, kh, strides[1]),
            extent(x.shape[4], kw / 2 * 2, kw, strides[2]),
        ];
        let pads = [front, kh / 2, kw / 2, back, kh / 2, kw / 2];
        let attributes = vec![
            ints("kernel_shape", &kernel),
            ints("strides", &strides),
            ints("pads", &pads),
            int("group", group as i64),
        ];
        let frames = x.shape[2];
        let y = self.node("Conv", &[&x.name, &w, &b], shape, attributes);
        if padding == Padding::Chomp && strides[0] == 1 && total > 0 {
            self.slice(&y, 2, 0, frames, 1)
        } else {
            y
        }
    }

    pub(super) fn pad(
        &mut self,
        x: &Val,
        axis: usize,
        before: usize,
        after: usize,
        value: f32,
    ) -> Val {
        let mut pads = vec![0; 2 * x.shape.len()];
        pads[axis] = before as i64;
        pads[axis + x.shape.len()] = after as i64;
        let (pads, value) = (self.ints(&pads), self.floats(&[], vec![value]));
        let mut shape = x.shape.clone();
        shape[axis] += before + after;
        self.node("Pad", &[&x.name, &pads, &value], shape, vec![])
    }

    pub(super) fn slice(
        &mut self,
        x: &Val,
        axis: usize,
        start: usize,
        end: usize,
        step: usize,
    ) -> Val {
        let [s, e, a, t] = [start, end, axis, step].map(|v| self.ints(&[v as i64]));
        let mut shape = x.shape.clone();
        shape[axis] = (end - start).div_ceil(step);
        self.node("Slice", &[&x.name, &s, &e, &a, &t], shape, vec![])
    }

    pub(super) fn batch_norm(&mut self, x: &Val) -> Val {
        let c = x.shape[1];
        let names =
            [(0.5, 1.0), (0.3, 0.0), (0.3, 0.0), (0.4, 1.0)].map(|(s, o)| self.random(&[c], s, o));
        let inputs: Vec<&str> =
            std::iter::once(&x.name).chain(&names).map(String::as_str).collect();
        self.node("BatchNormalization", &inputs, x.shape.clone(), vec![])
    }

    pub(super) fn unary(&mut self, op: &str, x: &Val) -> Val {
        self.node(op, &[&x.name], x.shape.clone(), vec![])
    }

    pub(super) fn binary(&mut self, op: &str, a: &Val, b: &Val) -> Val {
        let shape = a.shape.iter().zip(&b.shape).map(|(&x, &y)| x.max(y)).collect();
        self.node(op, &[&a.name, &b.name], shape, vec![])
    }

    pub(super) fn concat(&mut self, parts: &[&Val], axis: usize) -> Val {
        let mut shape = parts[0].shape.clone();
        shape[axis] = parts.iter().map(|p| p.shape[axis]).sum();
        let names: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
        self.node("Concat", &names, shape, vec![int("axis", axis as i64)])
    }

    /// Appends a pool. `pads` contains the padding before each axis, followed by the padding after
    /// each axis.
    pub(super) fn pool(
        &mut self,
        op: &str,
        x: &Val,
        kernel: [usize; 3],
        strides: [usize; 3],
        pads: [usize; 6],
        include: bool,
    ) -> Val {
        let mut shape = x.shape.clone();
        for i in 0..3 {
            shape[i + 2] = (x.shape[i + 2] + pads[i] + pads[i + 3] - kernel[i]) / strides[i] + 1;
        }
        let mut attributes =
            vec![ints("kernel_shape", &kernel), ints("strides", &strides), ints("pads", &pads)];
        if op == "AveragePool" {
            attributes.push(int("count_include_pad", include.into()));
        }
        self.node(op, &[&x.name], shape, attributes)
    }

    pub(super) fn mean(&mut self, x: &Val, axes: &[usize], keepdims: bool) -> Val {
        let shape = (0..x.shape.len())
            .filter(|i| keepdims || !axes.contains(i))
            .map(|i| if axes.contains(&i) { 1 } else { x.shape[i] })
            .collect();
        self.node(
            "ReduceMean",
            &[&x.name],
            shape,
            vec![ints("axes", axes), int("keepdims", keepdims.into())],
        )
    }

    pub(super) fn flatten(&mut self, x: &Val) -> Val {
        let shape = vec![1, x.shape[1..].iter().product()];
        self.node("Flatten", &[&x.name], shape, vec![int("axis", 1)])
    }

    pub(super) fn transpose(&mut self, x: &Val, perm: &[usize]) -> Val {
        let shape = perm.iter().map(|&p| x.shape[p]).collect();
        self.node("Transpose", &[&x.name], shape, vec![ints("perm", perm)])
    }

    pub(super) fn gemm(&mut self, x: &Val, outputs: usize) -> Val {
        let w = self.random(&[outputs, x.shape[1]], 1.0, 0.0);
        let b = self.random(&[outputs], 1.0, 0.0);
        self.node("Gemm", &[&x.name, &w, &b], vec![x.shape[0], outputs], vec![int("transB", 1)])
    }

    /// Appends SlowFast's head, which concatenates the means of both pathways and projects them to
    /// the logits, and adds the logits as the output.
    pub(super) fn classify(&mut self, slow: &Val, fast: &Val, labels: usize) {
        let pooled = [self.mean(slow, &[2, 3, 4], true), self.mean(fast, &[2, 3, 4], true)];
        let both = self.concat(&[&pooled[0], &pooled[1]], 1);
        let flat = self.flatten(&both);
        let logits = self.gemm(&flat, labels);
        self.output(&logits);
    }

    pub(super) fn matmul(&mut self, x: &Val, outputs: usize) -> Val {
        let last = x.shape.len() - 1;
        let w = self.random(&[x.shape[last], outputs], 1.0, 0.0);
        let mut shape = x.shape.clone();
        shape[last] = outputs;
        self.node("MatMul", &[&x.name, &w], shape, vec![])
    }

    pub(super) fn reshape(&mut self, x: &Val, shape: &[usize]) -> Val {
        let sizes: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let sizes = self.ints(&sizes);
        self.node("Reshape", &[&x.name, &sizes], shape.to_vec(), vec![])
    }

    /// Splits an axis into parts with these sizes.
    pub(super) fn split(&mut self, x: &Val, axis: usize, sizes: &[usize]) -> Vec<Val> {
        let list: Vec<i64> = sizes.iter().map(|&d| d as i64).collect();
        let list = self.ints(&list);
        let shape = x.shape.clone();
        let first = self.node("Split", &[&x.name, &list], shape, vec![int("axis", axis as i64)]);
        let names: Vec<String> = (0..sizes.len()).map(|i| format!("{}_{i}", first.name)).collect();
        if let Some(node) = self.graph.node.last_mut() {
            node.output.clone_from(&names);
        }
        let part = |(name, &size): (String, &usize)| {
            let mut shape = x.shape.clone();
            shape[axis] = size;
            Val { name, shape }
        };
        names.into_iter().zip(sizes).map(part).collect()
    }

    pub(super) fn softmax(&mut self, x: &Val, axis: i64) -> Val {
        self.node("Softmax", &[&x.name], x.shape.clone(), vec![int("axis", axis)])
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: Some(value),
        r#type: attribute_type::INT,
        ..Default::default()
    }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f: Some(value),
        r#type: attribute_type::FLOAT,
        ..Default::default()
    }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    /// Value of `AttributeProto.type` for a text.
    const STRING: i32 = 3;
    AttributeProto {
        name: name.into(),
        s: Some(value.as_bytes().to_vec().into()),
        r#type: STRING,
        ..Default::default()
    }
}

pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values.iter().map(|&v| v as i64).collect(),
        r#type: attribute_type::INTS,
        ..Default::default()
    }
}
