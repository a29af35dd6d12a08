//! Access to the metadata keys of a package, and checks of their values.

use crate::error::{Error, Result, Status};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// The metadata of a package.
pub(super) struct Keys<'a>(pub(super) &'a BTreeMap<String, String>);

impl Keys<'_> {
    pub(super) fn optional(&self, key: &str) -> Option<&str> {
        self.0.get(&format!("tteview.{key}")).map(String::as_str)
    }

    /// Checks that no value contains a NUL, at which a C string ends. JSON can write a NUL as an
    /// escape sequence, so the texts inside JSON values are checked after they are parsed.
    pub(super) fn check_no_nul(&self) -> Result<()> {
        let mut own = self
            .0
            .iter()
            .filter_map(|(key, value)| key.strip_prefix("tteview.").map(|key| (key, value)));
        let with_nul = own.find(|(_, value)| has_nul(value));
        with_nul.map_or(Ok(()), |(key, _)| Err(invalid(key, "must not contain a NUL")))
    }

    pub(super) fn text(&self, key: &str) -> Result<&str> {
        self.optional(key).ok_or_else(|| invalid(key, "is missing"))
    }

    pub(super) fn parse_json<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        serde_json::from_str(self.text(key)?)
            .map_err(|error| invalid(key, &format!("is malformed: {error}")))
    }
}

pub(super) fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

pub(super) fn invalid(key: &str, problem: &str) -> Error {
    Error::new(Status::ModelInvalid, format!("tteview.{key} {problem}"))
}

/// Returns [`Status::ModelInvalid`] if a number is outside of its range.
pub(super) fn check_number<T: PartialOrd + Display>(
    key: &str,
    what: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    let (first, last) = (range.start(), range.end());
    check(
        key,
        range.contains(&value),
        &format!("must have {what} of {first} to {last}, got {value}"),
    )
}

/// Returns [`Status::ModelInvalid`] if a text is too long.
pub(super) fn check_text(key: &str, what: &str, text: &str, max: usize) -> Result<()> {
    let len = text.len();
    check(key, len <= max, &format!("must have {what} of at most {max} bytes, got {len}"))
}

pub(super) fn unsupported_error(key: &str, problem: &str) -> Error {
    Error::new(Status::Unsupported, format!("tteview.{key}: {problem}"))
}

/// Returns [`Status::ModelInvalid`] if a value is invalid regardless of the other keys.
pub(super) fn check(key: &str, is_valid: bool, problem: &str) -> Result<()> {
    if is_valid { Ok(()) } else { Err(invalid(key, problem)) }
}

/// Returns [`Status::ModelInvalid`] if one of the values is outside the range or not a number.
pub(super) fn check_values(key: &str, values: &[f32], range: RangeInclusive<f32>) -> Result<()> {
    let (least, most) = (range.start(), range.end());
    values.iter().try_for_each(|value| {
        check(key, range.contains(value), &format!("must be {least} to {most}, got {value:?}"))
    })
}

/// Returns [`Status::ModelMismatch`] if a value contradicts the value of another key.
pub(super) fn check_agreement(key: &str, agrees: bool, problem: &str) -> Result<()> {
    let error = || Error::new(Status::ModelMismatch, format!("tteview.{key} {problem}"));
    if agrees { Ok(()) } else { Err(error()) }
}
