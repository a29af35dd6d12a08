//! How a command fails: an exit code for scripts and a sentence for people.

use std::fmt::Display;
use std::path::Path;

/// Exit codes other than success. Their numbers are documented in `--help` and never move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Some file could not be read or written.
    Files = 1,
    /// Arguments that do not fit each other; clap has the same number for those it refuses itself.
    Usage = 2,
    /// The model could not be read, compiled, verified or run.
    Model = 3,
}

/// Why a command did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit code of the process.
    pub exit: Exit,
    /// The cause; empty where it was already said.
    pub message: String,
}

impl Failure {
    /// A file that could not be read or written.
    pub(crate) fn file(path: &Path, cause: impl Display) -> Self {
        Self { exit: Exit::Files, message: format!("{}: {cause}", path.display()) }
    }

    /// The same, where the message names the file already.
    pub(crate) fn files(message: impl Into<String>) -> Self {
        Self { exit: Exit::Files, message: message.into() }
    }

    /// A model, or a file that belongs to one, that cannot be used.
    pub(crate) fn model(path: &Path, cause: impl Display) -> Self {
        Self { exit: Exit::Model, message: format!("{}: {cause}", path.display()) }
    }

    /// Arguments that do not fit.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }
}
