//! Packages with long paths.

use super::builder::{Builder, SIDE, floats, indices, int, ints};

/// Largest number of nodes on a path.
pub(crate) const MAX_DEPTH: usize = 2048;

/// Returns a chain of `count` nodes from the input to the logits.
pub(crate) fn chain(count: usize) -> Builder {
    let mut builder = Builder::default();
    let mut last = "fast".to_owned();
    for index in 0..count - 2 {
        let next = format!("v{index}");
        builder = builder.node("Relu", &[&last], &next, vec![]);
        last = next;
    }
    builder.finish(&last)
}

/// Returns a chain of `count` nodes of most operators. All of them keep the shape of the input.
pub(crate) fn mixed_chain(count: usize) -> Builder {
    let strides = ints("strides", &[1, 1]);
    let pool = vec![ints("kernel_shape", &[1, 1]), strides.clone()];
    let conv = vec![strides, ints("dilations", &[1, 1]), ints("pads", &[0; 4])];
    let operators = [
        ("Conv", vec!["weights"], conv),
        ("Add", vec!["row"], vec![]),
        ("Transpose", vec![], vec![ints("perm", &[0, 1, 3, 2])]),
        ("Sigmoid", vec![], vec![]),
        ("Mul", vec!["row"], vec![]),
        ("Reshape", vec!["shape"], vec![]),
        ("MaxPool", vec![], pool.clone()),
        ("Slice", vec!["starts", "ends", "axes"], vec![]),
        ("Concat", vec![], vec![int("axis", 1)]),
        ("Identity", vec![], vec![]),
        ("Sub", vec!["row"], vec![]),
        ("MatMul", vec!["square"], vec![]),
        ("AveragePool", vec![], pool),
        ("Cast", vec![], vec![int("to", 1)]),
        ("Softmax", vec![], vec![int("axis", -1)]),
        ("Gather", vec!["order"], vec![int("axis", 2)]),
        ("Expand", vec!["shape"], vec![]),
        ("Pad", vec!["pads"], vec![]),
        ("Clip", vec!["low"], vec![]),
    ];
    let order: Vec<i64> = (0..SIDE).rev().collect();
    let mut builder = Builder::default()
        .initializer(floats("weights", &[1, 1, 1, 1], &[0.5]))
        .initializer(floats("row", &[SIDE], &[0.5; SIDE as usize]))
        .initializer(floats("square", &[SIDE, SIDE], &[0.1; (SIDE * SIDE) as usize]))
        .initializer(floats("low", &[], &[-1.0]))
        .initializer(indices("shape", &[1, 1, SIDE, SIDE]))
        .initializer(indices("starts", &[0]))
        .initializer(indices("ends", &[1]))
        .initializer(indices("axes", &[0]))
        .initializer(indices("order", &order))
        .initializer(indices("pads", &[0; 8]));
    let mut last = "fast".to_owned();
    for (index, (operator, arguments, attributes)) in
        operators.iter().cycle().take(count - 2).enumerate()
    {
        let inputs: Vec<&str> =
            std::iter::once(&last[..]).chain(arguments.iter().copied()).collect();
        let next = format!("v{index}");
        builder = builder.node(operator, &inputs, &next, attributes.clone());
        last = next;
    }
    builder.finish(&last)
}
