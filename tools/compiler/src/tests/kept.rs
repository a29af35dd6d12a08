//! Tests of networks with operators that only ONNX Runtime runs, which a clip package contains as
//! they are in the source.

use super::source::{LABELS, Padding, Source, Val, int, text};
use super::support::{
    TOLERANCE, assert_clip_matches, command_line_options, options, self_test_error, verify_source,
};
use crate::onnx::{AttributeProto, GraphProto, attribute_type};
use crate::{CompileOptions, CompiledNetwork, Precision, compile, inspect};

/// Returns a causal convolution of a cine, whose values have both signs.
fn stem(s: &mut Source) -> Val {
    let x = s.input("x", &[1, 3, 4, 6, 6]);
    s.conv(&x, 8, [3, 3, 3], [1, 1, 1], 1, Padding::Left)
}

/// Returns a network with the nodes that `build` appends between the stem and the head.
fn network(build: &dyn Fn(&mut Source, &Val) -> Val) -> Source {
    let mut s = Source::new(13);
    let x = stem(&mut s);
    let y = build(&mut s, &x);
    let flat = s.flatten(&y);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
    s
}

/// Compiles a network and checks that only ONNX Runtime runs it, and why.
fn compile_kept(source: &Source, options: &CompileOptions, operator: &str) -> CompiledNetwork {
    let network = compile(source.bytes(), options).expect(operator);
    assert_eq!(network.runtime_operator, Some(operator));
    assert!(network.stream.is_none(), "{operator}");
    assert!(network.window_only_reason.is_some(), "{operator}");
    let inspection = inspect(&network.clip.bytes).expect("the package is readable");
    assert_eq!(inspection.runtime_operator, Some(operator));
    network
}

/// Checks that the clip package of a network equals the source, in ONNX Runtime and in the runtime
/// that computes the self-test.
fn assert_kept(operator: &str, build: &dyn Fn(&mut Source, &Val) -> Val) {
    let source = network(build);
    let compiled = compile_kept(&source, &command_line_options(LABELS), operator);
    assert_clip_matches(&source, &compiled);
    let error = self_test_error(&compiled);
    assert!(error <= TOLERANCE, "{operator}: {error:e}");
}

/// Appends the constant 0.1.
fn tenth(s: &mut Source) -> String {
    s.floats(&[], vec![0.1])
}

#[test]
fn functions_that_the_lowered_graph_lacks_are_kept() {
    for operator in ["Ceil", "Cos", "Floor", "Round", "Sign", "Sin"] {
        assert_kept(operator, &|s, x| s.unary(operator, x));
    }
    assert_kept("CumSum", &|s, x| {
        let axis = s.ints(&[1]);
        s.node("CumSum", &[&x.name, &axis], x.shape.clone(), vec![int("reverse", 1)])
    });
    assert_kept("Pow", &|s, x| {
        let [base, exponent] = ["Exp", "Sigmoid"].map(|op| s.unary(op, x));
        s.binary("Pow", &base, &exponent)
    });
}

#[test]
fn comparisons_and_choices_are_kept() {
    for operator in ["Greater", "GreaterOrEqual", "Less", "LessOrEqual"] {
        assert_kept(operator, &|s, x| {
            let bound = tenth(s);
            let chosen = s.node(operator, &[&x.name, &bound], x.shape.clone(), vec![]);
            let other = s.unary("Tanh", x);
            s.node("Where", &[&chosen.name, &x.name, &other.name], x.shape.clone(), vec![])
        });
    }
    for operator in ["And", "Or", "Xor"] {
        assert_kept("Greater", &|s, x| {
            let bound = tenth(s);
            let large = s.node("Greater", &[&x.name, &bound], x.shape.clone(), vec![]);
            let small = s.node("Less", &[&bound, &x.name], x.shape.clone(), vec![]);
            let small = s.unary("Not", &small);
            let chosen = s.binary(operator, &large, &small);
            let chosen = s.node("Cast", &[&chosen.name], x.shape.clone(), vec![int("to", 1)]);
            s.binary("Mul", &chosen, x)
        });
    }
}

