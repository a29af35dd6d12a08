//! The ends of random networks: pools, heads, combinations of the frames, and softmaxes.

use super::super::recurrent::add_recurrence;
use super::super::source::{LABELS, Source, Val, float, int, ints};
use super::functions::add_function;
use super::layers::mean_over_space;
use super::spec::{End, Last, Over};
use super::time::to_frames;

/// Returns the number of labels of a network with this end.
pub(super) fn labels(end: &End) -> usize {
    if end.last == Last::Sigmoid { 2 } else { LABELS }
}

/// Appends the end of a network and makes its result the output.
pub(super) fn add_end(s: &mut Source, x: &Val, end: &End) -> Val {
    // The ReLU keeps the terms of the mean from cancelling each other out.
    let x = s.unary("Relu", x);
    let outputs = if end.last == Last::Sigmoid { 1 } else { LABELS };
    let has_rows = end.recurrence.is_some() || end.is_head_first || end.over != Over::Mean;
    if !has_rows && x.shape.len() == 5 {
        let features = mean_of_cine(s, &x, end.pool);
        let logits = add_head(s, &features, end.head, outputs);
        return add_last(s, &logits, end.last);
    }
    let mut rows = frame_features(s, &x, end.pool);
    let mut newest = None;
    if let Some(layer) = &end.recurrence {
        let sequence = s.reshape(&rows, &[rows.shape[0], 1, rows.shape[1]]);
        let (outputs, last) = add_recurrence(s, &sequence, layer, 5);
        rows = s.reshape(&outputs, &[rows.shape[0], outputs.shape[2]]);
        newest = (end.time >= 3).then_some(last);
    }
    if end.is_head_first {
        rows = add_head(s, &rows, end.head, outputs);
        if end.is_softmax_first || end.over == Over::Rows {
            rows = add_last(s, &rows, end.last);
        }
    }
    let combined = match (end.over, newest, end.is_head_first) {
        (Over::Newest, Some(newest), false) => newest,
        _ => combine(s, &rows, end.over, end.time),
    };
    let logits = match end.is_head_first {
        true => combined,
        false => add_head(s, &combined, end.head, outputs),
    };
    let is_finished = end.over == Over::Rows || (end.is_head_first && end.is_softmax_first);
    if is_finished { logits } else { add_last(s, &logits, end.last) }
}

/// Returns the mean of a cine over time and space, `[1,F]`.
fn mean_of_cine(s: &mut Source, x: &Val, form: usize) -> Val {
    let [_, channels, frames, height, width] = x.shape[..] else { unreachable!("a cine") };
    let mut pooled = x.shape.clone();
    pooled[2..].fill(1);
    match form {
        0 => return s.mean(x, &[2, 3, 4], false),
        1 => {
            let kernel = [frames, height, width];
            let y = s.pool("AveragePool", x, kernel, [1; 3], [0; 6], false);
            return s.flatten(&y);
        }
        2 => {
            let y = s.node("GlobalAveragePool", &[&x.name], pooled, vec![]);
            return s.flatten(&y);
        }
        3 => {
            let y = s.reshape(x, &[1, channels, frames * height * width]);
            return s.mean(&y, &[2], false);
        }
        4 => {
            let axes = s.ints(&[2, 3, 4]);
            let sum = s.node("ReduceSum", &[&x.name, &axes], pooled, vec![]);
            let count = s.floats(&[], vec![(frames * height * width) as f32]);
            let y = s.node("Div", &[&sum.name, &count], sum.shape.clone(), vec![]);
            return s.flatten(&y);
        }
        _ => {}
    }
    let axes: [&[usize]; 2] = if form == 5 { [&[3, 4], &[2]] } else { [&[2], &[2, 3]] };
    let y = s.mean(x, axes[0], false);
    s.mean(&y, axes[1], false)
}

