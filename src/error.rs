//! Statuses and errors.

use crate::abi::abi_enum;
use std::ffi::CStr;
use std::fmt;
use std::ops::RangeInclusive;

abi_enum! {
    /// Outcome of a call: 0 means success, a positive number is an outcome of normal operation, and
    /// a negative number is an error.
    ///
    /// From version 1.0 of the ABI on, numbers never change and are never reused.
    pub enum Status: i32 {
        /// The call succeeded.
        Ok = 0,

        /// No result has been published yet, or nothing is waiting to be processed.
        NotReady = 1,
        /// The ring was full. A new frame was dropped and counted, or, if the call was to begin an
        /// acquisition, the acquisition has not begun and nothing was counted.
        RingFull = 2,
        /// The new frame was not later than the previous accepted frame, so it was refused and
        /// counted. After a step of the host's clock, the library accepts the fifth frame in a row
        /// whose times agree with one another.
        FrameRefused = 3,
        /// The timeout expired.
        TimedOut = 4,
        /// The result of a query covers only a part of the interval.
        Partial = 5,
        /// The interval of a query contains no output (for an exact query, no sample), or the
        /// results of later acquisitions have replaced the requested final result.
        Empty = 6,

        /// A pointer that must not be NULL is NULL.
        NullArgument = -1,
        /// `struct_size` is smaller than in the first version of the struct, or a field that this
        /// library does not know is not zero.
        StructSize = -2,
        /// A flag is unknown, or a reserved field is not zero.
        UnknownFlags = -3,
        /// A value is outside its range.
        InvalidArgument = -4,
        /// The call is not allowed in this state, for example a push before begin.
        WrongState = -5,
        /// Another thread is in a call that only one thread at a time may make, or a callback makes
        /// a call that is not allowed there.
        WrongThread = -6,
        /// The pixel format is unknown.
        UnsupportedFormat = -7,
        /// The width, the height, the region of interest or the pixel size of a frame is out of
        /// range.
        FrameGeometry = -8,
        /// The stride of a plane is smaller than a row, or does not match the packed rows of a
        /// slot.
        FrameStride = -9,
        /// The frame is larger than the stream allows.
        FrameTooLarge = -10,
        /// This build, this provider or this stream does not support the feature.
        Unsupported = -11,
        /// The host was compiled for another version of the ABI.
        AbiVersion = -12,

        /// The model package cannot be read.
        ModelUnreadable = -20,
        /// The model package is not valid. It is truncated or altered, a metadata key is missing or
        /// malformed, the graph is malformed, or a number or size exceeds its limit.
        ModelInvalid = -21,
        /// The SHA-256 of the model package is not the one that the host expects.
        ModelHash = -22,
        /// The graph does not match the metadata of the package, or metadata values contradict each
        /// other.
        ModelMismatch = -23,
        /// The self-test of the package gave wrong numbers. The engine gives no labels until a
        /// later self-test succeeds.
        SelfTest = -24,

        /// The shared library of the runtime cannot be loaded.
        RuntimeMissing = -30,
        /// The shared library of the runtime is older than the oldest supported version.
        RuntimeTooOld = -31,
        /// The provider cannot run on this machine.
        ProviderUnavailable = -32,
        /// The runtime failed during inference, or it gave values that are not finite.
        Inference = -33,
        /// The engine cache cannot be read or written.
        EngineCache = -34,
        /// The file is not an engine file, or it is damaged.
        EngineFile = -35,
        /// The engine file was built for another model, GPU, software version or set of options.
        EngineMismatch = -36,

        /// An allocation failed, or a requested size is too large.
        OutOfMemory = -40,
        /// The stream cannot be used, because of an earlier panic inside the library, or because
        /// this process inherited the stream with fork. Destroy the stream.
        Poisoned = -41,
        /// An internal error, which is a bug in tteview.
        Internal = -42,
        /// The host cancelled the call, or closed the stream during the call.
        Cancelled = -43,
        /// A system call failed, for example the start of a thread.
        System = -44,
    }
}

