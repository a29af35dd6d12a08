//! Pass 7: a typed half-precision graph with float32 at its border.
//!
//! Half types are written into the graph, because newer runtimes no longer convert on their own. Sums over many
//! elements (means over the map and over time, the head) stay in float32.

use crate::error::{CompileError, Result};
use crate::lower::Lowered;
use crate::net::{Bits, Net, NetId, NetOp};
use crate::tensor::{DType, Tensor};
use std::collections::BTreeMap;

/// Largest finite half.
const MAX_HALF: f32 = 65504.0;

/// Rewrites the graph in half precision.
pub(crate) fn to_half(source: Lowered) -> Result<Lowered> {
    let Lowered { net: old, mut states } = source;
    let mut net = Net::default();
    let mut map: BTreeMap<NetId, NetId> = BTreeMap::new();
    for &input in &old.inputs {
        let value = &old.values[input.0];
        map.insert(input, net.input(&value.name, value.shape.clone()));
    }
    for node in &old.nodes {
        let dtype = match &node.op {
            // Sums over many elements, and everything on what they gave.
            NetOp::GlobalAveragePool
            | NetOp::MeanFrames
            | NetOp::Mean(_)
            | NetOp::Gemm
            | NetOp::Softmax(_) => DType::F32,
            NetOp::Conv { .. } => DType::F16,
            NetOp::AveragePool { .. } => DType::F32,
            _ => {
                let reads_half = |id: &NetId| match (old.constant(*id), map.get(id)) {
                    (None, Some(new)) => net.values[new.0].dtype == DType::F16 || net.inputs.contains(new),
                    _ => false,
                };
                if node.inputs.iter().any(reads_half) { DType::F16 } else { DType::F32 }
            }
        };
        let mut inputs = Vec::new();
        for &id in &node.inputs {
            let new = match (map.get(&id), old.constant(id)) {
                (Some(&new), _) => net.cast(new, dtype),
                (None, Some(constant)) => typed_constant(&mut net, constant, dtype)?,
                (None, None) => {
                    return Err(CompileError::Network("a value is used before it is made".into()));
                }
            };
            inputs.push(new);
        }
        let op = match (&node.op, dtype) {
            (NetOp::Pad { before, after, value }, DType::F16) => {
                let value = Bits::from(value.value().clamp(-MAX_HALF, MAX_HALF));
                NetOp::Pad { before: *before, after: *after, value }
            }
            (NetOp::Clip { min, max }, DType::F16) => {
                NetOp::Clip { min: min.value().max(-MAX_HALF).into(), max: max.value().min(MAX_HALF).into() }
            }
            (op, _) => op.clone(),
        };
        let shape = old.shape(node.output).to_vec();
        let new = net.node(op, inputs, shape, dtype);
        map.insert(node.output, new);
    }
    for (name, id) in &old.outputs {
        let new =
            map.get(id).copied().ok_or_else(|| CompileError::Network("an output is a constant".into()))?;
        let new = net.cast(new, DType::F32);
        net.output(name, new);
    }
    states.iter_mut().for_each(|s| s.initial = s.initial.clamp(-MAX_HALF, MAX_HALF));
    net.remove_dead_nodes();
    Ok(Lowered { net, states })
}

fn typed_constant(net: &mut Net, constant: &Tensor, dtype: DType) -> Result<NetId> {
    let out_of_range = |v: &&f32| v.is_nan() || v.abs() > MAX_HALF;
    if dtype == DType::F16
        && let Some(worst) = constant.as_f32().and_then(|data| data.iter().find(out_of_range))
    {
        return Err(CompileError::Network(format!("a weight of {worst} does not fit fp16; compile to fp32")));
    }
    let id = net.tensor(constant.clone());
    net.values[id.0].dtype = dtype;
    Ok(id)
}
