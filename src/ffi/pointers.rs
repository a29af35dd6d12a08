//! Access to the caller's pointers and structs.

use crate::error::{Error, Result, Status};
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::path::PathBuf;

/// A struct of the ABI: plain data whose first field is the size of the struct. The macro
/// [`versioned`] implements this trait.
///
/// # Safety
/// The type must be `repr(C)`, its first field must be a `u32` for its size, and every bit pattern
/// that a caller may pass must be valid. `FIELD_ENDS` must contain the end of each field.
pub(super) unsafe trait Versioned: Copy {
    /// Size of the struct in the first version of the ABI that contained it.
    const FIRST_SIZE: usize = size_of::<Self>();

    /// Offset of the end of each field in bytes.
    const FIELD_ENDS: &'static [usize];
}

/// Implements [`Versioned`] for a struct of the ABI. The list must contain all fields; otherwise,
/// the pattern below does not compile. The struct must meet the requirements of the trait, which a
/// comment at each use confirms.
macro_rules! versioned {
    ($name:ident { $first:ident $(, $field:ident)* $(,)? } $(first_size = $size:expr)?) => {
        // SAFETY: the comment at the use of the macro states why this holds.
        unsafe impl $crate::ffi::pointers::Versioned for $name {
            $(const FIRST_SIZE: usize = $size;)?
            const FIELD_ENDS: &'static [usize] = {
                const fn field_size<T>(_: fn(&$name) -> &T) -> usize {
                    size_of::<T>()
                }
                &[
                    field_size(|value| &value.$first),
                    $(std::mem::offset_of!($name, $field) + field_size(|value| &value.$field),)*
                ]
            };
        }

        const _: fn(&$name) -> &u32 = |value| {
            let $name { $first, $($field: _,)* } = value;
            $first
        };
    };
}
pub(super) use versioned;

/// Checks the caller's struct and returns the number of bytes to read or write. The size that the
/// caller has set must be at least the size in the first version, and must not end in the middle of
/// a field. All bytes beyond the struct of this version must be zero.
fn check_size<T: Versioned>(pointer: *const T) -> Result<usize, Status> {
    if pointer.is_null() {
        return Err(Status::NullArgument);
    }
    if !pointer.is_aligned() {
        return Err(Status::InvalidArgument);
    }
    // SAFETY: the pointer is aligned and not NULL. The caller guarantees that it points to a struct
    // whose first field is a u32.
    let size = unsafe { *pointer.cast::<u32>() } as usize;
    let is_known = size >= size_of::<T>() || T::FIELD_ENDS.contains(&size);
    if !is_known || !(T::FIRST_SIZE..=1 << 16).contains(&size) {
        return Err(Status::StructSize);
    }
    // SAFETY: the caller guarantees that the struct has the size that its first field specifies.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) };
    let unknown = bytes.get(size_of::<T>()..).unwrap_or_default();
    let is_zero = unknown.iter().all(|&byte| byte == 0);
    if is_zero { Ok(size.min(size_of::<T>())) } else { Err(Status::StructSize) }
}

/// Reads the caller's struct. Fields that the caller's version does not contain are zero.
pub(super) fn read_struct<T: Versioned>(pointer: *const T) -> Result<T, Status> {
    let size = check_size(pointer)?;
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `check_size` ensures that `size` bytes are readable and fit into T. T is Versioned,
    // so the bytes form a valid value.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), size);
        Ok(value.assume_init())
    }
}

/// Writes a value to the caller's struct, except the size and the fields that the caller's version
/// does not contain.
pub(super) fn write_struct<T: Versioned>(pointer: *mut T, value: T) -> Result<(), Status> {
    let size = check_size(pointer)?;
    let (to, from) = (pointer.cast::<u8>(), (&raw const value).cast::<u8>());
    let skip = size_of::<u32>();
    // SAFETY: `check_size` ensures that `size` is at most the size of T. The caller guarantees that
    // these bytes are writable and that no other thread uses them during the call.
    unsafe { std::ptr::copy_nonoverlapping(from.add(skip), to.add(skip), size - skip) };
    Ok(())
}

