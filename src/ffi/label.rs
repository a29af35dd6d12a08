//! Labels and groups as C structs.

use super::pointers::versioned;
use crate::error::{Error, Result, Status};
use crate::model::{Group, Label};
use std::ffi::{CString, c_char};
use std::ptr::null;

/// A label of the model. Initialize this struct with TTV_LABEL_INIT. The strings are valid until
/// the engine is destroyed.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_label {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Index of the label's group, for ttv_engine_get_group; -1 if the model has no groups.
    pub group: i32,
    /// Short code, such as "A4C".
    pub code: *const c_char,
    /// Human-readable name, such as "apical four-chamber".
    pub name: *const c_char,
    /// DICOM Coding Scheme Designator, such as "SCT"; NULL if the model defines no code.
    pub scheme: *const c_char,
    /// DICOM Code Value in that scheme, such as "399214001"; NULL if `scheme` is NULL.
    pub scheme_code: *const c_char,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers and pointers,
// for which every bit pattern is valid.
versioned!(ttv_label { struct_size, group, code, name, scheme, scheme_code });

/// A group of labels of the model. Initialize this struct with TTV_GROUP_INIT. The strings are
/// valid until the engine is destroyed.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_group {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Reserved; always 0.
    pub reserved: u32,
    /// Short code, such as "APICAL".
    pub code: *const c_char,
    /// Human-readable name, such as "apical".
    pub name: *const c_char,
    /// DICOM Coding Scheme Designator, such as "SCT"; NULL if the model defines no code.
    pub scheme: *const c_char,
    /// DICOM Code Value in that scheme; NULL if `scheme` is NULL.
    pub scheme_code: *const c_char,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers and pointers,
// for which every bit pattern is valid.
versioned!(ttv_group { struct_size, reserved, code, name, scheme, scheme_code });

/// The strings of all labels and groups of a model.
pub(super) struct LabelTexts {
    labels: Vec<(Texts, i32)>,
    groups: Vec<Texts>,
}

struct Texts {
    code: CString,
    name: CString,
    scheme: Option<(CString, CString)>,
}

impl Texts {
    fn new(code: &str, name: &str, scheme: Option<&(String, String)>) -> Self {
        let to_c = |text: &str| CString::new(text).unwrap_or_default();
        let scheme = scheme.map(|(scheme, code)| (to_c(scheme), to_c(code)));
        Self { code: to_c(code), name: to_c(name), scheme }
    }

    /// Returns the scheme and the code in it.
    fn scheme(&self) -> (*const c_char, *const c_char) {
        let pointers = |(scheme, code): &(CString, CString)| (scheme.as_ptr(), code.as_ptr());
        self.scheme.as_ref().map_or((null(), null()), pointers)
    }
}

impl LabelTexts {
    pub(super) fn new(labels: &[Label], groups: &[Group]) -> Self {
        let label = |label: &Label| {
            let texts = Texts::new(&label.code, &label.name, label.scheme.as_ref());
            (texts, label.group.and_then(|group| i32::try_from(group).ok()).unwrap_or(-1))
        };
        let group = |group: &Group| Texts::new(&group.code, &group.name, group.scheme.as_ref());
        Self {
            labels: labels.iter().map(label).collect(),
            groups: groups.iter().map(group).collect(),
        }
    }

    /// Returns a label. Its strings live as long as `self`.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if no label has this index.
    pub(super) fn label(&self, index: u32) -> Result<ttv_label> {
        let (texts, group) = find(&self.labels, index)?;
        let (scheme, scheme_code) = texts.scheme();
        let (code, name) = (texts.code.as_ptr(), texts.name.as_ptr());
        Ok(ttv_label { struct_size: 0, group: *group, code, name, scheme, scheme_code })
    }

    /// Returns a group. Its strings live as long as `self`.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if no group has this index.
    pub(super) fn group(&self, index: u32) -> Result<ttv_group> {
        let texts = find(&self.groups, index)?;
        let (scheme, scheme_code) = texts.scheme();
        let (code, name) = (texts.code.as_ptr(), texts.name.as_ptr());
        Ok(ttv_group { struct_size: 0, reserved: 0, code, name, scheme, scheme_code })
    }
}

fn find<T>(entries: &[T], index: u32) -> Result<&T> {
    entries.get(index as usize).ok_or_else(|| {
        let message = match entries.len() {
            0 => format!("the model has no groups, got the index {index}"),
            len => format!("index must be 0 to {}, got {index}", len - 1),
        };
        Error::new(Status::InvalidArgument, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn read(text: *const c_char) -> Option<String> {
        // SAFETY: the pointer is not NULL, and points to a string of `labels`, which is alive.
        let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
        text.map(|text| text.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_label_without_a_scheme_has_no_scheme_texts() {
        let label = |code: &str, scheme: Option<(&str, &str)>, group| Label {
            code: code.into(),
            name: format!("view {code}"),
            scheme: scheme.map(|(scheme, code)| (scheme.into(), code.into())),
            scheme_meaning: None,
            modifiers: vec![],
            group,
        };
        let views = [label("A4C", Some(("SCT", "399214001")), Some(0)), label("OTHER", None, None)];
        let group = Group { code: "APICAL".into(), name: "apical".into(), scheme: None };
        let labels = LabelTexts::new(&views, &[group]);
        let texts = |index| {
            let label = labels.label(index).unwrap();
            [label.code, label.name, label.scheme, label.scheme_code].map(read)
        };
        assert_eq!(texts(0), ["A4C", "view A4C", "SCT", "399214001"].map(|text| Some(text.into())));
        assert_eq!(texts(1), [Some("OTHER".into()), Some("view OTHER".into()), None, None]);
        assert_eq!([0, 1].map(|index| labels.label(index).unwrap().group), [0, -1]);
        let apical = labels.group(0).unwrap();
        let texts = [apical.code, apical.name, apical.scheme, apical.scheme_code].map(read);
        assert_eq!(texts, [Some("APICAL".into()), Some("apical".into()), None, None]);
        let error = labels.label(2).err().unwrap();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("must be 0 to 1, got 2"), "{error}");
        let none = LabelTexts::new(&views, &[]).group(0).err().unwrap();
        assert!(none.message().contains("has no groups"), "{none}");
    }
}
