//! Constant folding of functions, comparisons, reductions and repetitions.

use super::attributes::Attributes;
use super::failure::{NodeResult, fail};
use super::limits::{MAX_FOLDED, MAX_RANK};
use super::shapes::{broadcast_shapes, reduce_shape, resolve_axes, resolve_index};
use crate::tensor::{Tensor, element_count};
use ndarray::{ArcArray, ArrayD, Axis, IxDyn};

/// Returns the result of a function of each element, or `None` if the compiler does not fold it.
pub(super) fn apply_function(op: &str, x: &Tensor) -> Option<Tensor> {
    let float: Option<fn(f32) -> f32> = match op {
        "Abs" => Some(f32::abs),
        "Ceil" => Some(f32::ceil),
        "Exp" => Some(f32::exp),
        "Floor" => Some(f32::floor),
        "Log" => Some(f32::ln),
        "Neg" => Some(|v| -v),
        "Reciprocal" => Some(f32::recip),
        "Relu" => Some(|v| v.max(0.0)),
        "Round" => Some(f32::round_ties_even),
        "Sigmoid" => Some(|v| 1.0 / (1.0 + (-v).exp())),
        "Sign" => Some(|v| if v == 0.0 { 0.0 } else { v.signum() }),
        "Sin" => Some(f32::sin),
        "Cos" => Some(f32::cos),
        "Softplus" => Some(|v| v.max(0.0) + (-v.abs()).exp().ln_1p()),
        "Sqrt" => Some(f32::sqrt),
        "Tanh" => Some(f32::tanh),
        _ => None,
    };
    let integer: Option<fn(i64) -> i64> = match op {
        "Abs" => Some(i64::wrapping_abs),
        "Neg" => Some(i64::wrapping_neg),
        "Not" => Some(|v| i64::from(v == 0)),
        "Sign" => Some(i64::signum),
        _ => None,
    };
    match x {
        Tensor::F32(x) => float.map(|f| Tensor::from(x.mapv(f))),
        Tensor::I64(x) => integer.map(|f| Tensor::from(x.mapv(f))),
    }
}

/// Returns the result of an operator on two tensors whose shapes broadcast, or `None` if the
/// compiler does not fold it.
pub(super) fn combine(op: &str, fmod: bool, a: &Tensor, b: &Tensor) -> NodeResult<Option<Tensor>> {
    let shape = common_shape(&[a, b])?;
    // An exponent may be an integer although the base is a float.
    if let ("Pow", Tensor::F32(x), Tensor::I64(y)) = (op, a, b) {
        let y = y.mapv(|v| v as f32).into_shared();
        return Ok(broadcast_with(x, &y, shape, |p, q| Some(p.powf(q))).map(Tensor::from));
    }
    let result = match (a, b) {
        (Tensor::F32(x), Tensor::F32(y)) => {
            let number: Option<fn(f32, f32) -> f32> = match op {
                "Add" => Some(|p, q| p + q),
                "Sub" => Some(|p, q| p - q),
                "Mul" => Some(|p, q| p * q),
                "Div" => Some(|p, q| p / q),
                "Max" => Some(f32::max),
                "Min" => Some(f32::min),
                "Pow" => Some(f32::powf),
                "Mod" if fmod => Some(|p, q| p % q),
                _ => None,
            };
            match (number, compare::<f32>(op)) {
                (Some(f), _) => broadcast_with(x, y, shape, |p, q| Some(f(p, q))).map(Tensor::from),
                (None, Some(f)) => {
                    broadcast_with(x, y, shape, |p, q| Some(i64::from(f(&p, &q)))).map(Tensor::from)
                }
                (None, None) => return Ok(None),
            }
        }
        (Tensor::I64(x), Tensor::I64(y)) => {
            let number: Option<fn(i64, i64) -> Option<i64>> = match op {
                "Add" => Some(i64::checked_add),
                "Sub" => Some(i64::checked_sub),
                "Mul" => Some(i64::checked_mul),
                "Div" => Some(i64::checked_div),
                "Max" => Some(|p, q| Some(p.max(q))),
                "Min" => Some(|p, q| Some(p.min(q))),
                "Mod" if fmod => Some(i64::checked_rem),
                // The remainder has the sign of the divisor.
                "Mod" => Some(|p, q| {
                    let rest = p.checked_rem(q)?;
                    Some(if rest != 0 && (rest < 0) != (q < 0) { rest + q } else { rest })
                }),
                "Pow" => Some(|p, q| p.checked_pow(u32::try_from(q).ok()?)),
                "And" => Some(|p, q| Some(i64::from(p != 0 && q != 0))),
                "Or" => Some(|p, q| Some(i64::from(p != 0 || q != 0))),
                "Xor" => Some(|p, q| Some(i64::from((p != 0) != (q != 0)))),
                _ => None,
            };
            match (number, compare::<i64>(op)) {
                (Some(f), _) => broadcast_with(x, y, shape, f).map(Tensor::from),
                (None, Some(f)) => {
                    broadcast_with(x, y, shape, |p, q| Some(i64::from(f(&p, &q)))).map(Tensor::from)
                }
                (None, None) => return Ok(None),
            }
        }
        _ => return fail("one operand is an integer tensor and the other a float tensor"),
    };
    match result {
        Some(tensor) => Ok(Some(tensor)),
        None => fail("the integer arithmetic overflows or divides by zero"),
    }
}

