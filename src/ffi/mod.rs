//! The C ABI: the only place with `extern "C"`. The header `include/tteview/tteview.h` is generated from here; all but
//! `onnxruntime` and `gpu`, which look at libraries of others.
//!
//! Every call checks its pointers and structs, stops panics, and turns errors into a status; control calls leave the
//! cause in words for `ttv_last_error` on the calling thread.
#![allow(unsafe_code)]

pub mod border;
#[cfg(feature = "cxx")]
#[allow(missing_docs)]
pub mod cxx_bridge;
pub mod engine;
mod event;
pub mod frame;
pub mod gpu;
pub mod host;
pub mod label;
mod memory;
#[cfg(feature = "ort")]
pub(crate) mod onnxruntime;
pub mod result;
pub mod status;
pub mod stream;
