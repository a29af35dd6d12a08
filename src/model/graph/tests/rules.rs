//! Tests of the rules of the operators: the shapes and the work that they infer, and the reasons
//! for which they refuse a node.

use super::*;
use std::sync::Mutex;

/// Addresses of the constants, which live until the program ends. The leak checker of a sanitizer
/// finds the constants through this list.
static CONSTANTS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// A node under test. The first input is data unless a test says otherwise.
pub(super) struct Case {
    pub(super) operator: &'static str,
    pub(super) inputs: Vec<Option<Value<'static>>>,
    attributes: Vec<proto::Attribute<'static>>,
    outputs: usize,
    opset: i64,
}

pub(super) fn case(operator: &'static str) -> Case {
    Case { operator, inputs: Vec::new(), attributes: Vec::new(), outputs: 1, opset: 17 }
}

impl Case {
    pub(super) fn value(mut self, element: Element, shape: &[usize]) -> Self {
        self.inputs.push(Some(Value {
            element,
            shape: shape.to_vec(),
            tensor: None,
            bounds: None,
        }));
        self
    }

    pub(super) fn data(self, shape: &[usize]) -> Self {
        self.value(Element::Float32, shape)
    }

    pub(super) fn constant(mut self, element: Element, shape: &[usize], raw: Vec<u8>) -> Self {
        let data = tensor::Data::Raw(raw.leak());
        let tensor = Tensor { name: "", element, shape: shape.to_vec(), data };
        let tensor: &'static Tensor<'static> = Box::leak(Box::new(tensor));
        CONSTANTS.lock().unwrap().push(std::ptr::from_ref(tensor).addr());
        self.inputs.push(Some(tensor_value(tensor)));
        self
    }

    pub(super) fn integers(self, values: &[i64]) -> Self {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(Element::Int64, &[values.len()], raw)
    }

    pub(super) fn float(self, value: f32) -> Self {
        self.constant(Element::Float32, &[], value.to_le_bytes().to_vec())
    }

    pub(super) fn absent(mut self) -> Self {
        self.inputs.push(None);
        self
    }

    pub(super) fn set(mut self, name: &'static str, value: AttributeValue<'static>) -> Self {
        self.attributes.push(proto::Attribute { name, value });
        self
    }

    pub(super) fn integer(self, name: &'static str, value: i64) -> Self {
        self.set(name, AttributeValue::Integer(value))
    }

    pub(super) fn list(self, name: &'static str, values: &[i64]) -> Self {
        self.set(name, AttributeValue::Integers(values.to_vec()))
    }

    pub(super) fn outputs(mut self, outputs: usize) -> Self {
        self.outputs = outputs;
        self
    }

    pub(super) fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    pub(super) fn infer(self) -> std::result::Result<Inferred, String> {
        let operator = Operator::find(self.operator).expect("a known operator");
        let node = Node {
            operator: self.operator,
            outputs: vec!["y"; self.outputs],
            attributes: self.attributes,
            ..Node::default()
        };
        operator.check_attributes(&node.attributes)?;
        let inputs = self.inputs.iter().map(Option::as_ref).collect();
        (operator.infer)(&Context { node: &node, inputs, opset: self.opset })
    }

    #[track_caller]
    pub(super) fn gives(self, shapes: &[&[usize]]) -> Inferred {
        let inferred = self.infer().expect("a valid node");
        let found: Vec<&[usize]> = inferred.outputs.iter().map(|(_, shape)| &shape[..]).collect();
        assert_eq!(found, shapes);
        inferred
    }

    #[track_caller]
    pub(super) fn fails(self, reason: &str) {
        assert_eq!(self.infer().expect_err("an invalid node"), reason);
    }
}

