//! The formats of the metadata, and the keys of format 2, which describes frame steps. It
//! implements docs/model-package.md#formats and docs/model-package.md#frame-steps.

use super::keys::{Keys, check_agreement, check_number, invalid};
use super::self_test::parse_frame_self_test;
use crate::error::Result;
use crate::model::limits;
use crate::model::spec::{FrameSteps, Mode, SelfTest, StateSpec};
use std::collections::HashSet;

/// The keys of all formats.
const COMMON_KEYS: [&str; 24] = [
    "format",
    "mode",
    "labels",
    "groups",
    "group_threshold",
    "novelty",
    "input",
    "mean",
    "std",
    "sample_interval_ns",
    "alpha",
    "clip_samples",
    "slow_indices",
    "states",
    "temperature",
    "threshold",
    "orientation",
    "precision",
    "self_test",
    "source_sha256",
    "graph_sha256",
    "model_version",
    "provenance",
    "model_card",
];

/// The keys of the formats 2 and 3. Libraries that know only format 1 would ignore them.
const STRICT_KEYS: [&str; 2] = ["resize", "channel_order"];

/// The keys of format 2 alone.
const FRAME_KEYS: [&str; 4] = ["lateral_reach", "fast_nodes", "fast_states", "lateral_windows"];

/// The values of other keys that frame steps depend on.
pub(super) struct Context<'a> {
    pub(super) mode: Mode,
    pub(super) alpha: usize,
    pub(super) has_slow_part: bool,
    pub(super) states: &'a [StateSpec],
}

/// Checks the format and returns whether the package has frame steps. Each format refuses the rules
/// that it does not have, because a package whose rules are ignored would give wrong labels.
pub(super) fn check_format(keys: &Keys<'_>) -> Result<bool> {
    let own = || keys.0.keys().filter_map(|key| key.strip_prefix("tteview."));
    let check_known = |format: &str, more: &[&str]| {
        let is_known = |key: &str| {
            COMMON_KEYS.contains(&key) || STRICT_KEYS.contains(&key) || more.contains(&key)
        };
        own().find(|key| !is_known(key)).map_or(Ok(()), |key| {
            let key = limits::shorten(key);
            let problem = format!("is not a rule of tteview.format {format}; update the library");
            Err(invalid(key, &problem))
        })
    };
    match keys.text("format")? {
        "1" => {
            if let Some(key) = own().find(|key| FRAME_KEYS.contains(key)) {
                return Err(invalid(key, "belongs to tteview.format 2, got 1"));
            }
            if let Some(key) = own().find(|key| STRICT_KEYS.contains(key)) {
                return Err(invalid(key, "belongs to tteview.format 2 or 3, got 1"));
            }
            Ok(false)
        }
        "2" => check_known("2", &FRAME_KEYS).map(|()| true),
        "3" => check_known("3", &["chunk", "head"]).map(|()| false),
        format => {
            let format = limits::shorten(format);
            Err(invalid("format", &format!("must be 1, 2 or 3, got {format:?}")))
        }
    }
}

/// Parses the keys of frame steps and the self-test.
pub(super) fn parse(
    keys: &Keys<'_>,
    context: &Context<'_>,
    output_len: usize,
) -> Result<(FrameSteps, SelfTest)> {
    check_agreement("mode", context.mode == Mode::Stream, "must be stream in tteview.format 2")?;
    let lateral_reach: usize = keys.parse_json("lateral_reach")?;
    let max = if context.has_slow_part { context.alpha - 1 } else { 0 };
    check_number("lateral_reach", "a value", lateral_reach, 0..=max)?;
    let alpha_fits = context.has_slow_part || context.alpha == 1;
    check_agreement("alpha", alpha_fits, "must be 1 in a network with one pathway")?;
    let fast_nodes: usize = keys.parse_json("fast_nodes")?;
    check_number("fast_nodes", "a value", fast_nodes, 1..=limits::MAX_NODES)?;
    let fast_states: usize = keys.parse_json("fast_states")?;
    check_number("fast_states", "a value", fast_states, 0..=context.states.len())?;
    let (fast, slow) = context.states.split_at(fast_states);
    check_agreement(
        "fast_states",
        context.has_slow_part || slow.is_empty(),
        "must be the number of states in a network with one pathway",
    )?;
    let lateral_windows: Vec<String> = keys.parse_json("lateral_windows")?;
    let mut names = HashSet::new();
    for name in &lateral_windows {
        let is_fast = fast.iter().any(|state| state.name == *name);
        let short = limits::shorten(name);
        let problem = format!("must name states of the fast part once, got {short:?}");
        check_agreement("lateral_windows", is_fast && names.insert(name.clone()), &problem)?;
    }
    check_agreement(
        "lateral_windows",
        context.has_slow_part || lateral_windows.is_empty(),
        "must be empty in a network with one pathway",
    )?;
    let (chunks, self_test) = parse_frame_self_test(keys, output_len)?;
    let steps =
        FrameSteps { lateral_reach, fast_nodes, fast_states, lateral_windows, self_test: chunks };
    Ok((steps, self_test))
}
