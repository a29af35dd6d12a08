//! Layers of random networks that only ONNX Runtime runs. They are continuous, so that a rounding
//! error does not change which branch or element they choose.

use super::super::source::{Source, Val, int, text};

/// Appends a layer that a package contains as it is in the source.
pub(super) fn add_kept(s: &mut Source, x: &Val, form: usize, opset: i64) -> Val {
    match form {
        0 => s.unary("Sin", x),
        1 => s.unary("Cos", x),
        2 => {
            let axis = s.ints(&[1]);
            let y = s.node("CumSum", &[&x.name, &axis], x.shape.clone(), vec![int("reverse", 1)]);
            s.unary("Tanh", &y)
        }
        3 => {
            let zero = s.floats(&[], vec![0.0]);
            let op = if opset == 17 { "Greater" } else { "LessOrEqual" };
            let chosen = s.node(op, &[&x.name, &zero], x.shape.clone(), vec![]);
            let small = s.floats(&[1], vec![0.3]);
            let other = s.node("Mul", &[&x.name, &small], x.shape.clone(), vec![]);
            let inputs = [chosen.name.as_str(), &x.name, &other.name];
            s.node("Where", &inputs, x.shape.clone(), vec![])
        }
        4 => {
            let [base, exponent] = ["Sigmoid", "Softplus"].map(|op| s.unary(op, x));
            s.binary("Pow", &base, &exponent)
        }
        // The largest values of the channels, in their order.
        5 => {
            let k = x.shape[1].min(3);
            let count = s.ints(&[k as i64]);
            let mut shape = x.shape.clone();
            shape[1] = k;
            let y = s.node("TopK", &[&x.name, &count], shape, vec![int("axis", 1)]);
            let indices = format!("{}_indices", y.name);
            s.graph.node.last_mut().expect("the node").output.push(indices);
            y
        }
        _ if x.shape.len() == 4 && x.shape[1] >= 2 => {
            let grid = s.slice(x, 1, 0, 2, 1);
            let grid = s.unary("Tanh", &grid);
            let grid = s.transpose(&grid, &[0, 2, 3, 1]);
            let mode = if opset >= 20 { "linear" } else { "bilinear" };
            let attributes = vec![text("mode", mode), int("align_corners", 1)];
            let inputs = [x.name.as_str(), &grid.name];
            s.node("GridSample", &inputs, x.shape.clone(), attributes)
        }
        _ => s.unary("Sin", x),
    }
}
