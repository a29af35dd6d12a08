//! Tests of the rules of the operators that only ONNX Runtime runs.

use super::rules::{Case, case};
use super::*;

/// A node that reads integers with these bounds.
fn integers_in(operator: &'static str, shape: &[usize], bounds: Bounds) -> Case {
    let mut case = case(operator).value(Element::Int64, shape);
    if let Some(Some(value)) = case.inputs.last_mut() {
        value.bounds = Some(bounds);
    }
    case
}

/// Appends integers with these bounds.
fn and_integers_in(mut case: Case, shape: &[usize], bounds: Bounds) -> Case {
    case = case.value(Element::Int64, shape);
    if let Some(Some(value)) = case.inputs.last_mut() {
        value.bounds = Some(bounds);
    }
    case
}

#[test]
fn indices_have_the_bounds_of_their_axis() {
    let best = case("ArgMax").data(&[2, 5, 3]).integer("axis", 1).gives(&[&[2, 1, 3]]);
    assert_eq!((best.outputs[0].0, best.bounds), (Element::Int64, Some((0, 4))));
    case("ArgMin").data(&[2, 5]).integer("axis", -1).integer("keepdims", 0).gives(&[&[2]]);
    let top = case("TopK").data(&[2, 5]).integers(&[3]).outputs(2).gives(&[&[2, 3], &[2, 3]]);
    assert_eq!((top.outputs[1].0, top.bounds), (Element::Int64, Some((0, 4))));
}

#[test]
fn arithmetic_changes_the_bounds_of_integers() {
    let bounds = |operator, by: i64| {
        integers_in(operator, &[2], (0, 4)).integers(&[by]).gives(&[&[2]]).bounds
    };
    assert_eq!(bounds("Add", 3), Some((3, 7)));
    assert_eq!(bounds("Sub", 3), Some((-3, 1)));
    assert_eq!(bounds("Mul", -2), Some((-8, 0)));
    assert_eq!(bounds("Add", i64::MAX), None);
    assert_eq!(bounds("Sub", i64::MIN), None);
    assert_eq!(bounds("Mul", i64::MIN), None);
    integers_in("Div", &[2], (0, 4))
        .integers(&[2])
        .fails("the input 0 must have float elements, of one type with the first input");
    let mixed = integers_in("Add", &[2], (0, 4)).data(&[2]).infer().expect_err("mixed");
    assert!(mixed.contains("elements of one type"), "{mixed}");
}

#[test]
fn moved_integers_keep_their_bounds() {
    let cases = [
        integers_in("Reshape", &[2, 3], (1, 2)).integers(&[6]),
        integers_in("Transpose", &[2, 3], (1, 2)),
        integers_in("Unsqueeze", &[2], (1, 2)).integers(&[0]),
        integers_in("Squeeze", &[1, 2], (1, 2)).integers(&[0]),
        integers_in("Expand", &[1, 2], (1, 2)).integers(&[3, 2]),
        integers_in("Slice", &[4], (1, 2)).integers(&[0]).integers(&[2]),
        integers_in("Gather", &[4], (1, 2)).integers(&[0, 3]),
        integers_in("Cast", &[4], (1, 2)).integer("to", 7),
    ];
    for case in cases {
        let operator = case.operator;
        assert_eq!(case.infer().expect(operator).bounds, Some((1, 2)), "{operator}");
    }
    let cast = |element, to| case("Cast").value(element, &[4]).integer("to", to);
    assert_eq!(cast(Element::Bool, 7).gives(&[&[4]]).bounds, Some((0, 1)));
    assert_eq!(cast(Element::Float32, 7).gives(&[&[4]]).bounds, None);
    assert_eq!(integers_in("Cast", &[4], (0, 9)).integer("to", 9).gives(&[&[4]]).bounds, None);
}

#[test]
fn computed_indices_must_lie_within_their_axis() {
    let gather = |operator, bounds| {
        let axis = case(operator).data(&[3, 4]).integer("axis", 1);
        and_integers_in(axis, &[3, 2], bounds)
    };
    gather("Gather", (-4, 3)).gives(&[&[3, 3, 2]]);
    gather("Gather", (0, 4)).fails("the computed indices are 0 to 4, but the axis has 4 values");
    gather("Gather", (-5, 0)).fails("the computed indices are -5 to 0, but the axis has 4 values");
    gather("GatherElements", (-4, 3)).gives(&[&[3, 2]]);
    gather("GatherElements", (0, 4))
        .fails("the computed indices are 0 to 4, but the axis has 4 values");
    let unknown = case("Gather").data(&[3, 4]).value(Element::Int64, &[2]);
    unknown.fails("the computed indices must be known to lie within the axis of 3 values");
    case("Gather").data(&[3]).value(Element::Bool, &[2]).fails("computed indices must be int64");
    let wide = and_integers_in(case("GatherElements").data(&[3, 4]), &[3, 5], (0, 2));
    wide.fails("the indices [3, 5] do not fit into the data [3, 4]");
}

#[test]
fn choices_have_the_bounds_of_both_operands() {
    let truth = || case("Where").value(Element::Bool, &[2, 1]);
    let indices = and_integers_in(and_integers_in(truth(), &[3], (0, 4)), &[1], (-2, 1));
    assert_eq!(indices.gives(&[&[2, 3]]).bounds, Some((-2, 4)));
    let unknown = and_integers_in(truth(), &[3], (0, 4)).value(Element::Int64, &[3]);
    assert_eq!(unknown.gives(&[&[2, 3]]).bounds, None);
    truth().data(&[3]).data(&[3]).gives(&[&[2, 3]]);
    case("Where").data(&[1]).data(&[1]).data(&[1]).fails("the condition must have truth values");
}

#[test]
fn comparisons_and_logic_give_truth_values() {
    for operator in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"] {
        let inferred = case(operator).data(&[2, 1]).data(&[3]).gives(&[&[2, 3]]);
        assert_eq!(inferred.outputs[0].0, Element::Bool, "{operator}");
    }
    let truth = |operator| case(operator).value(Element::Bool, &[2, 3]);
    truth("Not").gives(&[&[2, 3]]);
    for operator in ["And", "Or", "Xor"] {
        truth(operator).value(Element::Bool, &[3]).gives(&[&[2, 3]]);
        truth(operator).data(&[3]).fails("the input 1 must have truth values");
    }
    truth("Equal").value(Element::Bool, &[3]).fails("truth values cannot be compared");
}

#[test]
fn samples_at_computed_places_have_the_shape_of_the_grid() {
    let grid = || case("GridSample").data(&[2, 3, 4, 5]).data(&[2, 6, 7, 2]);
    grid().gives(&[&[2, 3, 6, 7]]);
    let with = |name, value| grid().set(name, AttributeValue::Text(value));
    with("padding_mode", "border").gives(&[&[2, 3, 6, 7]]);
    with("padding_mode", "reflection")
        .fails("padding_mode must be zeros or border, got \"reflection\"");
    with("mode", "bicubic").fails("mode must be bilinear, linear or nearest, got \"bicubic\"");
    let one = case("GridSample").data(&[2, 3, 4, 5]).data(&[1, 6, 7, 2]);
    assert!(one.infer().expect_err("another batch").contains("[N,C,H,W]"));
}
