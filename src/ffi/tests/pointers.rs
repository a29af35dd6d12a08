//! Errors for pointers that are not valid, and texts that are copied to fixed arrays.

use super::init;
use crate::error::Status;
use crate::ffi::pointers::{argument_error, copy_text, read_struct};
use crate::ffi::result::ttv_result;
use std::ffi::c_char;

#[test]
fn a_misaligned_struct_is_refused() {
    let mut memory = [0_u64; 64];
    memory[0] = u64::from(size_of::<ttv_result>() as u32) << 8;
    let misaligned = memory.as_ptr().cast::<u8>().wrapping_add(1).cast::<ttv_result>();
    assert_eq!(read_struct(misaligned).err(), Some(Status::InvalidArgument));
    assert!(read_struct(&raw const *Box::new(init::<ttv_result>())).is_ok());
}

#[test]
fn an_error_of_a_pointer_names_its_argument() {
    let check = |status, text: &str| {
        let error = argument_error("result")(status);
        assert_eq!(error.status(), status);
        assert!(error.message().starts_with("result") && error.message().contains(text), "{error}");
    };
    check(Status::NullArgument, "must not be NULL");
    check(Status::InvalidArgument, "alignment");
    check(Status::StructSize, "TTV_..._INIT");
    check(Status::Internal, "result");
}

#[test]
fn a_copied_text_ends_with_nul_and_with_a_whole_character() {
    let copy = |text: &str, capacity: usize| {
        let mut target = vec![1 as c_char; capacity];
        copy_text(&mut target, text);
        target.into_iter().map(|byte| byte as u8).collect::<Vec<u8>>()
    };
    assert_eq!(copy("abc", 5), b"abc\0\0");
    assert_eq!(copy("abc", 4), b"abc\0");
    assert_eq!(copy("abc", 3), b"ab\0");
    assert_eq!(copy("a\u{e9}", 3), b"a\0\0", "half of a character is left out");
    assert_eq!(copy("a\u{e9}", 4), "a\u{e9}\0".as_bytes());
    assert_eq!(copy("abc", 1), b"\0");
    assert_eq!(copy("abc", 0), b"");
}
