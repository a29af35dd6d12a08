//! Reads the top level of an ONNX file: where its graph lies and what its metadata says.
//!
//! Only the protobuf wire format of `ModelProto` is read, never the graph inside. Every length is checked against
//! the bytes that are there, so that a hostile file costs no more than one pass over it.

use crate::{Error, Result, Status};
use std::collections::BTreeMap;
use std::ops::Range;

const GRAPH: u64 = 7;
const METADATA_PROPS: u64 = 14;

/// The parts of a `ModelProto` that the library looks at itself.
#[derive(Debug)]
pub(super) struct Model {
    /// Bytes of the graph within the file.
    pub(super) graph: Range<usize>,
    /// `metadata_props`.
    pub(super) metadata: BTreeMap<String, String>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

fn invalid(at: usize, what: &str) -> Error {
    Error::new(Status::ModelInvalid, format!("byte {at}: {what}"))
}

impl Reader<'_> {
    fn varint(&mut self) -> Result<u64> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes.get(self.at).filter(|_| self.at < self.end);
            let byte = *byte.ok_or_else(|| invalid(start, "a number is cut off"))?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(invalid(start, "a number is too long"))
    }

    fn skip(&mut self, count: u64) -> Result<Range<usize>> {
        let start = self.at;
        let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count));
        let end = end.filter(|&end| end <= self.end).ok_or_else(|| {
            invalid(start, &format!("a field of {count} bytes, {} are left", self.end - start))
        })?;
        self.at = end;
        Ok(start..end)
    }

    /// The next field: its number, and its bytes where it is length-delimited.
    fn field(&mut self) -> Result<Option<(u64, Option<Range<usize>>)>> {
        if self.at == self.end {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > 0x1fff_ffff {
            return Err(invalid(start, "no such field number"));
        }
        let range = match tag & 7 {
            0 => self.varint().map(|_| None)?,
            1 => self.skip(8).map(|_| None)?,
            2 => {
                let length = self.varint()?;
                Some(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| None)?,
            _ => return Err(invalid(start, "an unknown wire type")),
        };
        Ok(Some((number, range)))
    }
}

/// Reads the top level of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Model> {
    let mut reader = Reader { bytes, at: 0, end: bytes.len() };
    let mut graph = None;
    let mut metadata = BTreeMap::new();
    loop {
        let start = reader.at;
        match reader.field()? {
            None => break,
            Some((GRAPH, Some(range))) => {
                // protobuf would merge the two, and the hash would cover only one of them
                if graph.replace(range).is_some() {
                    return Err(invalid(start, "a second graph"));
                }
            }
            Some((METADATA_PROPS, Some(range))) => {
                let (key, value) = entry(bytes, range)?;
                if metadata.insert(key.clone(), value).is_some() {
                    return Err(invalid(start, &format!("the key {key:?} a second time")));
                }
            }
            Some((GRAPH | METADATA_PROPS, None)) => return Err(invalid(start, "a wrong wire type")),
            Some(_) => {}
        }
    }
    let graph = graph.ok_or_else(|| invalid(bytes.len(), "the file ends without a graph"))?;
    Ok(Model { graph, metadata })
}

fn entry(bytes: &[u8], range: Range<usize>) -> Result<(String, String)> {
    let mut reader = Reader { bytes, at: range.start, end: range.end };
    let (mut key, mut value) = (String::new(), String::new());
    while let Some((number, field)) = reader.field()? {
        let (Some(field), 1 | 2) = (field, number) else { continue };
        let text = std::str::from_utf8(bytes.get(field.clone()).unwrap_or_default())
            .map_err(|_| invalid(field.start, "metadata that is not UTF-8"))?;
        *(if number == 1 { &mut key } else { &mut value }) = text.to_owned();
    }
    Ok((key, value))
}
