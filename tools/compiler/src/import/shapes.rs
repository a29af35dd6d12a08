//! Shape inference that several operators share.

use super::failure::{NodeResult, fail};

/// Returns the result shape of an elementwise operator on inputs with the shapes `a` and `b`, or
/// `None` if the shapes do not broadcast.
pub(super) fn broadcast_shapes(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| {
        (i + s.len()).checked_sub(rank).map_or(Some(1), |j| s.get(j).copied())
    };
    (0..rank)
        .map(|i| match (at(a, i)?, at(b, i)?) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Returns the shape of the result when a value with the shape `shape` is reduced along `axes`.
/// These axes are kept with size 1 or, if `keepdims` is false, removed.
pub(super) fn reduce_shape(shape: &[usize], axes: &[usize], keepdims: bool) -> Vec<usize> {
    let reduce = |(i, &d): (usize, &usize)| match (axes.contains(&i), keepdims) {
        (false, _) => Some(d),
        (true, true) => Some(1),
        (true, false) => None,
    };
    shape.iter().enumerate().filter_map(reduce).collect()
}

/// Resolves an axis or an index, which counts from the end if it is negative. Returns `None` if the
/// result is not in `0..size`.
pub(super) fn resolve_index(index: i64, size: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(i64::try_from(size).ok()?)? } else { index };
    usize::try_from(index).ok().filter(|&i| i < size)
}

/// Resolves an axis, which counts from the end if it is negative.
pub(super) fn resolve_axis(axis: i64, rank: usize) -> NodeResult<usize> {
    match resolve_index(axis, rank) {
        Some(axis) => Ok(axis),
        None => fail(format!("axis {axis} does not exist in a value with {rank} axes")),
    }
}

/// Resolves a list of axes and returns them in increasing order.
pub(super) fn resolve_axes(axes: &[i64], rank: usize) -> NodeResult<Vec<usize>> {
    let mut resolved =
        axes.iter().map(|&a| resolve_axis(a, rank)).collect::<NodeResult<Vec<_>>>()?;
    resolved.sort_unstable();
    let count = resolved.len();
    resolved.dedup();
    if resolved.len() == count {
        Ok(resolved)
    } else {
        fail(format!("the axes {axes:?} contain an axis twice"))
    }
}

/// Returns the axes of `from` that a Reshape from `from` to `to` merges into `axes` of `to`.
/// Returns `None` if the Reshape also merges or splits other axes.
pub(super) fn unmerge_axes(from: &[usize], to: &[usize], axes: &[usize]) -> Option<Vec<usize>> {
    let mut result = Vec::new();
    let mut next = 0;
    for (axis, &size) in to.iter().enumerate() {
        let mut product = 1usize;
        let start = next;
        while product < size {
            product = product.checked_mul(*from.get(next)?)?;
            next += 1;
        }
        if product != size {
            return None;
        }
        // Axes of size 1 that follow do not change anything, so they belong to the same group.
        while next < from.len() && from.get(next) == Some(&1) {
            next += 1;
        }
        if axes.contains(&axis) {
            result.extend(start..next);
        }
    }
    (next == from.len()).then_some(result)
}
