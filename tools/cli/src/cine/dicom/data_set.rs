//! Walks over a data set and keeps the attributes that the decoder needs.

use super::attributes::Attributes;
use super::value::Value;
use dicom_core::Tag;
use dicom_encoding::{TransferSyntax, TransferSyntaxIndex};
use dicom_parser::StatefulDecode;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use std::io::Cursor;
use std::ops::Range;

const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const TRANSFER_SYNTAX: Tag = Tag(0x0002, 0x0010);
const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);
/// Tag of the Sequence of Ultrasound Regions.
const REGIONS: Tag = Tag(0x0018, 0x6011);
/// Offset of the file meta group, after the preamble and "DICM".
const META_START: usize = 132;

/// The location of the pixels in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PixelData {
    Native(Range<usize>),
    Encapsulated(Encapsulated),
}

/// Encapsulated pixel data (PS3.5, A.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Encapsulated {
    /// Byte range of the basic offset table, which is often empty.
    pub(super) offsets: Range<usize>,
    pub(super) fragments: Vec<Range<usize>>,
}

/// Reads the file meta group. Returns the transfer syntax and the offset of the data set.
pub(super) fn read_file_meta(file: &[u8]) -> Result<(&'static TransferSyntax, usize), String> {
    let mut uid = None;
    let mut end = META_START;
    walk(file, META_START, find_syntax(EXPLICIT_LITTLE_ENDIAN)?, |event| match event {
        Event::Value { within: Within::Top, tag, value } if tag.0 == 2 => {
            if tag == TRANSFER_SYNTAX {
                let value = Value { bytes: &file[value.clone()], is_big_endian: false };
                uid = Some(value.text().to_owned());
            }
            end = value.end;
            true
        }
        _ => false,
    })
    // The data set after the group may have another transfer syntax, so an error in the data set is
    // ignored here.
    .or_else(|error| match uid {
        Some(_) => Ok(()),
        None => Err(format!("the file meta group has no transfer syntax: {error}")),
    })?;
    let uid = uid.ok_or("the file meta group has no transfer syntax")?;
    Ok((find_syntax(&uid)?, end))
}

fn find_syntax(uid: &str) -> Result<&'static TransferSyntax, String> {
    TransferSyntaxRegistry.get(uid).ok_or_else(|| format!("transfer syntax {uid:?} is unknown"))
}

/// Reads the data set from `start` to the end of the pixel data. Stores the needed attributes in
/// `attributes` and returns the location of the pixel data.
pub(super) fn read_data_set(
    file: &[u8],
    start: usize,
    syntax: &TransferSyntax,
    attributes: &mut Attributes,
) -> Result<Option<PixelData>, String> {
    if !syntax.can_decode_dataset() {
        return Err(format!("transfer syntax {} is not supported", syntax.name()));
    }
    let is_big_endian = syntax.uid() == "1.2.840.10008.1.2.2";
    let mut native = None;
    let mut items: Option<Vec<Range<usize>>> = None;
    walk(file, start, syntax, |event| {
        match event {
            Event::Value { within: Within::Top, tag: PIXEL_DATA, value } => {
                native = Some(value);
                return false;
            }
            Event::Value { within, tag, value } => {
                let value = Value { bytes: &file[value], is_big_endian };
                match within {
                    Within::Top => attributes.set(tag, value),
                    Within::Region => attributes.set_in_region(tag, value),
                    Within::Other => {}
                }
            }
            Event::Region => attributes.regions.push(Default::default()),
            Event::PixelItem => items.get_or_insert_default().push(0..0),
            Event::PixelValue(value) => {
                if let Some(item) = items.as_mut().and_then(|items| items.last_mut()) {
                    *item = value;
                }
            }
            Event::PixelEnd => return false,
        }
        true
    })?;
    let encapsulated = items.map(|mut items| {
        let offsets = if items.is_empty() { 0..0 } else { items.remove(0) };
        PixelData::Encapsulated(Encapsulated { offsets, fragments: items })
    });
    Ok(encapsulated.or(native.map(PixelData::Native)))
}