#[test]
fn shapes_follow_from_axes() {
    let cube = |operator| case(operator).data(&[2, 3, 4]);
    cube("Flatten").gives(&[&[2, 12]]);
    cube("Flatten").integer("axis", 0).gives(&[&[1, 24]]);
    cube("Flatten").integer("axis", 3).gives(&[&[24, 1]]);
    case("Squeeze").data(&[1, 3, 1, 4]).integers(&[0, -2]).gives(&[&[3, 4]]);
    case("Unsqueeze").data(&[3, 4]).integers(&[0, -1]).gives(&[&[1, 3, 4, 1]]);
    cube("Transpose").gives(&[&[4, 3, 2]]);
    cube("Transpose").list("perm", &[1, 2, 0]).gives(&[&[3, 4, 2]]);
    cube("Reshape").integers(&[0, -1]).gives(&[&[2, 12]]);
    cube("Gather").integer("axis", -2).integers(&[0, -3]).gives(&[&[2, 2, 4]]);
    let scalar = 1_i64.to_le_bytes().to_vec();
    cube("Gather").integer("axis", 1).constant(Element::Int64, &[], scalar).gives(&[&[2, 4]]);
    case("Concat").data(&[2, 3]).data(&[2, 5]).integer("axis", -1).gives(&[&[2, 8]]);
    case("Expand").data(&[3, 1]).integers(&[2, 1, 4]).gives(&[&[2, 3, 4]]);
    case("Pad").data(&[2, 3]).integers(&[1, 0, 0, 2]).float(0.5).gives(&[&[3, 5]]);
}

#[test]
fn axes_that_do_not_fit_are_refused() {
    let square = |operator| case(operator).data(&[3, 3]);
    square("Flatten").integer("axis", 3).fails("axis must be 0 to 2");
    square("Flatten").integer("axis", -1).fails("axis must be 0 to 2");
    square("Squeeze").integers(&[0]).fails("the axes must have the size 1");
    square("Unsqueeze").integers(&[0; 9]).fails("axes must have at most 8 entries");
    square("Unsqueeze").integers(&[0, 0]).fails("the axis 0 is repeated");
    let deep = case("Unsqueeze").data(&[1; 5]).integers(&[0, 1, 2, 3]);
    deep.fails("the output has more than 8 dimensions");
    square("Transpose").list("perm", &[0, -1]).fails("perm must order the 2 axes, got [0, -1]");
    square("Reshape").integers(&[9, 1, 0]).fails("a 0 in the shape must copy an axis");
    square("Pad").integers(&[1, 1]).fails("pads must have 4 numbers, got 2");
    let concat = square("Concat").integer("axis", 0).data(&[1, 2]);
    concat.fails("the input 1 must fit to the input 0");
}

#[test]
fn slices_keep_every_step_within_the_bounds() {
    let slice =
        |start: i64, end: i64| case("Slice").data(&[7, 2]).integers(&[start]).integers(&[end]);
    slice(1, -1).gives(&[&[5, 2]]);
    slice(-3, i64::MAX).gives(&[&[3, 2]]);
    slice(i64::MIN, 1).gives(&[&[1, 2]]);
    slice(0, 7).integers(&[0]).integers(&[2]).gives(&[&[4, 2]]);
    slice(0, 6).integers(&[0]).integers(&[2]).gives(&[&[3, 2]]);
    slice(0, 2).integers(&[-1]).gives(&[&[7, 2]]);
    slice(3, 3).fails("the slice 3..3 of 7 values is empty");
    let step = i64::from(i32::MAX);
    slice(0, 7).integers(&[0]).integers(&[step]).gives(&[&[1, 2]]);
    let steps = slice(0, 7).integers(&[0]).integers(&[step + 1]);
    steps.fails("steps must be 1 to 2147483647, got 2147483648");
}

#[test]
fn the_parts_of_a_split_have_all_values() {
    let split = |outputs| case("Split").data(&[6, 2]).outputs(outputs);
    let inferred = split(3).gives(&[&[2, 2], &[2, 2], &[2, 2]]);
    assert_eq!(inferred.work, 12);
    split(2).integers(&[1, 5]).gives(&[&[1, 2], &[5, 2]]);
    split(2).integer("axis", 1).gives(&[&[6, 1], &[6, 1]]);
    split(4).fails("4 outputs cannot share 6 values equally");
    for parts in [&[1, 4][..], &[0, 6], &[-1, 7], &[6], &[2, 2, 2], &[i64::MAX, i64::MAX]] {
        split(2).integers(parts).fails("split must divide 6 values among 2 outputs");
    }
    let whole = [i64::MAX, i64::MAX, 8];
    split(3).integers(&whole).fails("split must divide 6 values among 3 outputs");
}

