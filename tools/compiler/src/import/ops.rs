//! One ONNX node to typed nodes, with shape inference.

use super::Importer;
use super::attributes::Attributes;
use super::evaluate::evaluate;
use super::tensors::{self, ExternalData};
use crate::error::CompileError;
use crate::graph::{Op, ValueId, Window};
use crate::onnx::{NodeProto, data_type};
use crate::tensor::{DType, Tensor, volume};

/// Most elements a Slice may keep of an axis.
const MAX_SLICE: usize = 1 << 16;

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
        return Ok(importer.constant(proto, tensor));
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
struct Node<'a> {
    importer: &'a mut Importer,
    proto: &'a NodeProto,
    attributes: Attributes<'a>,
    inputs: &'a [Option<ValueId>],
    /// The first input.
    x: ValueId,
}

impl Node<'_> {
    fn convert(mut self) -> Converted<ValueId> {
        let activation = self.importer.graph.value(self.x).dtype == DType::F32;
        let renames = matches!(self.proto.op_type.as_str(), "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze");
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

    fn emit(&mut self, op: Op, inputs: Vec<ValueId>, shape: Vec<usize>) -> Converted<ValueId> {
        self.importer.emit(self.proto, op, inputs, shape)
    }

    fn shape(&self, id: ValueId) -> &[usize] {
        self.importer.graph.shape(id)
    }

    fn scalar(&mut self, value: f32) -> ValueId {
        let tensor = Tensor { shape: vec![], data: crate::tensor::Data::F32(vec![value].into()) };
        self.importer.graph.add_constant(String::new(), tensor)
    }

    fn input(&self, index: usize, what: &str) -> Converted<ValueId> {
        match self.inputs.get(index) {
            Some(&Some(id)) => Ok(id),
            _ => fail(format!("its input {index} ({what}) is missing")),
        }
    }

    fn optional(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    /// Integers given as constant input `index`; `None` where that input is absent.
    fn ints(&self, index: usize, what: &str) -> Converted<Option<Vec<i64>>> {
        let Some(id) = self.optional(index) else { return Ok(None) };
        match self.importer.graph.constant(id).and_then(Tensor::as_i64) {
            Some(ints) => Ok(Some(ints.to_vec())),
            None => fail(format!("{what} must be a constant integer tensor")),
        }
    }

    /// A constant float scalar input.
    fn float(&self, index: usize, default: f32) -> Converted<f32> {
        let Some(id) = self.optional(index) else { return Ok(default) };
        match self.importer.graph.constant_f32(id) {
            Some([value]) => Ok(*value),
            _ => fail(format!("its input {index} must be a constant number")),
        }
    }

    fn axis(&self, axis: i64, rank: usize) -> Converted<usize> {
        let resolved = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        match resolved.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < rank) {
            Some(axis) => Ok(axis),
            None => fail(format!("axis {axis} does not exist in {rank} axes")),
        }
    }

    fn axes(&self, axes: &[i64], rank: usize) -> Converted<Vec<usize>> {
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
        if self.importer.graph.constant_f32(w).is_none() {
            return fail("its weights must be constant floats");
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

    fn reduce_mean(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let axes = match self.ints(1, "axes")? {
            Some(axes) => axes,
            None => self.attributes.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
        };
        let axes = self.axes(&axes, shape.len())?;
        let keepdims = self.attributes.int("keepdims", 1)? != 0;
        let axes = match (axes.is_empty(), self.attributes.int("noop_with_empty_axes", 0)?) {
            (true, 0) => (0..shape.len()).collect(),
            (true, _) => return Ok(self.x),
            (false, _) => axes,
        };
        let out = reduced(&shape, &axes, keepdims);
        self.emit(Op::ReduceMean { axes, keepdims }, vec![self.x], out)
    }

    fn rename(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let axes = match self.ints(1, "axes")? {
            Some(axes) => Some(axes),
            None => self.attributes.ints("axes").map(<[i64]>::to_vec),
        };
        let out = match self.proto.op_type.as_str() {
            "Flatten" => {
                let axis = self.attributes.int("axis", 1)?;
                let axis =
                    if axis == shape.len() as i64 { shape.len() } else { self.axis(axis, shape.len())? };
                let (left, right) = shape.split_at(axis);
                vec![volume(left).unwrap_or(0), volume(right).unwrap_or(0)]
            }
            "Squeeze" => {
                let all = || shape.iter().enumerate().filter(|(_, d)| **d == 1).map(|(i, _)| i).collect();
                let axes: Vec<usize> = axes.map_or_else(|| Ok(all()), |a| self.axes(&a, shape.len()))?;
                if axes.iter().any(|&a| shape.get(a) != Some(&1)) {
                    return fail("squeezes an axis that is longer than 1");
                }
                reduced(&shape, &axes, false)
            }
            "Unsqueeze" => {
                let axes = axes.unwrap_or_default();
                let rank = shape.len() + axes.len();
                if rank > super::MAX_RANK {
                    return fail("makes too many axes");
                }
                let axes = self.axes(&axes, rank)?;
                let mut dims = shape.iter();
                (0..rank)
                    .filter_map(|i| if axes.contains(&i) { Some(1) } else { dims.next().copied() })
                    .collect()
            }
            _ => self.reshape_target(&shape)?,
        };
        if let Some(constant) = self.importer.graph.constant(self.x) {
            return match constant.reshaped(out) {
                Some(tensor) => Ok(self.importer.constant(self.proto, tensor)),
                None => fail("the element count changes"),
            };
        }
        if volume(&out) != volume(&shape) {
            return fail(format!("cannot become {out:?}: the element count changes"));
        }
        self.emit(Op::Reshape, vec![self.x], out)
    }

    fn reshape_target(&self, shape: &[usize]) -> Converted<Vec<usize>> {
        let Some(target) = self.ints(1, "the target shape")? else { return fail("has no target shape") };
        let allow_zero = self.attributes.int("allowzero", 0)? != 0;
        if target.len() > super::MAX_RANK || (allow_zero && target.contains(&0)) {
            return fail("has too many axes, or an empty one");
        }
        let mut out = Vec::new();
        let mut rest = None;
        for (i, &dim) in target.iter().enumerate() {
            out.push(match (dim, usize::try_from(dim)) {
                (0, _) => shape.get(i).copied().unwrap_or(0),
                (-1, _) if rest.is_none() => {
                    rest = Some(i);
                    1
                }
                (_, Ok(size)) => size,
                _ => return fail(format!("target shape {target:?} is not valid")),
            });
        }
        if let Some(slot) = rest.and_then(|i| out.get(i).is_some().then_some(i)) {
            let known = volume(&out).unwrap_or(0);
            let inferred = volume(shape).and_then(|n| n.checked_div(known)).unwrap_or(0);
            if let Some(size) = out.get_mut(slot) {
                *size = inferred;
            }
        }
        Ok(out)
    }

    fn transpose(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let perm = match self.attributes.ints("perm") {
            Some(perm) => perm.iter().map(|&a| self.axis(a, shape.len())).collect::<Converted<Vec<_>>>()?,
            None => (0..shape.len()).rev().collect(),
        };
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if sorted != (0..shape.len()).collect::<Vec<_>>() {
            return fail(format!("{perm:?} is no permutation of its axes"));
        }
        if let Some(constant) = self.importer.graph.constant(self.x) {
            return match constant.transposed(&perm) {
                Some(tensor) => Ok(self.importer.constant(self.proto, tensor)),
                None => fail("cannot transpose the constant"),
            };
        }
        let out = perm.iter().filter_map(|&p| shape.get(p).copied()).collect();
        self.emit(Op::Transpose { perm }, vec![self.x], out)
    }

    fn slice(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let (Some(starts), Some(ends)) = (self.ints(1, "starts")?, self.ints(2, "ends")?) else {
            return fail("needs starts and ends");
        };
        let axes = self.ints(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.ints(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return fail("starts, ends, axes and steps differ in length");
        }
        self.axes(&axes, shape.len())?;
        let mut id = self.x;
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let axis = self.axis(axis, shape.len())?;
            let size = shape.get(axis).copied().unwrap_or(0) as i64;
            let clamp = |v: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(0, size);
            let (start, end) = (clamp(start), clamp(end));
            if step < 1 {
                return fail("a negative step is not supported");
            }
            if (start, end, step) == (0, size, 1) {
                continue;
            }
            let count = ((end - start).max(0) as u64).div_ceil(step as u64) as usize;
            if count > MAX_SLICE {
                return fail("slices of more than 65536 elements are not supported");
            }
            let (start, step) = (start as usize, step as usize);
            let indices: Vec<usize> =
                (0..count).map(|i| start.saturating_add(i.saturating_mul(step))).collect();
            id = self.take(id, axis, &indices)?;
        }
        Ok(id)
    }

    /// Elements `indices` along `axis`; all are in range.
    fn take(&mut self, id: ValueId, axis: usize, indices: &[usize]) -> Converted<ValueId> {
        let mut shape = self.shape(id).to_vec();
        let size = shape.get(axis).copied().unwrap_or(0);
        if indices.iter().copied().eq(0..size) {
            return Ok(id);
        }
        if let Some(constant) = self.importer.graph.constant(id) {
            let ints = match (shape.len(), constant.as_i64()) {
                (1, Some(values)) => indices.iter().filter_map(|&i| values.get(i).copied()).collect(),
                _ => return fail("slicing a constant is supported for integer vectors only"),
            };
            return Ok(self.importer.constant(self.proto, Tensor::ints(ints)));
        }
        if let Some(slot) = shape.get_mut(axis) {
            *slot = indices.len();
        }
        let start = indices.first().copied().unwrap_or(0);
        let step =
            indices.get(1).and_then(|&second| second.checked_sub(start)).filter(|&s| s > 0).unwrap_or(1);
        let even =
            indices.iter().enumerate().all(|(i, &v)| v == start.saturating_add(i.saturating_mul(step)));
        let op = match even {
            true => Op::Slice { axis, start, step, count: indices.len() },
            false => Op::Gather { axis, indices: indices.to_vec() },
        };
        self.emit(op, vec![id], shape)
    }

    fn gather(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        let axis = self.axis(self.attributes.int("axis", 0)?, shape.len())?;
        let size = shape.get(axis).copied().unwrap_or(0);
        let index_id = self.input(1, "indices")?;
        let picks = self.shape(index_id).to_vec();
        let Some(indices) = self.ints(1, "indices")? else { return fail("has no indices") };
        if indices.len() > MAX_SLICE {
            return fail("picks more than 65536 elements");
        }
        let indices = indices.iter().map(|&i| self.axis(i, size)).collect::<Converted<Vec<_>>>()?;
        let taken = self.take(self.x, axis, &indices)?;
        if picks.len() == 1 {
            return Ok(taken);
        }
        // The axes of the indices take the place of the axis picked from.
        let (front, back) = (shape.get(..axis), shape.get(axis + 1..));
        let out = [front.unwrap_or_default(), &picks, back.unwrap_or_default()].concat();
        self.emit(Op::Reshape, vec![taken], out)
    }

    fn pad(&mut self) -> Converted<ValueId> {
        let shape = self.shape(self.x).to_vec();
        if !matches!(self.attributes.text("mode"), b"" | b"constant") {
            return fail("only constant padding is supported");
        }
        let Some(pads) = self.ints(1, "pads")? else { return fail("has no pads") };
        let value = self.float(2, 0.0)?;
        let axes = match self.ints(3, "axes")? {
            Some(axes) => axes.iter().map(|&a| self.axis(a, shape.len())).collect::<Converted<Vec<_>>>()?,
            None => (0..shape.len()).collect(),
        };
        if pads.len() != 2 * axes.len() || pads.iter().any(|p| p.unsigned_abs() >= 1 << 16) {
            return fail(format!("pads {pads:?} need two numbers per axis below 65536"));
        }
        let (mut before, mut after) = (vec![0i64; shape.len()], vec![0i64; shape.len()]);
        let (first, last) = pads.split_at(axes.len());
        for ((&axis, &b), &a) in axes.iter().zip(first).zip(last) {
            if let (Some(slot_b), Some(slot_a)) = (before.get_mut(axis), after.get_mut(axis)) {
                (*slot_b, *slot_a) = (b, a);
            }
        }
        let sizes = shape.iter().zip(before.iter().zip(&after));
        let out = sizes.map(|(&d, (b, a))| (d as i64 + b + a).max(0) as usize).collect();
        if before.iter().chain(&after).all(|&p| p == 0) {
            return Ok(self.x);
        }
        self.emit(Op::Pad { before, after, value }, vec![self.x], out)
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
        let (Some(last), &[depth, columns]) = (out.last_mut(), w.as_slice()) else {
            return fail("needs an input and a weight matrix");
        };
        if *last != depth || self.importer.graph.constant_f32(b).is_none() {
            return fail("its weights must be constant and fit the input");
        }
        *last = columns;
        self.emit(Op::MatMul, vec![self.x, b], out)
    }
}

/// `shape` with `axes` reduced to 1 or removed.
fn reduced(shape: &[usize], axes: &[usize], keepdims: bool) -> Vec<usize> {
    let one = |(i, &d): (usize, &usize)| match (axes.contains(&i), keepdims) {
        (false, _) => Some(d),
        (true, true) => Some(1),
        (true, false) => None,
    };
    shape.iter().enumerate().filter_map(one).collect()
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