/// Defines the descriptions of all statuses, with the terminating NUL that C needs.
macro_rules! status_texts {
    ($($name:ident => $text:literal,)+) => {
        impl Status {
            /// Returns a short description in lower case as a C string.
            pub(crate) fn c_text(self) -> &'static CStr {
                let bytes = match self { $(Self::$name => concat!($text, "\0"),)+ }.as_bytes();
                CStr::from_bytes_with_nul(bytes).unwrap_or_default()
            }
        }
    };
}

status_texts! {
    Ok => "success",
    NotReady => "not ready yet",
    RingFull => "the ring is full; the frame was dropped, or the acquisition has not begun",
    FrameRefused => "the frame is not later than the previous frame",
    TimedOut => "timed out",
    Partial => "the result covers only a part of the interval",
    Empty => "the interval contains no whole chunk or window, or the result has been replaced",
    NullArgument => "a required pointer is NULL",
    StructSize => "struct_size is not valid, or a field that this library does not know is not 0",
    UnknownFlags => "an unknown flag is set, or a reserved field is not zero",
    InvalidArgument => "invalid argument",
    WrongState => "the call is not allowed in this state, such as a push before the begin",
    WrongThread => "another thread is in a call that only one thread at a time may make",
    UnsupportedFormat => "unknown pixel format",
    FrameGeometry => "the size, region of interest or pixel size of the frame is out of range",
    FrameStride => "a stride does not fit the rows of its plane",
    FrameTooLarge => "the frame is larger than the stream allows",
    Unsupported => "not supported",
    AbiVersion => "the host was compiled for another version of the ABI",
    ModelUnreadable => "the model package cannot be read",
    ModelInvalid => "the model package is not valid",
    ModelHash => "the SHA-256 of the model package is not the expected one",
    ModelMismatch => "the graph and the metadata of the package do not match",
    SelfTest => "the self-test of the model package failed",
    RuntimeMissing => "the runtime library cannot be loaded",
    RuntimeTooOld => "the runtime library is too old",
    ProviderUnavailable => "the provider cannot run on this machine",
    Inference => "inference failed",
    EngineCache => "the engine cache cannot be used",
    EngineFile => "the engine file is damaged or is not an engine file",
    EngineMismatch => "the engine was built for another model, GPU, software or set of options",
    OutOfMemory => "out of memory",
    Poisoned => "an earlier internal error or a fork made the stream unusable; destroy it",
    Internal => "internal error",
    Cancelled => "cancelled by the host",
    System => "a system call failed",
}

impl Status {
    /// Returns a short description in lower case.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.c_text().to_str().unwrap_or_default()
    }

    /// Returns whether the status is an error, which means that its number is negative.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.code() < 0
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Status {}

/// An error: a status and usually a message that names the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: Status,
    message: String,
}

/// Result of a call into this crate. Real-time calls return `Result<T, Status>`, because an
/// [`Error`] allocates.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates an error with a message.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns the message, which is empty if the error was created from a status alone.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return write!(f, "{}", self.status);
        }
        write!(f, "{}: {}", self.status, self.message)
    }
}

impl std::error::Error for Error {}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self { status, message: String::new() }
    }
}

/// Checks a setting against its range.
///
/// # Errors
/// Returns [`Status::InvalidArgument`] if the value is out of range.
pub(crate) fn check_range<T: PartialOrd + fmt::Display>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (smallest, largest) = (range.start(), range.end());
    let message = format!("{name} must be {smallest} to {largest}, got {value}");
    Err(Error::new(Status::InvalidArgument, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_unique_number_and_text() {
        let mut texts = std::collections::HashSet::new();
        for &status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(status));
            assert!(!status.text().is_empty());
            assert!(texts.insert(status.text()), "{status:?} repeats a text");
        }
        assert_eq!(Status::from_code(99), None);
    }

    #[test]
    fn error_without_message_shows_its_status_only() {
        assert_eq!(Error::from(Status::TimedOut).to_string(), "timed out");
        let error = Error::new(Status::InvalidArgument, "ring_slots must be 2 to 1024, got 1");
        assert_eq!(error.to_string(), "invalid argument: ring_slots must be 2 to 1024, got 1");
    }
}
