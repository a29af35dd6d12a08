//! A first look over the protobuf wire format that bounds what decoding may allocate.
//!
//! An empty message costs two bytes in a file and hundreds in memory, so a small hostile file could ask for a
//! large multiple of its size. This pass walks the same fields the decoder will, counts them, and refuses files
//! over a limit before anything is allocated.

use crate::error::{Result, file_error};
use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

/// Most messages, strings and unpacked scalars a model may hold; R101 has about 30,000.
const MAX_FIELDS: usize = 1_000_000;
/// Most bytes of packed integers, whose decoded form is up to eight times larger.
const MAX_PACKED_INTEGER_BYTES: usize = 16 << 20;
/// Largest file accepted: the limit of protobuf itself.
const MAX_FILE_BYTES: usize = i32::MAX as usize;

/// Which message a length-delimited field holds.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// A packed list of integers.
    Leaf,
}

struct Budget {
    fields: usize,
    packed: usize,
}

/// Checks that `bytes` is a well-formed model within the limits.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_FILE_BYTES {
        return file_error("larger than 2 GiB, the limit of protobuf");
    }
    walk(bytes, Kind::Model, &mut Budget { fields: MAX_FIELDS, packed: MAX_PACKED_INTEGER_BYTES })
}

fn walk(mut buf: &[u8], kind: Kind, budget: &mut Budget) -> Result<()> {
    while buf.has_remaining() {
        let (tag, wire) = decode_key(&mut buf).or_else(|e| file_error(e.to_string()))?;
        match budget.fields.checked_sub(1) {
            Some(left) => budget.fields = left,
            None => return file_error(format!("more than {MAX_FIELDS} fields")),
        }
        let length = match wire {
            WireType::Varint => {
                decode_varint(&mut buf).or_else(|e| file_error(e.to_string()))?;
                continue;
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                let n = decode_varint(&mut buf).or_else(|e| file_error(e.to_string()))?;
                usize::try_from(n).or_else(|_| file_error("a length overflows"))?
            }
            WireType::StartGroup | WireType::EndGroup => return file_error("protobuf groups are not ONNX"),
        };
        let Some((body, rest)) = buf.split_at_checked(length) else {
            return file_error("truncated: a field runs past the end");
        };
        buf = rest;
        if wire != WireType::LengthDelimited {
            continue;
        }
        match child(kind, tag) {
            // Only lists of integers are leaves.
            Some(Kind::Leaf) => match budget.packed.checked_sub(body.len()) {
                Some(left) => budget.packed = left,
                None => return file_error("too many packed integers"),
            },
            // The schema below has no cycle but node -> attribute -> graph, which the decoder skips.
            Some(child) => walk(body, child, budget)?,
            None => {}
        }
    }
    Ok(())
}

fn child(kind: Kind, tag: u32) -> Option<Kind> {
    Some(match (kind, tag) {
        (Kind::Model, 7) => Kind::Graph,
        (Kind::Graph, 1) => Kind::Node,
        (Kind::Graph, 5) | (Kind::Attribute, 5) => Kind::Tensor,
        (Kind::Graph, 11 | 12) => Kind::ValueInfo,
        (Kind::Node, 5) => Kind::Attribute,
        (Kind::ValueInfo, 2) => Kind::Type,
        (Kind::Type, 1) => Kind::TensorType,
        (Kind::TensorType, 2) => Kind::Shape,
        (Kind::Attribute, 8) | (Kind::Tensor, 1 | 5 | 7) => Kind::Leaf,
        _ => return None,
    })
}
