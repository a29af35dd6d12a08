//! Reader for the top level of an ONNX file. It finds the position of the graph and reads the
//! metadata.
//!
//! The reader decodes the fields of `ModelProto` from the protobuf wire format, but never the
//! graph. It checks every length against the length of the file, so it never reads beyond the end
//! of the file, even if the file is hostile.

use crate::error::{Error, Result, Status};
use std::collections::BTreeMap;
use std::ops::Range;

/// Field numbers of `ModelProto`.
const GRAPH: u64 = 7;
const METADATA_PROPS: u64 = 14;

/// The parts of a `ModelProto` that the library itself reads.
#[derive(Debug)]
pub(super) struct OnnxFile {
    /// Position of the graph in the file.
    pub(super) graph: Range<usize>,
    /// The entries of `metadata_props`.
    pub(super) metadata: BTreeMap<String, String>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

fn invalid(at: usize, problem: &str) -> Error {
    Error::new(Status::ModelInvalid, format!("byte {at}: {problem}"))
}

impl Reader<'_> {
    fn read_varint(&mut self) -> Result<u64> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes.get(self.at).filter(|_| self.at < self.end);
            let byte = *byte.ok_or_else(|| invalid(start, "a number is truncated"))?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(invalid(start, "a number has more than 64 bits"))
    }

    fn skip(&mut self, count: u64) -> Result<Range<usize>> {
        let start = self.at;
        let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count));
        let end = end.filter(|&end| end <= self.end).ok_or_else(|| {
            invalid(start, &format!("a field has {count} bytes, but {} remain", self.end - start))
        })?;
        self.at = end;
        Ok(start..end)
    }

    /// Reads the next field. Returns the field's number and, if the field is length-delimited, the
    /// position of its contents. At the end of the bytes, returns `None`.
    fn read_field(&mut self) -> Result<Option<(u64, Option<Range<usize>>)>> {
        if self.at == self.end {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.read_varint()?;
        let number = tag >> 3;
        if number == 0 || number > 0x1fff_ffff {
            return Err(invalid(start, "a field number is out of range"));
        }
        let range = match tag & 7 {
            0 => self.read_varint().map(|_| None)?,
            1 => self.skip(8).map(|_| None)?,
            2 => {
                let length = self.read_varint()?;
                Some(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| None)?,
            _ => return Err(invalid(start, "a wire type is unknown")),
        };
        Ok(Some((number, range)))
    }
}

/// Reads the top level of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<OnnxFile> {
    let mut reader = Reader { bytes, at: 0, end: bytes.len() };
    let mut graph = None;
    let mut metadata = BTreeMap::new();
    loop {
        let start = reader.at;
        match reader.read_field()? {
            None => break,
            Some((GRAPH, Some(range))) => {
                // Refuse a second graph, because a protobuf reader would merge the graphs, but the
                // hash would cover only one of them.
                if graph.replace(range).is_some() {
                    return Err(invalid(start, "the file contains a second graph"));
                }
            }
            Some((METADATA_PROPS, Some(range))) => {
                let (key, value) = read_entry(bytes, range)?;
                if metadata.insert(key.clone(), value).is_some() {
                    return Err(invalid(start, &format!("the metadata key {key:?} is repeated")));
                }
            }
            Some((GRAPH | METADATA_PROPS, None)) => {
                return Err(invalid(start, "a field has the wrong wire type"));
            }
            Some(_) => {}
        }
    }
    let graph = graph.ok_or_else(|| invalid(bytes.len(), "the file contains no graph"))?;
    Ok(OnnxFile { graph, metadata })
}

fn read_entry(bytes: &[u8], range: Range<usize>) -> Result<(String, String)> {
    let mut reader = Reader { bytes, at: range.start, end: range.end };
    let (mut key, mut value) = (String::new(), String::new());
    while let Some((number, field)) = reader.read_field()? {
        let (Some(field), 1 | 2) = (field, number) else { continue };
        let text = std::str::from_utf8(bytes.get(field.clone()).unwrap_or_default())
            .map_err(|_| invalid(field.start, "metadata is not valid UTF-8"))?;
        *(if number == 1 { &mut key } else { &mut value }) = text.to_owned();
    }
    Ok((key, value))
}