/// Returns the features of each frame, `[T,F]`.
fn frame_features(s: &mut Source, x: &Val, form: usize) -> Val {
    if x.shape.len() == 5 && form < 2 {
        let [_, channels, frames, _, _] = x.shape[..] else { unreachable!("a cine") };
        let y = s.mean(x, &[3, 4], false);
        let y = s.transpose(&y, &[0, 2, 1]);
        return s.reshape(&y, &[frames, channels]);
    }
    let x = if x.shape.len() == 5 { to_frames(s, x) } else { x.clone() };
    let [frames, channels, height, width] = x.shape[..] else { unreachable!("frames") };
    match form {
        0..4 => {
            let y = mean_over_space(s, &x, form);
            let shape = vec![frames, channels];
            s.node("Flatten", &[&y.name], shape, vec![int("axis", 1)])
        }
        4 => {
            let y = s.reshape(&x, &[frames, channels, height * width]);
            s.mean(&y, &[2], false)
        }
        5 => {
            let attributes = vec![ints("axes", &[2, 3]), int("keepdims", 0)];
            s.node("ReduceMax", &[&x.name], vec![frames, channels], attributes)
        }
        _ => s.reshape(&x, &[frames, channels * height * width]),
    }
}

/// Combines the rows `[T,F]` of the frames to `[1,F]`.
fn combine(s: &mut Source, rows: &Val, over: Over, form: usize) -> Val {
    let (frames, width) = (rows.shape[0], rows.shape[1]);
    let one = vec![1, width];
    match over {
        Over::Rows => rows.clone(),
        Over::Mean => mean_of_rows(s, rows, form),
        Over::Newest if form.is_multiple_of(2) => {
            let list = s.reshape(rows, &[1, frames, width]);
            let index = s.ints(&[-1]);
            s.graph.initializer.last_mut().expect("the index").dims.clear();
            s.node("Gather", &[&list.name, &index], one, vec![int("axis", 1)])
        }
        Over::Newest => s.slice(rows, 0, frames - 1, frames, 1),
        Over::Maximum => {
            let attributes = vec![ints("axes", &[0]), int("keepdims", 1)];
            s.node("ReduceMax", &[&rows.name], one, attributes)
        }
        Over::Attention => {
            let scores = linear(s, rows, 1, 0);
            let weights = s.softmax(&scores, 0);
            let weighted = s.binary("Mul", rows, &weights);
            let axes = s.ints(&[0]);
            s.node("ReduceSum", &[&weighted.name, &axes], one, vec![])
        }
    }
}

fn mean_of_rows(s: &mut Source, rows: &Val, form: usize) -> Val {
    let (frames, width) = (rows.shape[0], rows.shape[1]);
    match form {
        0 => return s.mean(rows, &[0], true),
        1 => {
            let list = s.reshape(rows, &[1, frames, width]);
            return s.mean(&list, &[1], false);
        }
        2 => {
            let axes = s.ints(&[0]);
            let sum = s.node("ReduceSum", &[&rows.name, &axes], vec![1, width], vec![]);
            let factor = s.floats(&[], vec![1.0 / frames as f32]);
            return s.node("Mul", &[&sum.name, &factor], sum.shape.clone(), vec![]);
        }
        3 => {
            let weights = s.floats(&[1, frames], vec![1.0 / frames as f32; frames]);
            return s.node("MatMul", &[&weights, &rows.name], vec![1, width], vec![]);
        }
        _ => {}
    }
    let list = s.reshape(rows, &[1, frames, width]);
    let list = s.transpose(&list, &[0, 2, 1]);
    let shape = vec![1, width, 1];
    let y = match form {
        4 => s.node("GlobalAveragePool", &[&list.name], shape, vec![]),
        _ => s.node("AveragePool", &[&list.name], shape, vec![ints("kernel_shape", &[frames])]),
    };
    s.flatten(&y)
}

