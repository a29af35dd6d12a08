//! Conversion of LSTM, GRU and RNN to the products of each frame.
//!
//! The products with the inputs of all frames are one matrix product, and those with the hidden
//! state follow frame by frame. For a stream, a layer that runs forwards becomes one step with
//! states instead.

mod cells;

use super::failure::{NodeResult, fail};
use super::node_context::NodeContext;
use super::selection::select;
use crate::graph::{Op, Recurrence, RecurrentState, ValueId};
use crate::tensor::Tensor;
use cells::{
    Direction, State, add_gru_step, add_lstm_step, add_optional, add_rnn_step, hidden_size,
};
use ndarray::{ArrayView2, Axis, Ix3};

/// The kind of a recurrent layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Lstm,
    Gru,
    Rnn,
}

impl Cell {
    /// Returns the number of gates, each of which has its own weights.
    fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
            Self::Rnn => 1,
        }
    }

    /// Returns the activations that the operator uses if the node does not list any.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Rnn => &["Tanh"],
        }
    }
}

pub(super) fn convert_recurrence(node: &mut NodeContext, kind: Cell) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let &[frames, 1, inputs] = shape.as_slice() else {
        return fail(format!(
            "the input must be [T,1,F], a sequence with a batch of 1, got the shape {shape:?}"
        ));
    };
    check_attributes(node, kind)?;
    let reverse: &[bool] = match node.attributes.text("direction") {
        b"" | b"forward" => &[false],
        b"reverse" => &[true],
        b"bidirectional" => &[false, true],
        other => return fail(format!("direction {} is not known", other.escape_ascii())),
    };
    if let Some(lengths) = node.int_input(4, "sequence_lens")?
        && lengths.iter().any(|&length| usize::try_from(length) != Ok(frames))
    {
        return fail(format!("sequence_lens must be {frames}, the length of the sequence"));
    }
    if node.optional_input(7).is_some() {
        return fail("peephole weights are not supported");
    }
    let flat = node.reshape(node.x, vec![frames, inputs])?;
    let (mut all, mut hidden, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for (index, &is_reverse) in reverse.iter().enumerate() {
        let direction = read_direction(node, kind, index, flat, [frames, inputs])?;
        let mut state = State {
            hidden: initial_state(node, 5, index, "initial_h")?,
            cell: if kind == Cell::Lstm {
                initial_state(node, 6, index, "initial_c")?
            } else {
                None
            },
        };
        if !is_reverse && frames > 1 && node.builder.recurrence == Recurrence::Stateful {
            let (all_hidden, last) = add_stateful(node, kind, flat, &direction, state)?;
            all.push(all_hidden);
            hidden.extend(last.hidden);
            cells.extend(last.cell);
            continue;
        }
        let mut outputs = vec![None; frames];
        for step in 0..frames {
            let frame = if is_reverse { frames - 1 - step } else { step };
            let row = select(node, direction.products, 0, &[frame])?;
            state = add_step(node, kind, row, &direction, state)?;
            if let Some(slot) = outputs.get_mut(frame) {
                *slot = state.hidden;
            }
        }
        let outputs: Vec<ValueId> = outputs.into_iter().flatten().collect();
        all.push(node.concat(&outputs, 0)?);
        hidden.extend(state.hidden);
        cells.extend(state.cell);
    }
    let directions = reverse.len();
    let size = hidden.first().and_then(|&id| node.shape(id).last().copied()).unwrap_or(0);
    let joined = node.concat(&all, 1)?;
    let output = node.reshape(joined, vec![frames, directions, 1, size])?;
    for state in [hidden, cells] {
        if !state.is_empty() {
            let joined = node.concat(&state, 0)?;
            let state = node.reshape(joined, vec![directions, 1, size])?;
            node.more_outputs.push(state);
        }
    }
    Ok(output)
}

/// Appends a step from `state`, whose input products are `row`, and returns the next state.
fn add_step(
    node: &mut NodeContext,
    kind: Cell,
    row: ValueId,
    direction: &Direction,
    state: State,
) -> NodeResult<State> {
    match kind {
        Cell::Lstm => add_lstm_step(node, row, direction, state),
        Cell::Gru => add_gru_step(node, row, direction, state),
        Cell::Rnn => add_rnn_step(node, row, direction, state),
    }
}

/// Appends one step for all frames, which reads the state of the frame before. Returns the hidden
/// states of all frames and the last state.
fn add_stateful(
    node: &mut NodeContext,
    kind: Cell,
    flat: ValueId,
    direction: &Direction,
    initial: State,
) -> NodeResult<(ValueId, State)> {
    let frames = node.shape(flat).first().copied().unwrap_or(0);
    let shape = vec![frames, hidden_size(node, direction)];
    // A state starts with zeros, so it contains the difference from its first value.
    let mut previous = |initial: Option<ValueId>| -> NodeResult<(ValueId, ValueId)> {
        let state = node.add_node(Op::Previous, vec![flat], shape.clone())?;
        Ok((state, add_optional(node, state, initial)?))
    };
    let (hidden_state, hidden) = previous(initial.hidden)?;
    let cell = if kind == Cell::Lstm { Some(previous(initial.cell)?) } else { None };
    let state = State { hidden: Some(hidden), cell: cell.map(|(_, cell)| cell) };
    let next = add_step(node, kind, direction.products, direction, state)?;
    let states = [(Some(hidden_state), next.hidden, initial.hidden)].into_iter().chain([(
        cell.map(|(state, _)| state),
        next.cell,
        initial.cell,
    )]);
    for (previous, next, initial) in states {
        let (Some(previous), Some(next)) = (previous, next) else { continue };
        let next = match initial {
            Some(initial) => node.binary(Op::Sub, next, initial)?,
            None => next,
        };
        node.builder.graph.states.push(RecurrentState { previous, next });
    }
    let Some(all) = next.hidden else { return fail("the layer has no hidden state") };
    let mut last = |values: Option<ValueId>| match values {
        Some(values) => select(node, values, 0, &[frames - 1]).map(Some),
        None => Ok(None),
    };
    Ok((all, State { hidden: last(next.hidden)?, cell: last(next.cell)? }))
}

