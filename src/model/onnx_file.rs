//! Reader for the top level of an ONNX file. It finds the graph and reads the metadata.
//!
//! Every field of the top level must be one that this reader knows, because a runtime could
//! interpret any other field: functions, training steps, or the magic number of another format.

use super::limits;
use super::wire::{Reader, invalid, set_once};
use crate::error::{Error, Result, Status};
use std::collections::BTreeMap;

/// Field numbers of `ModelProto`.
mod field {
    pub(super) const IR_VERSION: u64 = 1;
    pub(super) const PRODUCER_NAME: u64 = 2;
    pub(super) const PRODUCER_VERSION: u64 = 3;
    pub(super) const DOMAIN: u64 = 4;
    pub(super) const MODEL_VERSION: u64 = 5;
    pub(super) const DOC_STRING: u64 = 6;
    pub(super) const GRAPH: u64 = 7;
    pub(super) const OPSET_IMPORT: u64 = 8;
    pub(super) const METADATA_PROPS: u64 = 14;
    pub(super) const TRAINING_INFO: u64 = 20;
    pub(super) const FUNCTIONS: u64 = 25;
}

/// The parts of a `ModelProto` that the library itself reads.
#[derive(Debug)]
pub(super) struct OnnxFile<'a> {
    /// The graph, which has not been read yet.
    pub(super) graph: Reader<'a>,
    /// Version of the file format.
    pub(super) ir_version: i64,
    /// Version of the ONNX operator set.
    pub(super) opset: i64,
    /// The entries of `metadata_props`.
    pub(super) metadata: BTreeMap<String, String>,
}

fn unsupported_error(problem: String) -> Error {
    Error::new(Status::Unsupported, problem)
}

/// Reads the top level of `bytes`, whose size must have been checked.
pub(super) fn read(bytes: &[u8]) -> Result<OnnxFile<'_>> {
    let size = bytes.len();
    let mut reader = Reader::new(bytes);
    let (mut graph, mut opset, mut ir_version) = (None, None, None);
    let mut metadata = BTreeMap::new();
    let mut metadata_bytes = 0;
    let mut texts = [false; 5];
    while let Some(field) = reader.read_field()? {
        let at = field.at;
        match field.number {
            field::IR_VERSION => set_once(&mut ir_version, field.integer()?, at)?,
            field::PRODUCER_NAME | field::PRODUCER_VERSION | field::DOMAIN | field::DOC_STRING => {
                let text = field.text()?;
                check_length("a text", text, limits::MAX_TEXT_BYTES, at)?;
                mark_once(&mut texts, field.number - field::PRODUCER_NAME, at)?;
            }
            field::MODEL_VERSION => {
                field.integer()?;
                mark_once(&mut texts, field.number - field::PRODUCER_NAME, at)?;
            }
            field::GRAPH => {
                // Refuse a second graph, because a protobuf reader would merge the graphs, but the
                // hash would cover only one of them.
                if graph.replace(field.bytes()?).is_some() {
                    return Err(invalid(at, "the file contains a second graph"));
                }
            }
            field::OPSET_IMPORT => {
                let version = read_opset(field.bytes()?)?;
                if opset.replace(version).is_some() {
                    let problem = "a package must import one operator set".to_owned();
                    return Err(unsupported_error(problem));
                }
            }
            field::METADATA_PROPS => {
                let (key, value) = read_entry(field.bytes()?)?;
                metadata_bytes += key.len() + value.len();
                let fits = metadata.len() < limits::MAX_METADATA_ENTRIES
                    && metadata_bytes <= limits::MAX_METADATA_BYTES;
                if !fits {
                    let (entries, bytes) =
                        (limits::MAX_METADATA_ENTRIES, limits::MAX_METADATA_BYTES);
                    let problem = format!(
                        "the metadata must have at most {entries} entries and {bytes} bytes"
                    );
                    return Err(invalid(at, &problem));
                }
                if metadata.insert(key.to_owned(), value.to_owned()).is_some() {
                    return Err(invalid(at, &format!("the metadata key {key:?} is repeated")));
                }
            }
            field::FUNCTIONS => {
                return Err(unsupported_error("a package must not contain functions".into()));
            }
            field::TRAINING_INFO => {
                return Err(unsupported_error("a package must not contain training steps".into()));
            }
            number => {
                let problem = format!("the field {number} does not belong to a package");
                return Err(invalid(at, &problem));
            }
        }
    }
    let graph = graph.ok_or_else(|| invalid(size, "the file contains no graph"))?;
    let versions = limits::IR_VERSIONS;
    let ir_version = ir_version.unwrap_or_default();
    if !versions.contains(&ir_version) {
        let (first, last) = (versions.start(), versions.end());
        let problem = format!("the IR version must be {first} to {last}, got {ir_version}");
        return Err(unsupported_error(problem));
    }
    let opset = opset.ok_or_else(|| invalid(size, "the file imports no operator set"))?;
    Ok(OnnxFile { graph, ir_version, opset, metadata })
}

/// Records that a field was found, and refuses its second occurrence.
fn mark_once(found: &mut [bool], index: u64, at: usize) -> Result<()> {
    let slot = usize::try_from(index).ok().and_then(|index| found.get_mut(index));
    match slot.map(|slot| std::mem::replace(slot, true)) {
        Some(true) => Err(invalid(at, "a field is repeated")),
        _ => Ok(()),
    }
}

fn check_length(what: &str, text: &str, max: usize, at: usize) -> Result<()> {
    let len = text.len();
    if len <= max {
        return Ok(());
    }
    Err(invalid(at, &format!("{what} must have at most {max} bytes, got {len}")))
}

/// Reads an `OperatorSetIdProto` and returns its version.
fn read_opset(mut reader: Reader<'_>) -> Result<i64> {
    let (mut domain, mut version) = (None, None);
    while let Some(field) = reader.read_field()? {
        match field.number {
            1 => set_once(&mut domain, field.text()?, field.at)?,
            2 => set_once(&mut version, field.integer()?, field.at)?,
            _ => return Err(invalid(field.at, "an operator set has an unknown field")),
        }
    }
    let domain = domain.unwrap_or_default();
    if !domain.is_empty() {
        let domain = limits::shorten(domain);
        return Err(unsupported_error(format!("the operator set {domain:?} is not permitted")));
    }
    let version = version.unwrap_or_default();
    let versions = limits::OPSETS;
    if !versions.contains(&version) {
        let (first, last) = (versions.start(), versions.end());
        let problem = format!("the operator set must be {first} to {last}, got {version}");
        return Err(unsupported_error(problem));
    }
    Ok(version)
}

/// Reads a `StringStringEntryProto`.
fn read_entry(mut reader: Reader<'_>) -> Result<(&str, &str)> {
    let (mut key, mut value) = (None, None);
    while let Some(field) = reader.read_field()? {
        let at = field.at;
        match field.number {
            1 => {
                let text = field.text()?;
                check_length("a metadata key", text, limits::MAX_METADATA_KEY_BYTES, at)?;
                set_once(&mut key, text, at)?;
            }
            2 => {
                let text = field.text()?;
                check_length("a metadata value", text, limits::MAX_METADATA_VALUE_BYTES, at)?;
                set_once(&mut value, text, at)?;
            }
            _ => return Err(invalid(at, "a metadata entry has an unknown field")),
        }
    }
    Ok((key.unwrap_or_default(), value.unwrap_or_default()))
}
