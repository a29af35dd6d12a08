//! The passes before the lowering, which turn a source file into a graph whose axes and timing are
//! known.

use crate::causality::analyse_timing;
use crate::error::{Result, fail_network, fail_spec};
use crate::fold::fold_into_convolutions;
use crate::graph::{Graph, Op, Recurrence, ValueId};
use crate::import::{ExternalData, ImportForm, import_model};
use crate::label_rule::{LabelRule, MeanOfProbabilities};
use crate::layout::{AxisRole, Layout, infer_layout};
use crate::lower::SourceNetwork;
use crate::normalisation::choose_normalisation;
use crate::options::{Average, CompileOptions, Winograd};
use crate::output::{
    Content, LogitsEnd, LogitsForm, LogitsSource, RowAxes, append_logarithm, append_softmax,
    average_frames, find_logits, find_rows,
};
use crate::pathways::{Pathways, find_pathways, fold_grey};
use crate::tensor::DType;
use crate::timing::{Time, Timing};
use bytes::Bytes;
use std::collections::BTreeSet;

/// A source network before the lowering.
pub(crate) struct Prepared {
    pub(crate) graph: Graph,
    pub(crate) layout: Layout,
    pub(crate) pathways: Pathways,
    pub(crate) timing: Timing,
    pub(crate) logits: LogitsSource,
    /// What the output contains.
    pub(crate) content: Content,
    /// The rows of the frames, if a run must show whether they contain logits or probabilities
    /// before it is certain what the package averages. Until then, the output is their mean.
    undecided_rows: Option<(ValueId, RowAxes)>,
    /// The output before its logarithm, if the package ends in a logarithm.
    before_logarithm: Option<ValueId>,
    pub(crate) rule: LabelRule,
    /// What the compiler assumed or found, in sentences for the user.
    pub(crate) notes: Vec<String>,
    /// The options, with the normalisation that the network needs.
    pub(crate) options: CompileOptions,
}

/// Imports and analyses a source network, with recurrent layers in the given form.
pub(crate) fn prepare(
    source: &Bytes,
    options: &CompileOptions,
    recurrence: Recurrence,
) -> Result<Prepared> {
    let mut graph = import_network(source, options, recurrence)?;
    let mut options = options.clone();
    let mut notes = choose_normalisation(&graph, &mut options.spec)?;
    let LogitsEnd { source: logits, content, had_softmax } =
        find_logits(&mut graph, options.labels.len())?;
    graph.remove_dead_nodes();
    fold_into_convolutions(&mut graph);
    let layout = infer_layout(&graph)?;
    let pathways = find_pathways(&mut graph, &layout)?;
    if options.grey {
        if !options.spec.has_equal_channels() {
            return fail_spec(format!(
                "grey needs the same mean and std in all channels, got mean {:?} and std {:?}",
                options.spec.mean, options.spec.std
            ));
        }
        fold_grey(&mut graph, &layout, &pathways)?;
    }
    let [_, channels, _, _] = layout.lowered_shape(&graph, pathways.fast);
    options.spec.check(channels)?;
    options.spec.preprocess.check(channels, options.grey)?;
    notes.extend(options.spec.preprocess.describe_assumed(channels));
    let timing = analyse_timing(&graph, &layout, &pathways, options.chunk)?;
    let rule = LabelRule::MeanLogits;
    let mut prepared = Prepared {
        graph,
        layout,
        pathways,
        timing,
        logits,
        content,
        undecided_rows: None,
        before_logarithm: None,
        rule,
        notes,
        options,
    };
    prepared.choose_rule(had_softmax)?;
    Ok(prepared)
}

