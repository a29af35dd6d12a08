//! Reading constants out of a model, inline or from a file beside it.

use crate::error::{Result, file_error};
use crate::onnx::{TensorProto, data_type};
use crate::tensor::{Data, Tensor, volume};
use bytes::Bytes;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// `TensorProto.data_location` of data in a file of its own.
const EXTERNAL: i32 = 1;

/// Largest file of external weights.
const MAX_EXTERNAL_BYTES: u64 = 4 << 30;

/// Where weights outside the model file are looked for.
#[derive(Default)]
pub(crate) struct ExternalData {
    /// The folder of the model file; `None` refuses external data.
    pub(crate) folder: Option<PathBuf>,
    files: Vec<(String, Bytes)>,
}

impl ExternalData {
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_path_buf), files: Vec::new() }
    }

    /// The bytes a tensor points at. Only plain file names inside the model's own folder tree are followed.
    fn read(&mut self, tensor: &TensorProto) -> Result<Bytes> {
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let Some(location) = entry("location") else {
            return file_error(format!("external tensor \"{}\" has no location", tensor.name));
        };
        let number = |key: &str| -> Result<Option<usize>> {
            entry(key)
                .map(|text| {
                    text.parse().or_else(|_| file_error(format!("\"{}\": bad {key} \"{text}\"", tensor.name)))
                })
                .transpose()
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let bytes = self.file(location)?;
        let end = match length {
            Some(n) => offset.checked_add(n),
            None => Some(bytes.len()),
        };
        match end {
            Some(end) if offset <= end && end <= bytes.len() => Ok(bytes.slice(offset..end)),
            _ => file_error(format!("\"{}\" reaches past the end of \"{location}\"", tensor.name)),
        }
    }

    fn file(&mut self, location: &str) -> Result<Bytes> {
        if let Some((_, bytes)) = self.files.iter().find(|(name, _)| name == location) {
            return Ok(bytes.clone());
        }
        let Some(folder) = &self.folder else {
            return file_error("weights are in another file, and no folder to look in was given");
        };
        let inside =
            Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !inside {
            return file_error(format!("external data \"{location}\" lies outside the model's folder"));
        }
        let path = folder.join(location);
        let size = std::fs::metadata(&path).map_or(0, |m| if m.is_file() { m.len() } else { u64::MAX });
        if size > MAX_EXTERNAL_BYTES {
            return file_error(format!("external data \"{location}\" is no file of at most 4 GiB"));
        }
        let bytes =
            std::fs::read(path).or_else(|e| file_error(format!("external data \"{location}\": {e}")))?;
        let bytes = Bytes::from(bytes);
        self.files.push((location.to_owned(), bytes.clone()));
        Ok(bytes)
    }
}

/// Decodes a constant; float types become float32, integer types and booleans int64.
pub(super) fn decode(tensor: &TensorProto, external: &mut ExternalData) -> Result<Tensor> {
    let fail = |reason: &str| file_error(format!("constant \"{}\": {reason}", tensor.name));
    let Ok(shape) =
        tensor.dims.iter().map(|&d| usize::try_from(d)).collect::<std::result::Result<Vec<_>, _>>()
    else {
        return fail("a negative dimension");
    };
    let Some(count) = volume(&shape) else { return fail("its dimensions overflow") };
    let raw = match (tensor.data_location == EXTERNAL, &tensor.raw_data) {
        (true, _) => Some(external.read(tensor)?),
        (false, Some(raw)) => Some(raw.clone()),
        (false, None) => None,
    };
    let data = match (tensor.data_type, &raw) {
        (data_type::FLOAT, Some(raw)) => floats(raw, f32::from_le_bytes),
        (data_type::FLOAT16, Some(raw)) => floats(raw, |b| half::f16::from_le_bytes(b).to_f32()),
        (data_type::DOUBLE, Some(raw)) => floats(raw, |b| f64::from_le_bytes(b) as f32),
        (data_type::INT64, Some(raw)) => ints(raw, i64::from_le_bytes),
        (data_type::INT32, Some(raw)) => ints(raw, |b| i32::from_le_bytes(b).into()),
        (data_type::INT8, Some(raw)) => ints(raw, |b| i8::from_le_bytes(b).into()),
        (data_type::UINT8 | data_type::BOOL, Some(raw)) => ints(raw, |b| u8::from_le_bytes(b).into()),
        (data_type::FLOAT, None) => Some(Data::F32(Arc::new(tensor.float_data.clone()))),
        (data_type::FLOAT16, None) => {
            let value = |&bits: &i32| half::f16::from_bits(bits as u16).to_f32();
            Some(Data::F32(Arc::new(tensor.int32_data.iter().map(value).collect())))
        }
        (data_type::DOUBLE, None) => {
            Some(Data::F32(Arc::new(tensor.double_data.iter().map(|&v| v as f32).collect())))
        }
        (data_type::INT64, None) => Some(Data::I64(Arc::new(tensor.int64_data.clone()))),
        (data_type::INT32 | data_type::INT8 | data_type::UINT8 | data_type::BOOL, None) => {
            Some(Data::I64(Arc::new(tensor.int32_data.iter().map(|&v| v.into()).collect())))
        }
        (other, _) => return fail(&format!("element type {other} is not supported")),
    };
    match data {
        Some(Data::F32(v)) if v.len() == count => Ok(Tensor { shape, data: Data::F32(v) }),
        Some(Data::I64(v)) if v.len() == count => Ok(Tensor { shape, data: Data::I64(v) }),
        _ => fail("its data does not fill its shape"),
    }
}

fn chunks<const N: usize>(raw: &[u8]) -> Option<&[[u8; N]]> {
    let (chunks, rest) = raw.as_chunks::<N>();
    rest.is_empty().then_some(chunks)
}

fn floats<const N: usize>(raw: &[u8], value: impl Fn([u8; N]) -> f32) -> Option<Data> {
    Some(Data::F32(Arc::new(chunks(raw)?.iter().map(|&b| value(b)).collect())))
}

fn ints<const N: usize>(raw: &[u8], value: impl Fn([u8; N]) -> i64) -> Option<Data> {
    Some(Data::I64(Arc::new(chunks(raw)?.iter().map(|&b| value(b)).collect())))
}
