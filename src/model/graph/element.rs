//! Element types of tensors.

use crate::error::{Error, Result, Status};

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float32,
    Float16,
    Int32,
    Int64,
    Bool,
}

impl Element {
    pub(super) fn from_number(number: i64, at: usize) -> Result<Self> {
        match number {
            1 => Ok(Self::Float32),
            6 => Ok(Self::Int32),
            7 => Ok(Self::Int64),
            9 => Ok(Self::Bool),
            10 => Ok(Self::Float16),
            _ => {
                let problem = format!(
                    "byte {at}: a tensor must have float32, float16, int32, int64 or bool \
                     elements, got the type {number}"
                );
                Err(Error::new(Status::Unsupported, problem))
            }
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Float16 => 2,
            Self::Float32 | Self::Int32 => 4,
            Self::Int64 => 8,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float16)
    }
}
