//! Labels as C structs.

use super::pointers::versioned;
use crate::error::{Error, Result, Status};
use crate::model::Label;
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
    /// Reserved; always 0.
    pub reserved: u32,
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
versioned!(ttv_label { struct_size, reserved, code, name, scheme, scheme_code });

/// The strings of all labels of a model.
pub(super) struct LabelTexts(Vec<Texts>);

struct Texts {
    code: CString,
    name: CString,
    scheme: Option<(CString, CString)>,
}

impl LabelTexts {
    pub(super) fn new(labels: &[Label]) -> Self {
        let to_c = |text: &str| CString::new(text).unwrap_or_default();
        let convert = |label: &Label| Texts {
            code: to_c(&label.code),
            name: to_c(&label.name),
            scheme: label.scheme.as_ref().map(|(scheme, code)| (to_c(scheme), to_c(code))),
        };
        Self(labels.iter().map(convert).collect())
    }

    /// Returns a label. Its strings live as long as `self`.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if no label has this index.
    pub(super) fn get(&self, index: u32) -> Result<ttv_label> {
        let Some(texts) = self.0.get(index as usize) else {
            let largest = self.0.len().saturating_sub(1);
            let message = format!("index must be 0 to {largest}, got {index}");
            return Err(Error::new(Status::InvalidArgument, message));
        };
        let (scheme, scheme_code) = match &texts.scheme {
            Some((scheme, code)) => (scheme.as_ptr(), code.as_ptr()),
            None => (null(), null()),
        };
        Ok(ttv_label {
            struct_size: 0,
            reserved: 0,
            code: texts.code.as_ptr(),
            name: texts.name.as_ptr(),
            scheme,
            scheme_code,
        })
    }
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
        let label = |code: &str, scheme: Option<(&str, &str)>| Label {
            code: code.into(),
            name: format!("view {code}"),
            scheme: scheme.map(|(scheme, code)| (scheme.into(), code.into())),
        };
        let labels =
            LabelTexts::new(&[label("A4C", Some(("SCT", "399214001"))), label("OTHER", None)]);
        let texts = |index| {
            let label = labels.get(index).unwrap();
            [label.code, label.name, label.scheme, label.scheme_code].map(read)
        };
        assert_eq!(texts(0), ["A4C", "view A4C", "SCT", "399214001"].map(|text| Some(text.into())));
        assert_eq!(texts(1), [Some("OTHER".into()), Some("view OTHER".into()), None, None]);
        let error = labels.get(2).err().unwrap();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("must be 0 to 1, got 2"), "{error}");
    }
}
