//! Layers of random networks that apply to each frame. A value is a cine `[1,C,T,H,W]` or frames
//! `[T,C,H,W]`, so the channels are axis 1, and height and width are the last two axes.

use super::super::source::{Source, Val, int, ints, text};
use super::functions::add_function;
use super::kept::add_kept;
use super::norms::add_norm;
use super::spec::Layer;
use super::time::add_time_layer;
use crate::onnx::AttributeProto;

/// Appends a layer.
pub(super) fn add_layer(s: &mut Source, x: &Val, layer: Layer, opset: i64) -> Val {
    match layer {
        Layer::Conv { k, stride, dilation, is_grouped, padding } => {
            add_conv(s, x, k, stride, dilation, is_grouped, padding)
        }
        Layer::Function { index } => add_function(s, x, index, opset),
        Layer::Norm { kind } => add_norm(s, x, kind),
        Layer::Excite { form } => add_excite(s, x, form),
        Layer::SpatialGate { form } => add_spatial_gate(s, x, form),
        Layer::Pool { form, has_ceiling } => add_pool(s, x, form, has_ceiling),
        Layer::Channels { form } => add_channels(s, x, form),
        Layer::Pad { mode } => add_pad(s, x, mode),
        Layer::Resize { form } => add_resize(s, x, form),
        Layer::Blocks => add_blocks(s, x),
        Layer::Mix { form } => add_mix(s, x, form),
        Layer::Constant { form } => add_constant(s, x, form),
        Layer::Residual { index } => {
            let y = conv(s, x, x.shape[1], 3, 1);
            let y = add_function(s, &y, index, opset);
            s.binary("Add", x, &y)
        }
        Layer::Time(layer) => add_time_layer(s, x, layer),
        Layer::Kept { form } => add_kept(s, x, form, opset),
    }
}

/// Returns the sizes of a window over space, with one entry more for the frames of a cine.
pub(super) fn spatial(x: &Val, frame: usize, [height, width]: [usize; 2]) -> Vec<usize> {
    let frames = if x.shape.len() == 5 { vec![frame] } else { vec![] };
    [frames, vec![height, width]].concat()
}

fn set_space(x: &Val, channels: usize, [height, width]: [usize; 2]) -> Vec<usize> {
    let mut shape = x.shape.clone();
    let rank = shape.len();
    (shape[1], shape[rank - 2], shape[rank - 1]) = (channels, height, width);
    shape
}

fn space(x: &Val) -> [usize; 2] {
    let rank = x.shape.len();
    [x.shape[rank - 2], x.shape[rank - 1]]
}

/// Appends a convolution over space that keeps the height and width if its stride is 1.
pub(super) fn conv(s: &mut Source, x: &Val, outputs: usize, k: usize, stride: usize) -> Val {
    let channels = x.shape[1];
    let weights = [vec![outputs, channels], spatial(x, 1, [k, k])].concat();
    let w = s.random(&weights, 1.7 / ((channels * k * k) as f32).sqrt(), 0.0);
    let b = s.random(&[outputs], 0.3, 0.0);
    let pads = spatial(x, 0, [k / 2; 2]);
    let attributes = vec![
        ints("kernel_shape", &spatial(x, 1, [k, k])),
        ints("strides", &spatial(x, 1, [stride; 2])),
        ints("pads", &[pads.clone(), pads].concat()),
    ];
    let size = space(x).map(|size| (size + k / 2 * 2 - k) / stride + 1);
    s.node("Conv", &[&x.name, &w, &b], set_space(x, outputs, size), attributes)
}

