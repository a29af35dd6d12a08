//! Weights in files next to the model.

use super::limits::MAX_EXTERNAL_BYTES;
use crate::error::{Result, fail_file};
use crate::onnx::TensorProto;
use bytes::Bytes;
use std::path::{Component, Path, PathBuf};

/// The files with external weights that have been read so far, and the folder that contains them.
#[derive(Default)]
pub(crate) struct ExternalData {
    /// The folder of the model file. If it is `None`, a model with external weights is refused.
    folder: Option<PathBuf>,
    files: Vec<(String, Bytes)>,
}

impl ExternalData {
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_path_buf), files: Vec::new() }
    }

    /// Reads the bytes of a tensor whose data is stored in an external file.
    pub(super) fn read_tensor(&mut self, tensor: &TensorProto) -> Result<Bytes> {
        let entry = |key: &str| {
            tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str())
        };
        let Some(location) = entry("location") else {
            return fail_file(format!("the external tensor \"{}\" has no location", tensor.name));
        };
        let number = |key: &str| -> Result<Option<usize>> {
            let parse = |text: &str| {
                text.parse().or_else(|_| {
                    fail_file(format!(
                        "the {key} of the external tensor \"{}\" must be a number of bytes, got \"{text}\"",
                        tensor.name
                    ))
                })
            };
            entry(key).map(parse).transpose()
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let bytes = self.read_file(location)?;
        let end = match length {
            Some(length) => offset.checked_add(length),
            None => Some(bytes.len()),
        };
        match end {
            Some(end) if offset <= end && end <= bytes.len() => Ok(bytes.slice(offset..end)),
            _ => fail_file(format!(
                "the external tensor \"{}\" ends after the end of \"{location}\", which has {} bytes",
                tensor.name,
                bytes.len()
            )),
        }
    }

    /// Returns the content of a file. Only a relative path inside the model's folder is accepted.
    fn read_file(&mut self, location: &str) -> Result<Bytes> {
        if let Some((_, bytes)) = self.files.iter().find(|(name, _)| name == location) {
            return Ok(bytes.clone());
        }
        let Some(folder) = &self.folder else {
            return fail_file(format!(
                "weights are in the file \"{location}\", but the model's folder is not known; \
                 set CompileOptions::folder"
            ));
        };
        let is_inside = Path::new(location)
            .components()
            .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !is_inside {
            return fail_file(format!(
                "external data \"{location}\" is outside the model's folder; put it into that folder"
            ));
        }
        let path = folder.join(location);
        let size =
            std::fs::metadata(&path).map_or(0, |m| if m.is_file() { m.len() } else { u64::MAX });
        if size > MAX_EXTERNAL_BYTES {
            return fail_file(format!(
                "external data \"{location}\" must be a regular file of at most {MAX_EXTERNAL_BYTES} bytes"
            ));
        }
        let bytes = std::fs::read(path)
            .or_else(|e| fail_file(format!("external data \"{location}\" cannot be read: {e}")))?;
        let bytes = Bytes::from(bytes);
        self.files.push((location.to_owned(), bytes.clone()));
        Ok(bytes)
    }
}