#[test]
fn axes_of_reductions_depend_on_the_operator_set() {
    let cube = |operator| case(operator).data(&[2, 3, 4]);
    let inferred = cube("ReduceMean").gives(&[&[1, 1, 1]]);
    assert_eq!(inferred.work, 24);
    cube("ReduceMean").list("axes", &[-1]).integer("keepdims", 0).gives(&[&[2, 3]]);
    cube("ReduceMean").integers(&[0]).opset(18).gives(&[&[1, 3, 4]]);
    cube("ReduceSum").integers(&[0, 2]).integer("keepdims", 0).gives(&[&[3]]);
    cube("ReduceMean").integers(&[0]).fails("axes must be an attribute");
    cube("ReduceMean").list("axes", &[0]).opset(18).fails("axes must be an input");
    cube("ReduceSum").list("axes", &[0]).opset(13).fails("axes must be an input");
    cube("ReduceMean").list("axes", &[]).fails("axes must not be empty");
    cube("ReduceMean").integer("keepdims", 2).fails("keepdims must be 0 or 1, got 2");
    let noop = cube("ReduceMean").integer("noop_with_empty_axes", 1);
    noop.fails("noop_with_empty_axes must be 0, got 1");
}

#[test]
fn a_convolution_counts_positions_and_work() {
    let conv = |input: &[usize], weights: &[usize]| case("Conv").data(input).data(weights);
    let strided = conv(&[1, 4, 8], &[6, 2, 3]).data(&[6]).integer("group", 2);
    let inferred = strided.list("pads", &[1, 1]).list("strides", &[2]).gives(&[&[1, 6, 4]]);
    assert_eq!(inferred.work, 6 * 4 * 2 * 3);
    conv(&[1, 1, 8], &[1, 1, 3]).list("dilations", &[2]).gives(&[&[1, 1, 4]]);
    conv(&[1, 1, 3], &[1, 1, 3]).gives(&[&[1, 1, 1]]);
    conv(&[1, 1, 8], &[2, 1, 3])
        .data(&[3])
        .fails("the bias must have one number per output channel");
    conv(&[1, 1, 8], &[1, 1, 3, 3]).fails("the weights must have as many axes as the input");
    conv(&[8], &[1, 1]).fails("the input and the weights must have a batch and channels");
    conv(&[1, 2], &[3, 2]).fails("the input must have spatial axes");
    let group = |input: usize, outputs: usize| {
        conv(&[1, input, 8], &[outputs, 2, 3]).integer("group", 2).infer().is_ok()
    };
    assert_eq!([group(4, 6), group(5, 6), group(4, 5)], [true, false, false]);
}

#[test]
fn pools_need_a_batch_and_spatial_axes() {
    let pool = |shape: &[usize]| case("MaxPool").data(shape).list("kernel_shape", &[2, 2]);
    let inferred = pool(&[1, 2, 6, 6]).list("strides", &[2, 2]).gives(&[&[1, 2, 3, 3]]);
    assert_eq!(inferred.work, 2 * 3 * 3 * 2 * 2);
    pool(&[1, 2, 6, 6]).list("pads", &[1, 0, 0, 1]).gives(&[&[1, 2, 6, 6]]);
    pool(&[1, 2, 6, 6]).list("dilations", &[1, 2]).fails("dilations must be 1");
    pool(&[1, 2, 6, 6]).integer("storage_order", 1).fails("storage_order must be 0, got 1");
    pool(&[6]).fails("the input must have a batch and channels");
    pool(&[6, 6]).fails("the input must have spatial axes");
    let global = |shape: &[usize]| case("GlobalAveragePool").data(shape);
    assert_eq!(global(&[1, 2, 3, 4]).gives(&[&[1, 2, 1, 1]]).work, 24);
    global(&[2]).fails("the input must have a batch and channels");
    global(&[1, 2]).fails("the input must have spatial axes");
}

#[test]
fn products_need_equal_inner_sizes() {
    let gemm = |a: &[usize], b: &[usize]| case("Gemm").data(a).data(b);
    let both = gemm(&[3, 2], &[4, 3]).data(&[4]).integer("transA", 1).integer("transB", 1);
    assert_eq!(both.gives(&[&[2, 4]]).work, 2 * 4 * 3);
    gemm(&[2, 3], &[3]).fails("the input 1 must have 2 dimensions");
    gemm(&[2, 3], &[2, 4]).fails("the matrices have 3 columns and 2 rows");
    gemm(&[2, 3], &[3, 4]).data(&[2, 2, 4]).fails("the third input must fit into the product");
    gemm(&[2, 3], &[3, 4]).integer("transA", 2).fails("transA must be 0 or 1, got 2");
    let matmul = |a: &[usize], b: &[usize]| case("MatMul").data(a).data(b);
    let inferred = matmul(&[5, 1, 2, 3], &[4, 3, 6]).gives(&[&[5, 4, 2, 6]]);
    assert_eq!(inferred.work, 5 * 4 * 2 * 6 * 3);
    matmul(&[3], &[3, 2]).fails("the inputs must have at least 2 dimensions");
    matmul(&[2, 3], &[2, 3]).fails("the matrices have 3 columns and 2 rows");
}

