//! The equations of one step of each recurrent layer.

use super::super::failure::{NodeResult, fail};
use super::super::node_context::NodeContext;
use super::super::selection::select;
use crate::graph::{Op, ValueId};
use crate::lowered::Function;
use crate::tensor::Tensor;
use ndarray::{Axis, Slice};

/// The weights of one direction, as columns of constants.
pub(super) struct Direction {
    /// Product of the inputs with the weights of all gates, plus the biases, `[T, G*H]`.
    pub(super) products: ValueId,
    /// Weights of the hidden state `[H, G*H]`.
    pub(super) recurrent: ValueId,
    /// Bias of the hidden state of the last gate of a GRU, `[1,H]`.
    pub(super) last_bias: Option<ValueId>,
}

/// The state of a layer after some frames. It is `None` while all its elements are zero.
#[derive(Clone, Copy, Default)]
pub(super) struct State {
    pub(super) hidden: Option<ValueId>,
    pub(super) cell: Option<ValueId>,
}

/// Appends the product of the hidden state with the columns of the gates `first..last`.
fn add_hidden_product(
    node: &mut NodeContext,
    state: State,
    direction: &Direction,
    size: usize,
    first: usize,
    last: usize,
) -> NodeResult<Option<ValueId>> {
    let Some(hidden) = state.hidden else { return Ok(None) };
    let shape = node.shape(direction.recurrent).to_vec();
    let weights = if shape.get(1) == Some(&((last - first) * size)) {
        direction.recurrent
    } else {
        let part = node.constant(direction.recurrent).and_then(Tensor::f32_view);
        let part = part.and_then(|view| view.into_dimensionality::<ndarray::Ix2>().ok());
        match part {
            Some(view) => {
                let columns = Slice::from(first * size..last * size);
                let part = view.slice_axis(Axis(1), columns).to_owned();
                node.builder.add_folded_constant(node.proto, Tensor::from(part))?
            }
            None => return fail("the recurrent weights must be constant"),
        }
    };
    // A constant hidden state multiplies constant weights, so the product is a constant, too.
    if let (Some(state), Some(view)) =
        (node.constant_f32(hidden), node.constant(weights).and_then(Tensor::f32_view))
        && let Ok(view) = view.into_dimensionality::<ndarray::Ix2>()
    {
        let product: Vec<f32> = view
            .columns()
            .into_iter()
            .map(|column| {
                let terms = column.iter().zip(state).map(|(&w, &v)| f64::from(w) * f64::from(v));
                terms.sum::<f64>() as f32
            })
            .collect();
        return node.add_constant(&[1, product.len()], product).map(Some);
    }
    let shape = vec![node.shape(hidden).first().copied().unwrap_or(1), (last - first) * size];
    node.add_node(Op::MatMul, vec![hidden, weights], shape).map(Some)
}

/// Returns the columns of one gate.
fn gate(node: &mut NodeContext, x: ValueId, index: usize, size: usize) -> NodeResult<ValueId> {
    let indices: Vec<usize> = (index * size..(index + 1) * size).collect();
    select(node, x, 1, &indices)
}

pub(super) fn hidden_size(node: &NodeContext, direction: &Direction) -> usize {
    node.shape(direction.recurrent).first().copied().unwrap_or(0)
}

pub(super) fn add_optional(
    node: &mut NodeContext,
    x: ValueId,
    y: Option<ValueId>,
) -> NodeResult<ValueId> {
    match y {
        Some(y) => node.binary(Op::Add, x, y),
        None => Ok(x),
    }
}

