//! What every call does at the border: pointers, struct sizes, panics, the last error.

use crate::{Error, Result, Status};
use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a control call: keeps the cause of an error for `ttv_last_error`, stops panics.
pub(super) fn control(call: impl FnOnce() -> Result<Status>) -> i32 {
    let outcome = catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(Error::new(Status::Internal, "a panic was stopped at the border")));
    outcome
        .unwrap_or_else(|error| {
            LAST_ERROR.with_borrow_mut(|last| *last = error.to_string());
            error.status()
        })
        .code()
}

/// Runs a real-time call: the status alone, no text.
pub(super) fn real_time(call: impl FnOnce() -> std::result::Result<Status, Status>) -> i32 {
    catch_unwind(AssertUnwindSafe(call))
        .map_or(Status::Internal, |outcome| outcome.unwrap_or_else(|s| s))
        .code()
}

/// A struct of the ABI: plain data, any bytes are a value, `struct_size` first.
///
/// # Safety
/// The type is `repr(C)`, starts with a `u32` that is its size, and every bit pattern of it is valid.
pub(super) unsafe trait Versioned: Copy {}

/// Size that the caller gave, checked: at least ours, and zero bytes after ours.
fn check_size<T: Versioned>(pointer: *const T) -> std::result::Result<(), Status> {
    if pointer.is_null() {
        return Err(Status::NullArgument);
    }
    if !pointer.is_aligned() {
        return Err(Status::InvalidArgument);
    }
    // SAFETY: the caller promises a readable struct of the size that its first field says; that field is a u32.
    let size = unsafe { *pointer.cast::<u32>() } as usize;
    if !(size_of::<T>()..=1 << 16).contains(&size) {
        return Err(Status::StructSize);
    }
    // SAFETY: as above, `size` bytes are readable.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) };
    let tail = bytes.get(size_of::<T>()..).unwrap_or_default();
    if tail.iter().any(|&byte| byte != 0) { Err(Status::StructSize) } else { Ok(()) }
}

/// Reads a struct of the caller.
pub(super) fn read<T: Versioned>(pointer: *const T) -> std::result::Result<T, Status> {
    check_size(pointer)?;
    // SAFETY: not NULL, aligned, at least size_of::<T>() bytes readable, and every bit pattern is valid.
    Ok(unsafe { *pointer })
}

/// A struct of the caller to write into.
pub(super) fn output<'a, T: Versioned>(pointer: *mut T) -> std::result::Result<&'a mut T, Status> {
    check_size(pointer)?;
    // SAFETY: not NULL, aligned, large enough; the caller promises that no other thread uses it during the call.
    Ok(unsafe { &mut *pointer })
}

/// A handle of ours.
pub(super) fn handle<'a, T>(pointer: *const T) -> std::result::Result<&'a T, Status> {
    // SAFETY: NULL is refused; else the caller promises a handle that create gave and destroy has not taken.
    unsafe { pointer.as_ref() }.ok_or(Status::NullArgument)
}

/// A place for one value of the caller.
pub(super) fn place<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: NULL is refused; else the caller promises memory for one value.
    unsafe { pointer.as_mut() }.ok_or_else(|| Error::new(Status::NullArgument, name))
}

/// Text of the caller; `None` for NULL.
pub(super) fn text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL; the caller promises a NUL-terminated string.
    let text = unsafe { CStr::from_ptr(pointer) };
    let text =
        text.to_str().map_err(|_| Error::new(Status::InvalidArgument, format!("{name} is not UTF-8")))?;
    Ok(Some(text))
}

/// Copies text into a fixed array of the caller's struct, cut if it must be, always terminated.
pub(super) fn fill(target: &mut [c_char], source: &str) {
    let room = target.len().saturating_sub(1);
    let mut cut = source.len().min(room);
    while !source.is_char_boundary(cut) {
        cut -= 1;
    }
    target.fill(0);
    for (to, from) in target.iter_mut().zip(source.bytes().take(cut)) {
        *to = from as c_char;
    }
}

/// Copies the cause of this thread's last failed control call into `buffer`, NUL-terminated and cut if it must be.
/// Returns its length without the NUL; 0 if there was none. `buffer` may be NULL to ask for the length. [any]
///
/// # Safety
/// `buffer` is NULL or has room for `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    LAST_ERROR.with_borrow(|last| {
        if !buffer.is_null() && capacity > 0 {
            // SAFETY: the caller promises `capacity` bytes.
            fill(unsafe { std::slice::from_raw_parts_mut(buffer, capacity) }, last);
        }
        last.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Sized {
        struct_size: u32,
        value: u32,
    }
    // SAFETY: repr(C), two u32.
    unsafe impl Versioned for Sized {}

    #[test]
    fn a_smaller_struct_or_a_tail_that_is_not_zero_is_refused() {
        let read = |words: [u32; 4]| read(words.as_ptr().cast::<Sized>()).map(|s| s.value);
        assert_eq!(read([4, 0, 0, 0]), Err(Status::StructSize));
        assert_eq!(read([16, 7, 0, 0]), Ok(7));
        assert_eq!(read([16, 7, 0, 1]), Err(Status::StructSize));
        assert_eq!(super::read(std::ptr::null::<Sized>()).map(|s| s.value), Err(Status::NullArgument));
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let code = control(|| panic!("on purpose"));
        assert_eq!(code, Status::Internal.code());
    }
}
