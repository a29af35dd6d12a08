//! The wrappers `control` and `real_time`, in which the calls of the C ABI run. Both catch panics,
//! and `control` keeps the error message for `ttv_last_error`.

use super::types::ttv_status;
use crate::error::{Error, Result, Status};
use crate::fixed_text::FixedText;
use std::cell::RefCell;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Maximum length of a message in bytes. A longer message is truncated.
const MAX_MESSAGE_BYTES: usize = 4096;

thread_local! {
    // The text has a fixed size, because storing it must succeed when no memory is left.
    static LAST_ERROR: RefCell<FixedText<MAX_MESSAGE_BYTES>> =
        const { RefCell::new(FixedText::new()) };
}

/// Runs a control call, and keeps the error message if the call fails.
pub(super) fn control(call: impl FnOnce() -> Result<Status>) -> ttv_status {
    let outcome = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        Err(Error::new(Status::Internal, "a panic was caught at the C interface"))
    });
    outcome
        .unwrap_or_else(|error| {
            LAST_ERROR.with_borrow_mut(|last| {
                last.clear();
                // The only error is that the text was truncated.
                let _ = write!(last, "{error}");
            });
            error.status()
        })
        .code()
}

/// Runs a real-time call, whose errors have no message.
pub(super) fn real_time(call: impl FnOnce() -> Result<(), Status>) -> ttv_status {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => Status::Ok.code(),
        Ok(Err(status)) => status.code(),
        Err(_) => Status::Internal.code(),
    }
}

/// Calls `read` with the message of the last control call that failed on this thread.
pub(super) fn with_last_error<R>(read: impl FnOnce(&str) -> R) -> R {
    LAST_ERROR.with_borrow(|last| read(last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(control(|| panic!("on purpose")), Status::Internal.code());
        assert_eq!(real_time(|| panic!("on purpose")), Status::Internal.code());
    }
}