fn add_conv(
    s: &mut Source,
    x: &Val,
    k: usize,
    stride: usize,
    dilation: usize,
    is_grouped: bool,
    padding: usize,
) -> Val {
    let channels = x.shape[1];
    let extent = dilation * (k - 1) + 1;
    let is_small = space(x).iter().any(|&size| size < 4);
    let stride = if is_small { 1 } else { stride };
    let (outputs, groups) = match (is_grouped, channels % 2) {
        (true, 0) => (channels, 2),
        (true, _) => (2 * channels, channels),
        (false, _) => (if channels > 8 { 5 } else { channels + 2 }, 1),
    };
    let weights = [vec![outputs, channels / groups], spatial(x, 1, [k, k])].concat();
    let w = s.random(&weights, 1.7 / ((channels / groups * k * k) as f32).sqrt(), 0.0);
    let b = s.random(&[outputs], 0.3, 0.0);
    let mut inputs = vec![x.name.clone(), w];
    if padding != 3 {
        inputs.push(b);
    }
    let mut attributes = vec![
        ints("dilations", &spatial(x, 1, [dilation; 2])),
        ints("strides", &spatial(x, 1, [stride; 2])),
        int("group", groups as i64),
    ];
    // ONNX Runtime accepts automatic padding only without a dilation.
    let size = if (1..3).contains(&padding) && dilation == 1 {
        attributes.push(text("auto_pad", ["SAME_UPPER", "SAME_LOWER"][padding - 1]));
        space(x).map(|size| size.div_ceil(stride))
    } else if padding == 3 && space(x).iter().all(|&size| size > extent) {
        attributes.push(text("auto_pad", "VALID"));
        space(x).map(|size| (size - extent) / stride + 1)
    } else {
        let pads = spatial(x, 0, [extent / 2; 2]);
        attributes.push(ints("pads", &[pads.clone(), pads].concat()));
        space(x).map(|size| (size + extent / 2 * 2 - extent) / stride + 1)
    };
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    s.node("Conv", &inputs, set_space(x, outputs, size), attributes)
}

/// Returns the mean over space in one of the forms that exporters write.
pub(super) fn mean_over_space(s: &mut Source, x: &Val, form: usize) -> Val {
    let rank = x.shape.len();
    let pooled = set_space(x, x.shape[1], [1, 1]);
    match (form, rank) {
        (1, 4) => s.node("GlobalAveragePool", &[&x.name], pooled, vec![]),
        (1, _) | (2, _) => {
            let kernel = spatial(x, 1, space(x));
            s.node("AveragePool", &[&x.name], pooled, vec![ints("kernel_shape", &kernel)])
        }
        (3, _) => {
            let axes = s.ints(&[-1, -2]);
            let sum = s.node("ReduceSum", &[&x.name, &axes], pooled, vec![]);
            let count = s.floats(&[], vec![space(x).iter().product::<usize>() as f32]);
            s.node("Div", &[&sum.name, &count], sum.shape.clone(), vec![])
        }
        _ => s.mean(x, &[rank - 2, rank - 1], true),
    }
}

/// Appends a squeeze-excite over space.
fn add_excite(s: &mut Source, x: &Val, form: usize) -> Val {
    let gate = mean_over_space(s, x, form);
    let gate = conv(s, &gate, 2, 1, 1);
    let gate = s.unary("Relu", &gate);
    let gate = conv(s, &gate, x.shape[1], 1, 1);
    let gate = s.unary(if form.is_multiple_of(2) { "Sigmoid" } else { "HardSigmoid" }, &gate);
    if form == 3 {
        let sizes: Vec<i64> = x.shape.iter().map(|&size| size as i64).collect();
        let sizes = s.ints(&sizes);
        let wide = s.node("Expand", &[&gate.name, &sizes], x.shape.clone(), vec![]);
        return s.binary("Mul", x, &wide);
    }
    s.binary("Mul", x, &gate)
}

/// Appends a gate for each position, from reductions over the channels.
fn add_spatial_gate(s: &mut Source, x: &Val, form: usize) -> Val {
    let mut shape = x.shape.clone();
    shape[1] = 1;
    let op = ["ReduceMax", "ReduceMin", "ReduceL2", "ReduceLogSumExp"][form % 4];
    let max = s.node(op, &[&x.name], shape, vec![ints("axes", &[1]), int("keepdims", 1)]);
    let mean = s.mean(x, &[1], true);
    let both = s.concat(&[&max, &mean], 1);
    let gate = conv(s, &both, 1, 3, 1);
    let gate = s.unary("Sigmoid", &gate);
    s.binary("Mul", x, &gate)
}

fn add_pool(s: &mut Source, x: &Val, form: usize, has_ceiling: bool) -> Val {
    if space(x).iter().any(|&size| size < 4) {
        return x.clone();
    }
    let op = if form < 2 { "MaxPool" } else { "AveragePool" };
    let pad = form % 2;
    let pads = spatial(x, 0, [pad; 2]);
    let mut attributes = vec![
        ints("kernel_shape", &spatial(x, 1, [3, 3])),
        ints("strides", &spatial(x, 1, [2, 2])),
        ints("pads", &[pads.clone(), pads].concat()),
        int("ceil_mode", has_ceiling.into()),
    ];
    if form == 3 && !has_ceiling {
        attributes.push(int("count_include_pad", 1));
    }
    let size = space(x).map(|size| {
        let rest = size + 2 * pad - 3;
        if has_ceiling { rest.div_ceil(2) + 1 } else { rest / 2 + 1 }
    });
    s.node(op, &[&x.name], set_space(x, x.shape[1], size), attributes)
}

