//! Evaluation of nodes whose inputs are all constant.

use super::attributes::Attributes;
use super::ops::{Converted, fail};
use crate::onnx::{NodeProto, data_type};
use crate::tensor::{Data, Tensor, volume};
use std::sync::Arc;

/// Most elements a computed constant may have.
const MAX_COMPUTED: usize = 1 << 18;
/// Most numbers of a range.
const MAX_RANGE: usize = 1 << 16;

/// The node's value, or `None` where this op is not one the compiler evaluates.
pub(super) fn evaluate(proto: &NodeProto, inputs: &[&Tensor]) -> Converted<Option<Tensor>> {
    let attributes = Attributes(proto);
    let (Some(&first), second) = (inputs.first(), inputs.get(1).copied()) else { return Ok(None) };
    if inputs.iter().any(|t| volume(&t.shape).is_none_or(|n| n > MAX_COMPUTED)) {
        return Ok(None);
    }
    Ok(match (proto.op_type.as_str(), second) {
        ("Cast", _) => Some(cast(first, attributes.int("to", 0)?)?),
        ("Sqrt", _) => map_f32(first, f32::sqrt),
        ("Neg", _) => match &first.data {
            Data::F32(_) => map_f32(first, |v| -v),
            Data::I64(v) => Tensor::i64(first.shape.clone(), v.iter().map(|v| v.wrapping_neg()).collect()),
        },
        ("Add" | "Sub" | "Mul" | "Div", Some(second)) => binary(&proto.op_type, first, second)?,
        ("ConstantOfShape", _) => Some(constant_of_shape(&attributes, first)?),
        ("Concat", _) => concat_ints(inputs),
        ("Gather", Some(indices)) => gather(first, indices, attributes.int("axis", 0)?),
        ("Slice", _) => slice(inputs),
        ("Range", _) => range(inputs)?,
        _ => None,
    })
}

fn map_f32(tensor: &Tensor, f: impl Fn(f32) -> f32) -> Option<Tensor> {
    Tensor::f32(tensor.shape.clone(), tensor.as_f32()?.iter().map(|&v| f(v)).collect())
}

fn cast(tensor: &Tensor, to: i64) -> Converted<Tensor> {
    let float = [data_type::FLOAT, data_type::FLOAT16, data_type::DOUBLE].map(i64::from).contains(&to);
    let int = [data_type::INT64, data_type::INT32, data_type::BOOL].map(i64::from).contains(&to);
    let data = match (&tensor.data, float, int) {
        (Data::F32(v), true, _) => Data::F32(v.clone()),
        (Data::F32(v), _, true) => Data::I64(Arc::new(v.iter().map(|&v| v as i64).collect())),
        (Data::I64(v), true, _) => Data::F32(Arc::new(v.iter().map(|&v| v as f32).collect())),
        (Data::I64(v), _, true) => Data::I64(v.clone()),
        _ => return fail(format!("cast to element type {to} is not supported")),
    };
    Ok(Tensor { shape: tensor.shape.clone(), data })
}

fn constant_of_shape(attributes: &Attributes, shape: &Tensor) -> Converted<Tensor> {
    let Some(dims) = shape.as_i64() else { return fail("its shape is no integer tensor") };
    let dims: Vec<usize> = dims.iter().filter_map(|&d| usize::try_from(d).ok()).collect();
    let count = volume(&dims).filter(|&n| n <= MAX_COMPUTED && dims.len() <= super::MAX_RANK);
    let Some(count) = count else { return fail("its shape is too large") };
    let value = attributes.get("value").and_then(|a| a.t.as_ref());
    let filled = match value {
        None => Tensor::f32(dims, vec![0.0; count]),
        Some(proto) => match super::tensors::decode(proto, &mut Default::default()) {
            Ok(Tensor { data: Data::F32(v), .. }) if v.len() == 1 => {
                Tensor::f32(dims, vec![v.first().copied().unwrap_or(0.0); count])
            }
            Ok(Tensor { data: Data::I64(v), .. }) if v.len() == 1 => {
                Tensor::i64(dims, vec![v.first().copied().unwrap_or(0); count])
            }
            _ => return fail("its value is no single number"),
        },
    };
    filled.map_or_else(|| fail("its shape is negative"), Ok)
}

/// Concatenation of integer vectors along their only axis, as in shape arithmetic.
fn concat_ints(inputs: &[&Tensor]) -> Option<Tensor> {
    let mut all = Vec::new();
    for tensor in inputs {
        if tensor.shape.len() != 1 {
            return None;
        }
        all.extend_from_slice(tensor.as_i64()?);
    }
    (all.len() <= MAX_COMPUTED).then(|| Tensor::ints(all))
}

/// The elements at `indices` along `axis`.
fn select(tensor: &Tensor, axis: usize, indices: &[usize]) -> Option<Tensor> {
    let inner = volume(tensor.shape.get(axis + 1..)?)?;
    let outer = volume(tensor.shape.get(..axis)?)?;
    let size = *tensor.shape.get(axis)?;
    let mut shape = tensor.shape.clone();
    *shape.get_mut(axis)? = indices.len();
    let count = volume(&shape).filter(|&n| n <= MAX_COMPUTED && n > 0)?;
    let mut order = Vec::with_capacity(count);
    for o in 0..outer {
        for &index in indices.iter().filter(|&&i| i < size) {
            let start = (o * size + index) * inner;
            order.extend(start..start + inner);
        }
    }
    match &tensor.data {
        Data::F32(v) => Tensor::f32(shape, order.iter().filter_map(|&i| v.get(i).copied()).collect()),
        Data::I64(v) => Tensor::i64(shape, order.iter().filter_map(|&i| v.get(i).copied()).collect()),
    }
}

