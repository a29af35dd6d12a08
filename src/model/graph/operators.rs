//! The operators that a package may contain. docs/model-package.md#operators lists them, and a test
//! compares the list with this table.

use super::axes::{
    infer_concat, infer_expand, infer_flatten, infer_gather, infer_pad, infer_reduce_mean,
    infer_reduce_sum, infer_reshape, infer_slice, infer_split, infer_squeeze, infer_transpose,
    infer_unsqueeze,
};
use super::computed::{
    infer_arg, infer_comparison, infer_cum_sum, infer_gather_elements, infer_grid_sample,
    infer_logic, infer_top_k, infer_where,
};
use super::context::{Context, Inferred};
use super::elementwise::{
    infer_arithmetic, infer_batch_norm, infer_binary, infer_cast, infer_clip, infer_constant,
    infer_softmax, infer_unary, infer_variadic,
};
use super::proto::{Attribute, AttributeValue};
use super::shape::Ruled;
use super::windows::{infer_conv, infer_gemm, infer_global_pool, infer_matmul, infer_pool};
use crate::model::limits;

/// Type of an attribute.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Float,
    Integer,
    Text,
    Tensor,
    Integers,
}

/// An operator that a package may contain.
pub(in crate::model) struct Operator {
    pub(in crate::model) name: &'static str,
    /// The packages that may contain the operator.
    pub(in crate::model) scope: Scope,
    attributes: &'static [(&'static str, Kind)],
    pub(super) infer: fn(&Context<'_, '_>) -> Ruled<Inferred>,
}

/// The packages that may contain an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Scope {
    /// Every package.
    Any,
    /// Window packages.
    Window,
    /// Window packages, which then run only on the providers of ONNX Runtime.
    OnnxRuntime,
}

type Attributes = &'static [(&'static str, Kind)];
type Rule = fn(&Context<'_, '_>) -> Ruled<Inferred>;

const NONE: Attributes = &[];
const AXIS: Attributes = &[("axis", Kind::Integer)];
const ALPHA: Attributes = &[("alpha", Kind::Float)];
const REDUCE: Attributes = &[
    ("axes", Kind::Integers),
    ("keepdims", Kind::Integer),
    ("noop_with_empty_axes", Kind::Integer),
];
const CONV: Attributes = &[
    ("auto_pad", Kind::Text),
    ("dilations", Kind::Integers),
    ("group", Kind::Integer),
    ("kernel_shape", Kind::Integers),
    ("pads", Kind::Integers),
    ("strides", Kind::Integers),
];
const MAX_POOL: Attributes = &[
    ("auto_pad", Kind::Text),
    ("ceil_mode", Kind::Integer),
    ("dilations", Kind::Integers),
    ("kernel_shape", Kind::Integers),
    ("pads", Kind::Integers),
    ("storage_order", Kind::Integer),
    ("strides", Kind::Integers),
];
const AVERAGE_POOL: Attributes = &[
    ("auto_pad", Kind::Text),
    ("ceil_mode", Kind::Integer),
    ("count_include_pad", Kind::Integer),
    ("dilations", Kind::Integers),
    ("kernel_shape", Kind::Integers),
    ("pads", Kind::Integers),
    ("strides", Kind::Integers),
];
const GEMM: Attributes = &[
    ("alpha", Kind::Float),
    ("beta", Kind::Float),
    ("transA", Kind::Integer),
    ("transB", Kind::Integer),
];
const BATCH_NORM: Attributes =
    &[("epsilon", Kind::Float), ("momentum", Kind::Float), ("training_mode", Kind::Integer)];

const ARG: Attributes =
    &[("axis", Kind::Integer), ("keepdims", Kind::Integer), ("select_last_index", Kind::Integer)];
const CUM_SUM: Attributes = &[("exclusive", Kind::Integer), ("reverse", Kind::Integer)];
const GRID_SAMPLE: Attributes =
    &[("align_corners", Kind::Integer), ("mode", Kind::Text), ("padding_mode", Kind::Text)];
const TOP_K: Attributes =
    &[("axis", Kind::Integer), ("largest", Kind::Integer), ("sorted", Kind::Integer)];

const fn any(name: &'static str, attributes: Attributes, infer: Rule) -> Operator {
    Operator { name, scope: Scope::Any, attributes, infer }
}

const fn window(name: &'static str, attributes: Attributes, infer: Rule) -> Operator {
    Operator { name, scope: Scope::Window, attributes, infer }
}

const fn runtime(name: &'static str, attributes: Attributes, infer: Rule) -> Operator {
    Operator { name, scope: Scope::OnnxRuntime, attributes, infer }
}

