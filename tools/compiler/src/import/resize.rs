//! Conversion of Resize along axes whose sizes are known.
//!
//! Every element of the result is a weighted sum of a few elements along each axis. A Resize
//! therefore becomes one Gather and one product for each of these elements.

use super::failure::{NodeResult, fail};
use super::limits::MAX_GATHER;
use super::node_context::NodeContext;
use super::selection::select;
use crate::graph::{Op, ValueId};
use crate::tensor::Tensor;

/// The elements of an axis that contribute to an element of the result, and their weights.
type Taps = Vec<(usize, f64)>;

pub(super) fn convert_resize(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let (sizes, scales) = read_target(node, &shape)?;
    if node.attributes.flag("antialias", false)?
        || node.attributes.flag("exclude_outside", false)?
    {
        return fail("antialias and exclude_outside are not supported; export without them");
    }
    let mut id = node.x;
    for axis in 0..shape.len() {
        let (Some(&from), Some(&to), Some(&scale)) =
            (shape.get(axis), sizes.get(axis), scales.get(axis))
        else {
            continue;
        };
        if from == to && scale == 1.0 {
            continue;
        }
        if to > MAX_GATHER {
            return fail(format!("an axis can be resized to at most {MAX_GATHER}, got {to}"));
        }
        let taps: Vec<Taps> =
            (0..to).map(|at| find_taps(node, at, from, to, scale)).collect::<NodeResult<_>>()?;
        id = apply_taps(node, id, axis, &taps)?;
    }
    Ok(id)
}

/// Returns the sizes of the result and the scale of each axis.
fn read_target(node: &NodeContext, shape: &[usize]) -> NodeResult<(Vec<usize>, Vec<f64>)> {
    let is_upsample = node.proto.op_type == "Upsample";
    let (scales_at, sizes_at) = if is_upsample { (1, usize::MAX) } else { (2, 3) };
    let axes: Vec<usize> = match node.attributes.ints("axes") {
        Some(axes) => super::shapes::resolve_axes(axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let scales = node.optional_input(scales_at).and_then(|id| node.constant_f32(id));
    let scales = scales.filter(|scales| !scales.is_empty());
    let sizes = node.int_input(sizes_at, "sizes")?.filter(|sizes| !sizes.is_empty());
    let mut all_sizes = shape.to_vec();
    let mut all_scales = vec![1.0; shape.len()];
    for (at, &axis) in axes.iter().enumerate() {
        let from = shape.get(axis).copied().unwrap_or(1);
        let (size, scale) = match (&sizes, scales) {
            (Some(sizes), _) => {
                let size = sizes.get(at).and_then(|&s| usize::try_from(s).ok()).unwrap_or(0);
                (size, size as f64 / from as f64)
            }
            (None, Some(scales)) => {
                let scale = f64::from(scales.get(at).copied().unwrap_or(0.0));
                ((from as f64 * scale).floor().max(0.0) as usize, scale)
            }
            (None, None) => return fail("sizes or scales must be constant"),
        };
        if size == 0 || !scale.is_finite() {
            return fail(format!("axis {axis} must keep at least one element"));
        }
        if let (Some(slot), Some(scale_slot)) = (all_sizes.get_mut(axis), all_scales.get_mut(axis))
        {
            (*slot, *scale_slot) = (size, scale);
        }
    }
    Ok((all_sizes, all_scales))
}

/// Returns the elements that contribute to element `at` of the result.
fn find_taps(
    node: &NodeContext,
    at: usize,
    from: usize,
    to: usize,
    scale: f64,
) -> NodeResult<Taps> {
    let attributes = &node.attributes;
    let default_mode: &[u8] =
        if node.proto.op_type == "Upsample" { b"asymmetric" } else { b"half_pixel" };
    let mode = match attributes.text("coordinate_transformation_mode") {
        b"" => default_mode,
        mode => mode,
    };
    // ONNX Runtime rounds each step to float32, which decides between two pixels at the same
    // distance, and on which side of a whole number a position lies.
    let (x, scale) = (at as f32, scale as f32);
    let source = match mode {
        b"pytorch_half_pixel" | b"align_corners" if to == 1 => 0.0,
        b"half_pixel" | b"pytorch_half_pixel" => (x + 0.5) / scale - 0.5,
        b"asymmetric" => x / scale,
        b"align_corners" => x * (from as f32 - 1.0) / (to as f32 - 1.0),
        other => {
            return fail(format!(
                "the coordinate transformation {} is not supported",
                other.escape_ascii()
            ));
        }
    };
    let source = f64::from(source);
    let last = from as i64 - 1;
    let clamp = |index: i64| usize::try_from(index.clamp(0, last)).unwrap_or(0);
    match attributes.text("mode") {
        b"" | b"nearest" => {
            let nearest = match attributes.text("nearest_mode") {
                b"" | b"round_prefer_floor" if node.proto.op_type != "Upsample" => {
                    (source - 0.5).ceil()
                }
                b"round_prefer_ceil" => (source + 0.5).floor(),
                b"ceil" => source.ceil(),
                _ => source.floor(),
            };
            Ok(vec![(clamp(nearest as i64), 1.0)])
        }
        b"linear" => {
            let source = source.clamp(0.0, last as f64);
            let low = source.floor();
            let weight = source - low;
            Ok(vec![(clamp(low as i64), 1.0 - weight), (clamp(low as i64 + 1), weight)])
        }
        b"cubic" => {
            let a = f64::from(attributes.float("cubic_coeff_a", -0.75)?);
            let low = source.floor();
            let t = source - low;
            let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
            let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
            let weights = [far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)];
            Ok(weights
                .into_iter()
                .zip(-1..)
                .map(|(weight, offset)| (clamp(low as i64 + offset), weight))
                .collect())
        }
        other => fail(format!("the mode {} is not supported", other.escape_ascii())),
    }
}

/// Appends the weighted sums along one axis.
fn apply_taps(
    node: &mut NodeContext,
    id: ValueId,
    axis: usize,
    taps: &[Taps],
) -> NodeResult<ValueId> {
    let rank = node.shape(id).len();
    let count = taps.iter().map(Vec::len).max().unwrap_or(0);
    let mut sum = None;
    for tap in 0..count {
        let indices: Vec<usize> =
            taps.iter().map(|taps| taps.get(tap).map_or(0, |&(index, _)| index)).collect();
        let weights: Vec<f32> =
            taps.iter().map(|taps| taps.get(tap).map_or(0.0, |&(_, w)| w as f32)).collect();
        if weights.iter().all(|&weight| weight == 0.0) {
            continue;
        }
        let mut part = select(node, id, axis, &indices)?;
        if weights.iter().any(|&weight| weight != 1.0) {
            let mut shape = vec![1; rank];
            if let Some(slot) = shape.get_mut(axis) {
                *slot = weights.len();
            }
            let Some(weights) = Tensor::new(&shape, weights) else {
                return fail("the weights do not fit the axis");
            };
            let weights = node.builder.add_folded_constant(node.proto, weights)?;
            part = node.binary(Op::Mul, part, weights)?;
        }
        sum = Some(match sum {
            None => part,
            Some(sum) => node.binary(Op::Add, sum, part)?,
        });
    }
    sum.map_or_else(|| fail("the axis has no elements"), Ok)
}
