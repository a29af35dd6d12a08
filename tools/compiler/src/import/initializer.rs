//! Decoding of constant tensors.

use super::external::ExternalData;
use super::limits::MAX_RANK;
use crate::error::{Result, fail_file};
use crate::onnx::{TensorProto, data_type};
use crate::tensor::Tensor;
use std::ops::RangeInclusive;

/// Value of `TensorProto.data_location` for data in an external file.
const EXTERNAL: i32 = 1;

/// The elements of a tensor before they are checked against the shape.
enum Elements {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

/// Decodes a constant tensor. Float types become float32. Integer types and booleans become int64.
pub(super) fn decode_tensor(tensor: &TensorProto, external: &mut ExternalData) -> Result<Tensor> {
    let fail = |reason: String| fail_file(format!("constant \"{}\": {reason}", tensor.name));
    if tensor.dims.len() > MAX_RANK {
        return fail(format!("the rank must be at most {MAX_RANK}, got {}", tensor.dims.len()));
    }
    let sizes = tensor.dims.iter().map(|&d| usize::try_from(d));
    let Ok(shape) = sizes.collect::<std::result::Result<Vec<_>, _>>() else {
        return fail(format!("the shape {:?} has a negative dimension", tensor.dims));
    };
    let raw = match (tensor.data_location == EXTERNAL, &tensor.raw_data) {
        (true, _) => Some(external.read_tensor(tensor)?),
        (false, Some(raw)) => Some(raw.clone()),
        (false, None) => None,
    };
    let elements = match (tensor.data_type, &raw) {
        (data_type::FLOAT, Some(raw)) => decode_floats(raw, f32::from_le_bytes),
        (data_type::FLOAT16, Some(raw)) => {
            decode_floats(raw, |b| half::f16::from_le_bytes(b).to_f32())
        }
        (data_type::BFLOAT16, Some(raw)) => {
            decode_floats(raw, |b| half::bf16::from_le_bytes(b).to_f32())
        }
        (data_type::DOUBLE, Some(raw)) => {
            let doubles = |elements: &[[u8; 8]]| {
                narrow_doubles(elements.iter().map(|&b| f64::from_le_bytes(b)))
            };
            match split_elements(raw).map(doubles).transpose() {
                Ok(values) => values.map(Elements::F32),
                Err(reason) => return fail(reason),
            }
        }
        (data_type::INT64, Some(raw)) => decode_ints(raw, i64::from_le_bytes),
        (data_type::INT32, Some(raw)) => decode_ints(raw, |b| i32::from_le_bytes(b).into()),
        (data_type::INT8, Some(raw)) => decode_ints(raw, |b| i8::from_le_bytes(b).into()),
        (data_type::UINT8 | data_type::BOOL, Some(raw)) => {
            decode_ints(raw, |b| u8::from_le_bytes(b).into())
        }
        (data_type::FLOAT, None) => Some(Elements::F32(tensor.float_data.clone())),
        (kind @ (data_type::FLOAT16 | data_type::BFLOAT16), None) => {
            let bits = tensor.int32_data.iter().map(|&bits| u16::try_from(bits).or(Err(bits)));
            let decode = |bits| match kind {
                data_type::FLOAT16 => half::f16::from_bits(bits).to_f32(),
                _ => half::bf16::from_bits(bits).to_f32(),
            };
            let values = bits.map(|bits| bits.map(decode));
            match values.collect() {
                Ok(values) => Some(Elements::F32(values)),
                Err(bits) => {
                    return fail(format!("int32_data of float16 must be 0 to 65535, got {bits}"));
                }
            }
        }
        (data_type::DOUBLE, None) => match narrow_doubles(tensor.double_data.iter().copied()) {
            Ok(values) => Some(Elements::F32(values)),
            Err(reason) => return fail(reason),
        },
        (data_type::INT64, None) => Some(Elements::I64(tensor.int64_data.clone())),
        (data_type::INT32 | data_type::INT8 | data_type::UINT8 | data_type::BOOL, None) => {
            Some(Elements::I64(tensor.int32_data.iter().map(|&v| v.into()).collect()))
        }
        (other, _) => {
            return fail(format!(
                "the element type must be float, float16, bfloat16, double, int8, uint8, int32, int64 or bool, got {other}"
            ));
        }
    };
    if let Some(Elements::I64(values)) = &elements
        && let Some(range) = small_range(tensor.data_type)
        && let Some(value) = values.iter().find(|value| !range.contains(value))
    {
        let (first, last) = (range.start(), range.end());
        return fail(format!("an element of its type must be {first} to {last}, got {value}"));
    }
    let decoded = match elements {
        Some(Elements::F32(elements)) => Tensor::new(&shape, elements),
        Some(Elements::I64(elements)) => Tensor::new(&shape, elements),
        None => None,
    };
    match decoded {
        Some(tensor) => Ok(tensor),
        None => fail(format!("the number of elements does not match the shape {shape:?}")),
    }
}

/// Returns the range of an integer type that has a wider field in the file than in memory. Other
/// readers of the file drop the upper bits of a value outside the range, so its meaning is unclear.
fn small_range(data_type: i32) -> Option<RangeInclusive<i64>> {
    match data_type {
        data_type::INT8 => Some(i8::MIN.into()..=i8::MAX.into()),
        data_type::UINT8 => Some(0..=u8::MAX.into()),
        data_type::BOOL => Some(0..=1),
        _ => None,
    }
}

/// Rounds doubles to float32, and refuses a finite number that would become infinite.
fn narrow_doubles(values: impl Iterator<Item = f64>) -> std::result::Result<Vec<f32>, String> {
    let narrow = |value: f64| match value as f32 {
        narrow if value.is_finite() && narrow.is_infinite() => {
            let max = f32::MAX;
            Err(format!("a double must be -{max:e} to {max:e}, got {value:e}"))
        }
        narrow => Ok(narrow),
    };
    values.map(narrow).collect()
}

/// Splits the bytes into elements. Returns `None` if the last element is incomplete.
fn split_elements<const N: usize>(raw: &[u8]) -> Option<&[[u8; N]]> {
    let (elements, rest) = raw.as_chunks::<N>();
    rest.is_empty().then_some(elements)
}

fn decode_floats<const N: usize>(raw: &[u8], decode: impl Fn([u8; N]) -> f32) -> Option<Elements> {
    Some(Elements::F32(split_elements(raw)?.iter().map(|&b| decode(b)).collect()))
}

fn decode_ints<const N: usize>(raw: &[u8], decode: impl Fn([u8; N]) -> i64) -> Option<Elements> {
    Some(Elements::I64(split_elements(raw)?.iter().map(|&b| decode(b)).collect()))
}
