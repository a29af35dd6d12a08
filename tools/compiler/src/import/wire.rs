//! A check of the protobuf wire format that bounds the memory needed for decoding.
//!
//! An empty message takes two bytes in a file and hundreds of bytes in memory, so decoding a small
//! hostile file could need many times the file's size in memory. Before anything is allocated, the
//! check counts the fields that the decoder will read, and refuses a file that exceeds a limit. It
//! also refuses numbers that do not fit into their field, whose upper bits the decoder would drop.

use super::limits::{MAX_BRANCH_DEPTH, MAX_FIELDS, MAX_FILE_BYTES, MAX_PACKED_INTEGER_BYTES};
use crate::error::{Result, fail_file};
use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

/// The kind of content in a length-delimited field.
#[derive(Clone, Copy)]
enum Content {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    PackedIntegers,
}

/// The number of fields, and of bytes in packed integers, that the rest of the file may contain.
struct Budget {
    fields: usize,
    packed_bytes: usize,
    /// Number of graphs that may still be nested in the current one.
    depth: usize,
}

/// Checks that `bytes` is a well-formed model within the limits.
pub(super) fn check_wire_format(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_FILE_BYTES {
        return fail_file(format!(
            "the file must have at most {MAX_FILE_BYTES} bytes, got {}",
            bytes.len()
        ));
    }
    let mut budget = Budget {
        fields: MAX_FIELDS,
        packed_bytes: MAX_PACKED_INTEGER_BYTES,
        depth: MAX_BRANCH_DEPTH + 1,
    };
    check_message(bytes, Content::Model, &mut budget)
}

fn check_message(mut buf: &[u8], content: Content, budget: &mut Budget) -> Result<()> {
    while buf.has_remaining() {
        let (tag, wire) = decode_key(&mut buf).or_else(|e| fail_file(e.to_string()))?;
        match budget.fields.checked_sub(1) {
            Some(left) => budget.fields = left,
            None => return fail_file(format!("the model has more than {MAX_FIELDS} fields")),
        }
        let length = match wire {
            WireType::Varint => {
                let value = decode_varint(&mut buf).or_else(|e| fail_file(e.to_string()))?;
                if is_int32(content, tag) {
                    check_int32(value)?;
                }
                continue;
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                let n = decode_varint(&mut buf).or_else(|e| fail_file(e.to_string()))?;
                usize::try_from(n)
                    .or_else(|_| fail_file(format!("a field has a length of {n} bytes")))?
            }
            WireType::StartGroup | WireType::EndGroup => {
                return fail_file("the file contains protobuf groups, which ONNX does not have");
            }
        };
        let Some((body, rest)) = buf.split_at_checked(length) else {
            return fail_file(
                "the file is truncated: a field is longer than the rest of its message",
            );
        };
        buf = rest;
        if wire != WireType::LengthDelimited {
            continue;
        }
        match field_content(content, tag) {
            Some(Content::PackedIntegers) => {
                match budget.packed_bytes.checked_sub(body.len()) {
                    Some(left) => budget.packed_bytes = left,
                    None => {
                        return fail_file(format!(
                            "the model has more than {MAX_PACKED_INTEGER_BYTES} bytes of packed integers"
                        ));
                    }
                }
                if is_int32(content, tag) {
                    check_packed_int32(body)?;
                }
            }
            // The only cycle in the schema leads from a node through an attribute to a graph.
            Some(Content::Graph) => {
                let Some(depth) = budget.depth.checked_sub(1) else {
                    return fail_file(format!(
                        "branches may be nested {MAX_BRANCH_DEPTH} times at most"
                    ));
                };
                budget.depth = depth;
                check_message(body, Content::Graph, budget)?;
                budget.depth += 1;
            }
            Some(content) => check_message(body, content, budget)?,
            None => {}
        }
    }
    Ok(())
}

/// Returns whether field `tag` contains 32-bit integers: types, locations and `int32_data`.
fn is_int32(message: Content, tag: u32) -> bool {
    matches!(
        (message, tag),
        (Content::Attribute, 20) | (Content::Tensor, 2 | 5 | 14) | (Content::TensorType, 1)
    )
}

fn check_int32(value: u64) -> Result<()> {
    let value = value.cast_signed();
    if i32::try_from(value).is_ok() {
        return Ok(());
    }
    let (first, last) = (i32::MIN, i32::MAX);
    fail_file(format!("a 32-bit field must be {first} to {last}, got {value}"))
}

fn check_packed_int32(mut packed: &[u8]) -> Result<()> {
    while packed.has_remaining() {
        check_int32(decode_varint(&mut packed).or_else(|e| fail_file(e.to_string()))?)?;
    }
    Ok(())
}

/// Returns the kind of content in field `tag`, or `None` if the decoder skips the field or copies
/// it unchanged.
fn field_content(message: Content, tag: u32) -> Option<Content> {
    Some(match (message, tag) {
        (Content::Model, 7) | (Content::Attribute, 6) => Content::Graph,
        (Content::Graph, 1) => Content::Node,
        (Content::Graph, 5) | (Content::Attribute, 5) => Content::Tensor,
        (Content::Graph, 11 | 12) => Content::ValueInfo,
        (Content::Node, 5) => Content::Attribute,
        (Content::ValueInfo, 2) => Content::Type,
        (Content::Type, 1) => Content::TensorType,
        (Content::TensorType, 2) => Content::Shape,
        (Content::Attribute, 8) | (Content::Tensor, 1 | 5 | 7) => Content::PackedIntegers,
        _ => return None,
    })
}
