//! The wrappers `control`, `drive`, `real_time` and `observe`, in which all calls of the C ABI run.
//! They catch panics. `control` also keeps the error message for `ttv_last_error`.
//!
//! `control` and `drive` compute in the default floating-point environment, and then restore the
//! host's. `real_time` calls run in the host's environment and compute only with integers.

use super::cancellation::CancellationGuard;
use super::panics::{Context, describe_panic, enter};
use super::types::ttv_status;
use crate::error::{Result, Status};
use crate::fixed_text::FixedText;
use crate::sys::fp_environment::DefaultEnvironment;
use std::cell::RefCell;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Maximum length of an error message in bytes.
pub(super) const MAX_MESSAGE_BYTES: usize = 2047;

/// Text at the end of a message that was truncated.
const ELLIPSIS: &str = "...";

/// An error message. It has a fixed size and no destructor, so that it needs no memory and can be
/// used even in the destructors of thread-local and static objects of the host.
type Message = FixedText<MAX_MESSAGE_BYTES>;

thread_local! {
    static LAST_ERROR: RefCell<Message> = const { RefCell::new(Message::new()) };
}

fn keep_error(text: fmt::Arguments<'_>) {
    LAST_ERROR.with_borrow_mut(|last| {
        last.clear();
        if last.write_fmt(text).is_err() {
            last.end_with(ELLIPSIS);
        }
    });
}

/// Runs a control call, and keeps the error message if the call fails. The thread cannot be
/// cancelled during the call.
pub(super) fn control(call: impl FnOnce() -> Result<Status>) -> ttv_status {
    let _environment = DefaultEnvironment::enter();
    let _cancellation = CancellationGuard::new();
    let _context = enter(Context::Library);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        call().unwrap_or_else(|error| {
            keep_error(format_args!("{error}"));
            error.status()
        })
    }));
    let status = outcome.unwrap_or_else(|payload| {
        let cause = describe_panic(payload.as_ref());
        let status = Status::Internal;
        keep_error(format_args!("{status}: a panic was caught at the C interface: {cause}"));
        status
    });
    status.code()
}

/// Runs a call that processes frames on a thread of the host. Its errors have no message. The
/// thread cannot be cancelled during the call.
pub(super) fn drive(call: impl FnOnce() -> Result<(), Status>) -> ttv_status {
    let _environment = DefaultEnvironment::enter();
    let _cancellation = CancellationGuard::new();
    let _context = enter(Context::Library);
    catch(call)
}

/// Runs a real-time call, whose errors have no message. A real-time call contains no cancellation
/// point, so cancellation stays as it is. To save time, the call also leaves the context as it is.
pub(super) fn real_time(call: impl FnOnce() -> Result<(), Status>) -> ttv_status {
    catch(call)
}

fn catch(call: impl FnOnce() -> Result<(), Status>) -> ttv_status {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => Status::Ok.code(),
        Ok(Err(status)) => status.code(),
        Err(_) => Status::Internal.code(),
    }
}

/// Runs a call that returns a value and has no status. Returns `after_panic` if the call panics.
pub(super) fn observe<R>(after_panic: R, call: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(after_panic)
}

/// Calls `read` with the message of the last control call that failed on this thread.
pub(super) fn with_last_error<R>(read: impl FnOnce(&str) -> R) -> R {
    LAST_ERROR.with_borrow(|last| read(last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_panic_becomes_a_status_and_a_message() {
        let internal = Status::Internal.code();
        assert_eq!(control(|| panic!("on purpose, {}", 7)), internal);
        with_last_error(|text| assert!(text.ends_with("C interface: on purpose, 7"), "{text}"));
        assert_eq!(real_time(|| panic!("on purpose")), internal);
        assert_eq!(drive(|| panic!("on purpose")), internal);
        assert_eq!(observe(5, || panic!("on purpose")), 5);
    }

    #[test]
    fn a_long_message_is_truncated_between_characters() {
        for shift in 0..4 {
            let text = "x".repeat(shift) + &"\u{e9}".repeat(MAX_MESSAGE_BYTES);
            let error = Error::new(Status::System, text);
            assert_eq!(control(|| Err(error)), Status::System.code());
            with_last_error(|text| {
                assert!(text.len() > MAX_MESSAGE_BYTES - 3 && text.len() <= MAX_MESSAGE_BYTES);
                assert!(text.ends_with("\u{e9}..."), "{text}");
            });
        }
        let error = Error::new(Status::System, "short");
        assert_eq!(control(|| Err(error)), Status::System.code());
        with_last_error(|text| assert_eq!(text, "a system call failed: short"));
    }

    #[test]
    fn the_message_has_no_destructor() {
        assert!(!std::mem::needs_drop::<RefCell<Message>>());
    }
}
