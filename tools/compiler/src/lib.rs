//! Compiles a SlowFast network from an ONNX file into tteview model packages.
//!
//! A training framework exports the network with 3-D convolutions over `[1,C,T,H,W]`. The compiler
//! writes one or two packages:
//! - `NAME.clip.onnx` is the same network with 2-D convolutions over `[T,C,H,W]`. It gives the same
//!   result up to rounding.
//! - `NAME.stream.onnx` runs one chunk with explicit states: in frame steps, with one run of the
//!   fast pathway for each sample and one run of the slow pathway, or in one chunk step. The
//!   combination of its results over all chunks of a clip equals the result of the clip package. In
//!   frame steps, a head that is not linear is a part of its own, which maps the mean of the pooled
//!   features to the logits. The compiler writes the stream package if the network is chunk-causal.
//!
//! docs/model-package.md describes the file format, and docs/model/compiler.md describes how the
//! compiler works.
//!
//! # Passes
//! | pass | module | task |
//! | --- | --- | --- |
//! | 1 | `import` | reads ONNX into a typed graph with static shapes, and folds constants |
//! | 2 | `output`, `normalisation` | find the logits and the normalisation of the frames |
//! | 3 | `fold` | folds batch norm, scales and padding into convolutions |
//! | 4 | `layout` | infers which axes of a value are time, channels, height and width |
//! | 5 | `pathways` | finds the inputs and folds the stem for grey input |
//! | 6 | `causality`, `frame_plan`, `label_rule`, `head` | infer frame rates, prove chunk causality and the lateral reach, and find the label rule and a head that is not linear |
//! | 7 | `lower` | builds the clip and step graphs and the parts of frame steps from 4-D operators |
//! | 8 | `precision` | converts a graph to half precision |
//! | 9 | `export`, `parts`, `metadata`, `self_test` | write the file |
//!
//! `card` reads and writes the model card of a package that is already compiled, and `adjust` gives
//! it other thresholds, groups or another temperature.
//!
//! `prepare` runs the passes 1 to 6, and `compile` runs all of them.
//!
//! # Example
//! ```no_run
//! use tteview_compiler::{CompileOptions, compile, inspect, parse_labels};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let labels = parse_labels(&std::fs::read_to_string("labels.json")?)?;
//! let network = compile(std::fs::read("model.onnx")?, &CompileOptions::new("model", labels))?;
//! for package in network.packages() {
//!     std::fs::write(&package.file_name, &package.bytes)?;
//! }
//! if let Some(reason) = &network.window_only_reason {
//!     eprintln!("window mode only: {reason}");
//! }
//! println!("{}", inspect(&network.clip.bytes)?);
//! # Ok(())
//! # }
//! ```
//!
//! The module [`verify`](mod@verify) runs the source network and the packages in ONNX Runtime and
//! compares their results. It loads ONNX Runtime from a shared library at run time:
//! ```no_run
//! # #[cfg(feature = "verify")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::path::Path;
//! use tteview_compiler::verify::{Runtime, Source, verify};
//! # let options = tteview_compiler::CompileOptions::new("m", Default::default());
//! # let network = tteview_compiler::compile(vec![], &options)?;
//! let runtime = Runtime::load(Path::new("libonnxruntime.so"))?;
//! println!("{}", verify(&runtime, Source::File(Path::new("model.onnx")), &network, 1)?);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "verify"))]
//! # fn main() {}
//! ```
//!
//! # Command line options
//! | option of `tteview compile` | item of this crate |
//! | --- | --- |
//! | `--labels FILE` | [`CompileOptions::labels`] and [`CompileOptions::groups`], parsed by [`parse_labels`] |
//! | `--spec FILE` | [`CompileOptions::spec`], parsed by [`Spec::from_toml`] |
//! | `-o NAME` | [`CompileOptions::name`] |
//! | `--resize`, `--no-antialias`, `--channel-order` | [`Spec::preprocess`] |
//! | `--channels 1` | [`CompileOptions::grey`] |
//! | `--precision` | [`CompileOptions::precision`] |
//! | `--logits NAME` | [`CompileOptions::output`] |
//! | `--average` | [`CompileOptions::average`] |
//! | `--steps` | [`CompileOptions::steps`] |
//! | `--products` | [`CompileOptions::winograd`] |
//! | `--verify` | [`verify::verify`] |
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]

mod adjust;
mod card;
mod causality;
mod chunk_logits;
mod compile;
#[cfg(feature = "self-test")]
mod embedded;
mod entries;
mod error;
mod export;
mod fold;
mod frame_plan;
mod graph;
mod head;
mod import;
mod inspect;
mod kept;
mod label_rule;
mod labels;
mod layout;
mod lower;
mod lowered;
mod metadata;
mod normalisation;
mod novelty;
mod onnx;
mod options;
mod output;
mod package;
mod parts;
mod pathways;
mod precision;
mod prepare;
mod preprocess;
#[cfg(any(feature = "self-test", feature = "verify"))]
mod run;
mod self_test;
mod tensor;
mod timing;
#[cfg(feature = "verify")]
pub mod verify;
#[cfg(any(feature = "self-test", feature = "verify"))]
mod xorshift;

pub use adjust::{Adjustments, adjust_package};
pub use card::{Evaluation, MAX_CARD_BYTES, ModelCard, read_model_card, set_model_card};
pub use compile::compile;
pub use error::{CompileError, NodeRef, Result};
pub use inspect::{FrameInspection, Inspection, TensorInfo, inspect, inspect_in};
pub use labels::{Group, Label, LabelSet, parse_labels};
pub use novelty::{Novelty, NoveltyKind};
pub use options::{Average, CompileOptions, Precision, Spec, Steps, Winograd};
pub use output::{LogitsForm, LogitsSource};
pub use package::{CompiledNetwork, Package};
pub use preprocess::{ChannelOrder, Preprocess, Resize, ResizeKind};

#[cfg(all(test, feature = "verify"))]
mod tests;
