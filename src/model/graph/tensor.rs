//! Tensors in the file, whose data is not copied.

pub(super) use super::element::Element;
use super::fields::{read_name, unsupported_field};
use super::shape::count_values;
use super::typed::{FLOAT_DATA, INT32_DATA, INT64_DATA, TypedData};
use crate::error::{Error, Result, Status};
use crate::model::limits;
use crate::model::wire::{Reader, invalid, set_once};

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
    /// The values in the field of their type.
    Typed(TypedData<'a>),
}

/// Checks the dimensions of a tensor, of which there are at most [`limits::MAX_RANK`], and returns
/// them with the number of values.
pub(super) fn read_shape(dims: &[i64], at: usize) -> Result<(Vec<usize>, usize)> {
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
    pub(super) fn read(message: Reader<'a>) -> Result<Self> {
        let (mut reader, start) = (message, message.position());
        let (mut name, mut doc, mut kind, mut location) = (None, None, None, None);
        let (mut raw, mut typed) = (None, None);
        let mut dims = Vec::new();
        while let Some(field) = reader.read_field()? {
            let at = field.at;
            match field.number {
                1 => field.append_integers(&mut dims, limits::MAX_RANK)?,
                2 => set_once(&mut kind, field.integer()?, at)?,
                // The values may be divided among several fields with the same number.
                FLOAT_DATA | INT32_DATA | INT64_DATA
                    if typed.is_none_or(|number| number == field.number) =>
                {
                    typed = Some(field.number);
                }
                8 => set_once(&mut name, read_name(&field)?, at)?,
                9 => set_once(&mut raw, field.bytes()?.bytes(), at)?,
                12 => set_once(&mut doc, field.text()?, at)?,
                14 if field.integer()? == 0 => set_once(&mut location, (), at)?,
                _ => return Err(unsupported_field(&field, "a tensor")),
            }
        }
        let element = Element::from_number(kind.unwrap_or_default(), start)?;
        if element == Element::Bool {
            // The runtimes differ in what they read for a byte that is neither 0 nor 1.
            let problem = format!("byte {start}: a package must not contain constant truth values");
            return Err(Error::new(Status::Unsupported, problem));
        }
        let (shape, len) = read_shape(&dims, start)?;
        let name = name.unwrap_or_default();
        let typed = typed.map(|field| TypedData::read(message, field, element)).transpose()?;
        let data = match (raw, typed) {
            (Some(raw), None) if raw.len() == len * element.bytes() => Data::Raw(raw),
            (None, Some(typed)) if typed.len() == len => Data::Typed(typed),
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

    /// Returns the number of values outside of `raw_data`.
    pub(super) fn typed_len(&self) -> usize {
        match &self.data {
            Data::Raw(_) => 0,
            Data::Typed(typed) => typed.len(),
        }
    }

    /// Returns the values of an integer tensor.
    pub(super) fn integers(&self) -> std::result::Result<Vec<i64>, String> {
        let max = limits::MAX_INTEGERS;
        if self.shape.iter().product::<usize>() > max {
            return Err(format!("a list of integers must have at most {max} entries"));
        }
        match (&self.data, self.element) {
            (Data::Typed(typed), Element::Int32 | Element::Int64) => typed.decode(),
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
        let bits = match &self.data {
            Data::Raw(raw) => match (<[u8; 2]>::try_from(*raw), <[u8; 4]>::try_from(*raw)) {
                (Ok(bytes), _) => Some(u16::from_le_bytes(bytes).into()),
                (_, Ok(bytes)) => Some(u32::from_le_bytes(bytes)),
                _ => None,
            },
            Data::Typed(typed) => match typed.decode()?[..] {
                [bits] => u32::try_from(bits).ok(),
                _ => None,
            },
        };
        let value = match self.element {
            Element::Float32 => bits.map(f32::from_bits),
            Element::Float16 => bits.and_then(|bits| u16::try_from(bits).ok()).map(half_to_single),
            Element::Int32 | Element::Int64 | Element::Bool => None,
        };
        value.ok_or_else(|| "an argument must be a constant with one float".into())
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