/// Returns the comparison that an operator makes.
fn compare<A: PartialOrd>(op: &str) -> Option<fn(&A, &A) -> bool> {
    match op {
        "Equal" => Some(|p, q| p == q),
        "Greater" => Some(|p, q| p > q),
        "GreaterOrEqual" => Some(|p, q| p >= q),
        "Less" => Some(|p, q| p < q),
        "LessOrEqual" => Some(|p, q| p <= q),
        _ => None,
    }
}

/// Evaluates Where.
pub(super) fn choose(condition: &Tensor, yes: &Tensor, no: &Tensor) -> NodeResult<Option<Tensor>> {
    let shape = common_shape(&[condition, yes, no])?;
    let Tensor::I64(condition) = condition else { return fail("the condition must be a boolean") };
    let Some(condition) = condition.broadcast(shape.as_slice()) else { return Ok(None) };
    Ok(match (yes, no) {
        (Tensor::F32(x), Tensor::F32(y)) => {
            pick(&condition, x, y, &shape).and_then(|values| Tensor::new(&shape, values))
        }
        (Tensor::I64(x), Tensor::I64(y)) => {
            pick(&condition, x, y, &shape).and_then(|values| Tensor::new(&shape, values))
        }
        _ => return fail("one operand is an integer tensor and the other a float tensor"),
    })
}

fn pick<A: Copy>(
    condition: &ndarray::ArrayViewD<'_, i64>,
    x: &ArcArray<A, IxDyn>,
    y: &ArcArray<A, IxDyn>,
    shape: &[usize],
) -> Option<Vec<A>> {
    let (x, y) = (x.broadcast(shape)?, y.broadcast(shape)?);
    let operands = x.iter().zip(&y);
    Some(condition.iter().zip(operands).map(|(&c, (&p, &q))| if c != 0 { p } else { q }).collect())
}

/// Returns the shape to which all tensors broadcast.
fn common_shape(tensors: &[&Tensor]) -> NodeResult<Vec<usize>> {
    let mut shape = Vec::new();
    for tensor in tensors {
        shape = match broadcast_shapes(&shape, tensor.shape()) {
            Some(shape) => shape,
            None => {
                return fail(format!(
                    "the shapes {shape:?} and {:?} do not broadcast",
                    tensor.shape()
                ));
            }
        };
    }
    if element_count(&shape).is_none_or(|n| n > MAX_FOLDED) || shape.len() > MAX_RANK {
        return fail(format!(
            "the result must have at most {MAX_RANK} axes and {MAX_FOLDED} elements, got the shape {shape:?}"
        ));
    }
    Ok(shape)
}

/// Applies `f` to the elements of two arrays whose shapes broadcast to `shape`. Returns `None` if
/// `f` returns `None` for any pair of elements.
fn broadcast_with<A: Copy, B>(
    x: &ArcArray<A, IxDyn>,
    y: &ArcArray<A, IxDyn>,
    shape: Vec<usize>,
    f: impl Fn(A, A) -> Option<B>,
) -> Option<ArrayD<B>> {
    let (x, y) = (x.broadcast(shape.as_slice())?, y.broadcast(shape.as_slice())?);
    let elements = x.iter().zip(&y).map(|(&p, &q)| f(p, q)).collect::<Option<Vec<B>>>()?;
    ArrayD::from_shape_vec(shape, elements).ok()
}

