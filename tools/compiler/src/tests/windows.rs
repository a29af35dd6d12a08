//! Tests of the padding of convolutions and pools, over time and over space.

use super::operators::{finish, stem};
use super::source::{LABELS, Source, Val, int, ints, text};
use super::support::{TOLERANCE, options, verify_source};
use crate::onnx::AttributeProto;
use crate::verify::Verification;
use crate::{Result, compile};

/// An operator with a window.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Conv,
    MaxPool,
    AveragePool { includes_pads: bool },
}

const KINDS: [Kind; 4] = [
    Kind::Conv,
    Kind::MaxPool,
    Kind::AveragePool { includes_pads: false },
    Kind::AveragePool { includes_pads: true },
];

/// Appends a window with these attributes. The tests do not need the exact shape of its result.
fn add_window(
    s: &mut Source,
    x: &Val,
    kind: Kind,
    kernel: [usize; 3],
    mut attributes: Vec<AttributeProto>,
) -> Val {
    attributes.push(ints("kernel_shape", &kernel));
    match kind {
        Kind::Conv => {
            let [t, h, w] = kernel;
            let weights = s.random(&[8, 8, t, h, w], 0.3, 0.0);
            s.node("Conv", &[&x.name, &weights], x.shape.clone(), attributes)
        }
        Kind::MaxPool => s.node("MaxPool", &[&x.name], x.shape.clone(), attributes),
        Kind::AveragePool { includes_pads } => {
            attributes.push(int("count_include_pad", includes_pads.into()));
            s.node("AveragePool", &[&x.name], x.shape.clone(), attributes)
        }
    }
}

/// Compiles a network with these nodes between stem and head, and compares its packages with it.
fn compare(build: impl Fn(&mut Source, &Val) -> Val) -> Result<Verification> {
    let mut s = Source::new(13);
    let x = stem(&mut s);
    let y = build(&mut s, &x);
    finish(&mut s, &y);
    let network = compile(s.bytes(), &options(LABELS))?;
    verify_source(&s, &network)
}

fn is_equal(errors: &Verification) -> bool {
    errors.clip <= TOLERANCE && errors.stream.is_none_or(|error| error <= TOLERANCE)
}

#[test]
fn negative_pads_of_windows_are_refused() {
    for kind in KINDS {
        for at in 0..6 {
            let result = compare(|s, x| {
                let mut pads = [0i64; 6];
                pads[at] = -1;
                let mut attribute = ints("pads", &[]);
                attribute.ints = pads.to_vec();
                add_window(s, x, kind, [2, 2, 2], vec![attribute])
            });
            let error = result.expect_err("must be refused").to_string();
            assert!(error.contains("attribute pads"), "{kind:?}: {error}");
        }
    }
}

#[test]
fn crops_before_windows_match_the_source() {
    // Time, then height, at the front and at the back; -1 crops and 1 pads.
    for pads in [[-1, 0, 0, 0], [0, -1, 0, 0], [-1, 1, 0, 0], [1, -1, -1, 1], [0, 0, -1, -1]] {
        for kind in KINDS {
            let errors = compare(|s, x| {
                let [first, last, top, bottom] = pads;
                let pads = s.ints(&[0, 0, first, top, 0, 0, 0, last, bottom, 0]);
                let mut shape = x.shape.clone();
                shape[2] = shape[2].strict_add_signed((first + last) as isize);
                shape[3] = shape[3].strict_add_signed((top + bottom) as isize);
                let y = s.node("Pad", &[&x.name, &pads], shape, vec![]);
                add_window(s, &y, kind, [2, 2, 2], vec![])
            });
            let errors = errors.expect("the packages run");
            assert!(is_equal(&errors), "{kind:?} {pads:?}: {errors}");
        }
    }
}

