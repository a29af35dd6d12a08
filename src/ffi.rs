//! The C ABI. No other module contains `extern "C"` functions.
//!
//! `cargo xtask header` generates `include/tteview/tteview.h` from the files of this module and
//! from the enumerations of the core, so the documentation here is written for C programmers. The
//! header is divided into sections. The comment at the top of a section's first file introduces the
//! section.
//!
//! Every function of the C ABI checks its pointers and structs, catches panics and converts errors
//! to statuses. No other module of the crate uses this one.
#![allow(unsafe_code)]
// The linker and the header generator need `pub` even in private modules. The requirements for
// pointers are the same for all functions, so the header states them only once.
#![allow(unreachable_pub, clippy::missing_safety_doc, missing_docs)]
// Rustdoc mistakes the `[out]` in Doxygen's `@param[out]` for a link.
#![allow(rustdoc::broken_intra_doc_links)]

pub mod acquisition;
mod call;
mod callback;
mod cancellation;
pub mod engine;
pub mod engine_config;
pub mod engine_info;
pub mod events;
pub mod frame;
pub mod label;
mod panics;
mod pointers;
pub mod poll;
pub mod query;
pub mod result;
pub mod runtime;
pub mod status;
pub mod stream;
pub mod stream_config;
#[cfg(test)]
mod tests;
pub mod types;