fn split_channels(s: &mut Source, x: &Val) -> [Val; 2] {
    let half = x.shape[1] / 2;
    let parts = s.split(x, 1, &[half, x.shape[1] - half]);
    [parts[0].clone(), parts[1].clone()]
}

/// Appends nodes that rearrange, join or reduce the channels.
fn add_channels(s: &mut Source, x: &Val, form: usize) -> Val {
    let channels = x.shape[1];
    match form {
        0 if channels.is_multiple_of(2) => {
            let rest = &x.shape[2..];
            let split = [&[x.shape[0], 2, channels / 2], rest].concat();
            let y = s.reshape(x, &split);
            let perm: Vec<usize> = [0, 2, 1].into_iter().chain(3..split.len()).collect();
            let y = s.transpose(&y, &perm);
            s.reshape(&y, &x.shape)
        }
        1 if channels > 1 => {
            let [first, second] = split_channels(s, x);
            s.concat(&[&second, &first], 1)
        }
        2 if channels.is_multiple_of(2) => {
            let [first, second] = split_channels(s, x);
            let gate = s.unary("Sigmoid", &second);
            s.binary("Mul", &first, &gate)
        }
        3 => {
            let [start, end, axis, step] = [-1, i64::MIN + 1, 1, -1].map(|v| s.ints(&[v]));
            let inputs = [x.name.as_str(), &start, &end, &axis, &step];
            s.node("Slice", &inputs, x.shape.clone(), vec![])
        }
        4 => {
            let indices: Vec<i64> = (0..5).map(|i| (i * 7 % channels) as i64).collect();
            let indices = s.ints(&indices);
            let shape = set_space(x, 5, space(x));
            s.node("Gather", &[&x.name, &indices], shape, vec![int("axis", 1)])
        }
        5 if channels < 9 => {
            let mut repeats = vec![1i64; x.shape.len()];
            repeats[1] = 2;
            let repeats = s.ints(&repeats);
            let shape = set_space(x, 2 * channels, space(x));
            s.node("Tile", &[&x.name, &repeats], shape, vec![])
        }
        6 if channels < 9 => {
            let negative = s.unary("Neg", x);
            s.concat(&[x, &negative], 1)
        }
        7 => {
            let y = conv(s, x, channels, 1, 1);
            let z = s.random(&[1], 0.3, 0.0);
            s.node("Sum", &[&x.name, &y.name, &z], x.shape.clone(), vec![])
        }
        _ => {
            let y = conv(s, x, channels, 1, 1);
            s.node("Mean", &[&x.name, &y.name], x.shape.clone(), vec![])
        }
    }
}

fn add_pad(s: &mut Source, x: &Val, mode: usize) -> Val {
    if space(x).iter().any(|&size| !(3..12).contains(&size)) {
        return x.clone();
    }
    let zeros = vec![0; x.shape.len() - 2];
    let pads = s.ints(&[zeros.clone(), vec![1, 2], zeros, vec![2, 0]].concat());
    let attributes = vec![text("mode", ["constant", "edge", "reflect"][mode])];
    let size = [space(x)[0] + 3, space(x)[1] + 2];
    s.node("Pad", &[&x.name, &pads], set_space(x, x.shape[1], size), attributes)
}

fn add_resize(s: &mut Source, x: &Val, form: usize) -> Val {
    const MODES: [(&str, &str, &str); 4] = [
        ("nearest", "asymmetric", "floor"),
        ("nearest", "half_pixel", "round_prefer_floor"),
        ("linear", "half_pixel", "floor"),
        ("linear", "align_corners", "floor"),
    ];
    let (mode, coordinates, nearest) = MODES[form % 4];
    let attributes: Vec<AttributeProto> = vec![
        text("mode", mode),
        text("coordinate_transformation_mode", coordinates),
        text("nearest_mode", nearest),
    ];
    // Scales of a power of two leave no doubt about the size of the result.
    let size = if space(x)[0] > 8 { [5, 4] } else { space(x).map(|size| 2 * size) };
    let shape = set_space(x, x.shape[1], size);
    if form < 4 || space(x)[0] > 8 {
        let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let sizes = s.ints(&sizes);
        return s.node("Resize", &[&x.name, "", "", &sizes], shape, attributes);
    }
    let mut scales = vec![1.0; x.shape.len() - 2];
    scales.extend([2.0, 2.0]);
    let scales = s.floats(&[x.shape.len()], scales);
    s.node("Resize", &[&x.name, "", &scales], shape, attributes)
}