/// Appends a linear layer over the rows `[R,F]`.
fn linear(s: &mut Source, x: &Val, outputs: usize, form: usize) -> Val {
    let inputs = x.shape[1];
    let scale = 2.5 / (inputs as f32).sqrt();
    let shape = vec![x.shape[0], outputs];
    if form == 1 {
        let (w, b) = (s.random(&[inputs, outputs], scale, 0.0), s.random(&[outputs], 1.0, 0.0));
        let y = s.node("MatMul", &[&x.name, &w], shape.clone(), vec![]);
        return s.node("Add", &[&b, &y.name], shape, vec![]);
    }
    if form == 2 {
        let (w, b) = (s.random(&[inputs, outputs], scale, 0.0), s.random(&[1, outputs], 1.0, 0.0));
        let attributes = vec![float("alpha", 0.8), float("beta", 1.3)];
        return s.node("Gemm", &[&x.name, &w, &b], shape, attributes);
    }
    let (w, b) = (s.random(&[outputs, inputs], scale, 0.0), s.random(&[outputs], 1.0, 0.0));
    s.node("Gemm", &[&x.name, &w, &b], shape, vec![int("transB", 1)])
}

/// Appends a head over the rows `[R,F]`.
fn add_head(s: &mut Source, x: &Val, form: usize, outputs: usize) -> Val {
    let (rows, width) = (x.shape[0], x.shape[1]);
    match form {
        0..3 => linear(s, x, outputs, form),
        3 | 4 => {
            let y = linear(s, x, 6, form - 3);
            let y = s.unary(if form == 3 { "Relu" } else { "Tanh" }, &y);
            linear(s, &y, outputs, 1)
        }
        5 => {
            let attributes = vec![ints("axes", &[1]), int("keepdims", 1)];
            let length = s.node("ReduceL2", &[&x.name], vec![rows, 1], attributes);
            let low = s.floats(&[], vec![0.1]);
            let length = s.node("Max", &[&length.name, &low], vec![rows, 1], vec![]);
            let y = s.binary("Div", x, &length);
            linear(s, &y, outputs, 1)
        }
        6 => {
            let (scale, bias) = (s.random(&[width], 0.5, 1.0), s.random(&[width], 0.5, 0.0));
            let inputs = [x.name.as_str(), &scale, &bias];
            let attributes = vec![int("axis", -1), float("epsilon", 0.1)];
            let y = s.node("LayerNormalization", &inputs, x.shape.clone(), attributes);
            linear(s, &y, outputs, 0)
        }
        7 => {
            let y = linear(s, x, 7, 1);
            let y = s.batch_norm(&y);
            // Gelu in separate nodes.
            let y = add_function(s, &y, 22, 17);
            linear(s, &y, outputs, 2)
        }
        _ => {
            let y = s.reshape(x, &[rows, width, 1, 1]);
            let w = s.random(&[outputs, width, 1, 1], 2.5 / (width as f32).sqrt(), 0.0);
            let y = s.node("Conv", &[&y.name, &w], vec![rows, outputs, 1, 1], vec![]);
            s.reshape(&y, &[rows, outputs])
        }
    }
}

/// Appends what turns logits `[R,L]` into the output.
fn add_last(s: &mut Source, x: &Val, last: Last) -> Val {
    match last {
        Last::Logits => x.clone(),
        Last::Softmax => s.softmax(x, 1),
        Last::LogSoftmax => {
            s.node("LogSoftmax", &[&x.name], x.shape.clone(), vec![int("axis", -1)])
        }
        Last::SoftmaxTwice => {
            let y = s.softmax(x, 1);
            s.softmax(&y, 1)
        }
        Last::SoftmaxParts => {
            let y = s.unary("Exp", x);
            let axes = s.ints(&[1]);
            let sum = s.node("ReduceSum", &[&y.name, &axes], vec![x.shape[0], 1], vec![]);
            s.binary("Div", &y, &sum)
        }
        Last::Clipped => {
            let y = s.softmax(x, -1);
            let (min, max) = (s.floats(&[], vec![1e-7]), s.floats(&[], vec![1.0 - 1e-7]));
            s.node("Clip", &[&y.name, &min, &max], y.shape.clone(), vec![])
        }
        Last::Scaled => {
            let y = s.softmax(x, 1);
            let factor = s.floats(&[], vec![100.0]);
            s.node("Mul", &[&y.name, &factor], y.shape.clone(), vec![])
        }
        Last::Sigmoid => s.unary("Sigmoid", x),
    }
}
