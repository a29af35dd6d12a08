//! Classification, which turns samples into a posterior.
//!
//! In stream mode, the network runs once per chunk, or with frame steps once per sample, and passes
//! its temporal state on. In window mode, it runs on overlapping clips. In all modes, a history
//! keeps the outputs, and the posterior is computed from their mean. This module implements
//! docs/stream-contract.md#label and docs/stream-contract.md#window-mode.

pub(crate) mod decision;
mod frames;
pub(crate) mod head;
pub(crate) mod interface;
mod mean;
mod novelty;
mod pathways;
pub(crate) mod posterior;
pub(crate) mod rules;
pub(crate) mod slow_lane;
mod stream;
pub(crate) mod timing;
mod window;

use crate::backend::interface::Session;
use crate::error::Result;
use crate::model::{Mode, ModelSpec};
use head::Head;
use interface::{Classifier, ClassifierSettings};
use slow_lane::SlowLane;

/// What runs the network of a classifier.
pub(crate) enum Sessions {
    /// A session of the whole graph, for chunk steps and windows.
    Whole(Box<dyn Session>),
    /// A session of the fast part, the slow lane of a network with two pathways, and the head.
    Frames(Box<dyn Session>, Option<SlowLane>, Head),
}

/// Creates the classifier for the mode and the steps of the model package.
///
/// # Errors
/// Returns [`Status::ModelMismatch`](crate::Status::ModelMismatch) if the graph does not fit the
/// metadata, or [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
/// allocated.
pub(crate) fn create_classifier(
    spec: &ModelSpec,
    sessions: Sessions,
    settings: &ClassifierSettings,
) -> Result<Box<dyn Classifier>> {
    Ok(match (sessions, spec.mode) {
        (Sessions::Frames(fast, slow, head), _) => {
            Box::new(frames::FrameClassifier::new(spec, fast, slow, head, settings)?)
        }
        (Sessions::Whole(session), Mode::Stream) => {
            Box::new(stream::StreamClassifier::new(spec, session, settings)?)
        }
        (Sessions::Whole(session), Mode::Window) => {
            Box::new(window::WindowClassifier::new(spec, session, settings)?)
        }
    })
}

#[cfg(all(test, not(loom)))]
mod tests;
