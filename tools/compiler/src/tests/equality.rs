//! The property the compiler stands on: 200 random small networks give what their source gives, clip and steps.

use super::recipe::{Block, Recipe, build, recipe};
use super::source::LABELS;
use super::{RUNTIME, checked, options, self_test_error};
use crate::{Products, compile};
use proptest::prelude::*;

/// Largest relative error allowed, clip against source and steps against clip.
const TOLERANCE: f64 = 1e-5;

/// Whether the recipe is chunk-causal by construction.
fn streams(r: &Recipe) -> bool {
    let kernels = |b: &Block| match *b {
        Block::Conv { kt, .. }
        | Block::Bottleneck { kt, .. }
        | Block::Depthwise { kt }
        | Block::Factored { kt } => kt,
        _ => 1,
    };
    let blocks = r.fast.iter().chain(if r.two_pathways { r.slow.iter() } else { [].iter() });
    let temporal = r.two_pathways || blocks.clone().any(|b| kernels(b) > 1);
    let lateral = !r.two_pathways || r.lateral / 2 < r.alpha;
    (r.padding.is_causal() || !temporal) && lateral
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_give_what_their_source_gives(recipe in recipe()) {
        let _ = &*RUNTIME;
        let source = build(&recipe);
        let mut options = options(LABELS);
        options.chunk = recipe.chunk;
        options.self_test = true;
        if recipe.fewest_products {
            options.products = Products::Fewest;
        }
        let compiled = compile(source.bytes(), &options).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(compiled.stream.is_some(), streams(&recipe), "{:?}", compiled.window_only);
        let nonlinear = recipe.head > 3;
        prop_assert_eq!(compiled.head.is_some(), nonlinear && compiled.stream.is_some());
        let result = checked(&source, &compiled).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let rten = self_test_error(&compiled);
        prop_assert!(rten <= TOLERANCE, "rten against ONNX Runtime {:e}", rten);
        prop_assert!(result.clip <= TOLERANCE, "clip {:e}", result.clip);
        prop_assert!(result.stream.unwrap_or(0.0) <= TOLERANCE, "stream {:?}", result.stream);
    }
}
