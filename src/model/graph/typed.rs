//! Values of a tensor outside of `raw_data`.
//!
//! The values are decoded each time they are read, because a list of decoded values would have up
//! to eight times their size in the file.

use super::element::Element;
use crate::error::Result;
use crate::model::limits;
use crate::model::wire::{Reader, invalid};
use std::ops::RangeInclusive;

/// Numbers of the fields of `TensorProto` that contain values.
pub(super) const FLOAT_DATA: u64 = 4;
pub(super) const INT32_DATA: u64 = 5;
pub(super) const INT64_DATA: u64 = 7;

/// The values in one of the fields above.
#[derive(Clone, Copy, Debug)]
pub(super) struct TypedData<'a> {
    /// The whole message of the tensor.
    message: Reader<'a>,
    field: u64,
    len: usize,
}

impl<'a> TypedData<'a> {
    /// Checks and counts the values in the field `field` of the tensor `message`.
    pub(super) fn read(message: Reader<'a>, field: u64, element: Element) -> Result<Self> {
        let start = message.position();
        let Some((name, range)) = permitted_values(field, element) else {
            return Err(invalid(start, "the values of a tensor must be in the field of its type"));
        };
        let mut data = Self { message, field, len: 0 };
        let (mut len, max) = (0, limits::MAX_TYPED_VALUES);
        data.visit(|value, at| {
            len += 1;
            if len > max {
                let problem = format!("a tensor must have at most {max} values in {name}");
                return Err(invalid(at, &problem));
            }
            if !range.contains(&value) {
                let (first, last) = (range.start(), range.end());
                let problem = format!(
                    "{name} of a tensor of the type {element:?} must be {first} to {last}, got \
                     {value}"
                );
                return Err(invalid(at, &problem));
            }
            Ok(())
        })?;
        data.len = len;
        Ok(data)
    }

    /// Returns the number of values.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Decodes the values. A float is given as its bits.
    pub(super) fn decode(&self) -> std::result::Result<Vec<i64>, String> {
        let mut values = Vec::with_capacity(self.len);
        self.visit(|value, _| {
            values.push(value);
            Ok(())
        })
        .map_err(|error| error.message().to_owned())?;
        Ok(values)
    }

    /// Calls `visit` with each value and the position of its field.
    fn visit(&self, mut visit: impl FnMut(i64, usize) -> Result<()>) -> Result<()> {
        let mut message = self.message;
        while let Some(field) = message.read_field()? {
            let mut visit = |value: i64| visit(value, field.at);
            if field.number != self.field {
                continue;
            } else if self.field == FLOAT_DATA {
                field.visit_floats(|value| visit(value.to_bits().into()))?;
            } else {
                field.visit_integers(visit)?;
            }
        }
        Ok(())
    }
}

/// Returns the name of a field and the values that it may contain for an element type. A parser
/// drops the upper bits of any other value, and the runtimes differ in what they then read.
fn permitted_values(field: u64, element: Element) -> Option<(&'static str, RangeInclusive<i64>)> {
    match (field, element) {
        (FLOAT_DATA, Element::Float32) => Some(("float_data", 0..=u32::MAX.into())),
        (INT32_DATA, Element::Int32) => Some(("int32_data", i32::MIN.into()..=i32::MAX.into())),
        (INT32_DATA, Element::Float16) => Some(("int32_data", 0..=u16::MAX.into())),
        (INT64_DATA, Element::Int64) => Some(("int64_data", i64::MIN..=i64::MAX)),
        _ => None,
    }
}
