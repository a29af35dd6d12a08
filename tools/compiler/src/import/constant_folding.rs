//! Constant folding, which evaluates nodes whose inputs are all constant.
//!
//! Folding removes the shape arithmetic that exporters leave in the file, such as Gather and Concat
//! on sizes.

use super::attributes::Attributes;
use super::constant_functions::{
    apply_function, choose, combine, gather_nd, reduce, repeat, scatter, standardise,
};
use super::constant_products::{evaluate_gemm, multiply};
use super::failure::{NodeResult, fail};
use super::initializer::decode_tensor;
use super::limits::{MAX_FILLED, MAX_FOLDED, MAX_RANGE, MAX_RANK};
use super::shapes::resolve_index;
use crate::onnx::{NodeProto, data_type};
use crate::tensor::{DType, Tensor, element_count};
use ndarray::{Array2, Axis, concatenate};

/// Returns the result of the node, or `None` if the compiler does not fold this operator for these
/// inputs.
pub(super) fn fold_node(proto: &NodeProto, inputs: &[&Tensor]) -> NodeResult<Option<Tensor>> {
    let attributes = Attributes::new(proto);
    let Some(&first) = inputs.first() else { return Ok(None) };
    if inputs.iter().any(|t| element_count(t.shape()).is_none_or(|n| n > MAX_FOLDED)) {
        return Ok(None);
    }
    let op = proto.op_type.as_str();
    Ok(match (op, inputs) {
        ("Cast", _) => Some(cast(first, attributes.int("to", 0)?)?),
        ("ConstantOfShape", _) => Some(fill_shape(&attributes, first)?),
        ("Concat", _) => concat(inputs, attributes.int("axis", 0)?),
        ("Gather", [data, indices]) => gather(data, indices, attributes.int("axis", 0)?),
        ("GatherND", [data, indices]) if attributes.int("batch_dims", 0)? == 0 => {
            gather_nd(data, indices)
        }
        ("Slice", _) => slice(inputs),
        ("Range", _) => list_range(inputs)?,
        ("Where", [condition, yes, no]) => choose(condition, yes, no)?,
        ("Expand" | "Tile", [x, target]) => match target.i64_elements() {
            Some(target) => repeat(op, x, target)?,
            None => None,
        },
        ("ScatterND", [data, indices, updates])
            if matches!(attributes.text("reduction"), b"" | b"none") =>
        {
            scatter(data, indices, updates)
        }
        ("MatMul", [a, b]) => multiply(a, b),
        ("Gemm", [a, b, rest @ ..]) => evaluate_gemm(&attributes, a, b, rest.first().copied())?,
        ("BatchNormalization", [x, scale, bias, ..]) => standardise(&attributes, x, scale, bias)?,
        ("Max" | "Min" | "Sum", [first, rest @ ..]) => {
            let op = if op == "Sum" { "Add" } else { op };
            let mut result = (*first).clone();
            for operand in rest {
                match combine(op, false, &result, operand)? {
                    Some(tensor) => result = tensor,
                    None => return Ok(None),
                }
            }
            Some(result)
        }
        (_, [x, rest @ ..]) if op.starts_with("Reduce") && rest.len() < 2 => match op {
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1"
            | "ReduceL2" | "ReduceSumSquare" => reduce(op, &attributes, x, rest.first().copied())?,
            _ => None,
        },
        (_, [a, b]) if is_binary(op) => combine(op, attributes.flag("fmod", false)?, a, b)?,
        (_, [x]) => apply_function(op, x),
        _ => None,
    })
}

/// Evaluates Clip, whose bounds are inputs or, before opset 11, attributes. Either may be missing.
pub(super) fn fold_clip(
    attributes: &Attributes,
    inputs: [Option<&Tensor>; 3],
) -> NodeResult<Option<Tensor>> {
    let [Some(x), low, high] = inputs else { return Ok(None) };
    let mut result = x.clone();
    for (op, name, bound) in [("Max", "min", low), ("Min", "max", high)] {
        let attribute = match attributes.get(name) {
            Some(_) => Some(Tensor::from(ndarray::arr0(attributes.float(name, 0.0)?))),
            None => None,
        };
        if let Some(bound) = bound.or(attribute.as_ref()) {
            match combine(op, false, &result, bound)? {
                Some(tensor) => result = tensor,
                None => return Ok(None),
            }
        }
    }
    Ok(Some(result))
}

