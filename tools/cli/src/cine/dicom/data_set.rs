//! Walks over a data set and keeps the attributes that the decoder needs.
//!
//! Readers of other programs accept files that break the rules of PS3.5 in ways that leave no doubt
//! about the values, and scanners and archives write such files. This reader accepts them, too.

use super::attributes::Attributes;
use super::element::{
    EXPLICIT, Form, Header, IMPLICIT, ITEM, ITEM_END, SEQUENCE_END, Tag, detect_form, has_vr,
};
use super::syntax::{self, Syntax};
use super::value::Value;
use crate::cine::bytes::slice;
use std::ops::Range;

const MEDIA_CLASS: Tag = Tag(0x0002, 0x0002);
const TRANSFER_SYNTAX: Tag = Tag(0x0002, 0x0010);
const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);
/// Tag of the Sequence of Ultrasound Regions.
const REGIONS: Tag = Tag(0x0018, 0x6011);
/// Tag of the Directory Record Sequence of a DICOMDIR.
const RECORDS: Tag = Tag(0x0004, 0x1220);
/// Sequences whose items are read, also if their length is defined.
const READ_SEQUENCES: [Tag; 2] = [REGIONS, RECORDS];
/// Offset of the file meta group, after the preamble and "DICM".
const META_START: usize = 132;

/// The location of the pixels in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PixelData {
    Native {
        pixels: Range<usize>,
        /// Whether the pixels are words of 16 bits, in the byte order of the file.
        is_words: bool,
        /// Number of bytes that the file lacks.
        missing: usize,
    },
    Encapsulated(Encapsulated),
}

/// Encapsulated pixel data (PS3.5, A.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Encapsulated {
    /// Byte range of the basic offset table, which is often empty.
    pub(super) offsets: Range<usize>,
    pub(super) fragments: Vec<Range<usize>>,
    /// Whether the file ends inside the last fragment.
    pub(super) is_cut: bool,
}

/// The file meta group.
#[derive(Clone, Debug)]
pub(super) struct FileMeta {
    /// UID of the transfer syntax, if the file has a file meta group that names one.
    pub(super) syntax: Option<String>,
    /// UID of the class of the file's content.
    pub(super) class: String,
    /// Offset of the data set.
    pub(super) data_set: usize,
}

/// Returns the offset of the first element of the file.
pub(super) fn find_start(file: &[u8]) -> usize {
    if slice(file, META_START - 4, 4) == Some(b"DICM") { META_START } else { 0 }
}

/// Reads the file meta group, which may be missing or in implicit VR.
pub(super) fn read_file_meta(file: &[u8]) -> Result<FileMeta, String> {
    let mut at = find_start(file);
    let form = match has_vr(file, at) {
        true => EXPLICIT,
        false => IMPLICIT,
    };
    let (mut syntax, mut class) = (None, String::new());
    while form.read_tag(file, at).is_some_and(|tag| tag.0 == TRANSFER_SYNTAX.0) {
        let Some(header) = Header::read(file, at, form)? else { break };
        let value = check_value(file, &header)?;
        let text = Value { bytes: &file[value.clone()], is_big_endian: false }.text();
        match header.tag {
            TRANSFER_SYNTAX => syntax = Some(text.to_owned()),
            MEDIA_CLASS => class = text.to_owned(),
            _ => {}
        }
        at = value.end;
    }
    Ok(FileMeta { syntax, class, data_set: at })
}

/// Reads the data set from `start` to the pixel data. Stores the needed attributes in `attributes`
/// and returns the location of the pixel data.
pub(super) fn read_data_set(
    file: &[u8],
    start: usize,
    syntax: &Syntax,
    attributes: &mut Attributes,
) -> Result<Option<PixelData>, String> {
    let declared =
        Form { is_implicit: false, is_big_endian: syntax.uid == syntax::EXPLICIT_BIG_ENDIAN };
    let mut pixel_data = None;
    let form = detect_form(file, start, declared);
    walk(file, start, form, |event| {
        match event {
            Event::Value { within, header, value, is_big_endian } => {
                let value = Value { bytes: &file[value], is_big_endian };
                match within {
                    Within::Top => attributes.set(header.tag, value),
                    Within::Region => attributes.set_in_region(header.tag, value),
                    Within::Record => attributes.set_in_record(header.tag, value),
                    Within::Other => {}
                }
            }
            Event::Region => attributes.regions.push(Default::default()),
            Event::PixelData(header) => pixel_data = Some(header),
        }
        Ok(())
    })?;
    let Some(header) = pixel_data else { return Ok(None) };
    Ok(Some(match header.length {
        None => PixelData::Encapsulated(read_fragments(file, header.value, form)),
        Some(_) => {
            let end = header.end().min(file.len());
            PixelData::Native {
                pixels: header.value..end,
                is_words: header.vr == Some(*b"OW"),
                missing: header.end() - end,
            }
        }
    }))
}

