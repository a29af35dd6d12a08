//! Adds elements to a file. All other bytes stay as they are, except the header of a sequence to
//! which an item is added.

use super::data_set;
use super::element::{
    EXPLICIT, Form, Header, IMPLICIT, ITEM, ITEM_END, SEQUENCE_END, Tag, detect_form, has_vr,
    is_long_vr,
};
use super::syntax;
use crate::cine::bytes::slice;
use std::ops::Range;

const META_GROUP_LENGTH: Tag = Tag(0x0002, 0x0000);
const MEDIA_INSTANCE: Tag = Tag(0x0002, 0x0003);
const INSTANCE: Tag = Tag(0x0008, 0x0018);

/// A new element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    tag: Tag,
    vr: [u8; 2],
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Text(String),
    Items(Vec<Vec<Element>>),
}

impl Element {
    /// Creates an element with a text, which must be ASCII.
    pub(crate) fn text(group: u16, element: u16, vr: &[u8; 2], text: &str) -> Self {
        Self { tag: Tag(group, element), vr: *vr, content: Content::Text(text.into()) }
    }

    /// Creates a sequence with one item. The elements of the item must be in the order of their
    /// tags.
    pub(crate) fn sequence(group: u16, element: u16, item: Vec<Self>) -> Self {
        Self::items(group, element, vec![item])
    }

    /// Creates a sequence. The elements of each item must be in the order of their tags.
    pub(crate) fn items(group: u16, element: u16, items: Vec<Vec<Self>>) -> Self {
        Self { tag: Tag(group, element), vr: *b"SQ", content: Content::Items(items) }
    }

    fn write(&self, form: Form, out: &mut Vec<u8>) {
        let content = match &self.content {
            Content::Text(text) => {
                let mut bytes = text.clone().into_bytes();
                let padding = if &self.vr == b"UI" { 0 } else { b' ' };
                bytes.resize(bytes.len().next_multiple_of(2), padding);
                bytes
            }
            Content::Items(items) => write_items(items, form),
        };
        write_header(self.tag, self.vr, content.len(), form, out);
        out.extend(content);
    }
}

fn write_items(items: &[Vec<Element>], form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        let mut content = Vec::new();
        item.iter().for_each(|element| element.write(form, &mut content));
        write_tag(ITEM, form, &mut out);
        out.extend(form.u32_bytes(content.len() as u32));
        out.extend(content);
    }
    out
}

fn write_tag(tag: Tag, form: Form, out: &mut Vec<u8>) {
    out.extend(form.u16_bytes(tag.0));
    out.extend(form.u16_bytes(tag.1));
}

fn write_header(tag: Tag, vr: [u8; 2], length: usize, form: Form, out: &mut Vec<u8>) {
    write_tag(tag, form, out);
    match (form.is_implicit, is_long_vr(vr)) {
        (true, _) => out.extend(form.u32_bytes(length as u32)),
        (false, true) => {
            out.extend(vr);
            out.extend([0, 0]);
            out.extend(form.u32_bytes(length as u32));
        }
        (false, false) => {
            out.extend(vr);
            out.extend(form.u16_bytes(length as u16));
        }
    }
}

/// A change of a file.
pub(crate) enum Change {
    /// Adds an element, or replaces the element with the same tag.
    Set(Element),
    /// Adds the items of a sequence to the sequence of the file, or adds the sequence.
    Append(Element),
}

impl Change {
    fn element(&self) -> &Element {
        match self {
            Self::Set(element) | Self::Append(element) => element,
        }
    }
}

/// Returns the file with the changes. `new_uid` replaces the SOP Instance UID.
///
/// # Errors
/// Returns an error if the elements of the file cannot be located.
pub(crate) fn edit(
    file: &[u8],
    mut changes: Vec<Change>,
    new_uid: Option<&str>,
) -> Result<Vec<u8>, String> {
    let meta = data_set::read_file_meta(file)?;
    let syntax = match &meta.syntax {
        Some(uid) => syntax::find(uid)?,
        None => syntax::DEFAULT,
    };
    if syntax.is_deflated() {
        return Err(
            "a deflated file cannot be tagged; convert it to another transfer syntax".into()
        );
    }
    let declared =
        Form { is_implicit: false, is_big_endian: syntax.uid == syntax::EXPLICIT_BIG_ENDIAN };
    let form = detect_form(file, meta.data_set, declared);
    let elements = find_elements(file, meta.data_set, form)?;
    if let Some(uid) = new_uid {
        changes.push(Change::Set(Element::text(INSTANCE.0, INSTANCE.1, b"UI", uid)));
    }
    changes.sort_by_key(|change| change.element().tag);
    let mut out = edit_meta(file, meta.data_set, new_uid)?;
    let has = |tag: Tag| elements.iter().any(|(header, _)| header.tag == tag);
    let (known, added): (Vec<_>, Vec<_>) =
        changes.iter().partition(|change| has(change.element().tag));
    let mut added = added.into_iter().peekable();
    for (header, span) in &elements {
        while let Some(change) = added.next_if(|change| change.element().tag < header.tag) {
            change.element().write(form, &mut out);
        }
        let bytes = file.get(span.clone()).unwrap_or_default();
        match known.iter().find(|change| change.element().tag == header.tag) {
            None => out.extend(bytes),
            Some(Change::Set(element)) => element.write(form, &mut out),
            Some(Change::Append(element)) => append(file, header, span, element, form, &mut out)?,
        }
    }
    added.for_each(|change| change.element().write(form, &mut out));
    Ok(out)
}

