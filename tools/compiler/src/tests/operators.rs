//! Tests of single operators in forms that occur in real networks.

use super::source::{LABELS, Padding, Source, Val, float, int, ints, text};
use super::support::{assert_clip_matches, assert_matches_and_streams, compile_source, options};
use crate::compile;

/// Returns a causal convolution of a cine with 8 channels, whose values have both signs.
pub(super) fn stem(s: &mut Source) -> Val {
    let x = s.input("x", &[1, 3, 4, 6, 6]);
    s.conv(&x, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left)
}

/// Appends a mean and a projection to the logits.
pub(super) fn finish(s: &mut Source, y: &Val) {
    // The ReLU keeps the terms of the mean from cancelling each other out.
    let y = s.unary("Relu", y);
    let pooled = s.mean(&y, &[2, 3, 4], true);
    let flat = s.flatten(&pooled);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
}

/// Asserts that a network with these nodes between stem and head streams and equals the source.
pub(super) fn assert_streams(name: &str, build: impl Fn(&mut Source, &Val) -> Val) {
    let mut s = Source::new(13);
    let x = stem(&mut s);
    let y = build(&mut s, &x);
    finish(&mut s, &y);
    eprintln!("{name}");
    assert_matches_and_streams(&s, &compile_source(&s));
}

/// Asserts that a network with these nodes gets only a clip package, which equals the source.
fn assert_clip_only(name: &str, build: impl Fn(&mut Source, &Val) -> Val) {
    let mut s = Source::new(13);
    let x = stem(&mut s);
    let y = build(&mut s, &x);
    finish(&mut s, &y);
    eprintln!("{name}");
    let network = compile_source(&s);
    assert!(network.stream.is_none(), "{name}");
    assert_clip_matches(&s, &network);
}