/// Evaluates a reduction, whose axes are an input or an attribute.
pub(super) fn reduce(
    op: &str,
    attributes: &Attributes,
    x: &Tensor,
    axes: Option<&Tensor>,
) -> NodeResult<Option<Tensor>> {
    let given = match axes.and_then(Tensor::i64_elements) {
        Some(axes) => axes.to_vec(),
        None => attributes.ints("axes").unwrap_or_default().to_vec(),
    };
    let rank = x.shape().len();
    let mut axes = resolve_axes(&given, rank)?;
    if axes.is_empty() {
        if attributes.flag("noop_with_empty_axes", false)? {
            return Ok(Some(x.clone()));
        }
        axes = (0..rank).collect();
    }
    let keepdims = attributes.flag("keepdims", true)?;
    let out = reduce_shape(x.shape(), &axes, keepdims);
    let result = match x {
        Tensor::F32(x) => {
            let count: usize = axes.iter().map(|&axis| x.len_of(Axis(axis))).product();
            let mut y = match op {
                "ReduceSumSquare" | "ReduceL2" => x.mapv(|v| f64::from(v) * f64::from(v)),
                "ReduceL1" => x.mapv(|v| f64::from(v).abs()),
                _ => x.mapv(f64::from),
            };
            for &axis in axes.iter().rev() {
                let axis = Axis(axis);
                y = match op {
                    "ReduceMax" => y.map_axis(axis, |v| v.iter().copied().fold(f64::MIN, f64::max)),
                    "ReduceMin" => y.map_axis(axis, |v| v.iter().copied().fold(f64::MAX, f64::min)),
                    "ReduceProd" => y.map_axis(axis, |v| v.iter().product()),
                    _ => y.sum_axis(axis),
                };
            }
            match op {
                "ReduceMean" => y.mapv_inplace(|v| v / count as f64),
                "ReduceL2" => y.mapv_inplace(f64::sqrt),
                _ => {}
            }
            Tensor::from(y.mapv(|v| v as f32)).reshape(&out)
        }
        Tensor::I64(x) => {
            let mut y = x.to_owned();
            for &axis in axes.iter().rev() {
                let axis = Axis(axis);
                y = match op {
                    "ReduceMax" => y.map_axis(axis, |v| v.iter().copied().fold(i64::MIN, i64::max)),
                    "ReduceMin" => y.map_axis(axis, |v| v.iter().copied().fold(i64::MAX, i64::min)),
                    "ReduceProd" => {
                        y.map_axis(axis, |v| v.iter().fold(1, |n: i64, &v| n.wrapping_mul(v)))
                    }
                    "ReduceSum" => {
                        y.map_axis(axis, |v| v.iter().fold(0, |n: i64, &v| n.wrapping_add(v)))
                    }
                    _ => return Ok(None),
                };
            }
            Tensor::from(y).reshape(&out)
        }
    };
    Ok(result)
}

/// Evaluates Expand and Tile. `target` is the shape for Expand, and the repetitions for Tile.
pub(super) fn repeat(op: &str, x: &Tensor, target: &[i64]) -> NodeResult<Option<Tensor>> {
    let target: Vec<usize> = target.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
    let shape = x.shape();
    let out = match op {
        "Expand" => broadcast_shapes(shape, &target),
        _ if target.len() == shape.len() => {
            shape.iter().zip(&target).map(|(&d, &n)| d.checked_mul(n)).collect()
        }
        _ => None,
    };
    let fits = |out: &Vec<usize>| element_count(out).is_some_and(|n| n <= MAX_FOLDED);
    let Some(out) = out.filter(|out| fits(out) && out.len() <= MAX_RANK) else {
        return fail(format!("a constant of shape {shape:?} cannot be repeated to {target:?}"));
    };
    if out.contains(&0) {
        return Ok(match x {
            Tensor::F32(_) => Tensor::new::<f32>(&out, Vec::new()),
            Tensor::I64(_) => Tensor::new::<i64>(&out, Vec::new()),
        });
    }
    let mut aligned = vec![1; out.len() - shape.len()];
    aligned.extend(shape);
    let Some(mut result) = x.reshape(&aligned) else { return Ok(None) };
    for (axis, (&from, &to)) in aligned.iter().zip(&out).enumerate() {
        if from != to {
            let indices: Vec<usize> = (0..to).map(|i| i % from.max(1)).collect();
            match result.select(axis, &indices) {
                Some(tensor) => result = tensor,
                None => return Ok(None),
            }
        }
    }
    Ok(Some(result))
}

