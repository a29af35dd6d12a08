//! What every call does at the border: pointers, struct sizes, panics, the last error.

use crate::{Error, Result, Status};
use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
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
pub(super) unsafe trait Versioned: Copy {
    /// Its size in the first version that had it.
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Size that the caller gave, checked: at least that of the first version, and zero bytes after ours.
fn check_size<T: Versioned>(pointer: *const T) -> std::result::Result<usize, Status> {
    if pointer.is_null() {
        return Err(Status::NullArgument);
    }
    if !pointer.is_aligned() {
        return Err(Status::InvalidArgument);
    }
    // SAFETY: the caller promises a readable struct of the size that its first field says; that field is a u32.
    let size = unsafe { *pointer.cast::<u32>() } as usize;
    if !(T::FIRST_SIZE..=1 << 16).contains(&size) {
        return Err(Status::StructSize);
    }
    // SAFETY: as above, `size` bytes are readable.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) };
    let tail = bytes.get(size_of::<T>()..).unwrap_or_default();
    if tail.iter().any(|&byte| byte != 0) { Err(Status::StructSize) } else { Ok(size.min(size_of::<T>())) }
}

/// Reads a struct of the caller; fields that its version does not have are zero.
pub(super) fn read<T: Versioned>(pointer: *const T) -> std::result::Result<T, Status> {
    let size = check_size(pointer)?;
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `size` bytes are readable, and no more than T has; T is Versioned, so every bit pattern is valid.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), size);
        Ok(value.assume_init())
    }
}

/// A struct of the caller to write into, of which there is one version.
pub(super) fn output<'a, T: Versioned>(pointer: *mut T) -> std::result::Result<&'a mut T, Status> {
    const { assert!(T::FIRST_SIZE == size_of::<T>(), "an older struct is shorter: deliver") };
    check_size(pointer)?;
    // SAFETY: not NULL, aligned, large enough; the caller promises that no other thread uses it during the call.
    Ok(unsafe { &mut *pointer })
}

/// Writes a struct of the caller, all but its size, as far as its version goes.
pub(super) fn deliver<T: Versioned>(pointer: *mut T, value: T) -> std::result::Result<(), Status> {
    let size = check_size(pointer)?;
    let (to, from) = (pointer.cast::<u8>(), (&raw const value).cast::<u8>());
    let skip = size_of::<u32>();
    // SAFETY: `size` bytes are writable, no more than T has, and the first of them are the size, a u32; the caller
    // promises that no other thread uses them during the call.
    unsafe { std::ptr::copy_nonoverlapping(from.add(skip), to.add(skip), size - skip) };
    Ok(())
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

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Grown {
        struct_size: u32,
        value: u32,
        added: [u32; 2],
    }
    // SAFETY: repr(C), four u32.
    unsafe impl Versioned for Grown {
        const FIRST_SIZE: usize = 8;
    }

    #[test]
    fn a_struct_of_an_older_version_is_read_with_zeros_and_written_no_further_than_it_goes() {
        let read = |words: [u32; 4]| super::read(words.as_ptr().cast::<Grown>()).map(|s| (s.value, s.added));
        assert_eq!(read([8, 7, 1, 2]), Ok((7, [0, 0])));
        assert_eq!(read([12, 7, 1, 2]), Ok((7, [1, 0])));
        assert_eq!(read([16, 7, 1, 2]), Ok((7, [1, 2])));
        assert_eq!(read([4, 7, 1, 2]), Err(Status::StructSize));
        for (size, expected) in [(8, [8, 5, 1, 1]), (12, [12, 5, 6, 1]), (16, [16, 5, 6, 7])] {
            let mut words = [size, 1, 1, 1];
            let value = Grown { struct_size: 99, value: 5, added: [6, 7] };
            deliver(words.as_mut_ptr().cast::<Grown>(), value).unwrap();
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let code = control(|| panic!("on purpose"));
        assert_eq!(code, Status::Internal.code());
    }
}