/// Counts an axis or index from the end where it is negative.
fn resolve(value: i64, size: usize) -> Option<usize> {
    let value = if value < 0 { value.checked_add(i64::try_from(size).ok()?)? } else { value };
    usize::try_from(value).ok().filter(|&v| v < size)
}

fn gather(data: &Tensor, indices: &Tensor, axis: i64) -> Option<Tensor> {
    let axis = resolve(axis, data.shape.len())?;
    let size = *data.shape.get(axis)?;
    let picks = indices.as_i64()?.iter().map(|&i| resolve(i, size)).collect::<Option<Vec<_>>>()?;
    let shape = [data.shape.get(..axis)?, &indices.shape, data.shape.get(axis + 1..)?].concat();
    select(data, axis, &picks)?.reshaped(shape)
}

/// Slice with steps of either sign, as exporters use it to turn a list of pads around.
fn slice(inputs: &[&Tensor]) -> Option<Tensor> {
    let [data, starts, ends, rest @ ..] = inputs else { return None };
    let (starts, ends) = (starts.as_i64()?, ends.as_i64()?);
    let axes = match rest.first() {
        Some(axes) => axes.as_i64()?.to_vec(),
        None => (0..i64::try_from(starts.len()).ok()?).collect(),
    };
    let steps = match rest.get(1) {
        Some(steps) => steps.as_i64()?.to_vec(),
        None => vec![1; starts.len()],
    };
    let mut result = (*data).clone();
    for (((&start, &end), &axis), &step) in starts.iter().zip(ends).zip(&axes).zip(&steps) {
        let axis = resolve(axis, result.shape.len())?;
        let size = i64::try_from(*result.shape.get(axis)?).ok().filter(|&n| n > 0)?;
        let from_end = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
        let (low, high) = if step > 0 { (0, size) } else { (-1, size.checked_sub(1)?) };
        let (mut at, end) = (from_end(start).clamp(low.max(0), high), from_end(end).clamp(low, high));
        let mut indices = Vec::new();
        while (step > 0 && at < end) || (step < 0 && at > end) {
            indices.push(usize::try_from(at).ok()?);
            at = at.checked_add(step)?;
        }
        result = select(&result, axis, &indices)?;
    }
    Some(result)
}

/// A run of integers, as index lists are exported.
fn range(inputs: &[&Tensor]) -> Converted<Option<Tensor>> {
    let numbers: Option<Vec<i64>> =
        inputs.iter().map(|t| t.as_i64().and_then(|v| v.first().copied())).collect();
    let Some(&[start, limit, step]) = numbers.as_deref() else { return Ok(None) };
    let (mut value, mut values) = (start, Vec::new());
    while (step > 0 && value < limit) || (step < 0 && value > limit) {
        values.push(value);
        match value.checked_add(step) {
            Some(next) if values.len() < MAX_RANGE => value = next,
            _ => return fail("is a range of more than 65536 numbers"),
        }
    }
    Ok(Some(Tensor::ints(values)))
}

/// Elementwise arithmetic with broadcasting.
fn binary(op: &str, a: &Tensor, b: &Tensor) -> Converted<Option<Tensor>> {
    let Some(shape) = super::ops::broadcast(&a.shape, &b.shape) else {
        return fail("shapes do not broadcast");
    };
    let Some(count) = volume(&shape).filter(|&n| n <= MAX_COMPUTED) else {
        return fail("its result is too large");
    };
    if count == 0 {
        return fail("its result is empty");
    }
    let (ia, ib) = (offsets(&a.shape, &shape, count), offsets(&b.shape, &shape, count));
    let pairs = ia.into_iter().zip(ib);
    Ok(match (&a.data, &b.data) {
        (Data::F32(x), Data::F32(y)) => {
            let apply = |(i, j): (usize, usize)| {
                let (p, q) = (*x.get(i)?, *y.get(j)?);
                Some(match op {
                    "Add" => p + q,
                    "Sub" => p - q,
                    "Mul" => p * q,
                    _ => p / q,
                })
            };
            pairs.map(apply).collect::<Option<Vec<_>>>().and_then(|v| Tensor::f32(shape, v))
        }
        (Data::I64(x), Data::I64(y)) => {
            let apply = |(i, j): (usize, usize)| {
                let (p, q) = (*x.get(i)?, *y.get(j)?);
                match op {
                    "Add" => p.checked_add(q),
                    "Sub" => p.checked_sub(q),
                    "Mul" => p.checked_mul(q),
                    _ => p.checked_div(q),
                }
            };
            match pairs.map(apply).collect::<Option<Vec<_>>>() {
                Some(v) => Tensor::i64(shape, v),
                None => return fail("integer arithmetic overflows"),
            }
        }
        _ => return fail("mixes integers and floats"),
    })
}

/// For each element of `shape`, the offset of the element it reads in a tensor broadcast from `from`.
fn offsets(from: &[usize], shape: &[usize], count: usize) -> Vec<usize> {
    let mut result = Vec::with_capacity(count);
    result.push(0usize);
    let missing = shape.len().saturating_sub(from.len());
    for (axis, &dim) in shape.iter().enumerate() {
        let own = axis.checked_sub(missing).and_then(|i| from.get(i)).copied().unwrap_or(1);
        result = result
            .iter()
            .flat_map(|&base| (0..dim).map(move |i| base * own + if own == 1 { 0 } else { i }))
            .collect();
    }
    result
}
