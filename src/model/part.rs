//! The parts of a network that run on their own, and their inputs and outputs.

use super::spec::{Mode, ModelSpec, StateSpec};
use std::borrow::Cow;

/// The part of a network that a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The whole graph, which runs once for each chunk or window.
    Whole,
    /// The fast part of frame steps, which runs once for each sample.
    Fast,
    /// The slow part of frame steps, which runs once for each chunk.
    Slow,
    /// A head that is not linear, which runs whenever a label is due.
    Head,
}

/// Name and shape of a tensor.
pub(crate) type NamedShape = (String, Vec<usize>);

/// The inputs and outputs of a part.
#[derive(Clone, Debug)]
pub(crate) struct PartSpec {
    /// Shape of the slow samples, `[Ts, C, H, W]`; `Ts` is 0 if the part reads none.
    pub(crate) slow: [usize; 4],
    /// Shape of the fast samples, `[Tf, C, H, W]`; `Tf` is 0 if the part reads none. The features
    /// `[1, F, 1, 1]` take their place in a head.
    pub(crate) fast: [usize; 4],
    /// Name of the input with the fast samples or the features.
    pub(crate) fast_name: &'static str,
    /// The lateral windows that the slow part reads.
    pub(crate) windows: Vec<StateSpec>,
    /// The states that the part reads and writes.
    pub(crate) states: Vec<StateSpec>,
    /// Indices in `states` of the lateral windows that the fast part writes.
    pub(crate) written_windows: Vec<usize>,
    /// Number of values in the output with the logits or the features.
    pub(crate) output_len: usize,
    /// Name of the output that contains the logits or the features.
    pub(crate) logits: &'static str,
}

impl PartSpec {
    /// Describes a part of a package.
    pub(crate) fn new(spec: &ModelSpec, part: Part) -> Self {
        let [slow, fast] = spec.input_shapes();
        let none = |[_, channels, height, width]: [usize; 4]| [0, channels, height, width];
        let windows = || spec.lateral_windows().cloned().collect::<Vec<_>>();
        let (fast_states, slow_states) = spec.part_states();
        let (features, names) = match spec.head() {
            Some(head) => (head.features, ["fast_features", "slow_features"]),
            None => (spec.output_len(), ["fast_logits", "slow_logits"]),
        };
        let [fast_output, slow_output] = names;
        let whole = Self {
            slow,
            fast,
            fast_name: "fast",
            windows: Vec::new(),
            states: spec.states.clone(),
            written_windows: Vec::new(),
            output_len: spec.output_len(),
            logits: "logits",
        };
        match part {
            Part::Whole => whole,
            Part::Fast => {
                let index = |window: StateSpec| {
                    fast_states.iter().position(|state| state.name == window.name)
                };
                Self {
                    slow: none(slow),
                    states: fast_states.to_vec(),
                    written_windows: windows().into_iter().filter_map(index).collect(),
                    output_len: features,
                    logits: fast_output,
                    ..whole
                }
            }
            Part::Slow => Self {
                fast: none(fast),
                windows: windows(),
                states: slow_states.to_vec(),
                output_len: features,
                logits: slow_output,
                ..whole
            },
            Part::Head => Self {
                slow: none(slow),
                fast: [1, features, 1, 1],
                fast_name: "features",
                states: Vec::new(),
                ..whole
            },
        }
    }

    /// Returns the inputs that the graph of the part must have, in order.
    pub(crate) fn inputs(&self) -> Vec<NamedShape> {
        let samples = [("slow", self.slow), (self.fast_name, self.fast)].into_iter();
        let samples = samples.filter(|(_, shape)| shape[0] > 0);
        let windows =
            self.windows.iter().map(|state| (next_name(&state.name), state.shape.clone()));
        let states = self.states.iter().map(|state| (state.name.clone(), state.shape.clone()));
        samples
            .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
            .chain(windows)
            .chain(states)
            .collect()
    }

    /// Returns the outputs that the graph of the part must have, in order.
    pub(crate) fn outputs(&self) -> Vec<NamedShape> {
        let states = self.states.iter().map(|state| (next_name(&state.name), state.shape.clone()));
        std::iter::once((self.logits.to_owned(), vec![1, self.output_len])).chain(states).collect()
    }
}

/// Returns the name of the output that contains the next value of a state.
pub(crate) fn next_name(state: &str) -> String {
    format!("{state}_next")
}

/// The ONNX model of a part.
pub(crate) struct PartModel<'a> {
    pub(crate) part: Part,
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl ModelSpec {
    /// Returns the states of the fast part and those of the slow part. Without frame steps, all
    /// states belong to the fast part.
    fn part_states(&self) -> (&[StateSpec], &[StateSpec]) {
        let all = self.states.len();
        let fast = self.frame_steps.as_ref().map_or(all, |steps| steps.fast_states.min(all));
        self.states.split_at(fast)
    }

    /// Returns whether the network has two pathways.
    pub(crate) fn has_slow_part(&self) -> bool {
        !self.slow_indices.is_empty()
    }

    /// Returns the parts that run on their own.
    pub(crate) fn parts(&self) -> &'static [Part] {
        match (self.mode, &self.frame_steps) {
            (Mode::Stream, Some(steps)) => match (self.has_slow_part(), &steps.head) {
                (true, None) => &[Part::Fast, Part::Slow],
                (false, None) => &[Part::Fast],
                (true, Some(_)) => &[Part::Fast, Part::Slow, Part::Head],
                (false, Some(_)) => &[Part::Fast, Part::Head],
            },
            _ => &[Part::Whole],
        }
    }
}
