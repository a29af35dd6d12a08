//! Conversion of functions that apply to each element.

use super::constant_functions::choose;
use super::elementwise::convert_unary;
use super::failure::{NodeResult, fail};
use super::kept::{keep_pow, keep_where};
use super::node_context::NodeContext;
use crate::graph::{Op, ValueId};
use crate::lowered::Function;
use crate::tensor::Tensor;

/// Largest integer exponent that Pow computes with products. All larger floats are even numbers.
const MAX_POWER: u32 = 1 << 24;

/// Scale and slope of Selu, if the node does not list them.
const SELU: (f32, f32) = (1.050_701, 1.673_263_2);

/// Factors of the approximation of Gelu with tanh: `sqrt(2 / pi)`, and the weight of the cube.
const GELU_TANH: (f32, f32) = (0.797_884_6, 0.044_715);

/// Converts a function without parameters, or one with the parameter `alpha`.
pub(super) fn convert_function(node: &mut NodeContext, function: Function) -> NodeResult<ValueId> {
    convert_unary(node, Op::Function(function))
}

pub(super) fn convert_elu(node: &mut NodeContext) -> NodeResult<ValueId> {
    let alpha = node.attributes.float("alpha", 1.0)?;
    convert_function(node, Function::Elu(alpha.into()))
}

pub(super) fn convert_leaky_relu(node: &mut NodeContext) -> NodeResult<ValueId> {
    let alpha = node.attributes.float("alpha", 0.01)?;
    convert_function(node, Function::LeakyRelu(alpha.into()))
}

/// Converts Celu to `alpha * Elu(x / alpha)`.
pub(super) fn convert_celu(node: &mut NodeContext) -> NodeResult<ValueId> {
    let alpha = node.attributes.float("alpha", 1.0)?;
    // With another number, `x / alpha` is negative where `x` is positive.
    if !alpha.is_normal() || alpha < 0.0 {
        return fail(format!("alpha must be greater than 0, got {alpha}; use a Relu instead"));
    }
    let x = node.scale(node.x, 1.0 / alpha)?;
    let y = node.unary(Op::Function(Function::Elu(1.0.into())), x)?;
    node.scale(y, alpha)
}

/// Converts Selu to `gamma * Elu(x)` with the slope `alpha`.
pub(super) fn convert_selu(node: &mut NodeContext) -> NodeResult<ValueId> {
    let gamma = node.attributes.float("gamma", SELU.0)?;
    let alpha = node.attributes.float("alpha", SELU.1)?;
    let y = node.unary(Op::Function(Function::Elu(alpha.into())), node.x)?;
    node.scale(y, gamma)
}

/// Converts Gelu to `x * (0.5 + 0.5 * erf(x / sqrt(2)))`, or to its approximation with tanh.
pub(super) fn convert_gelu(node: &mut NodeContext) -> NodeResult<ValueId> {
    let x = node.x;
    let gate = match node.attributes.text("approximate") {
        b"" | b"none" => {
            let scaled = node.scale(x, std::f32::consts::FRAC_1_SQRT_2)?;
            node.unary(Op::Function(Function::Erf), scaled)?
        }
        b"tanh" => {
            let square = node.binary(Op::Mul, x, x)?;
            let cube = node.binary(Op::Mul, square, x)?;
            let weighted = node.scale(cube, GELU_TANH.1)?;
            let sum = node.binary(Op::Add, x, weighted)?;
            let scaled = node.scale(sum, GELU_TANH.0)?;
            node.unary(Op::Function(Function::Tanh), scaled)?
        }
        other => {
            return fail(format!(
                "approximate must be none or tanh, got \"{}\"",
                other.escape_ascii()
            ));
        }
    };
    let half = node.scale(gate, 0.5)?;
    let shifted = node.shift(half, 0.5)?;
    node.binary(Op::Mul, x, shifted)
}

/// Converts Mish to `x * tanh(softplus(x))`.
pub(super) fn convert_mish(node: &mut NodeContext) -> NodeResult<ValueId> {
    let softplus = node.unary(Op::Function(Function::Softplus), node.x)?;
    let gate = node.unary(Op::Function(Function::Tanh), softplus)?;
    node.binary(Op::Mul, node.x, gate)
}

/// Converts Softsign to `x / (1 + |x|)`.
pub(super) fn convert_softsign(node: &mut NodeContext) -> NodeResult<ValueId> {
    let size = node.unary(Op::Function(Function::Abs), node.x)?;
    let divisor = node.shift(size, 1.0)?;
    node.binary(Op::Div, node.x, divisor)
}

/// Converts PRelu to `Relu(x) - slope * Relu(-x)`.
pub(super) fn convert_prelu(node: &mut NodeContext) -> NodeResult<ValueId> {
    let slope = node.input(1, "slope")?;
    if node.constant_f32(slope).is_none() {
        return fail("the slope must be a constant float tensor");
    }
    let positive = node.unary(Op::Relu, node.x)?;
    let negated = node.scale(node.x, -1.0)?;
    let negative = node.unary(Op::Relu, negated)?;
    let scaled = node.binary(Op::Mul, negative, slope)?;
    node.binary(Op::Sub, positive, scaled)
}