/// Returns the object to which a handle points.
pub(super) fn get_handle<'a, T>(pointer: *const T) -> Result<&'a T, Status> {
    if !pointer.is_aligned() {
        return Err(Status::InvalidArgument);
    }
    // SAFETY: the pointer is aligned. For NULL, `as_ref` returns `None`. The caller guarantees that
    // the handle has not been destroyed.
    unsafe { pointer.as_ref() }.ok_or(Status::NullArgument)
}

/// Returns a reference to the memory that the caller provides for an output value.
pub(super) fn get_place<'a, T>(pointer: *mut T) -> Result<&'a mut T, Status> {
    if !pointer.is_aligned() {
        return Err(Status::InvalidArgument);
    }
    // SAFETY: the pointer is aligned. For NULL, `as_mut` returns `None`. The caller guarantees that
    // the pointer refers to writable memory for one value.
    unsafe { pointer.as_mut() }.ok_or(Status::NullArgument)
}

/// Reads the caller's array of at most `max` entries. A NULL pointer with a `count` of 0 is read as
/// an empty array.
pub(super) fn read_array<'a, T>(
    pointer: *const T,
    count: u32,
    max: u32,
    name: &str,
) -> Result<&'a [T]> {
    if count > max {
        let message = format!("the number of {name} must be 0 to {max}, got {count}");
        return Err(Error::new(Status::InvalidArgument, message));
    }
    match (pointer.is_null(), count) {
        (true, 0) => Ok(&[]),
        (true, _) => Err(null_error(name)),
        (false, _) if !pointer.is_aligned() => Err(alignment_error(name)),
        // SAFETY: the pointer is aligned and not NULL. The caller guarantees that it points to
        // `count` values.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(pointer, count as usize) }),
    }
}

/// Returns the caller's string, or `None` for NULL.
fn read_bytes<'a>(pointer: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the pointer is not NULL. The caller guarantees that it points to a NUL-terminated
    // string.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
}

fn check_utf8<'a>(text: &'a CStr, name: &str) -> Result<&'a str> {
    text.to_str().map_err(|_| {
        Error::new(Status::InvalidArgument, format!("{name} must be valid UTF-8, got {text:?}"))
    })
}

/// Reads the caller's string. Returns an error for NULL.
pub(super) fn read_required_text(pointer: *const c_char, name: &str) -> Result<String> {
    let text = read_bytes(pointer).ok_or_else(|| null_error(name))?;
    check_utf8(text, name).map(String::from)
}

/// Reads the caller's path. Returns `None` for NULL. On Unix, a path may contain any bytes except
/// NUL; on other systems, it must be valid UTF-8.
pub(super) fn read_path(pointer: *const c_char, name: &str) -> Result<Option<PathBuf>> {
    read_bytes(pointer).map(|path| decode_path(path, name)).transpose()
}

#[cfg(unix)]
fn decode_path(path: &CStr, _: &str) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes())))
}

#[cfg(not(unix))]
fn decode_path(path: &CStr, name: &str) -> Result<PathBuf> {
    check_utf8(path, name).map(PathBuf::from)
}

/// Reads the caller's path. Returns an error for NULL.
pub(super) fn read_required_path(pointer: *const c_char, name: &str) -> Result<PathBuf> {
    read_path(pointer, name)?.ok_or_else(|| null_error(name))
}

/// Returns the error for an argument that is NULL.
pub(super) fn null_error(name: &str) -> Error {
    Error::new(Status::NullArgument, format!("{name} must not be NULL"))
}

fn alignment_error(name: &str) -> Error {
    let message = format!("{name} must have the alignment of its type");
    Error::new(Status::InvalidArgument, message)
}

/// Returns a function that converts a status to an error that names the argument.
pub(super) fn argument_error(name: &'static str) -> impl Fn(Status) -> Error {
    move |status| match status {
        Status::NullArgument => null_error(name),
        Status::InvalidArgument => alignment_error(name),
        Status::StructSize => {
            let message = format!(
                "{name}.struct_size must end at the end of a field, and bytes that this library \
                 does not know must be 0; initialize {name} with its macro TTV_..._INIT"
            );
            Error::new(status, message)
        }
        status => Error::new(status, name),
    }
}

