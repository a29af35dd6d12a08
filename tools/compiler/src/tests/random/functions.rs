//! Functions of each element in the forms that exporters write.

use super::super::source::{Source, Val, float, text};

/// Functions that are one node without parameters and have moderate results.
const PLAIN: [&str; 15] = [
    "Abs",
    "Celu",
    "Dropout",
    "Elu",
    "Erf",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
];

/// Index of `Erf` in [`PLAIN`].
pub(super) const ERF: usize = 4;
const _: () = assert!(matches!(PLAIN[ERF].as_bytes(), b"Erf"));

/// Returns `op(x, constant)`.
fn with(s: &mut Source, op: &str, x: &Val, constant: f32) -> Val {
    let constant = s.floats(&[], vec![constant]);
    s.node(op, &[&x.name, &constant], x.shape.clone(), vec![])
}

/// Appends the function with this index.
pub(super) fn add_function(s: &mut Source, x: &Val, index: usize, opset: i64) -> Val {
    if let Some(op) = PLAIN.get(index) {
        return s.unary(op, x);
    }
    let alpha = |op: &str, s: &mut Source| {
        s.node(op, &[&x.name], x.shape.clone(), vec![float("alpha", 0.3)])
    };
    match index - PLAIN.len() {
        0 => alpha("Elu", s),
        1 => alpha("Celu", s),
        2 => alpha("LeakyRelu", s),
        3 => s.node("Selu", &[&x.name], x.shape.clone(), vec![float("gamma", 0.7)]),
        4 => {
            let attributes = vec![float("alpha", 0.3), float("beta", 0.4)];
            s.node("HardSigmoid", &[&x.name], x.shape.clone(), attributes)
        }
        5 => {
            let (low, high) = (s.floats(&[], vec![-0.5]), s.floats(&[], vec![0.75]));
            s.node("Clip", &[&x.name, &low, &high], x.shape.clone(), vec![])
        }
        6 => {
            let high = s.floats(&[], vec![0.75]);
            s.node("Clip", &[&x.name, "", &high], x.shape.clone(), vec![])
        }
        // Gelu, as PyTorch's exporter writes it.
        7 => {
            let y = with(s, "Div", x, std::f32::consts::SQRT_2);
            let y = s.unary("Erf", &y);
            let y = with(s, "Add", &y, 1.0);
            let y = s.binary("Mul", x, &y);
            with(s, "Mul", &y, 0.5)
        }
        8 => {
            let y = with(s, "Pow", x, 3.0);
            let y = with(s, "Mul", &y, 0.044_715);
            let y = s.binary("Add", x, &y);
            let y = with(s, "Mul", &y, 0.797_884_6);
            let y = s.unary("Tanh", &y);
            let y = with(s, "Add", &y, 1.0);
            let half = with(s, "Mul", x, 0.5);
            s.binary("Mul", &half, &y)
        }
        9 if opset >= 20 => s.unary("Gelu", x),
        9 => s.unary("Neg", x),
        10 if opset >= 20 => {
            s.node("Gelu", &[&x.name], x.shape.clone(), vec![text("approximate", "tanh")])
        }
        10 => {
            let y = s.unary("Sigmoid", x);
            s.binary("Mul", &y, x)
        }
        11 if opset >= 18 => s.unary("Mish", x),
        11 => {
            let y = s.unary("Softplus", x);
            let y = s.unary("Tanh", &y);
            s.binary("Mul", x, &y)
        }
        12 => {
            let y = s.unary("Tanh", x);
            with(s, "Pow", &y, 2.0)
        }
        13 => {
            let y = s.unary("Abs", x);
            let y = with(s, "Add", &y, 0.1);
            s.unary("Sqrt", &y)
        }
        14 => {
            let y = s.unary("Tanh", x);
            s.unary("Exp", &y)
        }
        15 => {
            let y = s.unary("Sigmoid", x);
            let y = with(s, "Add", &y, 0.1);
            s.unary("Log", &y)
        }
        16 => {
            let y = s.unary("Softplus", x);
            let y = with(s, "Add", &y, 1.0);
            s.unary("Reciprocal", &y)
        }
        17 => {
            let channels = x.shape[1];
            let mut shape = vec![channels];
            shape.resize(x.shape.len() - 1, 1);
            let slope = s.random(&shape, 0.5, 0.0);
            s.node("PRelu", &[&x.name, &slope], x.shape.clone(), vec![])
        }
        18 => {
            let y = s.unary("Sigmoid", x);
            with(s, "Pow", &y, 1.7)
        }
        _ => {
            let one = s.floats(&[1], vec![1.0]);
            let y = s.node("Sub", &[&one, &x.name], x.shape.clone(), vec![]);
            with(s, "Max", &y, -0.5)
        }
    }
}
