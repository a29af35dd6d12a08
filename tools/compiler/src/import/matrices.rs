//! Conversion of matrix products.

use super::failure::{NodeResult, fail};
use super::node_context::NodeContext;
use crate::graph::{Op, ValueId};

pub(super) fn convert_gemm(node: &mut NodeContext) -> NodeResult<ValueId> {
    let b = node.input(1, "weights")?;
    let (x, w) = (node.shape(node.x).to_vec(), node.shape(b).to_vec());
    let trans_b = node.attributes.int("transB", 0)? != 0;
    if node.attributes.int("transA", 0)? != 0 {
        return fail("transA is not supported; transpose the input before the node");
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

pub(super) fn convert_matmul(node: &mut NodeContext) -> NodeResult<ValueId> {
    let b = node.input(1, "weights")?;
    let (mut out, w) = (node.shape(node.x).to_vec(), node.shape(b).to_vec());
    let rank = out.len();
    let (Some(last), &[depth, columns]) = (out.last_mut(), w.as_slice()) else {
        return fail("the weights must have two axes and the input at least one");
    };
    // `inspect` also imports packages, in which the first operand may be constant instead of the
    // second.
    let is_constant = |id| node.constant_f32(id).is_some();
    if *last != depth || !(is_constant(b) || is_constant(node.x) && rank == 2) {
        return fail(format!(
            "the weights must be constant and have {last} rows, one for each input column"
        ));
    }
    *last = columns;
    node.add_node(Op::MatMul, vec![node.x, b], out)
}
