//! Tensors in the file, whose data is not copied.

use super::fields::{push_bounded, read_name, unsupported_field};
use super::shape::count_values;
use crate::error::{Error, Result, Status};
use crate::model::limits;
use crate::model::wire::{Content, Field, Reader, invalid, set_once};

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float32,
    Float16,
    Int32,
    Int64,
}

/// A `TensorProto` whose data matches its shape.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    pub(super) data: Data<'a>,
}

#[derive(Debug)]
pub(super) enum Data<'a> {
    /// The values in little-endian order.
    Raw(&'a [u8]),
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Element {
    pub(super) fn from_number(number: i64, at: usize) -> Result<Self> {
        match number {
            1 => Ok(Self::Float32),
            6 => Ok(Self::Int32),
            7 => Ok(Self::Int64),
            10 => Ok(Self::Float16),
            _ => {
                let problem = format!(
                    "byte {at}: a tensor must have float32, float16, int32 or int64 elements, got \
                     the type {number}"
                );
                Err(Error::new(Status::Unsupported, problem))
            }
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Float16 => 2,
            Self::Float32 | Self::Int32 => 4,
            Self::Int64 => 8,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float16)
    }
}

/// Checks the dimensions of a tensor and returns them with the number of values.
pub(super) fn read_shape(dims: &[i64], at: usize) -> Result<(Vec<usize>, usize)> {
    let (rank, max) = (dims.len(), limits::MAX_RANK);
    if rank > max {
        let problem = format!("a tensor must have at most {max} dimensions, got {rank}");
        return Err(invalid(at, &problem));
    }
    let side = |&dim: &i64| usize::try_from(dim).ok().filter(|&side| side > 0);
    let shape: Option<Vec<usize>> = dims.iter().map(side).collect();
    let len = shape.as_deref().and_then(count_values);
    match (shape, len) {
        (Some(shape), Some(len)) => Ok((shape, len)),
        _ => {
            let max = limits::MAX_TENSOR_VALUES;
            let problem = format!("a tensor must have 1 to {max} values, got the shape {dims:?}");
            Err(invalid(at, &problem))
        }
    }
}

impl<'a> Tensor<'a> {
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self> {
        let start = reader.position();
        let (mut name, mut doc, mut kind, mut location) = (None, None, None, None);
        let (mut raw, mut floats, mut integers) = (None, None, None);
        let mut dims = Vec::new();
        let mut integer_field = None;
        while let Some(field) = reader.read_field()? {
            let at = field.at;
            match field.number {
                1 => field.append_integers(&mut dims, limits::MAX_RANK)?,
                2 => set_once(&mut kind, field.integer()?, at)?,
                4 => append_floats(&field, floats.get_or_insert_default())?,
                5 | 7 if integer_field.is_none_or(|number| number == field.number) => {
                    integer_field = Some(field.number);
                    let list: &mut Vec<i64> = integers.get_or_insert_default();
                    field.append_integers(list, limits::MAX_TYPED_VALUES)?;
                }
                8 => set_once(&mut name, read_name(&field)?, at)?,
                9 => set_once(&mut raw, field.bytes()?.bytes(), at)?,
                12 => set_once(&mut doc, field.text()?, at)?,
                14 if field.integer()? == 0 => set_once(&mut location, (), at)?,
                _ => return Err(unsupported_field(&field, "a tensor")),
            }
        }
        let element = Element::from_number(kind.unwrap_or_default(), start)?;
        let (shape, len) = read_shape(&dims, start)?;
        let name = name.unwrap_or_default();
        let uses_field = |number: u64| integer_field == Some(number);
        let data = match (raw, floats, integers) {
            (Some(raw), None, None) if raw.len() == len * element.bytes() => Data::Raw(raw),
            (None, Some(floats), None) if floats.len() == len && element == Element::Float32 => {
                Data::Floats(floats)
            }
            (None, None, Some(list)) if list.len() == len && match_field(element, uses_field) => {
                Data::Integers(list)
            }
            _ => {
                let name = limits::shorten(name);
                let problem = format!(
                    "the tensor {name:?} must contain the {len} values of its shape, once and in \
                     the field of its type"
                );
                return Err(invalid(start, &problem));
            }
        };
        Ok(Self { name, element, shape, data })
    }

    /// Returns the values of an integer tensor.
    pub(super) fn integers(&self) -> std::result::Result<Vec<i64>, String> {
        let max = limits::MAX_INTEGERS;
        if self.shape.iter().product::<usize>() > max {
            return Err(format!("a list of integers must have at most {max} entries"));
        }
        match (&self.data, self.element) {
            (Data::Integers(list), Element::Int32 | Element::Int64) => Ok(list.clone()),
            (Data::Raw(raw), Element::Int64) => Ok(raw
                .chunks_exact(8)
                .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap_or_default()))
                .collect()),
            (Data::Raw(raw), Element::Int32) => Ok(raw
                .chunks_exact(4)
                .map(|bytes| i32::from_le_bytes(bytes.try_into().unwrap_or_default()).into())
                .collect()),
            _ => Err("an argument must be an integer constant".into()),
        }
    }

    /// Returns the value of a tensor with one float.
    pub(super) fn float(&self) -> std::result::Result<f32, String> {
        let half = |bits: u16| half_to_single(bits);
        let value = match (&self.data, self.element) {
            (Data::Raw(raw), Element::Float32) => {
                <[u8; 4]>::try_from(*raw).ok().map(f32::from_le_bytes)
            }
            (Data::Raw(raw), Element::Float16) => {
                <[u8; 2]>::try_from(*raw).ok().map(|bytes| half(u16::from_le_bytes(bytes)))
            }
            (Data::Floats(list), _) if list.len() == 1 => list.first().copied(),
            (Data::Integers(list), Element::Float16) if list.len() == 1 => {
                list.first().and_then(|&bits| u16::try_from(bits).ok()).map(half)
            }
            _ => None,
        };
        value.ok_or_else(|| "an argument must be a constant with one float".into())
    }
}

/// Returns whether the integers of a tensor are in the field of its element type.
fn match_field(element: Element, uses_field: impl Fn(u64) -> bool) -> bool {
    match element {
        Element::Int64 => uses_field(7),
        Element::Int32 | Element::Float16 => uses_field(5),
        Element::Float32 => false,
    }
}

/// Appends the content of `float_data`, which is one number or packed numbers.
fn append_floats(field: &Field<'_>, values: &mut Vec<f32>) -> Result<()> {
    let max = limits::MAX_TYPED_VALUES;
    let mut push =
        |value: f32| push_bounded(values, value, max, "values outside of raw_data", field.at);
    match field.content {
        Content::Fixed32(bits) => push(f32::from_bits(bits)),
        _ => {
            let mut packed = field.bytes()?;
            while !packed.is_at_end() {
                push(f32::from_bits(packed.read_fixed32()?))?;
            }
            Ok(())
        }
    }
}

/// Converts an IEEE 754 half-precision number.
fn half_to_single(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}
