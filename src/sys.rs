//! Calls into the operating system and into libraries that are loaded at run time.
//!
//! This module does not depend on frames, models or streams. Apart from the C interface and the
//! ring, this is the only module that may use `unsafe`.
#![allow(unsafe_code)]

#[cfg(feature = "capi")]
pub(crate) mod event;
pub(crate) mod fork;
pub(crate) mod fp_environment;
pub(crate) mod futex;
pub(crate) mod gpu;
pub(crate) mod memory_lock;
#[cfg(feature = "ort")]
pub(crate) mod onnxruntime;
pub(crate) mod priority;
pub(crate) mod reserve;
pub(crate) mod thread;