/// Evaluates EyeLike, which depends on the shape and the type of its input only.
pub(super) fn fold_eye_like(
    attributes: &Attributes,
    shape: &[usize],
    dtype: DType,
) -> NodeResult<Tensor> {
    let &[rows, columns] = shape else { return fail("the input must be a matrix") };
    if element_count(shape).is_none_or(|n| n > MAX_FILLED) {
        return fail(format!("the matrix must have at most {MAX_FILLED} elements, got {shape:?}"));
    }
    let offset = attributes.int("k", 0)?;
    let matrix = Array2::from_shape_fn((rows, columns), |(row, column)| {
        i64::from((column as i64).checked_sub(row as i64) == Some(offset))
    });
    let default = if dtype == DType::F32 { data_type::FLOAT } else { data_type::INT64 };
    cast(&Tensor::from(matrix.into_dyn()), attributes.int("dtype", default.into())?)
}

/// Returns whether the operator computes each element from one element of each of two operands.
fn is_binary(op: &str) -> bool {
    matches!(
        op,
        "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Mod"
            | "Pow"
            | "And"
            | "Or"
            | "Xor"
            | "Equal"
            | "Greater"
            | "GreaterOrEqual"
            | "Less"
            | "LessOrEqual"
    )
}

fn cast(tensor: &Tensor, to: i64) -> NodeResult<Tensor> {
    let is = |types: &[i32]| types.iter().any(|&t| i64::from(t) == to);
    let to_float =
        is(&[data_type::FLOAT, data_type::FLOAT16, data_type::DOUBLE, data_type::BFLOAT16]);
    let to_int = is(&[data_type::INT64, data_type::INT32, data_type::INT8, data_type::UINT8]);
    let to_bool = is(&[data_type::BOOL]);
    Ok(match tensor {
        Tensor::F32(_) if to_float => tensor.clone(),
        Tensor::F32(x) if to_int => Tensor::from(x.mapv(|v| v as i64)),
        Tensor::F32(x) if to_bool => Tensor::from(x.mapv(|v| i64::from(v != 0.0))),
        Tensor::I64(x) if to_float => Tensor::from(x.mapv(|v| v as f32)),
        Tensor::I64(_) if to_int => tensor.clone(),
        Tensor::I64(x) if to_bool => Tensor::from(x.mapv(|v| i64::from(v != 0))),
        _ => {
            return fail(format!(
                "a constant can be cast to a float type, an integer type or bool, got element type {to}"
            ));
        }
    })
}

/// Evaluates ConstantOfShape.
fn fill_shape(attributes: &Attributes, shape: &Tensor) -> NodeResult<Tensor> {
    let Some(sizes) = shape.i64_elements() else {
        return fail("the shape must be an integer tensor");
    };
    let Ok(shape) = sizes.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>() else {
        return fail(format!("the shape {sizes:?} has a negative size"));
    };
    let Some(count) = element_count(&shape).filter(|&n| n <= MAX_FILLED && shape.len() <= MAX_RANK)
    else {
        return fail(format!(
            "the shape must have at most {MAX_RANK} axes and {MAX_FILLED} elements, got {shape:?}"
        ));
    };
    let value = match attributes.get("value").and_then(|a| a.t.as_ref()) {
        None => Tensor::new(&[1], vec![0.0f32]),
        Some(proto) => decode_tensor(proto, &mut Default::default()).ok(),
    };
    let filled = match &value {
        Some(Tensor::F32(x)) if x.len() == 1 => {
            x.first().and_then(|&value| Tensor::new(&shape, vec![value; count]))
        }
        Some(Tensor::I64(x)) if x.len() == 1 => {
            x.first().and_then(|&value| Tensor::new(&shape, vec![value; count]))
        }
        _ => return fail("the attribute value must be a tensor with one element"),
    };
    filled.map_or_else(|| fail(format!("the shape {shape:?} is too large")), Ok)
}

