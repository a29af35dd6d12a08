//! Walks a data set and keeps what is needed.

use super::attributes::Attributes;
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
/// Sequence of Ultrasound Regions.
const REGIONS: Tag = Tag(0x0018, 0x6011);
/// First byte after preamble and "DICM".
const META_START: usize = 132;

/// Where the pixels lie in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PixelData {
    Native(Range<usize>),
    Encapsulated(Fragments),
}

/// Encapsulated pixel data (PS3.5, A.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fragments {
    /// The basic offset table, often empty.
    pub(super) offsets: Range<usize>,
    pub(super) fragments: Vec<Range<usize>>,
}

/// An element's value, as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Value<'a> {
    /// Text without padding; bytes that are not ASCII are no part of any value that is read.
    pub(super) fn text(self) -> &'a str {
        let text =
            self.bytes.iter().position(|byte| !byte.is_ascii()).map_or(self.bytes, |at| &self.bytes[..at]);
        std::str::from_utf8(text).unwrap_or_default().trim_matches([' ', '\0'])
    }

    pub(super) fn u16s(self) -> Vec<u16> {
        let number = if self.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        self.bytes.chunks_exact(2).map(|pair| number([pair[0], pair[1]])).collect()
    }

    pub(super) fn u16(self) -> Option<u16> {
        self.u16s().first().copied()
    }

    pub(super) fn u32(self) -> Option<u32> {
        let number = if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        self.bytes.first_chunk().copied().map(number)
    }

    pub(super) fn f64(self) -> Option<f64> {
        let number = if self.big_endian { f64::from_be_bytes } else { f64::from_le_bytes };
        self.bytes.first_chunk().copied().map(number)
    }
}

/// Reads the file meta group: the transfer syntax, and where the data set begins.
pub(super) fn file_meta(file: &[u8]) -> Result<(&'static TransferSyntax, usize), String> {
    let mut uid = None;
    let mut end = META_START;
    walk(file, META_START, syntax(EXPLICIT_LITTLE_ENDIAN)?, |event| match event {
        Event::Value { within: Within::Top, tag, value } if tag.0 == 2 => {
            if tag == TRANSFER_SYNTAX {
                uid = Some(Value { bytes: &file[value.clone()], big_endian: false }.text().to_owned());
            }
            end = value.end;
            true
        }
        _ => false,
    })
    // What follows the group may be in another syntax, so that an error there is none here.
    .or_else(|error| match uid {
        Some(_) => Ok(()),
        None => Err(format!("no transfer syntax in the file meta group: {error}")),
    })?;
    let uid = uid.ok_or("no transfer syntax")?;
    Ok((syntax(&uid)?, end))
}

fn syntax(uid: &str) -> Result<&'static TransferSyntax, String> {
    TransferSyntaxRegistry.get(uid).ok_or_else(|| format!("unknown transfer syntax {uid:?}"))
}

/// Reads the data set from `start` up to and with the pixel data, which it returns; the rest goes to `attributes`.
pub(super) fn read(
    file: &[u8],
    start: usize,
    syntax: &TransferSyntax,
    attributes: &mut Attributes,
) -> Result<Option<PixelData>, String> {
    if !syntax.can_decode_dataset() {
        return Err(format!("transfer syntax {} is not supported", syntax.name()));
    }
    let big_endian = syntax.uid() == "1.2.840.10008.1.2.2";
    let mut native = None;
    let mut items: Option<Vec<Range<usize>>> = None;
    walk(file, start, syntax, |event| {
        match event {
            Event::Value { within: Within::Top, tag: PIXEL_DATA, value } => {
                native = Some(value);
                return false;
            }
            Event::Value { within, tag, value } => {
                let value = Value { bytes: &file[value], big_endian };
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
        PixelData::Encapsulated(Fragments { offsets, fragments: items })
    });
    Ok(encapsulated.or(native.map(PixelData::Native)))
}

/// Where an element stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Top,
    /// Directly in an item of the Sequence of Ultrasound Regions.
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
    /// An item of encapsulated pixel data; its value follows unless it is empty.
    PixelItem,
    PixelValue(Range<usize>),
    PixelEnd,
}

/// What is open around an element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Sequence(Tag),
    Item,
}

/// Walks a data set until its end or until `visit` returns false.
fn walk(
    file: &[u8],
    start: usize,
    syntax: &TransferSyntax,
    mut visit: impl FnMut(Event) -> bool,
) -> Result<(), String> {
    let mut source = Cursor::new(file);
    source.set_position(start as u64);
    let mut reader = LazyDataSetReader::new_with_ts(source, syntax).map_err(text)?;
    // The reader trusts that what closes was open, and panics otherwise; so that is checked here.
    let mut open: Vec<Open> = Vec::new();
    while let Some(token) = reader.advance() {
        let goes_on = match token.map_err(text)? {
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
                    _ => return Err("an item outside a sequence".into()),
                };
                open.push(Open::Item);
                event.is_none_or(&mut visit)
            }
            LazyDataToken::ItemEnd => match open.pop() {
                Some(Open::Item) => true,
                _ => return Err("an item ends that has not begun".into()),
            },
            LazyDataToken::SequenceEnd => match open.pop() {
                Some(Open::Sequence(PIXEL_DATA)) if open.is_empty() => visit(Event::PixelEnd),
                Some(Open::Sequence(_)) => true,
                _ => return Err("a sequence ends that has not begun".into()),
            },
            LazyDataToken::LazyValue { header, decoder } => {
                let length = header.len.get().ok_or("a value without a length")?;
                let value = value(file, decoder.position(), length, header.tag)?;
                decoder.skip_bytes(length).map_err(text)?;
                let within = match open[..] {
                    [] => Within::Top,
                    [Open::Sequence(REGIONS), Open::Item] => Within::Region,
                    _ => Within::Other,
                };
                visit(Event::Value { within, tag: header.tag, value })
            }
            LazyDataToken::LazyItemValue { len, decoder } => {
                let value = value(file, decoder.position(), len, PIXEL_DATA)?;
                decoder.skip_bytes(len).map_err(text)?;
                open.len() != 2 || visit(Event::PixelValue(value))
            }
            _ => return Err("a kind of element that is not known".into()),
        };
        if !goes_on {
            return Ok(());
        }
    }
    if open.is_empty() { Ok(()) } else { Err("truncated inside a sequence".into()) }
}

/// Where a value lies, if it lies in the file.
fn value(file: &[u8], position: u64, length: u32, tag: Tag) -> Result<Range<usize>, String> {
    let start = usize::try_from(position).unwrap_or(usize::MAX);
    let end = start.saturating_add(length as usize);
    if end > file.len() {
        let left = file.len().saturating_sub(start);
        return Err(format!("truncated: element {tag} has {length} bytes, {left} are left in the file"));
    }
    Ok(start..end)
}

/// The whole chain of causes in one sentence.
fn text(error: impl std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        sentence = format!("{sentence}: {cause}");
        source = cause.source();
    }
    sentence
}
