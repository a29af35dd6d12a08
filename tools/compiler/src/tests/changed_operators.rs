//! Tests of forms of operators that random changes of networks found.

use super::operators::{assert_streams, finish, stem};
use super::source::{LABELS, Source, float};
use super::support::options;
use crate::compile;

#[test]
fn powers_of_negative_bases_match_the_source() {
    for exponent in [0.0, 2.0, 65.0, 66.0] {
        assert_streams(&format!("Pow {exponent}"), |s, x| {
            let y = s.unary("Softsign", x);
            let y = s.unary("Neg", &y);
            let exponent = s.floats(&[], vec![exponent]);
            s.node("Pow", &[&y.name, &exponent], x.shape.clone(), vec![])
        });
    }
}

#[test]
fn a_celu_that_does_not_rise_is_refused() {
    for alpha in [0.0, -1.0] {
        let mut s = Source::new(13);
        let x = stem(&mut s);
        let y = s.node("Celu", &[&x.name], x.shape.clone(), vec![float("alpha", alpha)]);
        finish(&mut s, &y);
        let error = compile(s.bytes(), &options(LABELS)).expect_err("must be refused");
        assert!(error.to_string().contains("alpha must be greater than 0"), "{error}");
    }
}

#[test]
fn a_power_with_an_infinite_exponent_is_refused() {
    let mut s = Source::new(13);
    let x = stem(&mut s);
    let exponent = s.floats(&[], vec![f32::INFINITY]);
    let y = s.node("Pow", &[&x.name, &exponent], x.shape.clone(), vec![]);
    finish(&mut s, &y);
    let error = compile(s.bytes(), &options(LABELS)).expect_err("must be refused");
    assert!(error.to_string().contains("must be a finite number, got inf"), "{error}");
}

#[test]
fn padding_before_a_padded_max_pool_matches_the_source() {
    assert_streams("Pad and MaxPool", |s, x| {
        let y = s.unary("Softplus", x);
        let y = s.unary("Neg", &y);
        let y = s.pad(&y, 3, 1, 2, 0.0);
        s.pool("MaxPool", &y, [1, 3, 3], [1, 2, 2], [0, 1, 1, 0, 1, 1], false)
    });
}
