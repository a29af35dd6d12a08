//! Tests of the compiler's main property: for random small networks, the clip package and the
//! chunk steps give the same result as the source. The module `frame_steps` tests frame steps.

use super::random_network::{Block, RandomNetwork, build_network, random_network};
use super::source::LABELS;
use super::support::{RUNTIME, TOLERANCE, options, self_test_error, verify_source};
use crate::{Steps, Winograd, compile};
use proptest::prelude::*;

/// Returns whether the network is chunk-causal by construction.
pub(super) fn is_causal(network: &RandomNetwork) -> bool {
    let kernel = |block: &Block| match *block {
        Block::Conv { kt, .. }
        | Block::Bottleneck { kt, .. }
        | Block::Depthwise { kt }
        | Block::Factored { kt } => kt,
        _ => 1,
    };
    let slow = if network.two_pathways { network.slow.as_slice() } else { &[] };
    let is_temporal =
        network.two_pathways || network.fast.iter().chain(slow).any(|block| kernel(block) > 1);
    let has_causal_lateral =
        !network.two_pathways || network.reach.is_some() || network.lateral / 2 < network.alpha;
    (network.padding.is_causal() || !is_temporal) && has_causal_lateral
}

/// Returns whether the nodes after the mean over time are not linear.
pub(super) fn has_nonlinear_head(network: &RandomNetwork) -> bool {
    matches!(network.head, 4 | 5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packages_of_random_networks_match_their_source(network in random_network()) {
        let _ = &*RUNTIME;
        let source = build_network(&network);
        let mut options = options(LABELS);
        options.chunk = network.chunk;
        options.self_test = true;
        options.steps = Steps::Chunk;
        if network.always_winograd {
            options.winograd = Winograd::Always;
        }
        let compiled = compile(source.bytes(), &options).map_err(|e| TestCaseError::fail(e.to_string()))?;
        // A head that is not linear needs frame steps.
        let streams = is_causal(&network) && !has_nonlinear_head(&network);
        prop_assert_eq!(compiled.stream.is_some(), streams, "{:?}", compiled.window_only_reason);
        let errors = verify_source(&source, &compiled).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let rten = self_test_error(&compiled);
        prop_assert!(rten <= TOLERANCE, "rten against ONNX Runtime {:e}", rten);
        prop_assert!(errors.clip <= TOLERANCE, "{}", errors);
        prop_assert!(errors.stream.unwrap_or(0.0) <= TOLERANCE, "{}", errors);
    }
}