/// Copies a string to a fixed-size array. The copy is truncated if necessary, and always
/// NUL-terminated.
pub(super) fn copy_text(target: &mut [c_char], source: &str) {
    let capacity = target.len().saturating_sub(1);
    let mut len = source.len().min(capacity);
    while !source.is_char_boundary(len) {
        len -= 1;
    }
    target.fill(0);
    for (to, from) in target.iter_mut().zip(source.bytes().take(len)) {
        *to = from as c_char;
    }
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
    // The struct is `repr(C)`, begins with its size, and contains only numbers.
    versioned!(Sized { struct_size, value });

    #[test]
    fn small_structs_and_unknown_bytes_are_refused() {
        let read = |words: [u32; 4]| read_struct(words.as_ptr().cast::<Sized>()).map(|s| s.value);
        assert_eq!(read([4, 0, 0, 0]), Err(Status::StructSize));
        assert_eq!(read([16, 7, 0, 0]), Ok(7));
        assert_eq!(read([16, 7, 0, 1]), Err(Status::StructSize));
        assert_eq!(
            super::read_struct(std::ptr::null::<Sized>()).map(|s| s.value),
            Err(Status::NullArgument)
        );
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Grown {
        struct_size: u32,
        value: u32,
        added: u32,
        pair: [u32; 2],
    }
    // The struct is `repr(C)`, begins with its size, and contains only numbers.
    versioned!(Grown { struct_size, value, added, pair } first_size = 8);

    #[test]
    fn older_structs_are_read_with_zeros_and_not_overrun() {
        let read = |words: [u32; 5]| {
            super::read_struct(words.as_ptr().cast::<Grown>()).map(|s| (s.value, s.added, s.pair))
        };
        assert_eq!(read([8, 7, 1, 2, 3]), Ok((7, 0, [0, 0])));
        assert_eq!(read([12, 7, 1, 2, 3]), Ok((7, 1, [0, 0])));
        assert_eq!(read([20, 7, 1, 2, 3]), Ok((7, 1, [2, 3])));
        for (size, expected) in
            [(8, [8, 5, 1, 1, 1]), (12, [12, 5, 6, 1, 1]), (20, [20, 5, 6, 7, 8])]
        {
            let mut words = [size, 1, 1, 1, 1];
            let value = Grown { struct_size: 99, value: 5, added: 6, pair: [7, 8] };
            write_struct(words.as_mut_ptr().cast::<Grown>(), value).unwrap();
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn a_size_in_the_middle_of_a_field_is_refused() {
        assert_eq!(Grown::FIELD_ENDS, [4, 8, 12, 20]);
        for size in 0..20 {
            let words = [size, 7, 1, 2, 3];
            let read = super::read_struct(words.as_ptr().cast::<Grown>());
            assert_eq!(read.is_ok(), [8, 12].contains(&size), "{size}");
        }
    }

    #[test]
    fn misaligned_pointers_are_refused() {
        let words = [16u64, 0, 0];
        let odd = words.as_ptr().cast::<u8>().wrapping_add(1);
        let invalid = Some(Status::InvalidArgument);
        assert_eq!(read_struct(odd.cast::<Sized>()).err(), invalid);
        assert_eq!(get_handle(odd.cast::<u64>()).err(), invalid);
        assert_eq!(get_place(odd.cast_mut().cast::<u64>()).err(), invalid);
        let error = read_array(odd.cast::<u64>(), 1, 2, "options").unwrap_err();
        assert_eq!(Some(error.status()), invalid);
        assert!(error.message().contains("options must have the alignment"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_may_contain_any_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let path = read_required_path(c"/tmp/\xff".as_ptr(), "path").unwrap();
        assert_eq!(path.as_os_str().as_bytes(), b"/tmp/\xff");
        assert_eq!(read_path(std::ptr::null(), "path"), Ok(None));
        let error = read_required_text(c"\xff".as_ptr(), "an entry of providers").unwrap_err();
        assert!(error.message().contains("must be valid UTF-8"), "{error}");
    }
}
