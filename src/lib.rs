//! Labels the view of a transthoracic echo cine inside the ultrasound scanner, while the cine is
//! acquired.
//!
//! The acquisition thread pushes frames into a ring. A worker decides which frames become samples,
//! runs a SlowFast network on the samples chunk by chunk, and publishes the label. The label
//! becomes final one step after the last frame.
//!
//! ```text
//! acquisition thread        worker                                                any thread
//! Acquirer::push -> ring -> preprocess -> sampling -> classifier -> mailbox -> Reader::poll
//! ```
//!
//! An [`Engine`] runs one model on one provider. [`Stream::open`] opens a stream that uses the
//! engine, and returns two or three handles: an [`Acquirer`] for the acquisition thread, a
//! [`Reader`] for any thread and, if the host runs the network on its own thread, a [`Driver`].
//!
//! # Example
//!
//! The crate needs Rust 1.95 and a feature that runs networks, `rten` or `ort`:
//!
//! ```toml
//! [dependencies]
//! tteview = { git = "https://github.com/tteview/tteview", default-features = false, features = ["rten"] }
//! ```
//!
//! This program labels an acquisition of black frames with the demo model of the repository:
//!
//! ```
//! use std::path::Path;
//! use std::time::Duration;
//! use tteview::frame::{FrameView, Geometry, PixelFormat};
//! use tteview::{Engine, EngineConfig, ModelPackage, Status, Stream, StreamConfig};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     # if !cfg!(feature = "rten") { return Ok(()); }
//!     let package = ModelPackage::from_path(Path::new("models/demo.stream.onnx"), None)?;
//!     let engine = Engine::new(package, &EngineConfig::default())?;
//!     engine.prepare()?;
//!     let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &StreamConfig::default())?;
//!
//!     let geometry = Geometry::new(PixelFormat::Gray8, 640, 480)?;
//!     let pixels = vec![0; geometry.frame_bytes()];
//!     let acquisition = acquirer.begin()?;
//!     for frame in 0..60 {
//!         let time_ns = frame * 33_333_333;
//!         // A scanner does not wait. This loop waits, because it is faster than the network.
//!         while acquirer.free_slots() == 0 {
//!             std::thread::sleep(Duration::from_millis(1));
//!         }
//!         acquirer.push(&FrameView::new(geometry, &pixels)?.with_time_ns(time_ns))?;
//!     }
//!     acquirer.end()?;
//!
//!     let result = reader.wait(acquisition, Duration::from_secs(10), &mut [])?;
//!     if result.status != Status::Ok {
//!         return Err(result.status.into());
//!     }
//!     match result.label {
//!         Some(label) => println!("{}", engine.spec().labels[label as usize].code),
//!         None => println!("no label, confidence {}", result.confidence),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The provider `embedded` needs two patched crates to run the network on the calling thread. Cargo
//! applies patches only from the workspace of the host, so the host adds these lines to the
//! `Cargo.toml` of its workspace, with the same source as the dependency:
//!
//! ```toml
//! [patch.crates-io]
//! rayon-core = { git = "https://github.com/tteview/tteview" }
//! rten = { git = "https://github.com/tteview/tteview" }
//! ```
//!
//! Without these lines the crate also works, but rten runs the network on threads of its own, which
//! do not call [`EngineConfig::thread_start`].
//!
//! # Features
//!
//! | feature | default | adds |
//! | --- | --- | --- |
//! | `capi` | yes | the C ABI, whose `ttv_runtime_init` can set the global logger of the process |
//! | `rten` | yes | the provider `embedded`, a CPU runtime in Rust |
//! | `ort` | yes | the providers `cpu`, `cuda` and `tensorrt` of ONNX Runtime, loaded at run time |
//! | `tensorrt-rtx` | no | the provider `tensorrt-rtx`, which needs ONNX Runtime 1.22 or later |
//! | `memory-reserve` | no | the reserve of the C library for failed allocations; Rust hosts leave it off |
//!
//! # Logging
//!
//! The crate logs through the crate `log`, with targets that begin with `tteview`, for example when
//! it loads ONNX Runtime. It sets a logger only if a host passes a log hook to `ttv_runtime_init`
//! of the C ABI. Calls on the acquisition thread do not log.
//!
//! # Errors
//!
//! Calls that load a model, prepare an engine or open a stream return an [`Error`] with a message.
//! Calls on the handles of a stream return only a [`Status`] or a [`PushError`], which corresponds
//! to a status. Each status has the same number in the C ABI.
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

mod abi;
mod backend;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench_api;
mod classifier;
mod clock;
#[cfg(test)]
#[path = "../tests/counting/mod.rs"]
mod counting;
mod engine;
mod error;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
mod fixed_text;
pub mod frame;
mod memory;
mod model;
mod preprocess;
#[doc(hidden)]
pub mod regular_file;
mod result;
mod sampling;
mod stream;
mod sys;

pub use backend::report::RuntimeReport;
pub use classifier::rules::{EarlyStop, ViewChange};
pub use engine::Engine;
#[cfg(feature = "ort")]
pub use engine::cache::{CachedEngine, list_cached_engines};
pub use engine::config::EngineConfig;
pub use engine::origin::EngineOrigin;
pub use engine::progress::{Progress, Stage};
pub use error::{Error, Result, Status};
pub use model::{
    ChannelOrder, ChunkSelfTest, FrameModels, FrameSteps, Group, HeadSpec, Label, LabelRule, Mode,
    ModelPackage, ModelSpec, Modifier, Novelty, NoveltyKind, Precision, Resize, ResizeMethod,
    SelfTest, StateSpec, self_test_input,
};
pub use result::{ResultFlags, ViewResult};
pub use sampling::PartialChunk;
pub use stream::Stream;
pub use stream::acquirer::{Acquirer, Loan, PushError};
pub use stream::config::{Drive, StreamConfig};
pub use stream::driver::Driver;
pub use stream::history::Coverage;
pub use stream::hooks::{Hooks, OnResult, ThreadStart};
pub use stream::reader::{QueryAnswer, Reader};
pub use stream::stats::StreamStats;
pub use sys::gpu::GpuStream;
