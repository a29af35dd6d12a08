//! Constant folding, which evaluates nodes whose inputs are all constant.
//!
//! Folding removes the shape arithmetic that exporters leave in the file, such as Gather and Concat
//! on sizes.

use super::attributes::Attributes;
use super::failure::{NodeResult, fail};
use super::initializer::decode_tensor;
use super::limits::{MAX_FOLDED, MAX_RANGE, MAX_RANK};
use super::shapes::{broadcast_shapes, resolve_index};
use crate::onnx::{NodeProto, data_type};
use crate::tensor::{Tensor, element_count};
use ndarray::{ArcArray, ArrayD, Axis, IxDyn, concatenate};

/// Returns the result of the node, or `None` if the compiler does not fold this operator for these
/// inputs.
pub(super) fn fold_node(proto: &NodeProto, inputs: &[&Tensor]) -> NodeResult<Option<Tensor>> {
    let attributes = Attributes::new(proto);
    let (Some(&first), second) = (inputs.first(), inputs.get(1).copied()) else { return Ok(None) };
    if inputs.iter().any(|t| element_count(t.shape()).is_none_or(|n| n > MAX_FOLDED)) {
        return Ok(None);
    }
    Ok(match (proto.op_type.as_str(), second) {
        ("Cast", _) => Some(cast(first, attributes.int("to", 0)?)?),
        ("Sqrt", _) => match first {
            Tensor::F32(x) => Some(Tensor::from(x.mapv(f32::sqrt))),
            Tensor::I64(_) => None,
        },
        ("Neg", _) => Some(match first {
            Tensor::F32(x) => Tensor::from(x.mapv(|v| -v)),
            Tensor::I64(x) => Tensor::from(x.mapv(i64::wrapping_neg)),
        }),
        ("Add" | "Sub" | "Mul" | "Div", Some(second)) => {
            Some(combine(&proto.op_type, first, second)?)
        }
        ("ConstantOfShape", _) => Some(fill_shape(&attributes, first)?),
        ("Concat", _) => concat_vectors(inputs),
        ("Gather", Some(indices)) => gather(first, indices, attributes.int("axis", 0)?),
        ("Slice", _) => slice(inputs),
        ("Range", _) => list_range(inputs)?,
        _ => None,
    })
}

fn cast(tensor: &Tensor, to: i64) -> NodeResult<Tensor> {
    let to_float =
        [data_type::FLOAT, data_type::FLOAT16, data_type::DOUBLE].map(i64::from).contains(&to);
    let to_int = [data_type::INT64, data_type::INT32, data_type::BOOL].map(i64::from).contains(&to);
    Ok(match tensor {
        Tensor::F32(_) if to_float => tensor.clone(),
        Tensor::F32(x) if to_int => Tensor::from(x.mapv(|v| v as i64)),
        Tensor::I64(x) if to_float => Tensor::from(x.mapv(|v| v as f32)),
        Tensor::I64(_) if to_int => tensor.clone(),
        _ => {
            return fail(format!(
                "a constant can be cast to a float type, int32, int64 or bool, got element type {to}"
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
    let Some(count) = element_count(&shape).filter(|&n| n <= MAX_FOLDED && shape.len() <= MAX_RANK)
    else {
        return fail(format!(
            "the shape must have at most {MAX_RANK} axes and {MAX_FOLDED} elements, got {shape:?}"
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

/// Concatenates integer vectors, which occur in shape arithmetic.
fn concat_vectors(inputs: &[&Tensor]) -> Option<Tensor> {
    let mut vectors = Vec::with_capacity(inputs.len());
    for tensor in inputs {
        match tensor {
            Tensor::I64(vector) if vector.ndim() == 1 => vectors.push(vector.view()),
            _ => return None,
        }
    }
    let total = vectors.iter().try_fold(0usize, |n, v| n.checked_add(v.len()))?;
    if total > MAX_FOLDED {
        return None;
    }
    concatenate(Axis(0), &vectors).ok().map(Tensor::from)
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

/// Evaluates elementwise arithmetic with broadcasting.
fn combine(op: &str, a: &Tensor, b: &Tensor) -> NodeResult<Tensor> {
    let Some(shape) = broadcast_shapes(a.shape(), b.shape()) else {
        return fail(format!("the shapes {:?} and {:?} do not broadcast", a.shape(), b.shape()));
    };
    if element_count(&shape).is_none_or(|n| n == 0 || n > MAX_FOLDED) {
        return fail(format!(
            "the result must have 1 to {MAX_FOLDED} elements, got the shape {shape:?}"
        ));
    }
    let result = match (a, b) {
        (Tensor::F32(x), Tensor::F32(y)) => broadcast_with(x, y, shape, |p, q| {
            Some(match op {
                "Add" => p + q,
                "Sub" => p - q,
                "Mul" => p * q,
                _ => p / q,
            })
        })
        .map(Tensor::from),
        (Tensor::I64(x), Tensor::I64(y)) => broadcast_with(x, y, shape, |p, q| match op {
            "Add" => p.checked_add(q),
            "Sub" => p.checked_sub(q),
            "Mul" => p.checked_mul(q),
            _ => p.checked_div(q),
        })
        .map(Tensor::from),
        _ => return fail("one operand is an integer tensor and the other a float tensor"),
    };
    result.map_or_else(|| fail("the integer arithmetic overflows or divides by zero"), Ok)
}

/// Applies `f` to the elements of two arrays whose shapes broadcast to `shape`. Returns `None` if
/// `f` returns `None` for any pair of elements.
fn broadcast_with<A: Copy>(
    x: &ArcArray<A, IxDyn>,
    y: &ArcArray<A, IxDyn>,
    shape: Vec<usize>,
    f: impl Fn(A, A) -> Option<A>,
) -> Option<ArrayD<A>> {
    let (x, y) = (x.broadcast(shape.as_slice())?, y.broadcast(shape.as_slice())?);
    let elements = x.iter().zip(&y).map(|(&p, &q)| f(p, q)).collect::<Option<Vec<A>>>()?;
    ArrayD::from_shape_vec(shape, elements).ok()
}
