//! Arithmetic on shapes.

use crate::model::limits;

/// Result of an operator's rule. The error is the reason for which the node is refused.
pub(super) type Ruled<T> = std::result::Result<T, String>;

/// Returns the number of values of a tensor, or `None` if it is not 1 to
/// [`limits::MAX_TENSOR_VALUES`].
pub(super) fn count_values(shape: &[usize]) -> Option<usize> {
    let len = shape.iter().try_fold(1usize, |len, &side| len.checked_mul(side))?;
    (1..=limits::MAX_TENSOR_VALUES).contains(&len).then_some(len)
}

/// Returns the work of `factors` nested loops. Saturates instead of wrapping.
pub(super) fn multiply(factors: &[usize]) -> u64 {
    factors.iter().fold(1u64, |product, &factor| product.saturating_mul(factor as u64))
}

/// Returns the axis that an attribute or an argument names. A negative number counts from the end.
pub(super) fn resolve_axis(axis: i64, rank: usize) -> Ruled<usize> {
    let signed = i64::try_from(rank).unwrap_or_default();
    if !(-signed..signed).contains(&axis) {
        return Err(format!("the axis {axis} does not exist in a tensor with {rank} dimensions"));
    }
    let axis = if axis < 0 { axis + signed } else { axis };
    usize::try_from(axis).map_err(|error| error.to_string())
}

/// Resolves a list of axes, which must differ.
pub(super) fn resolve_axes(axes: &[i64], rank: usize) -> Ruled<Vec<usize>> {
    let mut resolved = Vec::new();
    for &axis in axes {
        let axis = resolve_axis(axis, rank)?;
        if resolved.contains(&axis) {
            return Err(format!("the axis {axis} is repeated"));
        }
        resolved.push(axis);
    }
    Ok(resolved)
}

/// Returns the shape of an elementwise result of two tensors.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Ruled<Vec<usize>> {
    let rank = a.len().max(b.len());
    let side = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).and_then(|axis| shape.get(axis)).copied()
    };
    (0..rank)
        .map(|axis| match (side(a, axis).unwrap_or(1), side(b, axis).unwrap_or(1)) {
            (x, y) if x == y => Ok(x),
            (1, side) | (side, 1) => Ok(side),
            _ => Err(format!("the shapes {a:?} and {b:?} do not fit together")),
        })
        .collect()
}