/// Appends a space-to-depth, a convolution and a depth-to-space. A cine stays as it is.
fn add_blocks(s: &mut Source, x: &Val) -> Val {
    let [height, width] = space(x);
    if x.shape.len() == 5 || !height.is_multiple_of(2) || !width.is_multiple_of(2) {
        return x.clone();
    }
    let shape = set_space(x, 4 * x.shape[1], [height / 2, width / 2]);
    let y = s.node("SpaceToDepth", &[&x.name], shape, vec![int("blocksize", 2)]);
    let y = conv(s, &y, 8, 1, 1);
    let shape = set_space(x, 2, [height, width]);
    s.node("DepthToSpace", &[&y.name], shape, vec![int("blocksize", 2), text("mode", "CRD")])
}

/// Appends a product along the channels.
fn add_mix(s: &mut Source, x: &Val, form: usize) -> Val {
    let channels = x.shape[1];
    let scale = 1.7 / (channels as f32).sqrt();
    if form == 2 {
        let w = s.random(&[4, channels], scale, 0.0);
        let equation = if x.shape.len() == 5 { "ncthw,dc->ndthw" } else { "nchw,dc->ndhw" };
        let shape = set_space(x, 4, space(x));
        return s.node("Einsum", &[&x.name, &w], shape, vec![text("equation", equation)]);
    }
    let rank = x.shape.len();
    let last: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
    let back: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    let y = s.transpose(x, &last);
    let w = s.random(&[channels, 4], scale, 0.0);
    let mut shape = y.shape.clone();
    shape[rank - 1] = 4;
    let mut y = s.node("MatMul", &[&y.name, &w], shape, vec![]);
    if form == 1 {
        let bias = s.random(&[4], 0.3, 0.0);
        y = s.node("Add", &[&bias, &y.name], y.shape.clone(), vec![]);
        y = s.unary("Relu", &y);
    }
    s.transpose(&y, &back)
}

/// Appends an operation with a constant that has some of the axes.
fn add_constant(s: &mut Source, x: &Val, form: usize) -> Val {
    let channels = x.shape[1];
    let [height, width] = space(x);
    match form {
        0 => {
            let c = s.random(&[height, width], 0.5, 0.0);
            s.node("Add", &[&x.name, &c], x.shape.clone(), vec![])
        }
        1 => {
            let c = s.random(&[1, width], 0.5, 1.0);
            s.node("Mul", &[&c, &x.name], x.shape.clone(), vec![])
        }
        2 => {
            let mut shape = vec![1; x.shape.len()];
            shape[1] = channels;
            let c = s.random(&shape, 0.5, 0.0);
            s.node("Max", &[&x.name, &c], x.shape.clone(), vec![])
        }
        3 => {
            let c = s.random(&[1], 0.5, 0.5);
            s.node("Min", &[&c, &x.name], x.shape.clone(), vec![])
        }
        4 => {
            let mask: Vec<f32> = (0..height * width).map(|i| (i % 3 % 2) as f32).collect();
            let mask = s.floats(&[height, width], mask);
            let mask = s.node("Cast", &[&mask], vec![height, width], vec![int("to", 9)]);
            let other = s.unary("Tanh", x);
            let inputs = [mask.name.as_str(), &x.name, &other.name];
            s.node("Where", &inputs, x.shape.clone(), vec![])
        }
        // The coordinates of each pixel become channels.
        5 => {
            let plane: Vec<f32> = (0..height * width).map(|i| (i / width) as f32 / 8.0).collect();
            let mut unit = vec![1; x.shape.len() - 2];
            unit.extend([height, width]);
            let plane = s.floats(&unit, plane);
            let mut shape = x.shape.clone();
            shape[1] = 1;
            let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            let sizes = s.ints(&sizes);
            let plane = s.node("Expand", &[&plane, &sizes], shape, vec![]);
            let y = s.concat(&[x, &plane], 1);
            conv(s, &y, channels, 3, 1)
        }
        _ => {
            let c = s.random(&[1], 0.2, 0.8);
            s.node("Div", &[&x.name, &c], x.shape.clone(), vec![])
        }
    }
}
