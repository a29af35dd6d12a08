//! Statuses and errors: one list of numbers for Rust, C and C++.

use std::ffi::CStr;
use std::fmt;

/// Defines [`Status`] and its texts from one table, so that number, name and sentence cannot drift apart.
macro_rules! statuses {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal;)+) => {
        /// What a call came to: 0 is success, positive is flow (nothing is wrong), negative is an error.
        ///
        /// The numbers are part of the ABI and never move; a retired number is never used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Status {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Status {
            /// Every status there is, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// One static sentence without the closing stop.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The same, for C.
            pub(crate) fn c_text(self) -> &'static CStr {
                let bytes = match self { $(Self::$name => concat!($text, "\0"),)+ }.as_bytes();
                CStr::from_bytes_with_nul(bytes).unwrap_or_default()
            }

            /// The status with this number, if there is one.
            #[must_use]
            pub fn from_code(code: i32) -> Option<Self> {
                match code { $($number => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

statuses! {
    /// The call did what it says.
    Ok = 0, "ok";

    /// No result yet, or nothing to process.
    NotReady = 1, "not ready yet";
    /// The ring was full: the new frame was dropped and counted.
    RingFull = 2, "ring full, frame dropped";
    /// The frame's time was not later than the one before: refused and counted.
    FrameRefused = 3, "frame refused: its time is not later than the one before";
    /// The time given to wait ran out.
    TimedOut = 4, "timed out";
    /// A query covers only a part of the interval.
    Partial = 5, "only a part of the interval is covered";
    /// A query found no chunk in the interval.
    Empty = 6, "no chunk lies in the interval";

    /// A pointer that must not be NULL was NULL.
    NullArgument = -1, "a required pointer is NULL";
    /// `struct_size` is smaller than the first version of the struct, or the unknown tail is not zero.
    StructSize = -2, "struct_size does not fit";
    /// Unknown flags, or reserved fields that are not zero.
    UnknownFlags = -3, "unknown flags, or reserved bytes that are not zero";
    /// A value outside its range.
    InvalidArgument = -4, "invalid argument";
    /// The call does not fit the state: push before begin, end twice, begin while acquiring.
    WrongState = -5, "the call does not fit the state of the stream";
    /// Two threads at once where one is allowed.
    WrongThread = -6, "another thread is in a call that only one thread may make at a time";
    /// Unknown pixel format or memory type.
    UnsupportedFormat = -7, "unknown pixel format or memory type";
    /// Width, height or region of interest out of range.
    FrameGeometry = -8, "frame size or region of interest out of range";
    /// The stride is smaller than a row.
    FrameStride = -9, "stride smaller than a row";
    /// The frame is larger than the stream was created for.
    FrameTooLarge = -10, "frame larger than declared when the stream was created";
    /// The library does not offer this (yet).
    Unsupported = -11, "not supported";

    /// The model file cannot be read.
    ModelUnreadable = -20, "the model package cannot be read";
    /// The file is not a well-formed package: truncated, altered, a key missing or malformed.
    ModelInvalid = -21, "the model package is not valid";
    /// The file's SHA-256 is not the one that the host pinned.
    ModelHash = -22, "the model package is not the one pinned by its hash";
    /// Graph and metadata do not fit each other.
    ModelMismatch = -23, "the graph does not fit the package's metadata";
    /// The self-test of the package gave other numbers than it should.
    SelfTest = -24, "the self-test of the model package failed";

    /// The runtime's shared library cannot be found or is not one.
    RuntimeMissing = -30, "the runtime library cannot be loaded";
    /// The runtime's library is older than the oldest version supported.
    RuntimeTooOld = -31, "the runtime library is too old";
    /// A provider that was asked for cannot run here.
    ProviderUnavailable = -32, "the provider cannot run here";
    /// The runtime failed while inferring.
    Inference = -33, "inference failed";
    /// The folder of built engines cannot be read or written.
    EngineCache = -34, "the engine cache cannot be used";
    /// An engine file is damaged, or is none.
    EngineFile = -35, "the engine file is damaged or is none";
    /// An engine was built for another model, runtime, device or options.
    EngineMismatch = -36, "the engine was built for something else";

    /// An allocation failed, or a size is more than can be allocated.
    OutOfMemory = -40, "out of memory";
    /// An earlier panic inside the library left the handle unusable: destroy it.
    Poisoned = -41, "the handle is poisoned by an earlier internal error; destroy it";
    /// An internal error: a bug of tteview.
    Internal = -42, "internal error";
    /// The host cancelled the call.
    Cancelled = -43, "cancelled by the host";
    /// A system call failed: thread, memory lock, event descriptor.
    System = -44, "a system call failed";
}

impl Status {
    /// The number that C sees.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// True for negative numbers.
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

/// An error: a status and a sentence that names the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: Status,
    message: String,
}

/// The result of every fallible call in this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with its cause in words.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The status, as C sees it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The cause in words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.message)
    }
}

impl std::error::Error for Error {}

impl From<Status> for Error {
    /// For calls that must not allocate: the status alone.
    fn from(status: Status) -> Self {
        Self { status, message: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_status_and_says_something_of_its_own() {
        let mut texts = std::collections::HashSet::new();
        for &status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(status));
            assert_eq!(status.c_text().to_str(), Ok(status.text()));
            assert!(texts.insert(status.text()), "{status:?} repeats a text");
        }
        assert_eq!(Status::from_code(99), None);
    }
}
