//! Labels over the C ABI.

use super::border::{Versioned, control, deliver, handle, place};
use super::engine::ttv_engine;
use crate::model::Label;
use crate::{Error, Result, Status};
use std::ffi::{CString, c_char};
use std::ptr::null;

/// A label. The caller sets `struct_size`; texts live as long as the engine.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_label {
    /// `sizeof(ttv_label)`.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Stable short code, as "A4C".
    pub code: *const c_char,
    /// Name for people, as "apical four-chamber".
    pub name: *const c_char,
    /// Coding Scheme Designator of DICOM, as "SCT"; NULL where no scheme has the view.
    pub scheme: *const c_char,
    /// Code Value in that scheme, as "399214001"; NULL with `scheme`.
    pub scheme_code: *const c_char,
}
// SAFETY: repr(C); numbers and pointers.
unsafe impl Versioned for ttv_label {}

/// The labels of a model as C reads them.
pub(super) struct Labels(Vec<Texts>);

struct Texts {
    code: CString,
    name: CString,
    scheme: Option<(CString, CString)>,
}

impl Labels {
    pub(super) fn new(labels: &[Label]) -> Self {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let texts = |label: &Label| Texts {
            code: text(&label.code),
            name: text(&label.name),
            scheme: label.scheme.as_ref().map(|(scheme, code)| (text(scheme), text(code))),
        };
        Self(labels.iter().map(texts).collect())
    }

    fn get(&self, index: u32) -> Result<&Texts> {
        let none = || Error::new(Status::InvalidArgument, format!("label {index} of {}", self.0.len()));
        self.0.get(index as usize).ok_or_else(none)
    }
}

/// Code of a label, as "A4C"; lives as long as the engine. [any]
///
/// # Safety
/// `engine` is NULL or a live handle; `label` points to a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_label(
    engine: *const ttv_engine,
    index: u32,
    label: *mut *const c_char,
) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        let out = place(label, "label")?;
        *out = engine.labels.get(index)?.code.as_ptr();
        Ok(Status::Ok)
    })
}

/// All that the model says of a label: what a report or a DICOM file needs beside its code. [any]
///
/// # Safety
/// `engine` is NULL or a live handle; `label` points to a struct of the size its first field says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_engine_get_label(
    engine: *const ttv_engine,
    index: u32,
    label: *mut ttv_label,
) -> i32 {
    control(|| {
        let engine = handle(engine).map_err(|status| Error::new(status, "engine"))?;
        let texts = engine.labels.get(index)?;
        let (scheme, scheme_code) =
            texts.scheme.as_ref().map_or((null(), null()), |(scheme, code)| (scheme.as_ptr(), code.as_ptr()));
        let found = ttv_label {
            struct_size: 0,
            reserved: 0,
            code: texts.code.as_ptr(),
            name: texts.name.as_ptr(),
            scheme,
            scheme_code,
        };
        deliver(label, found).map_err(|status| Error::new(status, "label"))?;
        Ok(Status::Ok)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_model_and_a_label_without_a_scheme_has_none() {
        let label = |code: &str, scheme: Option<(&str, &str)>| Label {
            code: code.into(),
            name: format!("view {code}"),
            scheme: scheme.map(|(scheme, code)| (scheme.into(), code.into())),
        };
        let labels = Labels::new(&[label("A4C", Some(("SCT", "399214001"))), label("OTHER", None)]);
        let (coded, bare) = (labels.get(0).unwrap(), labels.get(1).unwrap());
        assert_eq!((coded.code.to_str(), coded.name.to_str()), (Ok("A4C"), Ok("view A4C")));
        let (scheme, code) = coded.scheme.as_ref().unwrap();
        assert_eq!((scheme.to_str(), code.to_str()), (Ok("SCT"), Ok("399214001")));
        assert!(bare.scheme.is_none());
        assert_eq!(labels.get(2).err().map(|error| error.status()), Some(Status::InvalidArgument));
    }
}
