//! The input of a random network with one pathway.

use super::super::source::{Source, Val, int};
use super::spec::{Input, InputLayout};
use crate::onnx::data_type;

/// Height and width of the frames. They differ, so that a confusion of both changes the result.
pub(super) const HEIGHT: usize = 8;
pub(super) const WIDTH: usize = 6;

/// For each axis of the input, the axis of `[T,C,H,W]` that it has, or `None` for a size of 1.
pub(super) fn axes(input: &Input) -> Vec<Option<usize>> {
    use InputLayout::{
        ChannelsLast, ChannelsTime, Images, ImagesChannelsLast, NoBatch, TimeChannels,
    };
    let order = match input.layout {
        ChannelsTime | NoBatch => [1, 0, 2, 3],
        TimeChannels | Images => [0, 1, 2, 3],
        ChannelsLast | ImagesChannelsLast => [0, 2, 3, 1],
    };
    let units = match input.layout {
        ChannelsTime | TimeChannels | ChannelsLast => 1 + input.leading,
        NoBatch | Images | ImagesChannelsLast => 0,
    };
    std::iter::repeat_n(None, units).chain(order.map(Some)).collect()
}

/// Appends the input and its normalisation. Returns a cine `[1,C,T,H,W]` or frames `[T,C,H,W]`.
pub(super) fn add_input(s: &mut Source, input: &Input, frames: usize, has_frames: bool) -> Val {
    let sizes = [frames, input.channels, HEIGHT, WIDTH];
    let axes = axes(input);
    let shape: Vec<usize> = axes.iter().map(|axis| axis.map_or(1, |axis| sizes[axis])).collect();
    let mut x = s.input("frames", &shape);
    if input.is_bytes {
        let tensor = s.graph.input[0].r#type.as_mut().and_then(|t| t.tensor_type.as_mut());
        tensor.expect("the input has a type").elem_type = data_type::UINT8;
        let to = vec![int("to", data_type::FLOAT.into())];
        x = s.node("Cast", &[&x.name], x.shape.clone(), to);
    }
    x = add_normalisation(s, &x, input, &axes);
    let units = axes.len() - 4;
    // With one leading axis, a Transpose keeps it. Otherwise a Reshape changes their number first.
    let order: Vec<usize> = axes.iter().filter_map(|&axis| axis).collect();
    let position = |axis: usize| order.iter().position(|&other| other == axis).expect("an axis");
    let wanted: &[usize] = if has_frames { &[0, 1, 2, 3] } else { &[1, 0, 2, 3] };
    if units != 1 {
        let kept = if has_frames { 0 } else { 1 };
        let sizes = order.iter().map(|&axis| sizes[axis]);
        let shape: Vec<usize> = std::iter::repeat_n(1, kept).chain(sizes).collect();
        if shape != x.shape {
            x = s.reshape(&x, &shape);
        }
        let perm: Vec<usize> =
            (0..kept).chain(wanted.iter().map(|&axis| kept + position(axis))).collect();
        return transpose(s, &x, &perm);
    }
    let perm: Vec<usize> = [0].into_iter().chain(wanted.iter().map(|&a| 1 + position(a))).collect();
    let x = transpose(s, &x, &perm);
    if has_frames { s.reshape(&x, &sizes) } else { x }
}

fn transpose(s: &mut Source, x: &Val, perm: &[usize]) -> Val {
    if perm.is_sorted() { x.clone() } else { s.transpose(x, perm) }
}

/// Appends the nodes that normalise the frames.
fn add_normalisation(s: &mut Source, x: &Val, input: &Input, axes: &[Option<usize>]) -> Val {
    let unit = if input.is_bytes { 255.0 } else { 1.0 };
    // Bytes always become small numbers, because the layers would otherwise saturate.
    let kind = if input.is_bytes { input.normalisation.max(1) } else { input.normalisation };
    let per_channel = |values: [f32; 3]| -> (Vec<usize>, Vec<f32>) {
        let size = |axis: &Option<usize>| if *axis == Some(1) { input.channels } else { 1 };
        (axes.iter().map(size).collect(), values[..input.channels].to_vec())
    };
    match kind {
        0 => x.clone(),
        1 => {
            let divisor = s.floats(&[], vec![unit]);
            s.node("Div", &[&x.name, &divisor], x.shape.clone(), vec![])
        }
        2 => {
            let (m, d) = (s.floats(&[], vec![0.45 * unit]), s.floats(&[], vec![0.225 * unit]));
            let y = s.node("Sub", &[&x.name, &m], x.shape.clone(), vec![]);
            s.node("Div", &[&y.name, &d], x.shape.clone(), vec![])
        }
        3 => {
            let (shape, mean) = per_channel([0.485 * unit, 0.456 * unit, 0.406 * unit]);
            let std = vec![0.229 * unit, 0.224 * unit, 0.225 * unit][..input.channels].to_vec();
            let (m, d) = (s.floats(&shape, mean), s.floats(&shape, std));
            let y = s.node("Sub", &[&x.name, &m], x.shape.clone(), vec![]);
            s.node("Div", &[&y.name, &d], x.shape.clone(), vec![])
        }
        _ => {
            let (f, o) = (s.floats(&[], vec![2.0 / unit]), s.floats(&[], vec![-1.0]));
            let y = s.node("Mul", &[&x.name, &f], x.shape.clone(), vec![]);
            s.node("Add", &[&y.name, &o], x.shape.clone(), vec![])
        }
    }
}
