//! The label of a cine, and how it came about.

use crate::cine::{Cine, Frame};
use crate::failure::Failure;
use crate::host_acquisition::{HostAcquisition, Results};
use tteview::{Engine, ModelSpec, ResultFlags, Status, ViewResult};

/// The final result of a cine.
pub(crate) struct CineLabel {
    pub(crate) result: ViewResult,
    /// The posterior, one value per label.
    pub(crate) scores: Vec<f32>,
    /// Number of frames that the stream refused because their time was not later than that of the
    /// previous frame.
    pub(crate) refused: u64,
    /// The results after each chunk or window.
    pub(crate) trace: Vec<TracePoint>,
}

/// The result after a chunk or window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TracePoint {
    /// Grid time of the last sample that the result covers.
    pub(crate) time_ns: i64,
    /// Index of the label; `None` if it is withheld.
    pub(crate) label: Option<u32>,
    pub(crate) confidence: f32,
}

impl From<&ViewResult> for TracePoint {
    fn from(result: &ViewResult) -> Self {
        let ViewResult { last_time_ns, label, confidence, .. } = *result;
        Self { time_ns: last_time_ns, label, confidence }
    }
}

/// Labels a cine. In window mode, the network runs every `hop` samples. Calls `see` with each
/// frame.
pub(crate) fn label_cine(
    engine: &Engine,
    cine: &mut Cine,
    hop: Option<usize>,
    mut see: impl FnMut(&Frame),
) -> Result<CineLabel, Failure> {
    let period_ns = cine.facts.timing.period_ns();
    let mut acquisition = HostAcquisition::begin(engine, &cine.facts, period_ns, hop, None)?;
    for frame in cine {
        let frame = frame?;
        acquisition.push(&frame.pixels, frame.time_ns)?;
        see(&frame);
    }
    let Results { mut results, refused } = acquisition.end()?;
    let is_counted = |(result, _): &&(ViewResult, Vec<f32>)| result.chunks > 0;
    let mut trace: Vec<TracePoint> =
        results.iter().filter(is_counted).map(|(result, _)| result.into()).collect();
    // If nothing was left to compute at the end, the final result repeats the previous one.
    trace.dedup_by_key(|point| point.time_ns);
    match results.pop() {
        Some((result, scores)) if result.status == Status::Ok => {
            Ok(CineLabel { result, scores, refused, trace })
        }
        Some((result, _)) => Err(result.status.into()),
        None => Err(Status::NotReady.into()),
    }
}

/// Formats two different numbers with as few decimals as show the difference, but at least two.
fn format_pair(first: f32, second: f32) -> [String; 2] {
    let format = |decimals| [first, second].map(|number| format!("{number:.decimals$}"));
    let is_different = |[first, second]: &[String; 2]| first != second;
    (2..8).map(format).find(is_different).unwrap_or_else(|| format(8))
}

/// A reason why a label is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Confidence,
    OutsideGroup,
    GroupConfidence,
    Novelty,
}

impl Reason {
    /// Returns the reasons that hold for a result.
    pub(crate) fn list(flags: ResultFlags) -> Vec<Self> {
        let reasons = [
            (ResultFlags::ABSTAINED, Self::Confidence),
            (ResultFlags::OUTSIDE_GROUP, Self::OutsideGroup),
            (ResultFlags::GROUP_ABSTAINED, Self::GroupConfidence),
            (ResultFlags::NOVEL, Self::Novelty),
        ];
        let holds = |&(flag, _): &(ResultFlags, Self)| flags.contains(flag);
        reasons.into_iter().filter(holds).map(|(_, reason)| reason).collect()
    }

    /// Returns the name of the reason in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Confidence => "confidence",
            Self::OutsideGroup => "outside_group",
            Self::GroupConfidence => "group_confidence",
            Self::Novelty => "novelty",
        }
    }

    /// Returns a clause that gives the values of a result.
    pub(crate) fn explain(self, result: &ViewResult, spec: &ModelSpec) -> String {
        match self {
            Self::Confidence => {
                let [value, threshold] = format_pair(result.confidence, spec.threshold);
                format!("its confidence {value} is below {threshold}")
            }
            Self::OutsideGroup => {
                "it lies outside the group with the largest confidence".to_owned()
            }
            Self::GroupConfidence => {
                let [value, limit] = format_pair(result.group_confidence, spec.group_threshold);
                format!("the confidence of the best group, {value}, is below {limit}")
            }
            Self::Novelty => {
                let threshold = spec.novelty.as_ref().map_or(f64::NAN, |novelty| novelty.threshold);
                format!(
                    "the novelty score {:.3} is above {threshold:.3}, so the cine is unlike those \
                     that the model was trained on",
                    result.novelty
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_differ_are_printed_differently() {
        assert_eq!(format_pair(0.41, 0.8), ["0.41", "0.80"]);
        assert_eq!(format_pair(0.99999, 1.0), ["0.99999", "1.00000"]);
        assert_eq!(format_pair(0.5, 0.5), ["0.50000000", "0.50000000"]);
    }
}
