//! Norms of random networks, in the forms that exporters write.

use super::super::source::{Source, Val, float, int};

/// A large epsilon keeps a rounding error of the mean from being divided by a tiny deviation.
const EPSILON: f32 = 0.1;

/// Appends a norm: batch, layer in one node or in parts, instance, group, or unit length.
pub(super) fn add_norm(s: &mut Source, x: &Val, kind: usize) -> Val {
    let rank = x.shape.len();
    let channels = x.shape[1];
    let last: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
    let back: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    match kind {
        0 => s.batch_norm(x),
        1 => {
            let y = s.transpose(x, &last);
            let (scale, bias) = (s.random(&[channels], 0.5, 1.0), s.random(&[channels], 0.5, 0.0));
            let inputs = [y.name.as_str(), &scale, &bias];
            let attributes = vec![int("axis", -1), float("epsilon", EPSILON)];
            let y = s.node("LayerNormalization", &inputs, y.shape.clone(), attributes);
            s.transpose(&y, &back)
        }
        2 => {
            let mean = s.mean(x, &[1], true);
            let centred = s.binary("Sub", x, &mean);
            let two = s.floats(&[], vec![2.0]);
            let square = s.node("Pow", &[&centred.name, &two], x.shape.clone(), vec![]);
            let variance = s.mean(&square, &[1], true);
            let epsilon = s.floats(&[], vec![EPSILON]);
            let inputs = [variance.name.as_str(), &epsilon];
            let sum = s.node("Add", &inputs, variance.shape.clone(), vec![]);
            let deviation = s.unary("Sqrt", &sum);
            s.binary("Div", &centred, &deviation)
        }
        3 => {
            let (scale, bias) = (s.random(&[channels], 0.5, 1.0), s.random(&[channels], 0.5, 0.0));
            let inputs = [x.name.as_str(), &scale, &bias];
            let attributes = vec![float("epsilon", EPSILON)];
            s.node("InstanceNormalization", &inputs, x.shape.clone(), attributes)
        }
        4 => {
            let groups = if channels.is_multiple_of(2) { 2 } else { 1 };
            let size = x.shape[1..].iter().product::<usize>() / groups;
            let grouped = s.reshape(x, &[x.shape[0], groups, size]);
            let (one, zero) =
                (s.floats(&[groups], vec![1.0; groups]), s.floats(&[groups], vec![0.0; groups]));
            let inputs = [grouped.name.as_str(), &one, &zero];
            let attributes = vec![float("epsilon", EPSILON)];
            let y = s.node("InstanceNormalization", &inputs, grouped.shape.clone(), attributes);
            let y = s.reshape(&y, &x.shape);
            let mut shape = vec![channels];
            shape.resize(rank - 1, 1);
            let (scale, bias) = (s.random(&shape, 0.5, 1.0), s.random(&shape, 0.5, 0.0));
            let y = s.node("Mul", &[&y.name, &scale], x.shape.clone(), vec![]);
            s.node("Add", &[&y.name, &bias], x.shape.clone(), vec![])
        }
        _ => {
            let mut shape = x.shape.clone();
            shape[1] = 1;
            let attributes = vec![super::super::source::ints("axes", &[1]), int("keepdims", 1)];
            let length = s.node("ReduceL2", &[&x.name], shape, attributes);
            let low = s.floats(&[], vec![EPSILON]);
            let inputs = [length.name.as_str(), &low];
            let length = s.node("Max", &inputs, length.shape.clone(), vec![]);
            s.binary("Div", x, &length)
        }
    }
}
