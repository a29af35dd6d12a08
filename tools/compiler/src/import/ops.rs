//! One ONNX node to typed nodes, with shape inference.

use super::Importer;
use super::attributes::Attributes;
use super::axes::reduced;
use super::evaluate::evaluate;
use super::tensors::{self, ExternalData};
use crate::error::CompileError;
use crate::graph::{Op, ValueId, Window};
use crate::onnx::{NodeProto, data_type};
use crate::tensor::{DType, Tensor};

/// Why a node cannot be converted; the caller adds which node it is.
pub(super) enum Failure {
    Reason(String),
    Error(CompileError),
}

pub(super) type Converted<T> = Result<T, Failure>;

pub(super) fn fail<T>(reason: impl Into<String>) -> Converted<T> {
    Err(Failure::Reason(reason.into()))
}

/// Shape of the result of an elementwise op on two shapes.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(Some(1), |j| s.get(j).copied());
    (0..rank)
        .map(|i| match (at(a, i)?, at(b, i)?) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Appends what `proto` computes to the graph and returns its first output.
pub(super) fn convert(
    importer: &mut Importer,
    proto: &NodeProto,
    inputs: &[Option<ValueId>],
    external: &mut ExternalData,
) -> Converted<ValueId> {
    if !(proto.domain.is_empty() || proto.domain == "ai.onnx") {
        return fail(format!("operators of domain \"{}\" are not supported", proto.domain));
    }
    let attributes = Attributes(proto);
    if proto.op_type == "Constant" {
        let tensor = constant(&attributes, external)?;
        return Ok(importer.constant(proto, tensor));
    }
    let Some(&Some(x)) = inputs.first() else { return fail("its first input is missing") };
    if proto.op_type == "Shape" {
        let tensor = shape_of(&attributes, importer.graph.shape(x))?;
        return Ok(importer.constant(proto, tensor));
    }
    let constants: Vec<&Tensor> =
        inputs.iter().flatten().filter_map(|&id| importer.graph.constant(id)).collect();
    if constants.len() == inputs.len()
        && let Some(tensor) = evaluate(proto, &constants)?
    {
        return importer.computed(proto, tensor);
    }
    Node { importer, proto, attributes, inputs, x }.convert()
}

fn constant(attributes: &Attributes, external: &mut ExternalData) -> Converted<Tensor> {
    if let Some(proto) = attributes.get("value").and_then(|a| a.t.as_ref()) {
        return tensors::decode(proto, external).map_err(Failure::Error);
    }
    if let Some(ints) = attributes.ints("value_ints") {
        return Ok(Tensor::ints(ints.to_vec()));
    }
    let tensor = if let Some(i) = attributes.get("value_int").and_then(|a| a.i) {
        Tensor::i64(vec![], vec![i])
    } else if let Some(f) = attributes.get("value_float").and_then(|a| a.f) {
        Tensor::f32(vec![], vec![f])
    } else if let Some(a) = attributes.get("value_floats") {
        Tensor::f32(vec![a.floats.len()], a.floats.clone())
    } else {
        None
    };
    tensor.map_or_else(|| fail("holds no value of a supported type"), Ok)
}

fn shape_of(attributes: &Attributes, shape: &[usize]) -> Converted<Tensor> {
    let rank = shape.len() as i64;
    let clamp = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let (start, end) = (clamp(attributes.int("start", 0)?), clamp(attributes.int("end", rank)?));
    let part = shape.get(start..end.max(start)).unwrap_or_default();
    Ok(Tensor::ints(part.iter().map(|&d| d as i64).collect()))
}

/// One node under conversion.
pub(super) struct Node<'a> {
    pub(super) importer: &'a mut Importer,
    pub(super) proto: &'a NodeProto,
    pub(super) attributes: Attributes<'a>,
    inputs: &'a [Option<ValueId>],
    /// The first input.
    pub(super) x: ValueId,
}

