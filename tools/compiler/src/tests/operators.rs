//! Tests of single operators in forms that occur in real networks.

use super::source::{LABELS, Padding, Source};
use super::support::{assert_matches_and_streams, compile_source};

#[test]
fn constant_that_widens_one_channel_matches_the_source() {
    for op in ["Mul", "Add"] {
        let mut s = Source::new(13);
        let x = s.input("x", &[1, 1, 4, 6, 6]);
        let y = s.conv(&x, 1, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
        let constant = s.random(&[1, 4, 1, 1, 1], 1.0, 0.0);
        let y = s.node(op, &[&y.name, &constant], vec![1, 4, 4, 6, 6], vec![]);
        let pooled = s.mean(&y, &[2, 3, 4], true);
        let flat = s.flatten(&pooled);
        let logits = s.gemm(&flat, LABELS);
        s.output(&logits);
        assert_matches_and_streams(&s, &compile_source(&s));
    }
}