pub(super) fn convert_neg(node: &mut NodeContext) -> NodeResult<ValueId> {
    node.scale(node.x, -1.0)
}

pub(super) fn convert_reciprocal(node: &mut NodeContext) -> NodeResult<ValueId> {
    let one = node.add_scalar(1.0);
    node.binary(Op::Div, one, node.x)
}

/// Converts Pow with a constant exponent. Integer exponents become products. For any other
/// exponent, the base cannot be negative, so the power is `exp(exponent * log(x))`. The power 0 is
/// 1, and an exponent above [`MAX_POWER`] is even, so the sign of the base does not matter.
pub(super) fn convert_pow(node: &mut NodeContext) -> NodeResult<ValueId> {
    let id = node.input(1, "exponent")?;
    let exponent = match node.constant(id) {
        Some(constant) => match (constant.f32_elements(), constant.i64_elements()) {
            (Some([exponent]), _) => *exponent,
            (_, Some([exponent])) => *exponent as f32,
            _ => return fail("the exponent must be one number"),
        },
        None => return keep_pow(node),
    };
    if !exponent.is_finite() {
        return fail(format!("the exponent must be a finite number, got {exponent}"));
    }
    if exponent == 0.5 {
        return convert_function(node, Function::Sqrt);
    }
    if exponent.fract() == 0.0 && exponent.abs() <= MAX_POWER as f32 && exponent != 0.0 {
        let power = raise(node, exponent.abs() as u32)?;
        if exponent > 0.0 {
            return Ok(power);
        }
        let one = node.add_scalar(1.0);
        return node.binary(Op::Div, one, power);
    }
    if exponent == 0.0 {
        let zeros = node.scale(node.x, 0.0)?;
        return node.shift(zeros, 1.0);
    }
    let base = match exponent.fract() == 0.0 {
        true => node.unary(Op::Function(Function::Abs), node.x)?,
        false => node.x,
    };
    let log = node.unary(Op::Function(Function::Log), base)?;
    let scaled = node.scale(log, exponent)?;
    node.unary(Op::Function(Function::Exp), scaled)
}

/// Raises the input to a positive integer power by repeated squaring.
fn raise(node: &mut NodeContext, exponent: u32) -> NodeResult<ValueId> {
    let (mut square, mut rest, mut result) = (node.x, exponent, None);
    loop {
        if rest & 1 == 1 {
            result = Some(match result {
                None => square,
                Some(result) => node.binary(Op::Mul, result, square)?,
            });
        }
        rest >>= 1;
        match (rest, result) {
            (0, Some(result)) => return Ok(result),
            (0, None) => return fail("the exponent must not be zero"),
            _ => square = node.binary(Op::Mul, square, square)?,
        }
    }
}

/// Converts Max, Min, Sum and Mean over any number of inputs.
pub(super) fn convert_variadic(node: &mut NodeContext, op: Op) -> NodeResult<ValueId> {
    let mut result = node.x;
    for index in 1..node.inputs.len() {
        let operand = node.input(index, "operand")?;
        result = node.binary(op.clone(), result, operand)?;
    }
    if node.proto.op_type == "Mean" {
        return node.scale(result, 1.0 / node.inputs.len() as f32);
    }
    Ok(result)
}

/// Converts Where with a constant condition to a sum of both operands, each multiplied by a mask.
/// The mask is applied to a constant operand here, because an infinite number times 0 is not 0.
pub(super) fn convert_where(node: &mut NodeContext) -> NodeResult<ValueId> {
    let Some(condition) = node.constant(node.x).cloned() else { return keep_where(node) };
    let Tensor::I64(selected) = &condition else { return fail("the condition must be a boolean") };
    let mut terms = Vec::new();
    for (index, chosen) in [(1, true), (2, false)] {
        let operand = node.input(index, if chosen { "true operand" } else { "false operand" })?;
        let mask = |v: &i64| if (*v != 0) == chosen { 1.0f32 } else { 0.0 };
        let zero = Tensor::from(ndarray::arr0(0.0f32));
        let term = match node.constant(operand) {
            Some(value) if chosen => choose(&condition, value, &zero)?,
            Some(value) => choose(&condition, &zero, value)?,
            None => {
                let mask = Tensor::from(selected.map(mask));
                let mask = node.builder.add_folded_constant(node.proto, mask)?;
                terms.push(node.binary(Op::Mul, operand, mask)?);
                continue;
            }
        };
        let Some(term) = term else { return fail("the operands do not broadcast") };
        terms.push(node.builder.add_folded_constant(node.proto, term)?);
    }
    match terms[..] {
        [yes, no] => node.binary(Op::Add, yes, no),
        _ => fail("the node must have two operands"),
    }
}