#[test]
fn constant_that_widens_one_channel_matches_the_source() {
    for op in ["Mul", "Add"] {
        let mut s = Source::new(13);
        let x = s.input("x", &[1, 1, 4, 6, 6]);
        let y = s.conv(&x, 1, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
        let constant = s.random(&[1, 4, 1, 1, 1], 1.0, 0.0);
        let y = s.node(op, &[&y.name, &constant], vec![1, 4, 4, 6, 6], vec![]);
        let pooled = s.mean(&y, &[2, 3, 4], true);
        let flat = s.flatten(&pooled);
        let logits = s.gemm(&flat, LABELS);
        s.output(&logits);
        assert_matches_and_streams(&s, &compile_source(&s));
    }
}

#[test]
fn functions_of_each_element_match_the_source() {
    let plain =
        ["Abs", "Celu", "Elu", "Erf", "Exp", "HardSwish", "LeakyRelu", "Neg", "Relu", "Selu"];
    for op in plain.into_iter().chain(["Sigmoid", "Softplus", "Softsign", "Tanh"]) {
        assert_streams(op, |s, x| s.unary(op, x));
    }
    for op in ["Celu", "Elu", "LeakyRelu", "Selu"] {
        assert_streams(op, |s, x| {
            s.node(op, &[&x.name], x.shape.clone(), vec![float("alpha", 0.3)])
        });
    }
    for op in ["Log", "Sqrt", "Reciprocal"] {
        assert_streams(op, |s, x| {
            let y = s.unary("Sigmoid", x);
            s.unary(op, &y)
        });
    }
}

#[test]
fn powers_with_constant_exponents_match_the_source() {
    for exponent in [0.5, 1.0, 2.0, 3.0, 2.7, -1.0, -2.0] {
        assert_streams(&format!("Pow {exponent}"), |s, x| {
            let y = s.unary("Sigmoid", x);
            let exponent = s.floats(&[], vec![exponent]);
            s.node("Pow", &[&y.name, &exponent], x.shape.clone(), vec![])
        });
    }
}

#[test]
fn operators_with_several_inputs_match_the_source() {
    for op in ["Max", "Min", "Sum", "Mean"] {
        assert_streams(op, |s, x| {
            let y = s.conv(x, 8, [1, 1, 1], [1, 1, 1], 1, Padding::Left);
            let z = s.floats(&[1, 8, 1, 1, 1], vec![0.1; 8]);
            s.node(op, &[&x.name, &y.name, &z], x.shape.clone(), vec![])
        });
    }
    assert_streams("PRelu", |s, x| {
        let slope = s.random(&[8, 1, 1, 1], 0.5, 0.0);
        s.node("PRelu", &[&x.name, &slope], x.shape.clone(), vec![])
    });
}

#[test]
fn layer_norm_over_the_channels_streams() {
    assert_streams("LayerNormalization", |s, x| {
        let y = s.transpose(x, &[0, 2, 3, 4, 1]);
        let (scale, bias) = (s.random(&[8], 0.5, 1.0), s.random(&[8], 0.5, 0.0));
        let inputs = [y.name.as_str(), &scale, &bias];
        let y = s.node("LayerNormalization", &inputs, y.shape.clone(), vec![int("axis", -1)]);
        s.transpose(&y, &[0, 4, 1, 2, 3])
    });
}

#[test]
fn group_norm_of_single_frames_streams() {
    for groups in [1usize, 2, 8] {
        assert_streams(&format!("group norm with {groups} groups"), |s, x| {
            let frames = s.transpose(x, &[0, 2, 1, 3, 4]);
            let frames = s.reshape(&frames, &[4, 8, 6, 6]);
            let grouped = s.reshape(&frames, &[4, groups, 8 / groups * 36]);
            let (one, zero) =
                (s.floats(&[groups], vec![1.0; groups]), s.floats(&[groups], vec![0.0; groups]));
            let inputs = [grouped.name.as_str(), &one, &zero];
            let y = s.node("InstanceNormalization", &inputs, grouped.shape.clone(), vec![]);
            let y = s.reshape(&y, &[4, 8, 6, 6]);
            let scale = s.random(&[8, 1, 1], 0.5, 1.0);
            let y = s.node("Mul", &[&y.name, &scale], vec![4, 8, 6, 6], vec![]);
            let y = s.reshape(&y, &[1, 4, 8, 6, 6]);
            s.transpose(&y, &[0, 2, 1, 3, 4])
        });
    }
}

#[test]
fn norm_over_the_whole_clip_gets_only_a_clip_package() {
    assert_clip_only("InstanceNormalization", |s, x| {
        let (scale, bias) = (s.random(&[8], 0.5, 1.0), s.random(&[8], 0.5, 0.0));
        s.node("InstanceNormalization", &[&x.name, &scale, &bias], x.shape.clone(), vec![])
    });
}

#[test]
fn channel_shuffle_and_split_stream() {
    assert_streams("channel shuffle", |s, x| {
        let y = s.reshape(x, &[1, 2, 4, 4, 6, 6]);
        let y = s.transpose(&y, &[0, 2, 1, 3, 4, 5]);
        s.reshape(&y, &[1, 8, 4, 6, 6])
    });
    assert_streams("Split", |s, x| {
        let parts = s.split(x, 1, &[3, 5]);
        s.concat(&[&parts[1], &parts[0]], 1)
    });
}

#[test]
fn dilated_convolutions_match_the_source() {
    for dilations in [[1, 2, 2], [2, 1, 1], [2, 2, 1]] {
        assert_streams(&format!("dilations {dilations:?}"), |s, x| {
            let w = s.random(&[8, 8, 3, 3, 3], 0.1, 0.0);
            let [t, h, w_] = dilations;
            let attributes = vec![
                ints("kernel_shape", &[3, 3, 3]),
                ints("dilations", &dilations),
                ints("pads", &[2 * t, h, w_, 0, h, w_]),
            ];
            s.node("Conv", &[&x.name, &w], x.shape.clone(), attributes)
        });
    }
}

#[test]
fn automatic_padding_equals_its_explicit_form() {
    for mode in ["SAME_UPPER", "SAME_LOWER"] {
        assert_clip_only(mode, |s, x| {
            let w = s.random(&[8, 8, 3, 4, 4], 0.1, 0.0);
            let attributes = vec![
                ints("kernel_shape", &[3, 4, 4]),
                ints("strides", &[1, 2, 2]),
                text("auto_pad", mode),
            ];
            s.node("Conv", &[&x.name, &w], vec![1, 8, 4, 3, 3], attributes)
        });
    }
}

#[test]
fn pools_with_ceil_mode_match_the_source() {
    for op in ["MaxPool", "AveragePool"] {
        for pad in [0usize, 1] {
            assert_streams(&format!("{op} {pad}"), |s, x| {
                let attributes = vec![
                    ints("kernel_shape", &[1, 3, 3]),
                    ints("strides", &[1, 2, 2]),
                    ints("pads", &[0, pad, pad, 0, pad, pad]),
                    int("ceil_mode", 1),
                ];
                let side = if pad == 0 { 3 } else { 4 };
                s.node(op, &[&x.name], vec![1, 8, 4, side, side], attributes)
            });
        }
    }
}

#[test]
fn copied_pads_stream_in_space() {
    for mode in ["edge", "reflect"] {
        assert_streams(mode, |s, x| {
            let pads = s.ints(&[0, 0, 0, 1, 2, 0, 0, 0, 2, 1]);
            let shape = vec![1, 8, 4, 9, 9];
            s.node("Pad", &[&x.name, &pads], shape, vec![text("mode", mode)])
        });
    }
}

#[test]
fn resize_in_space_matches_the_source() {
    let modes = [
        ("nearest", "asymmetric", "floor"),
        ("nearest", "half_pixel", "round_prefer_floor"),
        ("nearest", "half_pixel", "ceil"),
        ("linear", "half_pixel", "floor"),
        ("linear", "align_corners", "floor"),
        ("linear", "pytorch_half_pixel", "floor"),
    ];
    for (mode, coordinates, nearest) in modes {
        for size in [4i64, 6, 9, 12] {
            assert_streams(&format!("{mode} {coordinates} {nearest} to {size}"), |s, x| {
                let sizes = s.ints(&[1, 8, 4, size, size]);
                let shape = vec![1, 8, 4, size as usize, size as usize];
                let attributes = vec![
                    text("mode", mode),
                    text("coordinate_transformation_mode", coordinates),
                    text("nearest_mode", nearest),
                ];
                s.node("Resize", &[&x.name, "", "", &sizes], shape, attributes)
            });
        }
    }
}

#[test]
fn positions_between_two_pixels_match_the_source() {
    // From 12 to 4 pixels, for example, all positions are whole numbers or between two of them.
    let nearest = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"];
    for coordinates in ["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"] {
        for (nearest, size) in nearest.into_iter().flat_map(|n| (1..12).map(move |s| (n, s))) {
            assert_streams(&format!("{coordinates} {nearest} to {size}"), |s, x| {
                let resize = |s: &mut Source, x: &Val, size: i64, attributes| {
                    let sizes = s.ints(&[1, 8, 4, size, size]);
                    let shape = vec![1, 8, 4, size as usize, size as usize];
                    s.node("Resize", &[&x.name, "", "", &sizes], shape, attributes)
                };
                let larger = resize(s, x, 12, vec![text("mode", "linear")]);
                let attributes = vec![
                    text("mode", "nearest"),
                    text("coordinate_transformation_mode", coordinates),
                    text("nearest_mode", nearest),
                ];
                resize(s, &larger, size, attributes)
            });
        }
    }
}

#[test]
fn cubic_resize_of_single_frames_matches_the_source() {
    for size in [4usize, 9] {
        assert_streams(&format!("cubic to {size}"), |s, x| {
            let frames = s.transpose(x, &[0, 2, 1, 3, 4]);
            let frames = s.reshape(&frames, &[4, 8, 6, 6]);
            let sizes = s.ints(&[4, 8, size as i64, size as i64]);
            let inputs = [frames.name.as_str(), "", "", &sizes];
            let attributes = vec![text("mode", "cubic")];
            let y = s.node("Resize", &inputs, vec![4, 8, size, size], attributes);
            let y = s.reshape(&y, &[1, 4, 8, size, size]);
            s.transpose(&y, &[0, 2, 1, 3, 4])
        });
    }
}

#[test]
fn reductions_match_the_source() {
    let reductions =
        ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSumExp"];
    for op in reductions.into_iter().chain(["ReduceSumSquare"]) {
        assert_streams(op, |s, x| {
            let attributes = vec![int("keepdims", 1)];
            let (name, shape) = (x.name.clone(), vec![1, 8, 4, 1, 1]);
            if op == "ReduceSum" {
                let axes = s.ints(&[3, 4]);
                return s.node(op, &[&name, &axes], shape, attributes);
            }
            let attributes = [attributes, vec![ints("axes", &[3, 4])]].concat();
            s.node(op, &[&name], shape, attributes)
        });
    }
}

#[test]
fn mean_over_merged_axes_streams() {
    let mut s = Source::new(3);
    let x = stem(&mut s);
    let y = s.unary("Relu", &x);
    let flat = s.reshape(&y, &[1, 8, 4 * 36]);
    let pooled = s.mean(&flat, &[2], false);
    let logits = s.gemm(&pooled, LABELS);
    s.output(&logits);
    assert_matches_and_streams(&s, &compile_source(&s));
}

#[test]
fn frames_with_the_channels_last_stream() {
    let mut s = Source::new(3);
    let x = s.input("x", &[1, 4, 6, 6, 3]);
    let x = s.transpose(&x, &[0, 4, 1, 2, 3]);
    let y = s.conv(&x, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    finish(&mut s, &y);
    assert_matches_and_streams(&s, &compile_source(&s));
}

#[test]
fn roll_by_zero_elements_streams() {
    assert_streams("roll", |s, x| {
        let [start, end, axis] = [6, 6, 3].map(|v| s.ints(&[v]));
        let inputs = [x.name.as_str(), &start, &end, &axis];
        let mut shape = x.shape.clone();
        shape[3] = 0;
        let empty = s.node("Slice", &inputs, shape, vec![]);
        s.concat(&[&empty, x], 3)
    });
}

#[test]
fn assignment_to_a_part_of_a_tensor_matches_the_source() {
    // The first channels of each frame become those of the next one, as in a temporal shift.
    assert_clip_only("ScatterND", |s, x| {
        let later = s.slice(x, 2, 1, 4, 1);
        let part = s.slice(&later, 1, 0, 2, 1);
        let positions = (0..2).flat_map(|c| (0..3).flat_map(move |t| [0, c, t]));
        let list = s.ints(&positions.collect::<Vec<i64>>());
        let shape = s.ints(&[1, 2, 3, 3]);
        let indices = s.node("Reshape", &[&list, &shape], vec![1, 2, 3, 3], vec![]);
        let inputs = [x.name.as_str(), &indices.name, &part.name];
        s.node("ScatterND", &inputs, x.shape.clone(), vec![])
    });
}

#[test]
fn attention_over_all_positions_matches_the_source() {
    assert_clip_only("attention", |s, x| {
        let tokens = s.reshape(x, &[1, 8, 144]);
        let keys = s.transpose(&tokens, &[0, 2, 1]);
        let inputs = [keys.name.as_str(), &tokens.name];
        let scores = s.node("MatMul", &inputs, vec![1, 144, 144], vec![]);
        let weights = s.softmax(&scores, 2);
        let inputs = [weights.name.as_str(), &keys.name];
        let mixed = s.node("MatMul", &inputs, vec![1, 144, 8], vec![]);
        let mixed = s.transpose(&mixed, &[0, 2, 1]);
        let mixed = s.reshape(&mixed, &[1, 8, 4, 6, 6]);
        s.conv(&mixed, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Symmetric)
    });
}

#[test]
fn an_output_with_truth_values_is_refused_with_a_remedy() {
    let mut s = Source::new(3);
    let x = stem(&mut s);
    let limit = s.floats(&[], vec![0.5]);
    let y = s.node("Greater", &[&x.name, &limit], x.shape.clone(), vec![]);
    s.output(&y);
    let error = compile(s.bytes(), &options(LABELS)).expect_err("must be refused");
    assert!(error.to_string().contains("integers or truth values"), "{error}");
    assert!(error.to_string().contains("--logits NAME"), "{error}");
}

#[test]
fn nodes_in_any_order_give_the_same_package() {
    let mut s = Source::new(3);
    let x = stem(&mut s);
    finish(&mut s, &x);
    let sorted = compile_source(&s);
    s.graph.node.reverse();
    let reversed = compile_source(&s);
    let graph = |network: &crate::CompiledNetwork| {
        crate::inspect(&network.clip.bytes).expect("readable").metadata["graph_sha256"].clone()
    };
    assert_eq!(graph(&sorted), graph(&reversed));
}
