//! Conversion of matrix products.

use super::failure::{NodeResult, fail};
use super::node_context::NodeContext;
use super::shapes::broadcast_shapes;
use crate::graph::{Op, ValueId};

pub(super) fn convert_gemm(node: &mut NodeContext) -> NodeResult<ValueId> {
    let b = node.input(1, "weights")?;
    let (x, w) = (node.shape(node.x).to_vec(), node.shape(b).to_vec());
    let trans_b = node.attributes.flag("transB", false)?;
    if node.attributes.flag("transA", false)? {
        return fail("transA is not supported; transpose the input before the node");
    }
    if node.constant_f32(b).is_none() {
        return convert_product(node, b, trans_b);
    }
    let (&[rows, inner], &[w0, w1]) = (x.as_slice(), w.as_slice()) else {
        return fail("both inputs must have two axes");
    };
    let (depth, columns) = if trans_b { (w1, w0) } else { (w0, w1) };
    if depth != inner || node.constant_f32(b).is_none() {
        return fail(format!(
            "the weights must be constant and have {inner} rows, one for each input column"
        ));
    }
    let mut inputs = vec![node.x, b];
    if let Some(c) = node.optional_input(2) {
        if node.constant_f32(c).map(<[f32]>::len) != Some(columns) {
            return fail(format!(
                "the bias must be a constant with {columns} elements, one for each output"
            ));
        }
        inputs.push(c);
    }
    let (alpha, beta) = (node.attributes.float("alpha", 1.0)?, node.attributes.float("beta", 1.0)?);
    node.add_node(Op::Gemm { alpha, beta, trans_b }, inputs, vec![rows, columns])
}

/// Converts a Gemm whose second operand is not a constant.
fn convert_product(node: &mut NodeContext, b: ValueId, trans_b: bool) -> NodeResult<ValueId> {
    let (alpha, beta) = (node.attributes.float("alpha", 1.0)?, node.attributes.float("beta", 1.0)?);
    let b = if trans_b { node.transpose(b, vec![1, 0])? } else { b };
    let (x, w) = (node.shape(node.x), node.shape(b));
    let (&[rows, inner], &[depth, columns]) = (x, w) else {
        return fail("both inputs must have two axes");
    };
    if inner != depth {
        return fail(format!("the shapes {x:?} and {w:?} do not fit a matrix product"));
    }
    let product = match multiply_by_constant(node, b)? {
        Some(product) => product,
        None => node.add_node(Op::MatMul, vec![node.x, b], vec![rows, columns])?,
    };
    let scaled = node.scale(product, alpha)?;
    match node.optional_input(2) {
        Some(bias) => {
            let bias = node.scale(bias, beta)?;
            node.binary(Op::Add, scaled, bias)
        }
        None => Ok(scaled),
    }
}

/// Converts the product of a constant matrix and a matrix that depends on the frames. The product
/// of their transposes has its weights behind the frames, which the analysis of frames follows.
/// Returns `None` for other operands.
fn multiply_by_constant(node: &mut NodeContext, b: ValueId) -> NodeResult<Option<ValueId>> {
    let weights = node.constant(node.x).and_then(|weights| weights.transpose(&[1, 0]));
    let (Some(weights), &[depth, columns]) = (weights, node.shape(b)) else { return Ok(None) };
    let &[inner, rows] = weights.shape() else { return Ok(None) };
    if inner != depth || node.constant(b).is_some() || !node.builder.is_source {
        return Ok(None);
    }
    let weights = node.builder.add_folded_constant(node.proto, weights)?;
    let turned = node.transpose(b, vec![1, 0])?;
    let product = node.add_node(Op::MatMul, vec![turned, weights], vec![columns, rows])?;
    node.transpose(product, vec![1, 0]).map(Some)
}

pub(super) fn convert_matmul(node: &mut NodeContext) -> NodeResult<ValueId> {
    let b = node.input(1, "second operand")?;
    if !node.is_float(b) {
        return fail("both operands must be floats");
    }
    if let Some(product) = multiply_by_constant(node, b)? {
        return Ok(product);
    }
    let (x, y) = (node.shape(node.x).to_vec(), node.shape(b).to_vec());
    // A vector becomes a matrix with one row or one column, which the result does not keep.
    let left = if x.len() == 1 { vec![1, x.first().copied().unwrap_or(0)] } else { x.clone() };
    let right = if y.len() == 1 { vec![y.first().copied().unwrap_or(0), 1] } else { y.clone() };
    let ([batch_a @ .., rows, depth], [batch_b @ .., inner, columns]) =
        (left.as_slice(), right.as_slice())
    else {
        return fail("both operands must have at least one axis");
    };
    let batch = broadcast_shapes(batch_a, batch_b);
    let Some(mut out) = batch.filter(|_| depth == inner) else {
        return fail(format!("the shapes {x:?} and {y:?} do not fit a matrix product"));
    };
    out.extend([*rows, *columns]);
    let a = operand(node, node.x, &left)?;
    let b = operand(node, b, &right)?;
    let product = node.add_node(Op::MatMul, vec![a, b], out.clone())?;
    if y.len() == 1 {
        out.pop();
    }
    if x.len() == 1 {
        out.remove(batch_a.len().max(batch_b.len()));
    }
    node.reshape(product, out)
}

/// Returns an operand with this shape.
fn operand(node: &mut NodeContext, id: ValueId, shape: &[usize]) -> NodeResult<ValueId> {
    if node.shape(id) == shape {
        return Ok(id);
    }
    match node.constant(id).map(|constant| constant.reshape(shape)) {
        None => node.reshape(id, shape.to_vec()),
        Some(Some(tensor)) => node.builder.add_folded_constant(node.proto, tensor),
        Some(None) => fail("the constant operand is empty"),
    }
}