/// Returns the part of the file before the data set. With `new_uid`, its Media Storage SOP Instance
/// UID is replaced.
fn edit_meta(file: &[u8], data_set: usize, new_uid: Option<&str>) -> Result<Vec<u8>, String> {
    let start = data_set::find_start(file);
    let Some(uid) = new_uid.filter(|_| data_set > start) else {
        return Ok(file.get(..data_set).unwrap_or_default().to_vec());
    };
    let form = if has_vr(file, start) { EXPLICIT } else { IMPLICIT };
    let uid = Element::text(MEDIA_INSTANCE.0, MEDIA_INSTANCE.1, b"UI", uid);
    let mut group = Vec::new();
    let mut length_value = None;
    let mut at = start;
    while at < data_set {
        let header = Header::read(file, at, form)?.ok_or("the file meta group is truncated")?;
        if header.tag == META_GROUP_LENGTH {
            length_value = Some(group.len() + header.value - at);
        }
        match header.tag {
            MEDIA_INSTANCE => uid.write(form, &mut group),
            _ => group.extend(file.get(at..header.end()).unwrap_or_default()),
        }
        at = header.end();
    }
    if let Some(value) = length_value {
        // The group length counts the bytes after its own element.
        let length = form.u32_bytes((group.len() - value - 4) as u32);
        group
            .get_mut(value..value + 4)
            .ok_or("the group length is invalid")?
            .copy_from_slice(&length);
    }
    Ok([file.get(..start).unwrap_or_default(), &group].concat())
}

/// Writes a sequence of the file with the items of `element` after its own items.
fn append(
    file: &[u8],
    header: &Header,
    span: &Range<usize>,
    element: &Element,
    form: Form,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let Content::Items(items) = &element.content else { return Ok(()) };
    let items = write_items(items, form);
    if header.vr.is_some_and(|vr| &vr != b"SQ") {
        return Err(format!("element {} is not a sequence", header.tag));
    }
    match header.length {
        Some(_) => {
            let old = file.get(header.value..span.end).unwrap_or_default();
            write_header(header.tag, *b"SQ", old.len() + items.len(), form, out);
            out.extend(old);
            out.extend(items);
        }
        None => {
            let delimiter = span.end - 8;
            out.extend(file.get(span.start..delimiter).unwrap_or_default());
            out.extend(items);
            out.extend(file.get(delimiter..span.end).unwrap_or_default());
        }
    }
    Ok(())
}

/// Returns the elements of a data set with their byte ranges.
fn find_elements(
    file: &[u8],
    start: usize,
    form: Form,
) -> Result<Vec<(Header, Range<usize>)>, String> {
    let mut elements = Vec::new();
    let mut at = start;
    while let Some(header) = Header::read(file, at, form)? {
        let end = match header.length {
            Some(_) => header.end(),
            None => find_end(file, &header, form)?,
        };
        if end > file.len() {
            return Err(format!("the file is truncated in element {}", header.tag));
        }
        elements.push((header, at..end));
        at = end;
    }
    match slice(file, at, 1) {
        Some(_) => Err(format!("the file has data after its last element, at byte {at}")),
        None => Ok(elements),
    }
}

/// Returns the offset after an element of undefined length, which contains items.
fn find_end(file: &[u8], sequence: &Header, form: Form) -> Result<usize, String> {
    let truncated = || format!("the file is truncated in element {}", sequence.tag);
    let form_in = |header: &Header, form: Form| match header.vr {
        Some(vr) if &vr == b"UN" => IMPLICIT,
        _ => form,
    };
    // For each sequence and item that has begun: the form of its elements, and whether it is an
    // item.
    let mut open = vec![(form_in(sequence, form), false)];
    let mut at = sequence.value;
    while let Some(&(form, is_item)) = open.last() {
        let header = Header::read(file, at, form)?.ok_or_else(truncated)?;
        at = header.end();
        match header.tag {
            SEQUENCE_END => {
                // The delimiter also ends an item whose own delimiter is missing.
                if is_item {
                    open.pop();
                }
                open.pop();
            }
            ITEM_END if is_item => drop(open.pop()),
            ITEM_END => {}
            ITEM if header.length.is_none() => open.push((form, true)),
            _ if header.length.is_none() => open.push((form_in(&header, form), false)),
            _ => {}
        }
        if at > file.len() {
            return Err(truncated());
        }
    }
    Ok(at)
}
