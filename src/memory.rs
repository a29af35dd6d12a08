//! Allocations that may fail without ending the process.
//!
//! Every allocation whose size depends on a package, on settings or on frames uses the functions of
//! this module. Other allocations are small. In the installed C library, the reserve serves them if
//! the system has no memory left; see `sys::reserve`.

mod available;
#[cfg(feature = "rten")]
pub(crate) mod step;

use crate::error::{Error, Result, Status};
use crate::sys::reserve;
use available::read_available_bytes;

/// Part of the available memory that a call may take, in percent. The rest remains for the host and
/// for the memory that the library does not count.
const USABLE_PERCENT: usize = 90;

/// Returns the error for an allocation of `bytes` bytes for `purpose`.
pub(crate) fn out_of_memory(purpose: &str, bytes: usize) -> Error {
    let message = format!("{purpose} cannot be allocated: the system refuses {bytes} bytes");
    Error::new(Status::OutOfMemory, message)
}

/// Allocates an empty vector for `count` values.
///
/// # Errors
/// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
pub(crate) fn reserve_values<T>(count: usize, purpose: &str) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values
        .try_reserve_exact(count)
        .map_err(|_| out_of_memory(purpose, count.saturating_mul(size_of::<T>())))?;
    Ok(values)
}

/// Allocates a vector of `count` values that are all `value`.
///
/// # Errors
/// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
pub(crate) fn fill_values<T: Clone>(count: usize, value: T, purpose: &str) -> Result<Vec<T>> {
    let mut values = reserve_values(count, purpose)?;
    values.resize(count, value);
    Ok(values)
}

/// Copies values to a new vector.
///
/// # Errors
/// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
pub(crate) fn copy_values<T: Copy>(values: &[T], purpose: &str) -> Result<Vec<T>> {
    let mut copy = reserve_values(values.len(), purpose)?;
    copy.extend_from_slice(values);
    Ok(copy)
}

/// Appends a value to a vector.
///
/// # Errors
/// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
pub(crate) fn push_value<T>(values: &mut Vec<T>, value: T, purpose: &str) -> Result<()> {
    let bytes = values.len().saturating_add(1).saturating_mul(size_of::<T>());
    values.try_reserve(1).map_err(|_| out_of_memory(purpose, bytes))?;
    values.push(value);
    Ok(())
}

/// Checks that the system has `bytes` bytes before a call that uses them, because some code that
/// the library calls ends the process if an allocation fails, and because Linux gives a process
/// more memory than it has and ends the process when the memory is used.
///
/// At most 90 % of the memory that is available according to `/proc/meminfo` and to the limits of
/// the control groups may be used. Another thread or process may still take the memory between this
/// check and its use.
///
/// # Errors
/// Returns [`Status::OutOfMemory`] if the memory is not available.
pub(crate) fn check_budget(purpose: &str, bytes: usize) -> Result<()> {
    if let Some(available) = read_available_bytes()
        && bytes > available / 100 * USABLE_PERCENT
    {
        let message = format!(
            "{purpose} needs {bytes} bytes, which is more than {USABLE_PERCENT} % of the \
             {available} bytes that are available"
        );
        return Err(Error::new(Status::OutOfMemory, message));
    }
    if reserve::can_map(bytes) { Ok(()) } else { Err(out_of_memory(purpose, bytes)) }
}

/// A watch over the reserve during a call that keeps memory.
#[cfg(feature = "capi")]
pub(crate) struct ReserveWatch(u64);

#[cfg(feature = "capi")]
impl ReserveWatch {
    /// Starts to watch. The first calls of a host start a watch, so this function also prepares the
    /// reserve.
    pub(crate) fn new() -> Self {
        reserve::keep_library();
        Self(reserve::count_uses())
    }

    /// Checks that the reserve was not used since [`Self::new`].
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if it was used. The caller must then free what it has
    /// allocated.
    pub(crate) fn check(&self) -> Result<()> {
        if reserve::count_uses() == self.0 {
            return Ok(());
        }
        let message = "an allocation failed during the call";
        Err(Error::new(Status::OutOfMemory, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_beyond_the_address_space_is_out_of_memory() {
        let error = fill_values(usize::MAX / 8, 0u64, "a history").unwrap_err();
        assert_eq!(error.status(), Status::OutOfMemory);
        assert!(error.message().contains("a history cannot be allocated"), "{error}");
        let error = check_budget("a ring", 1 << 60).unwrap_err();
        assert_eq!(error.status(), Status::OutOfMemory);
        assert!(error.message().contains("a ring needs 1152921504606846976 bytes"), "{error}");
    }

    #[test]
    fn values_are_filled_and_copied() {
        assert_eq!(fill_values(3, 7, "values").unwrap(), [7, 7, 7]);
        assert_eq!(copy_values(&[1, 2], "values").unwrap(), [1, 2]);
        check_budget("a page", 4096).unwrap();
    }
}
