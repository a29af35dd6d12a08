//! A small package with frame steps.

#[allow(clippy::duplicate_mod, reason = "the tests of rten load the file, too")]
#[path = "../../../../../tests/packages/mod.rs"]
mod packages;

use crate::model::ModelPackage;
use packages::builder::{Builder, SIDE, floats, indices, int, ints, value};

pub(super) const ALPHA: usize = 4;
pub(super) const REACH: usize = 1;

/// Number of lateral windows.
pub(super) const WINDOWS: i32 = 2;

/// Returns a package with two lateral windows. The slow part reads them in another order than that
/// of the states, a state lies between them, and the length of one is not a multiple of the
/// alignment. All states have different initial values.
pub(super) fn create_package() -> ModelPackage {
    let inputs = [
        value("fast", &[1, 1, SIDE, SIDE]),
        value("lateral0", &[2, 1, SIDE, SIDE]),
        value("carry", &[1, 2]),
        value("lateral1", &[3, 1, 4, 4]),
        value("slow", &[1, 1, SIDE, SIDE]),
        value("slow0", &[1, 1, SIDE, SIDE]),
        value("slow1", &[1, 2]),
    ];
    let outputs = [
        value("fast_logits", &[1, 2]),
        value("lateral0_next", &[2, 1, SIDE, SIDE]),
        value("carry_next", &[1, 2]),
        value("lateral1_next", &[3, 1, 4, 4]),
        value("slow_logits", &[1, 2]),
        value("slow0_next", &[1, 1, SIDE, SIDE]),
        value("slow1_next", &[1, 2]),
    ];
    let window = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let whole = || vec![int("keepdims", 0)];
    let ramp = |count: usize| (0..count).map(|i| (i % 13) as f32 / 13.0 - 0.4).collect::<Vec<_>>();
    let mut builder = Builder::default()
        .node("Slice", &["lateral0", "one", "end0", "zero"], "kept0", vec![])
        .node("Concat", &["kept0", "fast"], "lateral0_next", vec![int("axis", 0)])
        .node("MaxPool", &["fast"], "pooled", window)
        .node("Slice", &["lateral1", "one", "end1", "zero"], "kept1", vec![])
        .node("Concat", &["kept1", "pooled"], "lateral1_next", vec![int("axis", 0)])
        .node("ReduceMean", &["lateral0_next"], "mean0", whole())
        .node("Mul", &["carry", "decay"], "decayed", vec![])
        .node("Add", &["decayed", "mean0"], "carry_next", vec![])
        .node("ReduceMean", &["lateral1_next"], "mean1", whole())
        .node("Add", &["carry_next", "mean1"], "fast_logits", vec![]);
    let fast_nodes = builder.nodes.len();
    // The weights make the order of the values in a window matter.
    builder = builder
        .node("Mul", &["lateral0_next", "ramp0"], "weighted0", vec![])
        .node("ReduceMean", &["weighted0"], "sum0", vec![ints("axes", &[0]), int("keepdims", 1)])
        .node("Mul", &["slow0", "half"], "slow_half", vec![])
        .node("Add", &["slow_half", "sum0"], "slow_sum", vec![])
        .node("Add", &["slow_sum", "slow"], "slow0_next", vec![])
        .node("Mul", &["lateral1_next", "ramp1"], "weighted1", vec![])
        .node("ReduceMean", &["weighted1"], "sum1", whole())
        .node("Mul", &["slow1", "decay"], "slow_decayed", vec![])
        .node("Add", &["slow_decayed", "sum1"], "slow1_next", vec![])
        .node("ReduceMean", &["slow0_next"], "slow_mean", whole())
        .node("Add", &["slow1_next", "slow_mean"], "slow_logits", vec![]);
    let side = SIDE as usize;
    for tensor in [
        indices("zero", &[0]),
        indices("one", &[1]),
        indices("end0", &[2]),
        indices("end1", &[3]),
        floats("decay", &[1, 2], &[0.5, -0.25]),
        floats("half", &[1], &[0.5]),
        floats("ramp0", &[2, 1, SIDE, SIDE], &ramp(2 * side * side)),
        floats("ramp1", &[3, 1, 4, 4], &ramp(48)),
    ] {
        builder = builder.initializer(tensor);
    }
    (builder.inputs, builder.outputs) = (inputs.to_vec(), outputs.to_vec());
    let states = r#"[
        {"name":"lateral0","shape":[2,1,8,8],"initial":0.25},
        {"name":"carry","shape":[1,2],"initial":-0.5},
        {"name":"lateral1","shape":[3,1,4,4],"initial":0.75},
        {"name":"slow0","shape":[1,1,8,8],"initial":0.125},
        {"name":"slow1","shape":[1,2],"initial":-0.25}]"#;
    let chunk = r#"{"fast":[0,0],"slow":[0,0],"logits":[0,0]}"#;
    let tolerance = r#"{"fp32":1e30,"fp16":1e30}"#;
    let test =
        format!(r#"{{"seed":1,"chunks":[{chunk},{chunk},{chunk}],"tolerance":{tolerance}}}"#);
    let bytes = builder
        .set("format", "2")
        .set("alpha", ALPHA.to_string())
        .set("clip_samples", ALPHA.to_string())
        .set("slow_indices", "[0]")
        .set("states", states)
        .set("lateral_reach", REACH.to_string())
        .set("fast_nodes", fast_nodes.to_string())
        .set("fast_states", "3")
        .set("lateral_windows", r#"["lateral1","lateral0"]"#)
        .set("self_test", test)
        .build();
    ModelPackage::from_bytes(bytes, None).unwrap()
}