/// The part of a data set that encloses an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Top,
    /// The element lies directly in an item of the Sequence of Ultrasound Regions.
    Region,
    Other,
}

enum Event {
    Value {
        within: Within,
        tag: Tag,
        value: Range<usize>,
    },
    /// An ultrasound region begins.
    Region,
    /// An item of encapsulated pixel data begins. Its value follows unless the item is empty.
    PixelItem,
    PixelValue(Range<usize>),
    PixelEnd,
}

/// A sequence or item that has begun but not ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Sequence(Tag),
    Item,
}

/// Walks over a data set to its end, or until `visit` returns false.
fn walk(
    file: &[u8],
    start: usize,
    syntax: &TransferSyntax,
    mut visit: impl FnMut(Event) -> bool,
) -> Result<(), String> {
    let mut source = Cursor::new(file);
    source.set_position(start as u64);
    let mut reader = LazyDataSetReader::new_with_ts(source, syntax).map_err(describe_error)?;
    // The reader panics at the end of a sequence or item that has not begun, so this function
    // checks the nesting itself.
    let mut open: Vec<Open> = Vec::new();
    while let Some(token) = reader.advance() {
        let continues = match token.map_err(describe_error)? {
            LazyDataToken::ElementHeader(_) => true,
            LazyDataToken::SequenceStart { tag, .. } => {
                open.push(Open::Sequence(tag));
                true
            }
            LazyDataToken::PixelSequenceStart => {
                open.push(Open::Sequence(PIXEL_DATA));
                true
            }
            LazyDataToken::ItemStart { .. } => {
                let event = match open[..] {
                    [Open::Sequence(REGIONS)] => Some(Event::Region),
                    [Open::Sequence(PIXEL_DATA)] => Some(Event::PixelItem),
                    [.., Open::Sequence(_)] => None,
                    _ => return Err("an item is not in a sequence".into()),
                };
                open.push(Open::Item);
                event.is_none_or(&mut visit)
            }
            LazyDataToken::ItemEnd => match open.pop() {
                Some(Open::Item) => true,
                _ => return Err("the data set has an item end without a matching start".into()),
            },
            LazyDataToken::SequenceEnd => match open.pop() {
                Some(Open::Sequence(PIXEL_DATA)) if open.is_empty() => visit(Event::PixelEnd),
                Some(Open::Sequence(_)) => true,
                _ => return Err("the data set has a sequence end without a matching start".into()),
            },
            LazyDataToken::LazyValue { header, decoder } => {
                let length = header.len.get().ok_or("a value has no length")?;
                let value = value_range(file, decoder.position(), length, header.tag)?;
                decoder.skip_bytes(length).map_err(describe_error)?;
                let within = match open[..] {
                    [] => Within::Top,
                    [Open::Sequence(REGIONS), Open::Item] => Within::Region,
                    _ => Within::Other,
                };
                visit(Event::Value { within, tag: header.tag, value })
            }
            LazyDataToken::LazyItemValue { len, decoder } => {
                let value = value_range(file, decoder.position(), len, PIXEL_DATA)?;
                decoder.skip_bytes(len).map_err(describe_error)?;
                open.len() != 2 || visit(Event::PixelValue(value))
            }
            _ => return Err("the data set has an element of an unknown kind".into()),
        };
        if !continues {
            return Ok(());
        }
    }
    if open.is_empty() { Ok(()) } else { Err("the file is truncated inside a sequence".into()) }
}

/// Returns the byte range of a value in the file.
///
/// # Errors
/// Returns an error if the file ends before the end of the value.
fn value_range(file: &[u8], position: u64, length: u32, tag: Tag) -> Result<Range<usize>, String> {
    let start = usize::try_from(position).unwrap_or(usize::MAX);
    let end = start.saturating_add(length as usize);
    if end > file.len() {
        let left = file.len().saturating_sub(start);
        return Err(format!(
            "the file is truncated: element {tag} has {length} bytes, but only {left} follow"
        ));
    }
    Ok(start..end)
}

/// Joins the messages of an error and its causes.
fn describe_error(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
