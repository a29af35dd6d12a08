//! The host's account of its acquisitions, and what it expects of the statuses.

use std::ffi::c_void;
use std::mem::zeroed;
use std::sync::{Mutex, PoisonError};
use tteview::Status;
use tteview::ffi::result::ttv_result;

/// The flag of final results.
pub(super) const FINAL: u32 = tteview::ResultFlags::FINAL.bits();

/// Statuses for a frame that is not valid.
pub(super) const INVALID_FRAME: [Status; 7] = [
    Status::NullArgument,
    Status::UnknownFlags,
    Status::InvalidArgument,
    Status::UnsupportedFormat,
    Status::FrameGeometry,
    Status::FrameStride,
    Status::FrameTooLarge,
];

/// Returns a struct of the ABI whose fields are zero except its size.
pub(super) fn init<T: Copy>() -> T {
    // SAFETY: only structs of the ABI are created. They contain numbers, pointers and optional
    // function pointers, for which zero is valid, and begin with their size.
    unsafe {
        let mut value: T = zeroed();
        (&raw mut value).cast::<u32>().write(size_of::<T>() as u32);
        value
    }
}

/// Checks that a status is success or one of `others`.
#[track_caller]
pub(super) fn ok_or(status: i32, others: &[Status]) {
    let is_documented = status == 0 || others.iter().any(|other| other.code() == status);
    assert!(is_documented, "the call returned {:?}", Status::from_code(status));
}

/// The account of an acquisition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) acquisition: u64,
    pub(super) accepted: u64,
    pub(super) dropped: u64,
}

/// The final results that the callback received.
#[derive(Default)]
pub(super) struct Finals(pub(super) Mutex<Vec<(i32, Account)>>);

/// Records a final result. `user` points to [`Finals`].
pub(super) unsafe extern "C" fn record_final(user: *mut c_void, result: *const ttv_result) {
    // SAFETY: `user` points to the finals of the host, which live longer than the stream, and the
    // library passes a valid result.
    let (finals, result) = unsafe { (&*user.cast::<Finals>(), &*result) };
    if result.flags & FINAL != 0 {
        let account = Account {
            acquisition: result.acquisition,
            accepted: result.frames_used,
            dropped: result.frames_dropped,
        };
        finals.0.lock().unwrap_or_else(PoisonError::into_inner).push((result.status, account));
    }
}
