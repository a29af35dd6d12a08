//! Helpers for the fields of a message.

use crate::error::{Error, Result, Status};
use crate::memory::push_value;
use crate::model::limits;
use crate::model::wire::{Field, invalid};

/// Returns the error for a field that a package must not contain.
pub(super) fn unsupported_field(field: &Field<'_>, message: &str) -> Error {
    let (at, number) = (field.at, field.number);
    let text = format!("byte {at}: a package must not contain the field {number} of {message}");
    Error::new(Status::Unsupported, text)
}

/// Appends a value to a list that may have at most `max` entries.
pub(super) fn push_bounded<T>(
    list: &mut Vec<T>,
    value: T,
    max: usize,
    what: &str,
    at: usize,
) -> Result<()> {
    if list.len() >= max {
        return Err(invalid(at, &format!("there must be at most {max} {what}")));
    }
    push_value(list, value, "the graph of the model package")
}

/// Reads a name or a short text.
pub(super) fn read_name<'a>(field: &Field<'a>) -> Result<&'a str> {
    let (text, max) = (field.text()?, limits::MAX_NAME_BYTES);
    if text.len() > max {
        let len = text.len();
        return Err(invalid(field.at, &format!("a name must have at most {max} bytes, got {len}")));
    }
    Ok(text)
}
