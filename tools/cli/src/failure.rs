//! The failure of a command: an exit code for scripts and a message for people.

use crate::cine::CineError;
use crate::terminal::escape_path;
use std::fmt::Display;
use std::path::Path;
use tteview::{PushError, Status};

/// Exit codes other than success. `--help` documents the numbers, which never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A file cannot be read or written, or two compared files differ by too much.
    Files = 1,
    /// The arguments are wrong. clap exits with the same code when it refuses an argument.
    Usage = 2,
    /// The model cannot be read, compiled, verified or run.
    Model = 3,
}

/// The failure of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit code of the process.
    pub exit: Exit,
    /// Cause of the failure, or an empty string if there is nothing to print.
    pub message: String,
}

impl Failure {
    /// Creates a failure with a message.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// Creates the failure for a file that cannot be read or written.
    pub(crate) fn file(path: &Path, cause: impl Display) -> Self {
        Self::new(Exit::Files, format!("{}: {cause}", escape_path(path)))
    }

    /// Creates the failure for an unusable model, or for an unusable file that belongs to a model.
    pub(crate) fn model(path: &Path, cause: impl Display) -> Self {
        Self::new(Exit::Model, format!("{}: {cause}", escape_path(path)))
    }
}

impl From<CineError> for Failure {
    fn from(error: CineError) -> Self {
        Self::new(Exit::Files, error.to_string())
    }
}

impl From<tteview::Error> for Failure {
    fn from(error: tteview::Error) -> Self {
        Self::new(Exit::Model, error.to_string())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::new(Exit::Model, status.text())
    }
}

impl From<PushError> for Failure {
    fn from(error: PushError) -> Self {
        Self::new(Exit::Model, error.to_string())
    }
}
