//! Classification, which turns samples into a posterior.
//!
//! In stream mode, the network runs once per chunk and passes its temporal state on to the next
//! chunk. In window mode, it runs on overlapping clips. In both modes, a history keeps the outputs,
//! and the posterior is computed from their mean. This module implements
//! docs/stream-contract.md#label and docs/stream-contract.md#window-mode.

pub(crate) mod interface;
mod mean;
mod pathways;
pub(crate) mod posterior;
pub(crate) mod rules;
mod stream;
pub(crate) mod timing;
mod window;

use crate::backend::interface::Session;
use crate::error::Result;
use crate::model::{Mode, ModelSpec};
use interface::{Classifier, ClassifierSettings};

/// Creates the classifier for the mode of the model package.
///
/// # Errors
/// Returns [`Status::ModelMismatch`](crate::Status::ModelMismatch) if the graph does not fit the
/// metadata, or [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
/// allocated.
pub(crate) fn create_classifier(
    spec: &ModelSpec,
    session: Box<dyn Session>,
    settings: &ClassifierSettings,
) -> Result<Box<dyn Classifier>> {
    Ok(match spec.mode {
        Mode::Stream => Box::new(stream::StreamClassifier::new(spec, session, settings)?),
        Mode::Window => Box::new(window::WindowClassifier::new(spec, session, settings)?),
    })
}

#[cfg(all(test, not(loom)))]
mod tests;