#[test]
fn pads_before_windows_match_the_source() {
    // A Pad of height, width or both, and the padding of the window itself. Together they may be
    // larger than the kernel, which has two rows and three columns.
    for pad in [[1, 0, 0, 0], [0, 2, 0, 2], [2, 2, 1, 0], [0, 3, 4, 0]] {
        for own in [0, 1] {
            for kind in KINDS {
                let errors = compare(|s, x| {
                    let [top, left, bottom, right] = pad;
                    let pads = s.ints(&[0, 0, 0, top, left, 0, 0, 0, bottom, right]);
                    let mut shape = x.shape.clone();
                    shape[3] = shape[3].strict_add_signed((top + bottom) as isize);
                    shape[4] = shape[4].strict_add_signed((left + right) as isize);
                    let y = s.node("Pad", &[&x.name, &pads], shape, vec![]);
                    let attributes = vec![ints("pads", &[0, own, own, 0, own, own])];
                    add_window(s, &y, kind, [1, 2, 3], attributes)
                });
                let errors = errors.expect("the packages run");
                assert!(is_equal(&errors), "{kind:?} {pad:?} {own}: {errors}");
            }
        }
    }
}

#[test]
fn automatic_pads_of_windows_match_the_source() {
    for kind in KINDS {
        for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
            for (kernel, strides) in [([2, 3, 2], [1, 2, 2]), ([3, 2, 4], [2, 2, 1])] {
                for has_ceiling in [false, true] {
                    if has_ceiling && matches!(kind, Kind::Conv) {
                        continue;
                    }
                    let result = compare(|s, x| {
                        let mut attributes =
                            vec![ints("strides", &strides), text("auto_pad", mode)];
                        if has_ceiling {
                            attributes.push(int("ceil_mode", 1));
                        }
                        add_window(s, x, kind, kernel, attributes)
                    });
                    let name = format!("{kind:?} {mode} {kernel:?} {has_ceiling}");
                    match result {
                        Ok(errors) => assert!(is_equal(&errors), "{name}: {errors}"),
                        Err(error) => assert!(
                            error.to_string().contains("ceil_mode with count_include_pad"),
                            "{name}: {error}"
                        ),
                    }
                }
            }
        }
    }
}

/// CondConv mixes its weights for each input, and TANet computes temporal weights from the cine.
#[test]
fn convolutions_with_computed_weights_match_the_source() {
    let forms: [(&str, &[usize], usize, &[usize]); 4] = [
        ("image", &[4, 8, 3, 3], 1, &[1, 1, 1, 1]),
        ("dilated", &[8, 4, 2, 1], 2, &[1, 0, 1, 0]),
        ("over frames and pixels", &[8, 1, 3, 1], 8, &[1, 0, 1, 0]),
        ("over frames", &[8, 1, 3], 8, &[1, 1]),
    ];
    for (name, weights, group, pads) in forms {
        let errors = compare(|s, x| {
            let [_, channels, frames, height, width] = x.shape[..] else { unreachable!() };
            let pooled = s.mean(x, &[2, 3, 4], false);
            let kernel = s.matmul(&pooled, weights.iter().product());
            let kernel = s.reshape(&kernel, weights);
            let operand = match name {
                "over frames and pixels" => vec![1, channels, frames, height * width],
                "over frames" => vec![1, channels, frames * height * width],
                _ => vec![frames, channels, height, width],
            };
            let operand = s.reshape(x, &operand);
            let dilation = if name == "dilated" { 2 } else { 1 };
            let attributes = vec![
                ints("pads", pads),
                ints("dilations", &vec![dilation; weights.len() - 2]),
                int("group", group as i64),
            ];
            let mut shape = operand.shape.clone();
            shape[1] = weights[0];
            let y = s.node("Conv", &[&operand.name, &kernel.name], shape.clone(), attributes);
            let rest = shape.iter().product::<usize>() / (weights[0] * height * width);
            s.reshape(&y, &[1, weights[0], rest, height, width])
        });
        let errors = errors.expect("the packages run");
        assert!(is_equal(&errors), "{name}: {errors}");
    }
}