impl Prepared {
    /// Returns what the lowering needs.
    pub(crate) fn source(&self, winograd: Winograd) -> SourceNetwork<'_> {
        SourceNetwork::new(&self.graph, &self.layout, &self.pathways, &self.timing, winograd)
    }

    /// Returns whether the network has a recurrent layer.
    pub(crate) fn is_recurrent(&self) -> bool {
        let is_layer = |op: &str| matches!(op, "LSTM" | "GRU" | "RNN");
        self.graph.nodes.iter().any(|node| is_layer(&node.source_op))
    }

    /// Returns whether the clip has one frame and the graph no time axis that the analysis follows,
    /// such as an image network with attention. Each frame is then a step of its own.
    pub(crate) fn has_one_frame(&self) -> bool {
        !self.timing.can_stream()
            && self.pathways.slow.is_none()
            && self.pathways.fast_frames == 1
            && self.options.chunk == 1
            && !self.is_recurrent()
            && !self.graph.nodes.iter().any(|node| matches!(node.op, Op::Kept(_)))
    }

    /// Makes the graph end in logits. `has_probabilities` says whether the output contains
    /// probabilities. Returns whether the graph changed.
    pub(crate) fn end_in_logits(&mut self, has_probabilities: bool) -> Result<bool> {
        let wanted = self.options.average;
        let rows = self.undecided_rows.take();
        match (has_probabilities, rows, wanted) {
            (true, Some((rows, axes)), Some(Average::Logits)) => {
                self.restore_output(rows);
                append_logarithm(&mut self.graph, &mut self.layout);
                self.logits.form = LogitsForm::MeanLogarithm;
                average_frames(&mut self.graph, &mut self.layout, axes);
                self.note_average("logits", "probabilities");
                self.analyse_timing()?;
            }
            (true, None, Some(Average::Logits)) => {
                return fail_network(
                    "the network computes with probabilities, and the logits from which they follow \
                     cannot be averaged in their place; name a value with the logits of each frame \
                     with --logits NAME, or compile without --average",
                );
            }
            (true, rows, _) => {
                if rows.is_some() {
                    self.note_average("probabilities", "logits");
                }
                self.notes.push(format!(
                    "the output {} contains probabilities, so the package ends in their logarithm",
                    self.logits.name
                ));
                self.take_logarithm()?;
                if self.has_one_frame() {
                    self.rule = LabelRule::MeanProbabilities;
                }
            }
            (false, Some((rows, axes)), Some(Average::Probabilities)) => {
                self.restore_output(rows);
                self.average_rows(axes, true)?;
                if self.content == Content::Distribution {
                    self.take_logarithm()?;
                }
            }
            (false, rows, wanted) => {
                if rows.is_some() {
                    self.note_average("logits", "probabilities");
                } else if self.has_one_frame() && wanted == Some(Average::Probabilities) {
                    self.rule = LabelRule::MeanProbabilities;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Appends the logarithm of the output, which contains probabilities.
    fn take_logarithm(&mut self) -> Result<()> {
        self.before_logarithm = Some(self.graph.outputs[0]);
        append_logarithm(&mut self.graph, &mut self.layout);
        if self.logits.form == LogitsForm::Value {
            self.logits.form = LogitsForm::Logarithm;
        }
        self.analyse_timing()
    }

    /// Makes a value the output and removes the nodes after it.
    fn restore_output(&mut self, output: ValueId) {
        self.graph.outputs = vec![output];
        self.graph.remove_dead_nodes();
    }

    /// Analyses the timing again after a change of the graph.
    pub(crate) fn analyse_timing(&mut self) -> Result<()> {
        let Self { graph, layout, pathways, options, .. } = self;
        self.timing = analyse_timing(graph, layout, pathways, options.chunk)?;
        Ok(())
    }

    /// Averages the frames of a network whose output has one row for each frame, and chooses the
    /// label rule. `had_softmax` says whether the network ended with a softmax.
    fn choose_rule(&mut self, had_softmax: bool) -> Result<()> {
        let wanted = self.options.average;
        if self.has_one_frame() {
            let averages_logits = wanted.map_or(!had_softmax, |average| average == Average::Logits);
            if self.content == Content::BeforeSoftmax && !averages_logits {
                self.rule = LabelRule::MeanProbabilities;
                self.note_average("probabilities", "logits");
            }
            return Ok(());
        }
        if matches!(self.timing.time(self.graph.outputs[0]), Time::Frames { .. })
            || self.has_plain_rows()
        {
            let labels = self.options.labels.len();
            let Some(axes) = find_rows(&self.graph, &self.layout, labels) else { return Ok(()) };
            self.logits.has_labels_first = self.has_labels_first();
            if self.content == Content::BeforeSoftmax {
                let of_probabilities =
                    wanted.map_or(had_softmax, |average| average == Average::Probabilities);
                return self.average_rows(axes, of_probabilities);
            }
            self.undecided_rows = Some((self.graph.outputs[0], axes));
            average_frames(&mut self.graph, &mut self.layout, axes);
            return self.analyse_timing();
        }
        if *self.timing.time(self.graph.outputs[0]) == Time::Newest {
            self.rule = LabelRule::Newest;
            return match wanted {
                None => Ok(()),
                Some(_) => fail_network(
                    "the network gives the result of the newest frame, so nothing is averaged; compile \
                     without --average, or name a value with the logits of each frame with --logits NAME",
                ),
            };
        }
        let found = MeanOfProbabilities::find(&self.graph, &self.layout, &self.timing);
        match (found, wanted) {
            (None, Some(Average::Probabilities)) => fail_network(
                "the network gives one result for the clip, so the probabilities of its frames cannot \
                 be averaged; name a value with the logits of each frame with --logits NAME, or \
                 compile without --average",
            ),
            (None, _) => Ok(()),
            (Some(mean), Some(Average::Logits)) => {
                let name = self.graph.value(mean.logits()).name.clone();
                self.logits =
                    LogitsSource { name, form: LogitsForm::Value, has_labels_first: false };
                self.content = Content::BeforeSoftmax;
                mean.remove(&mut self.graph);
                self.analyse_timing()
            }
            (Some(_), _) => {
                self.rule = LabelRule::MeanProbabilities;
                self.notes.push(
                    "the network averages the probabilities of its frames, and so does a stream; \
                     --average logits averages the logits instead"
                        .into(),
                );
                Ok(())
            }
        }
    }

    /// Returns whether the labels of the value that contains the logits precede its frames.
    fn has_labels_first(&self) -> bool {
        let named = |id: &ValueId| self.graph.value(*id).name == self.logits.name;
        // The last of several nodes with one name computes the value of the source.
        let mut values = self.graph.nodes.iter().map(|node| node.output);
        let axis = |id, role| self.layout.find_axis(id, role);
        values.rfind(named).is_some_and(|id| {
            let axes = axis(id, AxisRole::Channel).zip(axis(id, AxisRole::Time));
            axes.is_some_and(|(label, frame)| label < frame)
        })
    }

    /// Returns whether the output is plain and has one row of logits for each frame of an input.
    fn has_plain_rows(&self) -> bool {
        let Self { graph, layout, pathways, options, .. } = self;
        let output = graph.outputs[0];
        let rows = find_rows(graph, layout, options.labels.len());
        layout.plain_reason(output).is_some()
            && rows.is_some_and(|axes| {
                let frames = graph.shape(output)[axes.row];
                frames > 1 && [pathways.fast_frames, pathways.slow_frames].contains(&frames)
            })
    }

    /// Appends the mean of the rows, which contain logits, or of their probabilities.
    fn average_rows(&mut self, axes: RowAxes, of_probabilities: bool) -> Result<()> {
        let Self { graph, layout, .. } = self;
        let frames = graph.shape(graph.outputs[0])[axes.row];
        if of_probabilities {
            self.rule = LabelRule::MeanProbabilities;
            // The probabilities of one frame are those of the clip.
            if frames > 1 {
                append_softmax(graph, layout, axes)?;
                self.logits.form = LogitsForm::MeanProbabilities;
                self.content = Content::Distribution;
            }
        }
        average_frames(graph, layout, axes);
        match of_probabilities {
            true => self.note_average("probabilities", "logits"),
            false => self.note_average("logits", "probabilities"),
        }
        self.analyse_timing()
    }

    /// Notes what is averaged, and what could be.
    fn note_average(&mut self, values: &str, option: &str) {
        self.notes.push(format!(
            "the network gives one result for each frame, and the label follows from the mean of their \
             {values}; --average {option} averages the {option} instead"
        ));
    }

    /// Makes the graph average logits, of which the library computes the probabilities in a
    /// stream. If the averaged rows are not frames but follow from a mean over all frames, the
    /// stream has one result, whose logarithm the graph computes.
    pub(crate) fn average_logits(&mut self) -> Result<()> {
        if self.has_one_frame() {
            return Ok(());
        }
        let with_logarithm = self.before_logarithm.map(|_| self.graph.clone());
        self.restore_output(self.before_logarithm.unwrap_or(self.graph.outputs[0]));
        self.analyse_timing()?;
        let mean = MeanOfProbabilities::find(&self.graph, &self.layout, &self.timing);
        match (mean, with_logarithm) {
            (Some(mean), _) => mean.remove(&mut self.graph),
            (None, Some(graph)) => {
                self.graph = graph;
                self.rule = LabelRule::MeanLogits;
            }
            (None, None) => return Ok(()),
        }
        self.analyse_timing()
    }
}

/// Imports the source network and keeps one output: the one that the options name, the only one, or
/// the one named `logits`.
fn import_network(
    source: &Bytes,
    options: &CompileOptions,
    recurrence: Recurrence,
) -> Result<Graph> {
    let model = import_model(
        source,
        &mut ExternalData::new(options.folder.as_deref()),
        ImportForm { output: options.output.as_deref(), recurrence, ..ImportForm::SOURCE },
    )?;
    let mut graph = model.graph;
    let names = &model.output_names;
    let logits =
        if names.len() == 1 { Some(0) } else { names.iter().position(|name| name == "logits") };
    match logits.and_then(|at| graph.outputs.get(at).copied()) {
        Some(id) => graph.outputs = vec![id],
        None => {
            return fail_network(format!(
                "the network has the outputs {names:?}; choose the one that contains the logits with \
                 --logits NAME"
            ));
        }
    }
    graph.remove_dead_nodes();
    if graph.constant(graph.outputs[0]).is_some() {
        return fail_network("the output does not depend on the frames");
    }
    check_selection(&graph)?;
    // An input on which the output does not depend needs no frames.
    let read: BTreeSet<ValueId> =
        graph.nodes.iter().flat_map(|node| node.inputs.iter().copied()).collect();
    let unread = |id: &ValueId| !read.contains(id);
    graph.inputs.retain(|id| !unread(id));
    Ok(graph)
}

/// Checks that the output is not a selection from the logits, such as the number of the label.
fn check_selection(graph: &Graph) -> Result<()> {
    let mut id = graph.outputs[0];
    for node in graph.nodes.iter().rev() {
        match &node.op {
            _ if node.output != id => {}
            Op::Kept(kept) if matches!(kept.operator, "ArgMax" | "ArgMin" | "TopK") => {
                return graph.fail_node(
                    node,
                    "the output contains labels instead of logits; name the value that contains the \
                     logits with --logits, or export the network without this node",
                );
            }
            Op::Kept(kept) if kept.operator == "Cast" => id = node.inputs[0],
            Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Gather { .. } => {
                id = node.inputs[0];
            }
            _ => break,
        }
    }
    match graph.value(graph.outputs[0]).dtype {
        DType::F32 => Ok(()),
        _ => fail_network(
            "the output contains integers or truth values; name the value that contains the logits \
             with --logits NAME",
        ),
    }
}
