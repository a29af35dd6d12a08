//! The acquisitions of a run, one for each row of its predictions.

use super::acquisition::{self, Output};
use super::manifest::{Entry, PERIOD_COLUMN};
use super::predictions::{Change, Row, RuleState};
use crate::cine::{Cine, CineError, Timing};
use crate::cine_arguments::print_warnings;
use crate::failure::Failure;
use crate::host_acquisition::HostAcquisition;
use tteview::{Engine, ViewChange};

/// Attribute with the frame rate of a cine.
const FRAME_RATE: &str = "frame_rate";

/// An acquisition of one or two cines.
#[derive(Clone, Copy)]
pub(super) enum Task<'a> {
    /// A cine.
    Cine(&'a Entry),
    /// Two cines as one acquisition, with the view-change rule off or on.
    Change { from: &'a Entry, to: &'a Entry, rule: RuleState },
}

/// The reason why a row has no posterior.
pub(super) enum TaskError {
    /// The cine cannot be acquired.
    Cine(String),
    /// The run cannot continue.
    Run(Failure),
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        Self::Run(failure)
    }
}

impl From<CineError> for TaskError {
    fn from(error: CineError) -> Self {
        Self::Cine(error.to_string())
    }
}

impl Task<'_> {
    /// Creates the task's row, still without the outputs of the network.
    pub(super) fn create_row(self) -> Row {
        let (path, entry) = match self {
            Self::Cine(entry) => (entry.path.clone(), entry),
            Self::Change { from, to, .. } => (format!("{} > {}", from.path, to.path), to),
        };
        let row = Row {
            path,
            label: entry.label.clone(),
            patient: entry.patient.clone(),
            split: entry.split.clone(),
            ..Row::default()
        };
        match self {
            Self::Cine(_) => Row { attributes: entry.attributes(), ..row },
            Self::Change { from, rule, .. } => {
                let change = Change { rule, from: from.label.clone(), time_ns: 0, left_out: None };
                Row { change: Some(change), ..row }
            }
        }
    }

    /// Acquires the cine or the two cines and returns the outputs of the network. Adds to `row` the
    /// frame rate of a single cine or the time of a change.
    pub(super) fn acquire(
        self,
        engine: &Engine,
        change_margin: f32,
        row: &mut Row,
    ) -> Result<Vec<Output>, TaskError> {
        match self {
            Self::Cine(entry) => acquire_cine(engine, entry, row),
            Self::Change { from, to, rule } => {
                let view_change = match rule {
                    RuleState::Off => None,
                    RuleState::On => {
                        Some(ViewChange { span: 0, outputs: 0, margin: change_margin })
                    }
                };
                acquire_change(engine, [from, to], view_change, row)
            }
        }
    }
}

/// Acquires one cine. If the manifest gives neither a frame rate nor a frame period, the frame rate
/// of the cine file becomes an attribute of the row.
fn acquire_cine(engine: &Engine, entry: &Entry, row: &mut Row) -> Result<Vec<Output>, TaskError> {
    let mut cine = open_cine(entry)?;
    let period_ns = cine.facts.timing.period_ns();
    let has_rate =
        [FRAME_RATE, PERIOD_COLUMN].iter().any(|&column| row.attributes.contains_key(column));
    if cine.facts.timing.source.is_some() && !has_rate {
        let rate = 1e9 / period_ns.max(1) as f64;
        row.attributes.insert(FRAME_RATE.into(), format!("{rate:.1}"));
    }
    let mut acquisition = HostAcquisition::begin(engine, &cine.facts, period_ns, None, None)?;
    for frame in &mut cine {
        let frame = frame?;
        acquisition.push(&frame.pixels, frame.time_ns)?;
    }
    print_warnings(&cine);
    Ok(acquisition::end(acquisition)?)
}

/// Acquires two cines as one acquisition. The second cine begins one frame period after the last
/// frame of the first cine.
fn acquire_change(
    engine: &Engine,
    entries: [&Entry; 2],
    view_change: Option<ViewChange>,
    row: &mut Row,
) -> Result<Vec<Output>, TaskError> {
    let [first, second] = entries.map(open_cine);
    let (first, second) = (first?, second?);
    if first.facts.geometry() != second.facts.geometry() {
        let cause =
            "the cines must have the same geometry, because a new geometry counts as a change";
        return Err(TaskError::Cine(cause.into()));
    }
    let [period_ns, second_period_ns] = [&first, &second].map(|cine| cine.facts.timing.period_ns());
    let change_ns = first.facts.timing.times_ns.last().unwrap_or(&0) + period_ns;
    let longest_ns = period_ns.max(second_period_ns);
    let mut acquisition =
        HostAcquisition::begin(engine, &first.facts, longest_ns, None, view_change)?;
    for (mut cine, start_ns) in [(first, 0), (second, change_ns)] {
        for frame in &mut cine {
            let frame = frame?;
            acquisition.push(&frame.pixels, start_ns + frame.time_ns)?;
        }
    }
    let outputs = acquisition::end(acquisition)?;
    if let Some(change) = &mut row.change {
        change.time_ns = change_ns;
    }
    Ok(outputs)
}

fn open_cine(entry: &Entry) -> Result<Cine, CineError> {
    let mut cine = Cine::open(&entry.file())?;
    if let Some(period_ns) = entry.period_ns {
        let frames = cine.facts.frame_count();
        cine.facts.set_timing(Timing::regular(frames, period_ns, Some(PERIOD_COLUMN)));
    }
    Ok(cine)
}