/// Evaluates BatchNormalization in training mode, which weight-standardised convolutions contain:
/// mean and variance are those of each channel.
pub(super) fn standardise(
    attributes: &Attributes,
    x: &Tensor,
    scale: &Tensor,
    bias: &Tensor,
) -> NodeResult<Option<Tensor>> {
    let epsilon = f64::from(attributes.float("epsilon", 1e-5)?);
    let (Tensor::F32(x), Some(scale), Some(bias)) = (x, scale.f32_elements(), bias.f32_elements())
    else {
        return Ok(None);
    };
    if !attributes.flag("training_mode", false)? || x.ndim() < 2 {
        return Ok(None);
    }
    let mut y = x.mapv(f64::from);
    if scale.len() != y.len_of(Axis(1)) || bias.len() != scale.len() {
        return fail("scale and bias must have one element for each channel");
    }
    for (mut channel, (&scale, &bias)) in y.axis_iter_mut(Axis(1)).zip(scale.iter().zip(bias)) {
        let count = channel.len().max(1) as f64;
        let mean = channel.sum() / count;
        let variance = channel.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
        let factor = f64::from(scale) / (variance + epsilon).sqrt();
        channel.mapv_inplace(|v| (v - mean) * factor + f64::from(bias));
    }
    Ok(Some(Tensor::from(y.mapv(|v| v as f32))))
}

/// Evaluates ScatterND, which replaces slices of the data by updates.
pub(super) fn scatter(data: &Tensor, indices: &Tensor, updates: &Tensor) -> Option<Tensor> {
    let shape = data.shape();
    let depth = *indices.shape().last()?;
    let inner: usize = shape.get(depth..)?.iter().product();
    let mut starts = Vec::new();
    for tuple in indices.i64_elements()?.chunks(depth.max(1)) {
        let mut start = 0;
        for (&index, &size) in tuple.iter().zip(shape) {
            start = start * size + resolve_index(index, size)?;
        }
        starts.push(start * inner);
    }
    fn replace<A: Clone>(
        data: &[A],
        starts: &[usize],
        updates: &[A],
        inner: usize,
    ) -> Option<Vec<A>> {
        let mut result = data.to_vec();
        for (&start, update) in starts.iter().zip(updates.chunks(inner.max(1))) {
            result.get_mut(start..start + inner)?.clone_from_slice(update.get(..inner)?);
        }
        (updates.len() == starts.len() * inner).then_some(result)
    }
    match (data, updates) {
        (Tensor::F32(_), Tensor::F32(_)) => Tensor::new(
            shape,
            replace(data.f32_elements()?, &starts, updates.f32_elements()?, inner)?,
        ),
        (Tensor::I64(_), Tensor::I64(_)) => Tensor::new(
            shape,
            replace(data.i64_elements()?, &starts, updates.i64_elements()?, inner)?,
        ),
        _ => None,
    }
}

/// Evaluates GatherND without batch axes.
pub(super) fn gather_nd(data: &Tensor, indices: &Tensor) -> Option<Tensor> {
    let (shape, index_shape) = (data.shape(), indices.shape());
    let depth = *index_shape.last()?;
    let inner_shape = shape.get(depth..)?;
    let inner: usize = inner_shape.iter().product();
    let out = [index_shape.split_last()?.1, inner_shape].concat();
    element_count(&out).filter(|&count| count <= MAX_FOLDED)?;
    let mut positions = Vec::new();
    for tuple in indices.i64_elements()?.chunks(depth.max(1)) {
        let mut start = 0;
        for (&index, &size) in tuple.iter().zip(shape) {
            start = start * size + resolve_index(index, size)?;
        }
        positions.extend(start * inner..(start + 1) * inner);
    }
    match data {
        Tensor::F32(_) => {
            let data = data.f32_elements()?;
            let pick = positions.iter().map(|&at| data.get(at).copied());
            Tensor::new(&out, pick.collect::<Option<Vec<f32>>>()?)
        }
        Tensor::I64(_) => {
            let data = data.i64_elements()?;
            let pick = positions.iter().map(|&at| data.get(at).copied());
            Tensor::new(&out, pick.collect::<Option<Vec<i64>>>()?)
        }
    }
}