/// Reads the items of encapsulated pixel data. The data end at the sequence delimiter, at the end
/// of the file, or where no item follows.
fn read_fragments(file: &[u8], mut at: usize, form: Form) -> Encapsulated {
    let mut data = Encapsulated::default();
    let mut is_first = true;
    while let Ok(Some(item)) = Header::read(file, at, form) {
        if item.tag != ITEM || item.length.is_none() {
            break;
        }
        let fragment = item.value..item.end().min(file.len());
        at = item.end();
        if is_first {
            data.offsets = fragment;
        } else {
            data.fragments.push(fragment);
        }
        is_first = false;
        if at > file.len() {
            data.is_cut = true;
            break;
        }
    }
    data
}

/// The part of a data set that encloses an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    Top,
    /// The element lies directly in an item of the Sequence of Ultrasound Regions.
    Region,
    /// The element lies directly in a directory record.
    Record,
    Other,
}

pub(super) enum Event {
    Value {
        within: Within,
        header: Header,
        value: Range<usize>,
        is_big_endian: bool,
    },
    /// An ultrasound region begins.
    Region,
    /// The pixel data of the image, with which the walk ends.
    PixelData(Header),
}

/// A sequence or item that has begun but not ended.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Level {
    /// Tag of the sequence, or `None` for an item.
    sequence: Option<Tag>,
    /// Offset of the end, if the length is defined.
    end: Option<usize>,
    /// The form of the elements inside.
    form: Form,
    /// Whether the form must be determined from the first element (PS3.5, 6.2.2, note 2).
    has_unknown_form: bool,
}

/// Walks over a data set to the pixel data, or to the end of the file.
fn walk(
    file: &[u8],
    start: usize,
    form: Form,
    mut visit: impl FnMut(Event) -> Result<(), String>,
) -> Result<(), String> {
    let mut at = start;
    let mut open: Vec<Level> = Vec::new();
    loop {
        while open.last().is_some_and(|level| level.end.is_some_and(|end| at >= end)) {
            open.pop();
        }
        let level = open.last().copied();
        let form = level.map_or(form, |level| level.form);
        let Some(header) = Header::read(file, at, form)? else { break };
        let end = header.length.map(|_| header.end());
        let sequence = level.and_then(|level| level.sequence);
        match (header.tag, sequence) {
            (ITEM, Some(tag)) => {
                let has_unknown_form = level.is_some_and(|level| level.has_unknown_form);
                let form = match has_unknown_form {
                    true => Form { is_implicit: !has_vr(file, header.value), ..EXPLICIT },
                    false => form,
                };
                if tag == REGIONS && open.len() == 1 {
                    visit(Event::Region)?;
                }
                open.push(Level { sequence: None, end, form, has_unknown_form });
                at = header.value;
            }
            (ITEM_END, _) => {
                // An item delimiter without an item is ignored.
                if level.is_some_and(|level| level.sequence.is_none()) {
                    open.pop();
                }
                at = header.value;
            }
            (SEQUENCE_END, _) => {
                // The delimiter also ends an item whose own delimiter is missing.
                if sequence.is_none() {
                    open.pop();
                }
                open.pop();
                at = header.value;
            }
            // The sequence has no delimiter.
            (_, Some(_)) => drop(open.pop()),
            (PIXEL_DATA, None) if open.is_empty() => return visit(Event::PixelData(header)),
            (tag, None) => {
                let is_unknown = header.vr == Some(*b"UN");
                let is_read = READ_SEQUENCES.contains(&tag) && open.is_empty();
                if header.length.is_none() || is_read {
                    open.push(Level {
                        sequence: Some(tag),
                        end,
                        form: if is_unknown { IMPLICIT } else { form },
                        has_unknown_form: is_unknown,
                    });
                    at = header.value;
                    continue;
                }
                let value = check_value(file, &header)?;
                at = value.end;
                let within = match open[..] {
                    [] => Within::Top,
                    [Level { sequence: Some(REGIONS), .. }, _] => Within::Region,
                    [Level { sequence: Some(RECORDS), .. }, _] => Within::Record,
                    _ => Within::Other,
                };
                let is_big_endian = form.is_big_endian;
                visit(Event::Value { within, header, value, is_big_endian })?;
            }
        }
    }
    match open.iter().find_map(|level| level.sequence) {
        None => Ok(()),
        Some(tag) => Err(format!("the file is truncated inside sequence {tag}")),
    }
}

/// Returns the byte range of the value of an element.
///
/// # Errors
/// Returns an error if the file ends before the end of the value.
fn check_value(file: &[u8], header: &Header) -> Result<Range<usize>, String> {
    let Header { tag, value, length, .. } = *header;
    let length = length.ok_or_else(|| format!("element {tag} has no length"))?;
    if header.end() > file.len() {
        let left = file.len().saturating_sub(value);
        return Err(format!(
            "the file is truncated: element {tag} has {length} bytes, but only {left} follow"
        ));
    }
    Ok(value..header.end())
}
