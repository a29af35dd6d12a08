//! Pass 7: converts a lowered graph to half precision with float32 inputs, states and outputs.
//!
//! All types and casts are explicit in the graph, because recent runtimes no longer convert a graph
//! to half precision themselves. Operators that sum many elements (means over space and time,
//! average pools, the head) stay in float32.

use crate::error::{Result, fail_network};
use crate::lowered::{FloatBits, Function, LoweredGraph, LoweredId, LoweredOp};
use crate::tensor::{DType, Tensor};
use std::collections::BTreeMap;

/// Largest finite float16.
const MAX_HALF: f32 = 65504.0;

/// Converts the graph to half precision.
///
/// # Errors
/// Returns [`CompileError::Network`](crate::CompileError::Network) if a weight is outside the range
/// of float16.
pub(crate) fn convert_to_half(source: &LoweredGraph) -> Result<LoweredGraph> {
    let mut half = LoweredGraph::default();
    let mut map: BTreeMap<LoweredId, LoweredId> = BTreeMap::new();
    for &input in &source.inputs {
        let value = &source.values[input.0];
        map.insert(input, half.add_input(&value.name, value.shape.clone()));
    }
    for node in &source.nodes {
        // Integers, truth values and what is computed from them stay as they are.
        let is_kept = matches!(node.op, LoweredOp::Kept(_));
        let computes = source.dtype(node.output);
        let dtype = match &node.op {
            _ if is_kept || computes != DType::F32 => DType::F32,
            LoweredOp::GlobalAveragePool
            | LoweredOp::AveragePool { .. }
            | LoweredOp::Mean(_)
            | LoweredOp::Gemm
            | LoweredOp::Softmax(_)
            | LoweredOp::LogSoftmax(_)
            | LoweredOp::Function(Function::Exp | Function::Log | Function::Sqrt) => DType::F32,
            // The variance of a norm is a mean of squares, and a square may exceed the range of
            // float16.
            LoweredOp::Mul if node.inputs.first() == node.inputs.get(1) => DType::F32,
            LoweredOp::Conv { .. } => DType::F16,
            // Any other operator keeps the type of its inputs, which avoids a cast. A graph input
            // that such an operator reads is cast to float16, because the later convolutions read
            // float16.
            _ => {
                let reads_half = |id: &LoweredId| match (source.constant(*id), map.get(id)) {
                    (None, Some(&id)) => half.dtype(id) == DType::F16 || half.inputs.contains(&id),
                    _ => false,
                };
                if node.inputs.iter().any(reads_half) { DType::F16 } else { DType::F32 }
            }
        };
        let mut inputs = Vec::new();
        for &id in &node.inputs {
            inputs.push(match (map.get(&id), source.constant(id)) {
                (Some(&typed), _) if source.dtype(id) != DType::F32 => typed,
                (None, Some(constant)) if constant.dtype() != DType::F32 => {
                    half.add_constant(constant.clone())
                }
                (Some(&id), _) => half.add_cast(id, dtype),
                (None, Some(constant)) => add_typed_constant(&mut half, constant, dtype)?,
                (None, None) => {
                    return fail_network("a node reads a value that no earlier node computes");
                }
            });
        }
        let op = match dtype {
            DType::F16 => clamp_attributes(&node.op),
            _ => node.op.clone(),
        };
        let shape = source.shape(node.output).to_vec();
        let dtype = if computes == DType::F32 { dtype } else { computes };
        map.insert(node.output, half.add_node(op, inputs, shape, dtype));
    }
    for (name, id) in &source.outputs {
        let Some(&id) = map.get(id) else {
            return fail_network(format!("the output {name} is a constant"));
        };
        let id = half.add_cast(id, DType::F32);
        half.add_output(name, id);
    }
    half.states = source.states.clone();
    half.states.iter_mut().for_each(|s| s.initial = s.initial.clamp(-MAX_HALF, MAX_HALF));
    half.remove_dead_nodes();
    Ok(half)
}

/// Clamps the float attributes of an operator to the range of float16.
fn clamp_attributes(op: &LoweredOp) -> LoweredOp {
    match op {
        LoweredOp::Pad { before, after, value } => {
            let value = FloatBits::from(value.value().clamp(-MAX_HALF, MAX_HALF));
            LoweredOp::Pad { before: before.clone(), after: after.clone(), value }
        }
        LoweredOp::Clip { min, max } => LoweredOp::Clip {
            min: min.value().max(-MAX_HALF).into(),
            max: max.value().min(MAX_HALF).into(),
        },
        op => op.clone(),
    }
}

fn add_typed_constant(
    half: &mut LoweredGraph,
    constant: &Tensor,
    dtype: DType,
) -> Result<LoweredId> {
    let is_out_of_range = |v: &&f32| v.is_nan() || v.abs() > MAX_HALF;
    if dtype == DType::F16
        && let Some(weight) = constant.f32_elements().and_then(|w| w.iter().find(is_out_of_range))
    {
        return fail_network(format!(
            "a weight must be -{MAX_HALF} to {MAX_HALF} in half precision, got {weight}; compile to fp32"
        ));
    }
    let id = half.add_constant(constant.clone());
    half.values[id.0].dtype = dtype;
    Ok(id)
}