impl Node<'_> {
    fn convert(mut self) -> Converted<ValueId> {
        let activation = self.importer.graph.value(self.x).dtype == DType::F32;
        let renames = matches!(
            self.proto.op_type.as_str(),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose"
        );
        if !activation && !renames && !matches!(self.proto.op_type.as_str(), "Slice" | "Identity") {
            return fail("integer values are supported in shape arithmetic only");
        }
        let shape = self.shape(self.x).to_vec();
        match self.proto.op_type.as_str() {
            "Identity" | "Dropout" => Ok(self.x),
            "Cast" => self.cast(),
            "Conv" => self.conv(),
            "BatchNormalization" => self.batch_norm(),
            "Relu" => self.emit(Op::Relu, vec![self.x], shape),
            "Sigmoid" => self.emit(Op::Sigmoid, vec![self.x], shape),
            "HardSigmoid" => {
                let (alpha, beta) =
                    (self.attributes.float("alpha", 0.2)?, self.attributes.float("beta", 0.5)?);
                self.emit(Op::HardSigmoid { alpha, beta }, vec![self.x], shape)
            }
            "HardSwish" => {
                let gate = Op::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
                let gate = self.emit(gate, vec![self.x], shape.clone())?;
                self.emit(Op::Mul, vec![self.x, gate], shape)
            }
            "Swish" => {
                let scaled = match self.attributes.float("alpha", 1.0)? {
                    1.0 => self.x,
                    alpha => {
                        let alpha = self.scalar(alpha);
                        self.emit(Op::Mul, vec![self.x, alpha], shape.clone())?
                    }
                };
                let gate = self.emit(Op::Sigmoid, vec![scaled], shape.clone())?;
                self.emit(Op::Mul, vec![self.x, gate], shape)
            }
            "Clip" => self.clip(),
            "Add" => self.elementwise(Op::Add),
            "Sub" => self.elementwise(Op::Sub),
            "Mul" => self.elementwise(Op::Mul),
            "Div" => self.elementwise(Op::Div),
            "Max" if self.inputs.len() == 2 => self.elementwise(Op::Max),
            "Concat" => self.concat(),
            "MaxPool" => {
                let (window, out) = self.window(None)?;
                self.emit(Op::MaxPool { window }, vec![self.x], out)
            }
            "AveragePool" => {
                let count_include_pad = self.attributes.int("count_include_pad", 0)? != 0;
                let (window, out) = self.window(None)?;
                self.emit(Op::AveragePool { window, count_include_pad }, vec![self.x], out)
            }
            "GlobalAveragePool" => {
                let axes: Vec<usize> = (2..shape.len()).collect();
                let out = reduced(&shape, &axes, true);
                self.emit(Op::ReduceMean { axes, keepdims: true }, vec![self.x], out)
            }
            "ReduceMean" => self.reduce_mean(),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.rename(),
            "Transpose" => self.transpose(),
            "Slice" => self.slice(),
            "Gather" => self.gather(),
            "Pad" => self.pad(),
            "Gemm" => self.gemm(),
            "MatMul" => self.matmul(),
            "Softmax" => {
                let axis = self.axis(self.attributes.int("axis", -1)?, shape.len())?;
                self.emit(Op::Softmax { axis }, vec![self.x], shape)
            }
            other => fail(format!("the compiler does not support the operator {other}")),
        }
    }

    pub(super) fn emit(&mut self, op: Op, inputs: Vec<ValueId>, shape: Vec<usize>) -> Converted<ValueId> {
        let weights: usize =
            inputs.iter().filter_map(|&id| self.importer.graph.constant_f32(id)).map(<[f32]>::len).sum();
        match self.importer.weights_left.checked_sub(weights) {
            Some(left) => self.importer.weights_left = left,
            None => return fail("the network has more than 134 million weights, counting shared ones again"),
        }
        self.importer.emit(self.proto, op, inputs, shape)
    }

    pub(super) fn shape(&self, id: ValueId) -> &[usize] {
        self.importer.graph.shape(id)
    }

    fn scalar(&mut self, value: f32) -> ValueId {
        let tensor = Tensor { shape: vec![], data: crate::tensor::Data::F32(vec![value].into()) };
        self.importer.graph.add_constant(String::new(), tensor)
    }

    pub(super) fn input(&self, index: usize, what: &str) -> Converted<ValueId> {
        match self.inputs.get(index) {
            Some(&Some(id)) => Ok(id),
            _ => fail(format!("its input {index} ({what}) is missing")),
        }
    }

    fn optional(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    /// Integers given as constant input `index`; `None` where that input is absent.
    pub(super) fn ints(&self, index: usize, what: &str) -> Converted<Option<Vec<i64>>> {
        let Some(id) = self.optional(index) else { return Ok(None) };
        match self.importer.graph.constant(id).and_then(Tensor::as_i64) {
            Some(ints) => Ok(Some(ints.to_vec())),
            None => fail(format!("{what} must be a constant integer tensor")),
        }
    }

    /// A constant float scalar input.
    pub(super) fn float(&self, index: usize, default: f32) -> Converted<f32> {
        let Some(id) = self.optional(index) else { return Ok(default) };
        match self.importer.graph.constant_f32(id) {
            Some([value]) => Ok(*value),
            _ => fail(format!("its input {index} must be a constant number")),
        }
    }

    pub(super) fn axis(&self, axis: i64, rank: usize) -> Converted<usize> {
        let resolved = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        match resolved.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < rank) {
            Some(axis) => Ok(axis),
            None => fail(format!("axis {axis} does not exist in {rank} axes")),
        }
    }

    pub(super) fn axes(&self, axes: &[i64], rank: usize) -> Converted<Vec<usize>> {
        let mut axes = axes.iter().map(|&a| self.axis(a, rank)).collect::<Converted<Vec<_>>>()?;
        axes.sort_unstable();
        let count = axes.len();
        axes.dedup();
        if axes.len() == count { Ok(axes) } else { fail("names an axis twice") }
    }

    fn cast(&mut self) -> Converted<ValueId> {
        let to = self.attributes.int("to", 0)?;
        match [data_type::FLOAT, data_type::FLOAT16, data_type::DOUBLE].map(i64::from).contains(&to) {
            true => Ok(self.x),
            false => fail(format!("cast of an activation to element type {to} is not supported")),
        }
    }

    /// The window of a Conv or pool and the result's shape. `channels` replaces axis 1.
    fn window(&self, conv: Option<(&[usize], usize)>) -> Converted<(Window, Vec<usize>)> {
        let shape = self.shape(self.x);
        let Some(spatial) = shape.get(2..).filter(|s| !s.is_empty() && s.len() <= 3) else {
            return fail("needs one to three axes after batch and channels");
        };
        let rank = spatial.len();
        if !matches!(self.attributes.text("auto_pad"), b"" | b"NOTSET" | b"VALID") {
            return fail("auto_pad is not supported; export with explicit pads");
        }
        if self.attributes.sizes("dilations", rank, 1)?.iter().any(|&d| d != 1) {
            return fail("only dilation 1 is supported");
        }
        let kernel = match conv {
            Some((kernel, _)) => kernel.to_vec(),
            None => self.attributes.sizes("kernel_shape", rank, 0)?,
        };
        if kernel.len() != rank || kernel.contains(&0) {
            return fail(format!("a kernel of shape {kernel:?} does not fit {rank} spatial axes"));
        }
        let strides = self.attributes.sizes("strides", rank, 1)?;
        let pads = self.attributes.ints("pads").map_or_else(|| vec![0; 2 * rank], <[i64]>::to_vec);
        if pads.len() != 2 * rank || pads.iter().any(|p| !(0..1 << 16).contains(p)) {
            return fail(format!("pads {pads:?} need {} numbers from 0 to 65535", 2 * rank));
        }
        let (before, after) = pads.split_at(rank);
        let window = Window { kernel, strides, before: before.to_vec(), after: after.to_vec() };
        let mut out = shape.get(..2).unwrap_or_default().to_vec();
        let ceil = self.attributes.int("ceil_mode", 0)? != 0;
        for axis in 0..rank {
            out.push(window_extent(spatial, &window, axis, ceil)?);
        }
        if let (Some((_, channels)), Some(slot)) = (conv, out.get_mut(1)) {
            *slot = channels;
        }
        Ok((window, out))
    }

    fn conv(&mut self) -> Converted<ValueId> {
        let w = self.input(1, "weights")?;
        let weights = self.shape(w).to_vec();
        // Weights that a package transforms are no constants here; to compile, they must be.
        if self.importer.graph.value(w).dtype != DType::F32 {
            return fail("its weights must be floats");
        }
        let (Some(&outputs), Some(&per_group), Some(kernel)) =
            (weights.first(), weights.get(1), weights.get(2..))
        else {
            return fail("its weights have too few axes");
        };
        let group = usize::try_from(self.attributes.int("group", 1)?).unwrap_or(0);
        let channels = self.shape(self.x).get(1).copied().unwrap_or(0);
        if group == 0 || per_group.checked_mul(group) != Some(channels) || !outputs.is_multiple_of(group) {
            return fail(format!(
                "weights {weights:?} in {group} groups do not fit {channels} input channels"
            ));
        }
        let (window, out) = self.window(Some((kernel, outputs)))?;
        let mut inputs = vec![self.x, w];
        if let Some(b) = self.optional(2) {
            if self.importer.graph.constant_f32(b).map(<[f32]>::len) != Some(outputs) {
                return fail("its bias must be constant, one number per output channel");
            }
            inputs.push(b);
        }
        self.emit(Op::Conv { window, group }, inputs, out)
    }

    fn batch_norm(&mut self) -> Converted<ValueId> {
        let epsilon = self.attributes.float("epsilon", 1e-5)?;
        if self.attributes.int("training_mode", 0)? != 0 {
            return fail("is in training mode; export the model in evaluation mode");
        }
        let shape = self.shape(self.x).to_vec();
        let channels = shape.get(1).copied().unwrap_or(0);
        let mut inputs = vec![self.x];
        for (index, what) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
            let id = self.input(index, what)?;
            if self.importer.graph.constant_f32(id).map(<[f32]>::len) != Some(channels) {
                return fail(format!("its {what} must be constant, one number per channel"));
            }
            inputs.push(id);
        }
        self.emit(Op::BatchNorm { epsilon }, inputs, shape)
    }

    fn clip(&mut self) -> Converted<ValueId> {
        let (min, max) = (self.float(1, f32::MIN)?, self.float(2, f32::MAX)?);
        let shape = self.shape(self.x).to_vec();
        self.emit(Op::Clip { min, max }, vec![self.x], shape)
    }

    fn elementwise(&mut self, op: Op) -> Converted<ValueId> {
        let y = self.input(1, "second operand")?;
        if self.importer.graph.value(y).dtype != DType::F32 {
            return fail("mixes floats and integers");
        }
        match broadcast(self.shape(self.x), self.shape(y)) {
            Some(shape) => self.emit(op, vec![self.x, y], shape),
            None => fail("its shapes do not broadcast"),
        }
    }

    fn concat(&mut self) -> Converted<ValueId> {
        let mut shape = self.shape(self.x).to_vec();
        let axis = self.axis(self.attributes.int("axis", 0)?, shape.len())?;
        let mut inputs = vec![self.x];
        for index in 1..self.inputs.len() {
            let id = self.input(index, "operand")?;
            let other = self.shape(id);
            let fits = other.len() == shape.len()
                && other.iter().zip(&shape).enumerate().all(|(i, (a, b))| i == axis || a == b)
                && self.importer.graph.value(id).dtype == DType::F32;
            let sum = shape.get(axis).zip(other.get(axis)).and_then(|(a, b)| a.checked_add(*b));
            match (fits, sum, shape.get_mut(axis)) {
                (true, Some(sum), Some(slot)) => *slot = sum,
                _ => return fail("its inputs differ in other axes than the one they are joined on"),
            }
            inputs.push(id);
        }
        match inputs.len() {
            1 => Ok(self.x),
            _ => self.emit(Op::Concat { axis }, inputs, shape),
        }
    }

    fn gemm(&mut self) -> Converted<ValueId> {
        let b = self.input(1, "weights")?;
        let (x, w) = (self.shape(self.x).to_vec(), self.shape(b).to_vec());
        let trans_b = self.attributes.int("transB", 0)? != 0;
        if self.attributes.int("transA", 0)? != 0 {
            return fail("transA is not supported");
        }
        let (&[rows, inner], &[w0, w1]) = (x.as_slice(), w.as_slice()) else {
            return fail("needs two matrices");
        };
        let (depth, columns) = if trans_b { (w1, w0) } else { (w0, w1) };
        if depth != inner || self.importer.graph.constant_f32(b).is_none() {
            return fail("its weights must be constant and fit the input");
        }
        let mut inputs = vec![self.x, b];
        if let Some(c) = self.optional(2) {
            if self.importer.graph.constant_f32(c).map(<[f32]>::len) != Some(columns) {
                return fail("its bias must be constant, one number per output");
            }
            inputs.push(c);
        }
        let (alpha, beta) = (self.attributes.float("alpha", 1.0)?, self.attributes.float("beta", 1.0)?);
        self.emit(Op::Gemm { alpha, beta, trans_b }, inputs, vec![rows, columns])
    }

    fn matmul(&mut self) -> Converted<ValueId> {
        let b = self.input(1, "weights")?;
        let (mut out, w) = (self.shape(self.x).to_vec(), self.shape(b).to_vec());
        let out_rank = out.len();
        let (Some(last), &[depth, columns]) = (out.last_mut(), w.as_slice()) else {
            return fail("needs an input and a weight matrix");
        };
        // A package also multiplies by a constant from the left.
        let constant = |id| self.importer.graph.constant_f32(id).is_some();
        if *last != depth || !(constant(b) || constant(self.x) && out_rank == 2) {
            return fail("its weights must be constant and fit the input");
        }
        *last = columns;
        self.emit(Op::MatMul, vec![self.x, b], out)
    }
}

/// Positions a window takes along one axis.
fn window_extent(spatial: &[usize], window: &Window, axis: usize, ceil: bool) -> Converted<usize> {
    let at = |v: &[usize]| v.get(axis).copied().unwrap_or(1);
    let pad = |v: &[i64]| v.get(axis).copied().unwrap_or(0).max(0) as usize;
    let (kernel, stride) = (at(&window.kernel), at(&window.strides));
    let padded = at(spatial).saturating_add(pad(&window.before)).saturating_add(pad(&window.after));
    let Some(room) = padded.checked_sub(kernel) else {
        return fail(format!("kernel {kernel} is larger than the padded axis of {padded}"));
    };
    if ceil && !room.is_multiple_of(stride) {
        return fail("ceil_mode changes its result; export with ceil_mode off");
    }
    Ok(room / stride + 1)
}