#[test]
fn elementwise_operators_keep_the_shape() {
    assert_eq!(case("Max").data(&[2, 1]).data(&[3]).data(&[1]).gives(&[&[2, 3]]).work, 18);
    case("Add").data(&[2]).data(&[3]).fails("the shapes [2] and [3] do not fit together");
    case("Clip").data(&[2]).gives(&[&[2]]);
    case("Clip").data(&[2]).absent().float(1.0).gives(&[&[2]]);
    case("Clip").data(&[2]).float(1.0).float(1.0).gives(&[&[2]]);
    case("Clip").data(&[2]).float(2.0).float(1.0).fails("min must be at most max, got 2 and 1");
    let cast = case("Cast").data(&[2]).integer("to", 10).gives(&[&[2]]);
    assert_eq!(cast.outputs[0].0, Element::Float16);
    let cast = case("Cast").value(Element::Float16, &[2]).integer("to", 1).gives(&[&[2]]);
    assert_eq!(cast.outputs[0].0, Element::Float32);
    let norm = |last: &[usize]| {
        let case = case("BatchNormalization").data(&[1, 3, 4]);
        case.data(&[3]).data(&[3]).data(&[3]).data(last)
    };
    norm(&[3]).gives(&[&[1, 3, 4]]);
    norm(&[4]).fails("the input 4 must have one number per channel");
    norm(&[3]).integer("training_mode", 1).fails("training_mode must be 0, got 1");
    case("Constant").fails("value is missing");
    case("Softmax").fails("the input 0 must be present");
}

#[test]
fn arguments_must_be_constants_of_the_right_type() {
    let slice = || case("Slice").data(&[4]);
    slice().integers(&[0]).fails("the node must have 3 to 5 inputs, got 2");
    slice().absent().integers(&[1]).fails("the first 3 inputs must be present");
    slice().data(&[1]).integers(&[1]).fails("the input 1 must be an integer constant");
    let plane = slice().constant(Element::Int64, &[1, 1], vec![0; 8]).integers(&[1]);
    plane.fails("the input 1 must be a vector");
    let float = slice().constant(Element::Float32, &[1], vec![0; 4]).integers(&[1]);
    float.fails("an argument must be an integer constant");
    let many = slice().integers(&[0; 4097]).integers(&[1]);
    many.fails("a list of integers must have at most 4096 entries");
    slice().constant(Element::Int32, &[1], vec![1, 0, 0, 0]).integers(&[4]).gives(&[&[3]]);
    let clip = || case("Clip").data(&[2]);
    clip().data(&[]).fails("the input 1 must be a constant");
    clip().constant(Element::Float32, &[1], vec![0; 4]).fails("the input 1 must be a scalar");
    let half = clip().constant(Element::Float16, &[], vec![0; 2]);
    half.fails("the input 1 must have the type of the first input");
    let integer = case("Clip").value(Element::Int64, &[2]);
    let integer = integer.constant(Element::Int64, &[], vec![0; 8]);
    integer.fails("an argument must be a constant with one float");
    const MIXED: &str = "the input 1 must have float elements, of one type with the first input";
    case("Add").data(&[2]).value(Element::Float16, &[2]).fails(MIXED);
}

#[test]
fn attributes_have_one_type() {
    let refuse = |operator, name, value, kind: &str| {
        let reason = format!("the attribute {name:?} must be of the type {kind}");
        case(operator).data(&[2]).set(name, value).fails(&reason);
    };
    refuse("LeakyRelu", "alpha", AttributeValue::Integer(1), "Float");
    refuse("LeakyRelu", "alpha", AttributeValue::Float(f32::NAN), "Float");
    refuse("LeakyRelu", "alpha", AttributeValue::Float(f32::INFINITY), "Float");
    refuse("Softmax", "axis", AttributeValue::Float(0.0), "Integer");
    refuse("Pad", "mode", AttributeValue::Integer(0), "Text");
    refuse("Constant", "value", AttributeValue::Float(0.0), "Tensor");
    refuse("Transpose", "perm", AttributeValue::Integer(0), "Integers");
    case("LeakyRelu").data(&[2]).set("alpha", AttributeValue::Float(0.5)).gives(&[&[2]]);
}
