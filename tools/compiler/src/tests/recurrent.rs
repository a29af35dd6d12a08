//! Recurrent layers over the features of the frames.

use super::source::{Source, Val, int, text};
use proptest::prelude::*;
use proptest::sample::select;

/// The parameters of a recurrent layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recurrence {
    pub(super) kind: &'static str,
    pub(super) direction: &'static str,
    pub(super) has_bias: bool,
    pub(super) has_initial: bool,
    pub(super) before_reset: bool,
}

/// Returns a strategy that generates layers of all kinds with this direction.
pub(super) fn recurrence(direction: &'static str) -> impl Strategy<Value = Recurrence> {
    (select(vec!["LSTM", "GRU", "RNN"]), any::<[bool; 3]>()).prop_map(
        move |(kind, [has_bias, has_initial, before_reset])| Recurrence {
            kind,
            direction,
            has_bias,
            has_initial,
            before_reset,
        },
    )
}

/// Appends a recurrent layer over `x`, `[T,1,F]`. Returns its outputs `[T,1,H]` and its last hidden
/// state `[1,H]`.
pub(super) fn add_recurrence(s: &mut Source, x: &Val, r: &Recurrence, size: usize) -> (Val, Val) {
    let gates = match r.kind {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let directions = if r.direction == "bidirectional" { 2 } else { 1 };
    let w = s.random(&[directions, gates * size, x.shape[2]], 0.6, 0.0);
    let recurrent = s.random(&[directions, gates * size, size], 0.6, 0.0);
    let bias = match r.has_bias {
        true => s.random(&[directions, 2 * gates * size], 0.5, 0.0),
        false => String::new(),
    };
    let mut inputs = vec![x.name.clone(), w, recurrent, bias, String::new()];
    if r.has_initial {
        inputs.push(s.random(&[directions, 1, size], 0.8, 0.0));
        if r.kind == "LSTM" {
            inputs.push(s.random(&[directions, 1, size], 0.8, 0.0));
        }
    }
    let mut attributes = vec![int("hidden_size", size as i64), text("direction", r.direction)];
    if r.kind == "GRU" {
        attributes.push(int("linear_before_reset", r.before_reset.into()));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let shape = vec![x.shape[0], directions, 1, size];
    let y = s.node(r.kind, &inputs, shape, attributes);
    let last = format!("{}_last", y.name);
    s.graph.node.last_mut().expect("the layer").output.push(last.clone());
    let last = Val { name: last, shape: vec![directions, 1, size] };
    let last = s.reshape(&last, &[1, directions * size]);
    let y = s.transpose(&y, &[0, 2, 1, 3]);
    (s.reshape(&y, &[x.shape[0], 1, directions * size]), last)
}