/// Refuses the attributes that change the equations.
fn check_attributes(node: &NodeContext, kind: Cell) -> NodeResult<()> {
    if node.attributes.flag("layout", false)? {
        return fail("layout must be 0; export with the sequence on the first axis");
    }
    if node.attributes.get("clip").is_some() || node.attributes.flag("input_forget", false)? {
        return fail("clip and input_forget are not supported");
    }
    let given = node.attributes.get("activations").map(|a| a.strings.as_slice());
    let defaults = kind.activations().iter().cycle();
    let mut pairs = given.unwrap_or_default().iter().zip(defaults);
    let is_rnn = kind == Cell::Rnn;
    match pairs.find(|(name, default)| {
        name.as_ref() != default.as_bytes() && !(is_rnn && name.as_ref() == b"Relu")
    }) {
        None => Ok(()),
        Some((name, default)) => fail(format!(
            "the activation {} is not supported here; use {default}",
            name.escape_ascii()
        )),
    }
}

/// Reads the weights of one direction and appends the products with the inputs.
fn read_direction(
    node: &mut NodeContext,
    kind: Cell,
    index: usize,
    flat: ValueId,
    [frames, inputs]: [usize; 2],
) -> NodeResult<Direction> {
    let gates = kind.gates();
    let matrix = |node: &NodeContext, at: usize, role: &str| -> NodeResult<ndarray::Array2<f32>> {
        let id = node.input(at, role)?;
        let view = node.constant(id).and_then(Tensor::f32_view);
        match view.and_then(|view| view.into_dimensionality::<Ix3>().ok()) {
            Some(view) if index < view.len_of(Axis(0)) => {
                Ok(view.index_axis(Axis(0), index).to_owned())
            }
            _ => fail(format!("the {role} must be a constant with three axes")),
        }
    };
    let (weights, recurrent) = (matrix(node, 1, "weights")?, matrix(node, 2, "recurrent weights")?);
    let size = recurrent.ncols();
    if weights.dim() != (gates * size, inputs) || recurrent.nrows() != gates * size || size == 0 {
        return fail(format!("the weights do not fit {inputs} inputs and {size} hidden values"));
    }
    let mut bias = vec![0.0f32; gates * size];
    let mut last_bias = None;
    if let Some(id) = node.optional_input(3) {
        let width = 2 * gates * size;
        let both = node.constant_f32(id).and_then(|b| b.get(index * width..(index + 1) * width));
        let Some((input_bias, hidden_bias)) =
            both.and_then(|both| both.split_at_checked(gates * size))
        else {
            return fail(format!("the bias must be a constant with {width} elements"));
        };
        // The last gate of PyTorch's GRU multiplies its hidden part before the sum.
        let is_separate =
            kind == Cell::Gru && node.attributes.flag("linear_before_reset", false)?;
        let shared = if is_separate { (gates - 1) * size } else { gates * size };
        for (slot, (at, (&a, &b))) in
            bias.iter_mut().zip(input_bias.iter().zip(hidden_bias).enumerate())
        {
            *slot = if at < shared { a + b } else { a };
        }
        let last = hidden_bias.get(shared..).unwrap_or_default().to_vec();
        if is_separate {
            last_bias = Some(node.add_constant(&[1, size], last)?);
        }
    }
    let transpose = |view: ArrayView2<f32>| Tensor::from(view.reversed_axes().to_owned());
    let weights = node.builder.add_folded_constant(node.proto, transpose(weights.view()))?;
    let recurrent = node.builder.add_folded_constant(node.proto, transpose(recurrent.view()))?;
    let bias = node.add_constant(&[1, gates * size], bias)?;
    let product = node.add_node(Op::MatMul, vec![flat, weights], vec![frames, gates * size])?;
    let products = node.binary(Op::Add, product, bias)?;
    Ok(Direction { products, recurrent, last_bias })
}

/// Returns the initial state `[1,H]` of one direction, or `None` if it is zero.
fn initial_state(
    node: &mut NodeContext,
    at: usize,
    index: usize,
    role: &str,
) -> NodeResult<Option<ValueId>> {
    let Some(id) = node.optional_input(at) else { return Ok(None) };
    let shape = node.shape(id).to_vec();
    let &[directions, 1, size] = shape.as_slice() else {
        return fail(format!("{role} must have the shape [directions,1,hidden], got {shape:?}"));
    };
    let Some(values) = node.constant_f32(id) else {
        return fail(format!("{role} must be a constant"));
    };
    let values = values.get(index * size..(index + 1) * size).unwrap_or_default().to_vec();
    if index >= directions || values.iter().all(|&v| v == 0.0) {
        return Ok(None);
    }
    node.add_constant(&[1, size], values).map(Some)
}