/// The operators. The first list contains everything that the compiler writes, and `Expand`.
pub(in crate::model) const OPERATORS: &[Operator] = &[
    any("Abs", NONE, infer_unary),
    any("Add", NONE, infer_arithmetic),
    any("AveragePool", AVERAGE_POOL, infer_pool),
    any("Cast", &[("to", Kind::Integer)], infer_cast),
    any("Clip", NONE, infer_clip),
    any("Concat", AXIS, infer_concat),
    any("Conv", CONV, infer_conv),
    any("Div", NONE, infer_binary),
    any("Elu", ALPHA, infer_unary),
    any("Erf", NONE, infer_unary),
    any("Exp", NONE, infer_unary),
    any("Expand", NONE, infer_expand),
    any("Gather", AXIS, infer_gather),
    any("Gemm", GEMM, infer_gemm),
    any("GlobalAveragePool", NONE, infer_global_pool),
    any("HardSigmoid", &[("alpha", Kind::Float), ("beta", Kind::Float)], infer_unary),
    any("Identity", NONE, infer_unary),
    any("LeakyRelu", ALPHA, infer_unary),
    any("Log", NONE, infer_unary),
    any("LogSoftmax", AXIS, infer_softmax),
    any("MatMul", NONE, infer_matmul),
    any("Max", NONE, infer_variadic),
    any("MaxPool", MAX_POOL, infer_pool),
    any("Min", NONE, infer_variadic),
    any("Mul", NONE, infer_arithmetic),
    any("Pad", &[("mode", Kind::Text)], infer_pad),
    any("ReduceMax", REDUCE, infer_reduce_mean),
    any("ReduceMean", REDUCE, infer_reduce_mean),
    any("Relu", NONE, infer_unary),
    any("Reshape", &[("allowzero", Kind::Integer)], infer_reshape),
    any("Sigmoid", NONE, infer_unary),
    any("Slice", NONE, infer_slice),
    any("Softmax", AXIS, infer_softmax),
    any("Softplus", NONE, infer_unary),
    any("Sqrt", NONE, infer_unary),
    any("Sub", NONE, infer_arithmetic),
    any("Tanh", NONE, infer_unary),
    any("Transpose", &[("perm", Kind::Integers)], infer_transpose),
    window("BatchNormalization", BATCH_NORM, infer_batch_norm),
    window("Constant", &[("value", Kind::Tensor)], infer_constant),
    window("Flatten", AXIS, infer_flatten),
    window("GlobalMaxPool", NONE, infer_global_pool),
    window("HardSwish", NONE, infer_unary),
    window("Neg", NONE, infer_unary),
    window("ReduceSum", REDUCE, infer_reduce_sum),
    window("Split", AXIS, infer_split),
    window("Squeeze", NONE, infer_squeeze),
    window("Unsqueeze", NONE, infer_unsqueeze),
    runtime("And", NONE, infer_logic),
    runtime("ArgMax", ARG, infer_arg),
    runtime("ArgMin", ARG, infer_arg),
    runtime("Ceil", NONE, infer_unary),
    runtime("Cos", NONE, infer_unary),
    runtime("CumSum", CUM_SUM, infer_cum_sum),
    runtime("Equal", NONE, infer_comparison),
    runtime("Floor", NONE, infer_unary),
    runtime("GatherElements", AXIS, infer_gather_elements),
    runtime("Greater", NONE, infer_comparison),
    runtime("GreaterOrEqual", NONE, infer_comparison),
    runtime("GridSample", GRID_SAMPLE, infer_grid_sample),
    runtime("Less", NONE, infer_comparison),
    runtime("LessOrEqual", NONE, infer_comparison),
    runtime("Not", NONE, infer_logic),
    runtime("Or", NONE, infer_logic),
    runtime("Pow", NONE, infer_binary),
    runtime("Round", NONE, infer_unary),
    runtime("Sign", NONE, infer_unary),
    runtime("Sin", NONE, infer_unary),
    runtime("TopK", TOP_K, infer_top_k),
    runtime("Where", NONE, infer_where),
    runtime("Xor", NONE, infer_logic),
];

impl Operator {
    /// Returns the operator with this name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        OPERATORS.iter().find(|operator| operator.name == name)
    }

    /// Checks that the operator has every attribute of a node, once and with its type.
    pub(super) fn check_attributes(&self, attributes: &[Attribute<'_>]) -> Ruled<()> {
        for (index, attribute) in attributes.iter().enumerate() {
            let name = attribute.name;
            let known = self.attributes.iter().find(|(known, _)| *known == name);
            let short = limits::shorten(name);
            let Some((_, kind)) = known else {
                return Err(format!("the attribute {short:?} is not permitted"));
            };
            if attributes.iter().take(index).any(|earlier| earlier.name == name) {
                return Err(format!("the attribute {short:?} is repeated"));
            }
            if !kind.matches(&attribute.value) {
                return Err(format!("the attribute {short:?} must be of the type {kind:?}"));
            }
        }
        Ok(())
    }
}

impl Kind {
    fn matches(self, value: &AttributeValue<'_>) -> bool {
        match self {
            Self::Float => matches!(value, AttributeValue::Float(number) if number.is_finite()),
            Self::Integer => matches!(value, AttributeValue::Integer(_)),
            Self::Text => matches!(value, AttributeValue::Text(_)),
            Self::Tensor => matches!(value, AttributeValue::Tensor(_)),
            Self::Integers => matches!(value, AttributeValue::Integers(_)),
        }
    }
}