/// Evaluates Concat on tensors of one type.
fn concat(inputs: &[&Tensor], axis: i64) -> Option<Tensor> {
    let axis = Axis(resolve_index(axis, inputs.first()?.shape().len())?);
    let total = inputs
        .iter()
        .try_fold(0usize, |n, t| n.checked_add(element_count(t.shape())?))
        .filter(|&total| total <= MAX_FOLDED);
    total?;
    if inputs.iter().any(|t| t.shape().len() <= axis.index()) {
        return None;
    }
    let integers: Option<Vec<_>> = inputs.iter().map(|t| t.i64_view()).collect();
    if let Some(parts) = integers {
        return concatenate(axis, &parts).ok().map(Tensor::from);
    }
    let floats: Option<Vec<_>> = inputs.iter().map(|t| t.f32_view()).collect();
    concatenate(axis, &floats?).ok().map(Tensor::from)
}

/// Selects elements along an axis. Returns `None` if the result would be empty or too large.
fn select(tensor: &Tensor, axis: usize, indices: &[usize]) -> Option<Tensor> {
    let mut shape = tensor.shape().to_vec();
    *shape.get_mut(axis)? = indices.len();
    element_count(&shape).filter(|&n| n <= MAX_FOLDED)?;
    tensor.select(axis, indices)
}

fn gather(data: &Tensor, indices: &Tensor, axis: i64) -> Option<Tensor> {
    let axis = resolve_index(axis, data.shape().len())?;
    let size = *data.shape().get(axis)?;
    let resolved = indices
        .i64_elements()?
        .iter()
        .map(|&i| resolve_index(i, size))
        .collect::<Option<Vec<_>>>()?;
    let (front, back) = (data.shape().get(..axis)?, data.shape().get(axis + 1..)?);
    select(data, axis, &resolved)?.reshape(&[front, indices.shape(), back].concat())
}

/// Evaluates Slice with positive or negative steps. Exporters use a negative step to reverse a list
/// of pads.
fn slice(inputs: &[&Tensor]) -> Option<Tensor> {
    let [data, starts, ends, rest @ ..] = inputs else { return None };
    let (starts, ends) = (starts.i64_elements()?, ends.i64_elements()?);
    let axes = match rest.first() {
        Some(axes) => axes.i64_elements()?.to_vec(),
        None => (0..i64::try_from(starts.len()).ok()?).collect(),
    };
    let steps = match rest.get(1) {
        Some(steps) => steps.i64_elements()?.to_vec(),
        None => vec![1; starts.len()],
    };
    let mut result = (*data).clone();
    for (((&start, &end), &axis), &step) in starts.iter().zip(ends).zip(&axes).zip(&steps) {
        let axis = resolve_index(axis, result.shape().len())?;
        let size = i64::try_from(*result.shape().get(axis)?).ok().filter(|&n| n > 0)?;
        let from_end = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
        let (low, high) = if step > 0 { (0, size) } else { (-1, size.checked_sub(1)?) };
        let (mut at, end) =
            (from_end(start).clamp(low.max(0), high), from_end(end).clamp(low, high));
        let mut indices = Vec::new();
        while (step > 0 && at < end) || (step < 0 && at > end) {
            indices.push(usize::try_from(at).ok()?);
            at = at.checked_add(step)?;
        }
        result = select(&result, axis, &indices)?;
    }
    Some(result)
}

/// Evaluates Range on integers. Exporters use Range to create lists of indices.
fn list_range(inputs: &[&Tensor]) -> NodeResult<Option<Tensor>> {
    let numbers: Option<Vec<i64>> =
        inputs.iter().map(|t| t.i64_elements().and_then(|v| v.first().copied())).collect();
    let Some(&[start, limit, step]) = numbers.as_deref() else { return Ok(None) };
    let (mut value, mut values) = (start, Vec::new());
    while (step > 0 && value < limit) || (step < 0 && value > limit) {
        values.push(value);
        match value.checked_add(step) {
            Some(next) if values.len() < MAX_RANGE => value = next,
            _ => return fail(format!("a range must have fewer than {MAX_RANGE} numbers")),
        }
    }
    Ok(Some(Tensor::vector(values)))
}