pub(super) fn add_lstm_step(
    node: &mut NodeContext,
    row: ValueId,
    direction: &Direction,
    state: State,
) -> NodeResult<State> {
    let size = hidden_size(node, direction);
    let hidden = add_hidden_product(node, state, direction, size, 0, 4)?;
    let sums = add_optional(node, row, hidden)?;
    let [input, output, forget, candidate] = {
        let mut gates = [sums; 4];
        for (index, slot) in gates.iter_mut().enumerate() {
            *slot = gate(node, sums, index, size)?;
        }
        gates
    };
    let input = node.unary(Op::Sigmoid, input)?;
    let output = node.unary(Op::Sigmoid, output)?;
    let candidate = node.unary(Op::Function(Function::Tanh), candidate)?;
    let mut cell = node.binary(Op::Mul, input, candidate)?;
    if let Some(previous) = state.cell {
        let forget = node.unary(Op::Sigmoid, forget)?;
        let kept = node.binary(Op::Mul, forget, previous)?;
        cell = node.binary(Op::Add, kept, cell)?;
    }
    let activated = node.unary(Op::Function(Function::Tanh), cell)?;
    let hidden = node.binary(Op::Mul, output, activated)?;
    Ok(State { hidden: Some(hidden), cell: Some(cell) })
}

pub(super) fn add_gru_step(
    node: &mut NodeContext,
    row: ValueId,
    direction: &Direction,
    state: State,
) -> NodeResult<State> {
    let size = hidden_size(node, direction);
    let is_linear_before_reset = node.attributes.flag("linear_before_reset", false)?;
    let mut gates = [row; 3];
    for (index, slot) in gates.iter_mut().enumerate() {
        *slot = gate(node, row, index, size)?;
    }
    let [mut update, mut reset, mut candidate] = gates;
    if let Some(product) = add_hidden_product(node, state, direction, size, 0, 2)? {
        let (first, second) = (gate(node, product, 0, size)?, gate(node, product, 1, size)?);
        update = node.binary(Op::Add, update, first)?;
        reset = node.binary(Op::Add, reset, second)?;
    }
    let update = node.unary(Op::Sigmoid, update)?;
    let reset = node.unary(Op::Sigmoid, reset)?;
    let hidden_part = if is_linear_before_reset {
        let product = add_hidden_product(node, state, direction, size, 2, 3)?;
        let sum = match (product, direction.last_bias) {
            (Some(product), Some(bias)) => Some(node.binary(Op::Add, product, bias)?),
            (product, bias) => product.or(bias),
        };
        match sum {
            Some(sum) => Some(node.binary(Op::Mul, reset, sum)?),
            None => None,
        }
    } else {
        match state.hidden {
            Some(hidden) => {
                let hidden = node.binary(Op::Mul, reset, hidden)?;
                let state = State { hidden: Some(hidden), cell: None };
                add_hidden_product(node, state, direction, size, 2, 3)?
            }
            None => None,
        }
    };
    candidate = add_optional(node, candidate, hidden_part)?;
    let candidate = node.unary(Op::Function(Function::Tanh), candidate)?;
    // h = (1 - z) * candidate + z * previous
    let moved = node.binary(Op::Mul, update, candidate)?;
    let mut hidden = node.binary(Op::Sub, candidate, moved)?;
    if let Some(previous) = state.hidden {
        let kept = node.binary(Op::Mul, update, previous)?;
        hidden = node.binary(Op::Add, hidden, kept)?;
    }
    Ok(State { hidden: Some(hidden), cell: None })
}

pub(super) fn add_rnn_step(
    node: &mut NodeContext,
    row: ValueId,
    direction: &Direction,
    state: State,
) -> NodeResult<State> {
    let size = hidden_size(node, direction);
    let hidden = add_hidden_product(node, state, direction, size, 0, 1)?;
    let sum = add_optional(node, row, hidden)?;
    let is_relu = node
        .attributes
        .get("activations")
        .is_some_and(|a| a.strings.iter().any(|name| name.as_ref() == b"Relu"));
    let op = if is_relu { Op::Relu } else { Op::Function(Function::Tanh) };
    let hidden = node.unary(op, sum)?;
    Ok(State { hidden: Some(hidden), cell: None })
}
