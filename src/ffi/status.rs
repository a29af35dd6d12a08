//! The statuses under the names that C knows. Numbers never move.

/// The call did what it says.
pub const TTV_OK: i32 = 0;
/// No result yet, or nothing to process.
pub const TTV_NOT_READY: i32 = 1;
/// The ring was full: the new frame was dropped and counted.
pub const TTV_RING_FULL: i32 = 2;
/// The frame's time was not later than the one before: refused and counted.
pub const TTV_FRAME_REFUSED: i32 = 3;
/// The time given to wait ran out.
pub const TTV_TIMED_OUT: i32 = 4;
/// A query covers only a part of the interval.
pub const TTV_PARTIAL: i32 = 5;
/// A query found no chunk in the interval.
pub const TTV_EMPTY: i32 = 6;
/// A pointer that must not be NULL was NULL.
pub const TTV_NULL_ARGUMENT: i32 = -1;
/// `struct_size` is smaller than the first version of the struct, or the unknown tail is not zero.
pub const TTV_STRUCT_SIZE: i32 = -2;
/// Unknown flags, or reserved fields that are not zero.
pub const TTV_UNKNOWN_FLAGS: i32 = -3;
/// A value outside its range.
pub const TTV_INVALID_ARGUMENT: i32 = -4;
/// The call does not fit the state: push before begin, end twice, begin while acquiring.
pub const TTV_WRONG_STATE: i32 = -5;
/// Two threads at once where one is allowed.
pub const TTV_WRONG_THREAD: i32 = -6;
/// Unknown pixel format or memory type.
pub const TTV_UNSUPPORTED_FORMAT: i32 = -7;
/// Width, height or region of interest out of range.
pub const TTV_FRAME_GEOMETRY: i32 = -8;
/// The stride is smaller than a row.
pub const TTV_FRAME_STRIDE: i32 = -9;
/// The frame is larger than the stream was created for.
pub const TTV_FRAME_TOO_LARGE: i32 = -10;
/// The library does not offer this (yet).
pub const TTV_UNSUPPORTED: i32 = -11;
/// The model file cannot be read.
pub const TTV_MODEL_UNREADABLE: i32 = -20;
/// The file is not a well-formed package: truncated, altered, a key missing or malformed.
pub const TTV_MODEL_INVALID: i32 = -21;
/// The file's SHA-256 is not the one that the host pinned.
pub const TTV_MODEL_HASH: i32 = -22;
/// Graph and metadata do not fit each other.
pub const TTV_MODEL_MISMATCH: i32 = -23;
/// The self-test of the package gave other numbers than it should.
pub const TTV_SELF_TEST: i32 = -24;
/// The runtime's shared library cannot be found or is not one.
pub const TTV_RUNTIME_MISSING: i32 = -30;
/// The runtime's library is older than the oldest version supported.
pub const TTV_RUNTIME_TOO_OLD: i32 = -31;
/// A provider that was asked for cannot run here.
pub const TTV_PROVIDER_UNAVAILABLE: i32 = -32;
/// The runtime failed while inferring.
pub const TTV_INFERENCE: i32 = -33;
/// The folder of built engines cannot be read or written.
pub const TTV_ENGINE_CACHE: i32 = -34;
/// An engine file is damaged, or is none.
pub const TTV_ENGINE_FILE: i32 = -35;
/// An engine was built for another model, runtime, device or options.
pub const TTV_ENGINE_MISMATCH: i32 = -36;
/// An allocation failed, or a size is more than can be allocated.
pub const TTV_OUT_OF_MEMORY: i32 = -40;
/// An earlier panic inside the library left the handle unusable: destroy it.
pub const TTV_POISONED: i32 = -41;
/// An internal error: a bug of tteview.
pub const TTV_INTERNAL: i32 = -42;
/// The host cancelled the call.
pub const TTV_CANCELLED: i32 = -43;
/// A system call failed: thread, memory lock, event descriptor.
pub const TTV_SYSTEM: i32 = -44;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    #[test]
    fn every_status_has_its_number_in_c() {
        let named = [
            (TTV_OK, Status::Ok),
            (TTV_NOT_READY, Status::NotReady),
            (TTV_RING_FULL, Status::RingFull),
            (TTV_FRAME_REFUSED, Status::FrameRefused),
            (TTV_TIMED_OUT, Status::TimedOut),
            (TTV_PARTIAL, Status::Partial),
            (TTV_EMPTY, Status::Empty),
            (TTV_NULL_ARGUMENT, Status::NullArgument),
            (TTV_STRUCT_SIZE, Status::StructSize),
            (TTV_UNKNOWN_FLAGS, Status::UnknownFlags),
            (TTV_INVALID_ARGUMENT, Status::InvalidArgument),
            (TTV_WRONG_STATE, Status::WrongState),
            (TTV_WRONG_THREAD, Status::WrongThread),
            (TTV_UNSUPPORTED_FORMAT, Status::UnsupportedFormat),
            (TTV_FRAME_GEOMETRY, Status::FrameGeometry),
            (TTV_FRAME_STRIDE, Status::FrameStride),
            (TTV_FRAME_TOO_LARGE, Status::FrameTooLarge),
            (TTV_UNSUPPORTED, Status::Unsupported),
            (TTV_MODEL_UNREADABLE, Status::ModelUnreadable),
            (TTV_MODEL_INVALID, Status::ModelInvalid),
            (TTV_MODEL_HASH, Status::ModelHash),
            (TTV_MODEL_MISMATCH, Status::ModelMismatch),
            (TTV_SELF_TEST, Status::SelfTest),
            (TTV_RUNTIME_MISSING, Status::RuntimeMissing),
            (TTV_RUNTIME_TOO_OLD, Status::RuntimeTooOld),
            (TTV_PROVIDER_UNAVAILABLE, Status::ProviderUnavailable),
            (TTV_INFERENCE, Status::Inference),
            (TTV_ENGINE_CACHE, Status::EngineCache),
            (TTV_ENGINE_FILE, Status::EngineFile),
            (TTV_ENGINE_MISMATCH, Status::EngineMismatch),
            (TTV_OUT_OF_MEMORY, Status::OutOfMemory),
            (TTV_POISONED, Status::Poisoned),
            (TTV_INTERNAL, Status::Internal),
            (TTV_CANCELLED, Status::Cancelled),
            (TTV_SYSTEM, Status::System),
        ];
        assert_eq!(named.len(), Status::ALL.len());
        for (number, status) in named {
            assert_eq!(number, status.code(), "{status:?}");
        }
    }
}
