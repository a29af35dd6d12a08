//! Layers of random networks that combine frames.

use super::super::source::{Padding, Source, Val, ints, text};
use super::spec::TimeLayer;

/// Appends a layer. Frames `[T,C,H,W]` become a cine `[1,C,T,H,W]` before it and frames after it.
pub(super) fn add_time_layer(s: &mut Source, x: &Val, layer: TimeLayer) -> Val {
    if x.shape.len() == 5 {
        return add_to_cine(s, x, layer);
    }
    let cine = to_cine(s, x);
    let y = add_to_cine(s, &cine, layer);
    to_frames(s, &y)
}

/// Turns frames `[T,C,H,W]` into a cine `[1,C,T,H,W]`.
fn to_cine(s: &mut Source, x: &Val) -> Val {
    let y = s.reshape(x, &[&[1], x.shape.as_slice()].concat());
    s.transpose(&y, &[0, 2, 1, 3, 4])
}

/// Turns a cine `[1,C,T,H,W]` into frames `[T,C,H,W]`.
pub(super) fn to_frames(s: &mut Source, x: &Val) -> Val {
    let y = s.transpose(x, &[0, 2, 1, 3, 4]);
    s.reshape(&y, &y.shape[1..])
}

fn add_to_cine(s: &mut Source, x: &Val, layer: TimeLayer) -> Val {
    let (channels, frames) = (x.shape[1], x.shape[2]);
    match layer {
        TimeLayer::Conv { kt, padding, dilation } => add_conv(s, x, kt, padding, dilation),
        TimeLayer::Max { kt } => {
            s.pool("MaxPool", x, [kt, 1, 1], [1; 3], [kt - 1, 0, 0, 0, 0, 0], false)
        }
        TimeLayer::Average { kt, includes_pads } => {
            s.pool("AveragePool", x, [kt, 1, 1], [1; 3], [kt - 1, 0, 0, 0, 0, 0], includes_pads)
        }
        TimeLayer::Difference => {
            let padded = s.pad(x, 2, 1, 0, 0.0);
            let earlier = s.slice(&padded, 2, 0, frames, 1);
            s.binary("Sub", x, &earlier)
        }
        // The first channels come from the frame before, and perhaps the last from the next one.
        TimeLayer::Shift { is_causal } if channels > 2 => {
            let padded = s.pad(x, 2, 1, 1, 0.0);
            let take = |s: &mut Source, start: usize, from: usize, to: usize| {
                let part = s.slice(&padded, 1, from, to, 1);
                s.slice(&part, 2, start, start + frames, 1)
            };
            let parts = [
                take(s, 0, 0, 1),
                take(s, 1, 1, channels - 1),
                take(s, if is_causal { 0 } else { 2 }, channels - 1, channels),
            ];
            s.concat(&parts.iter().collect::<Vec<_>>(), 1)
        }
        TimeLayer::Resize => {
            let mut shape = x.shape.clone();
            shape[2] *= 2;
            let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            let sizes = s.ints(&sizes);
            let attributes = vec![text("coordinate_transformation_mode", "asymmetric")];
            s.node("Resize", &[&x.name, "", "", &sizes], shape, attributes)
        }
        TimeLayer::Reverse => {
            let [start, end, axis, step] = [-1, i64::MIN + 1, 2, -1].map(|v| s.ints(&[v]));
            let inputs = [x.name.as_str(), &start, &end, &axis, &step];
            s.node("Slice", &inputs, x.shape.clone(), vec![])
        }
        TimeLayer::Stride if frames.is_multiple_of(2) => {
            s.pool("MaxPool", x, [2, 1, 1], [2, 1, 1], [0; 6], false)
        }
        TimeLayer::Gate => {
            let gate = s.mean(x, &[2, 3, 4], true);
            let gate = s.unary("Sigmoid", &gate);
            s.binary("Mul", x, &gate)
        }
        TimeLayer::Position => {
            let embedding = s.random(&[frames, 1, 1], 0.5, 0.0);
            s.node("Add", &[&x.name, &embedding], x.shape.clone(), vec![])
        }
        TimeLayer::Shift { .. } | TimeLayer::Stride => x.clone(),
    }
}

fn add_conv(s: &mut Source, x: &Val, kt: usize, padding: usize, dilation: usize) -> Val {
    let channels = x.shape[1];
    if dilation == 2 {
        let weights = [channels, channels, kt, 1, 1];
        let w = s.random(&weights, 1.7 / ((channels * kt) as f32).sqrt(), 0.0);
        let before = 2 * (kt - 1);
        let attributes =
            vec![ints("dilations", &[2, 1, 1]), ints("pads", &[before, 0, 0, 0, 0, 0])];
        return s.node("Conv", &[&x.name, &w], x.shape.clone(), attributes);
    }
    match padding {
        0 if kt % 2 == 1 => s.conv(x, channels, [kt, 1, 1], [1; 3], 1, Padding::Symmetric),
        1 => s.conv(x, channels, [kt, 3, 3], [1; 3], channels, Padding::Left),
        2 => s.conv(x, channels, [kt, 1, 1], [1; 3], 1, Padding::LeftPadNode),
        3 => s.conv(x, channels, [kt, 3, 3], [1; 3], 1, Padding::Chomp),
        // The convolution slides over `[H*W,C,T]`, as in a temporal network over features.
        4 => {
            let [_, _, frames, height, width] = x.shape[..] else { unreachable!("a cine") };
            let y = s.transpose(x, &[0, 3, 4, 1, 2]);
            let y = s.reshape(&y, &[height * width, channels, frames]);
            let w = s.random(&[channels, channels, kt], 1.0 / (channels * kt) as f32, 0.0);
            let pads = vec![ints("pads", &[kt - 1, 0])];
            let y = s.node("Conv", &[&y.name, &w], y.shape.clone(), pads);
            let y = s.reshape(&y, &[1, height, width, channels, frames]);
            s.transpose(&y, &[0, 3, 4, 1, 2])
        }
        // The residual of a temporal network.
        _ => {
            let y = s.conv(x, channels, [kt, 1, 1], [1; 3], 1, Padding::Left);
            let y = s.unary("Elu", &y);
            s.binary("Add", x, &y)
        }
    }
}
