//! Constant folding of matrix products, with which some networks compute a table of positions.

use super::attributes::Attributes;
use super::constant_functions::combine;
use super::failure::NodeResult;
use super::limits::{MAX_FOLDED, MAX_FOLDED_PRODUCTS};
use crate::tensor::{Tensor, element_count};
use ndarray::Ix2;

/// Evaluates MatMul whose second operand is a matrix. Returns `None` for other operands.
pub(super) fn multiply(a: &Tensor, b: &Tensor) -> Option<Tensor> {
    let (&depth, outer) = a.shape().split_last()?;
    let rows = element_count(outer)?;
    let b = b.f32_view()?.into_dimensionality::<Ix2>().ok()?;
    let columns = b.ncols();
    let elements = rows.checked_mul(columns)?;
    let products = elements.checked_mul(depth)?;
    if depth != b.nrows() || products > MAX_FOLDED_PRODUCTS || elements > MAX_FOLDED {
        return None;
    }
    let a = a.reshape(&[rows, depth])?;
    let a = a.f32_view()?.into_dimensionality::<Ix2>().ok()?;
    Tensor::from(a.dot(&b).into_dyn()).reshape(&[outer, &[columns]].concat())
}

/// Evaluates Gemm without factors, as exporters write linear layers.
pub(super) fn evaluate_gemm(
    attributes: &Attributes,
    a: &Tensor,
    b: &Tensor,
    c: Option<&Tensor>,
) -> NodeResult<Option<Tensor>> {
    if attributes.float("alpha", 1.0)? != 1.0 || attributes.float("beta", 1.0)? != 1.0 {
        return Ok(None);
    }
    let matrix = |tensor: &Tensor, is_transposed| match is_transposed {
        _ if tensor.shape().len() != 2 => None,
        true => tensor.transpose(&[1, 0]),
        false => Some(tensor.clone()),
    };
    let a = matrix(a, attributes.flag("transA", false)?);
    let b = matrix(b, attributes.flag("transB", false)?);
    let product = a.zip(b).and_then(|(a, b)| multiply(&a, &b));
    match (product, c) {
        (Some(product), Some(c)) => combine("Add", false, &product, c),
        (product, _) => Ok(product),
    }
}
