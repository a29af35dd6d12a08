//! Errors of the readers.

use crate::terminal::escape_path;
use std::fmt;
use std::path::PathBuf;

/// An error that occurs while a cine is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CineError {
    /// The file or folder.
    pub path: PathBuf,
    /// Index of the frame that cannot be decoded, or `None` if the cine cannot be opened.
    pub frame: Option<usize>,
    /// The cause.
    pub cause: String,
}

impl fmt::Display for CineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", escape_path(&self.path))?;
        if let Some(frame) = self.frame {
            write!(f, "frame {frame}: ")?;
        }
        f.write_str(&self.cause)
    }
}

impl std::error::Error for CineError {}
