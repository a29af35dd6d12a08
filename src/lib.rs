//! Labels the view of a transthoracic echo cine inside the ultrasound scanner, while it is acquired.
//!
//! ```text
//! scanner thread                worker thread                                          any thread
//! push(frame) -> [ring slot] -> preprocess -> sample grid -> chunk -> step(+state) -> [mailbox] -> poll / wait
//! ```
//!
//! One direction, no way back. An [`Engine`] is one model on one provider; a [`Stream`] is one probe's loop of
//! begin, push, end. The C ABI over them is in `include/tteview/tteview.h`.
//!
//! | module | what |
//! | --- | --- |
//! | [`frame`] | a frame of the host, checked once |
//! | `ring` | wait-free ring of preallocated frame slots |
//! | `pixels` | memory of one frame in the ring |
//! | `preprocess` | frame to normalised sample |
//! | `sampling` | timestamps to the sample grid |
//! | [`model`] | model package, checked |
//! | `backend` | what runs the network |
//! | `options` | options of the providers, checked |
//! | `engine_cache` | engines that a provider built, kept on disk |
//! | `classifier` | samples to a posterior: stream and window |
//! | `history` | what the network said and when |
//! | `samples`, `exact` | kept samples, and queries that run them again |
//! | `turn` | whose turn it is to run the network |
//! | `worker` | drives a frame through all of it |
//! | [`result`], `mailbox` | results, and where they are read from |
//! | [`stream`] | the acquisition thread's end, and the readers |
//! | [`ffi`] | the C ABI |
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::exit,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

#[cfg(test)]
mod allocation_tests;
mod backend;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench_api;
mod classifier;
mod clock;
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
#[path = "../tests/counting/mod.rs"]
mod counting;
pub mod engine;
#[cfg(feature = "ort")]
mod engine_cache;
pub mod error;
mod exact;
pub mod ffi;
pub mod frame;
mod history;
mod mailbox;
pub mod model;
mod options;
#[cfg(test)]
mod overload_tests;
#[cfg(test)]
mod pause_tests;
mod pixels;
mod preprocess;
#[cfg(test)]
mod query_tests;
pub mod result;
mod ring;
#[cfg(test)]
mod rule_tests;
mod samples;
mod sampling;
pub mod stream;
#[cfg(test)]
mod test_network;
mod turn;
mod worker;

pub use classifier::{EarlyStop, ViewChange};
pub use engine::{Engine, EngineConfig, EngineOrigin, Progress, RuntimeReport, Stage};
#[cfg(feature = "ort")]
pub use engine_cache::{CachedEngine, cached_engines};
pub use error::{Error, Result, Status};
pub use ffi::gpu::GpuStream;
pub use result::ViewResult;
pub use sampling::PartialChunk;
pub use stream::{Drive, Hooks, Reader, Stream, StreamConfig, StreamStats};