/// Appends tokens `[1,T*H*W,C]` and their scores `[1,T*H*W]`.
fn tokens(s: &mut Source, x: &Val) -> (Val, Val) {
    let moved = s.transpose(x, &[0, 2, 3, 4, 1]);
    let tokens = s.reshape(&moved, &[1, 144, 8]);
    let scores = s.mean(&tokens, &[2], false);
    (tokens, scores)
}

/// Appends the indices of the `k` tokens with the largest scores, `[1,k]`.
fn top_tokens(s: &mut Source, scores: &Val, k: usize) -> Val {
    let count = s.ints(&[k as i64]);
    let values = s.node("TopK", &[&scores.name, &count], vec![1, k], vec![int("axis", 1)]);
    let name = format!("{}_indices", values.name);
    let node = s.graph.node.last_mut().expect("a node");
    node.output.push(name.clone());
    Val { name, shape: vec![1, k] }
}

#[test]
fn tokens_that_the_network_selects_are_kept() {
    assert_kept("TopK", &|s, x| {
        let (tokens, scores) = tokens(s, x);
        let indices = top_tokens(s, &scores, 9);
        let indices = s.reshape(&indices, &[1, 9, 1]);
        let shape = s.ints(&[1, 9, 8]);
        let indices = s.node("Expand", &[&indices.name, &shape], vec![1, 9, 8], vec![]);
        let inputs = [tokens.name.as_str(), &indices.name];
        s.node("GatherElements", &inputs, vec![1, 9, 8], vec![int("axis", 1)])
    });
    assert_kept("ArgMax", &|s, x| {
        let (tokens, scores) = tokens(s, x);
        let best = s.node("ArgMax", &[&scores.name], vec![1, 1], vec![int("axis", 1)]);
        let one = s.ints(&[1]);
        let next = s.node("Add", &[&best.name, &one], vec![1, 1], vec![]);
        let last = s.ints(&[144]);
        let fits = s.node("Less", &[&next.name, &last], vec![1, 1], vec![]);
        let next = s.node("Where", &[&fits.name, &best.name, &best.name], vec![1, 1], vec![]);
        let inputs = [tokens.name.as_str(), &next.name];
        s.node("Gather", &inputs, vec![1, 1, 1, 8], vec![int("axis", 1)])
    });
}

#[test]
fn samples_at_computed_places_are_kept() {
    assert_kept("GridSample", &|s, x| {
        let frame = s.mean(x, &[2], false);
        let grid = s.slice(&frame, 1, 0, 2, 1);
        let grid = s.transpose(&grid, &[0, 2, 3, 1]);
        let attributes = vec![text("mode", "bilinear"), int("align_corners", 1)];
        let inputs = [frame.name.as_str(), &grid.name];
        s.node("GridSample", &inputs, frame.shape.clone(), attributes)
    });
}

#[test]
fn pools_over_time_may_follow_a_kept_operator() {
    for (pool, counts_pads) in [("MaxPool", false), ("AveragePool", false), ("AveragePool", true)] {
        assert_kept("Sin", &|s, x| {
            let y = s.unary("Sin", x);
            s.pool(pool, &y, [3, 3, 3], [1, 2, 2], [2, 1, 1, 1, 1, 1], counts_pads)
        });
    }
}

#[test]
fn a_kept_operator_in_the_head_prevents_a_stream() {
    let source = network(&|s, x| {
        let pooled = s.mean(x, &[2, 3, 4], true);
        s.unary("Sin", &pooled)
    });
    let compiled = compile_kept(&source, &command_line_options(LABELS), "Sin");
    let reason = compiled.window_only_reason.as_deref();
    assert_eq!(reason, Some("only ONNX Runtime runs Sin"));
    assert_clip_matches(&source, &compiled);
}

#[test]
fn a_kept_network_compiles_to_half_precision() {
    let source = network(&|s, x| {
        let (tokens, scores) = tokens(s, x);
        let indices = top_tokens(s, &scores, 9);
        let inputs = [tokens.name.as_str(), &indices.name];
        s.node("Gather", &inputs, vec![1, 1, 9, 8], vec![int("axis", 1)])
    });
    let options = CompileOptions { precision: Precision::Fp16, ..options(LABELS) };
    let compiled = compile_kept(&source, &options, "TopK");
    // Rounding may select other tokens, so the results need not agree.
    verify_source(&source, &compiled).expect("the package runs");
}

/// Returns the message with which the compiler refuses a network.
fn refusal(build: &dyn Fn(&mut Source, &Val) -> Val) -> String {
    compile(network(build).bytes(), &options(LABELS)).expect_err("a refusal").to_string()
}

#[test]
fn loops_branches_and_other_domains_are_refused() {
    for operator in ["Loop", "If", "Scan"] {
        let text = refusal(&|s, x| {
            let body = AttributeProto {
                name: "body".into(),
                g: Some(Box::new(GraphProto::default())),
                r#type: attribute_type::TENSOR + 1,
                ..AttributeProto::default()
            };
            s.node(operator, &[&x.name], x.shape.clone(), vec![body])
        });
        assert!(text.contains(&format!("the operator {operator} is not supported")), "{text}");
    }
    let text = refusal(&|s, x| {
        let y = s.unary("TopK", x);
        s.graph.node.last_mut().expect("a node").domain = "com.example".into();
        y
    });
    assert!(text.contains("operators of the domain \"com.example\" are not supported"), "{text}");
}

#[test]
fn the_error_for_lists_of_tensors_names_another_exporter() {
    for operator in ["SequenceAt", "SequenceInsert", "SplitToSequence"] {
        let text = refusal(&|s, x| s.unary(operator, x));
        assert!(text.contains("dynamo=True"), "{text}");
    }
}

#[test]
fn arguments_that_a_package_must_not_have_are_refused() {
    let grid = |attributes: Vec<AttributeProto>| {
        refusal(&|s, x| {
            let frame = s.mean(x, &[2], false);
            let grid = s.slice(&frame, 1, 0, 2, 1);
            let grid = s.transpose(&grid, &[0, 2, 3, 1]);
            let inputs = [frame.name.as_str(), &grid.name];
            s.node("GridSample", &inputs, frame.shape.clone(), attributes.clone())
        })
    };
    let reason = grid(vec![text("padding_mode", "border")]);
    assert!(reason.contains("padding mode must be zeros"), "{reason}");
    let reason = grid(vec![text("mode", "nearest")]);
    assert!(reason.contains("mode must be bilinear"), "{reason}");
    let reason = refusal(&|s, x| {
        let (_, scores) = tokens(s, x);
        top_tokens(s, &scores, 145)
    });
    assert!(reason.contains("k must be one constant number from 1 to 144"), "{reason}");
    let reason = refusal(&|s, x| s.unary("Not", x));
    assert!(reason.contains("results of comparisons"), "{reason}");
}

#[test]
fn a_mask_with_infinite_numbers_does_not_need_onnx_runtime() {
    let source = network(&|s, x| {
        let (_, scores) = tokens(s, x);
        let mask: Vec<f32> = (0..144).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
        let mask = s.floats(&[1, 144], mask);
        let mask = s.node("Cast", &[&mask], vec![1, 144], vec![int("to", 9)]);
        let infinite = s.floats(&[], vec![f32::NEG_INFINITY]);
        let inputs = [mask.name.as_str(), &infinite, &scores.name];
        let masked = s.node("Where", &inputs, vec![1, 144], vec![]);
        s.softmax(&masked, -1)
    });
    let compiled = compile(source.bytes(), &command_line_options(LABELS)).expect("it compiles");
    assert_eq!(compiled.runtime_operator, None);
    assert_clip_matches(&source, &compiled);
}
