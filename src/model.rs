//! Model packages, which are ONNX files with metadata. docs/model-package.md specifies the format.

mod graph;
mod limits;
mod metadata;
mod onnx_file;
pub(crate) mod part;
pub(crate) mod spec;
#[cfg(test)]
mod tests;
mod wire;

use crate::error::{Error, Result, Status};
use crate::memory::{check_budget, out_of_memory};
use crate::regular_file;
use onnx_file::OnnxFile;
use part::{Part, PartModel};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use graph::Cost;
pub use graph::FrameModels;
pub use spec::{
    ChannelOrder, ChunkSelfTest, FrameSteps, Group, HeadSpec, Label, LabelRule, Mode, ModelSpec,
    Modifier, Novelty, NoveltyKind, Precision, Resize, ResizeMethod, SelfTest, StateSpec,
};

/// A model package whose hashes, metadata and graph have been checked.
#[derive(Clone, Debug)]
pub struct ModelPackage {
    /// The metadata.
    pub spec: ModelSpec,
    /// The contents of the whole file.
    pub bytes: Arc<[u8]>,
    /// What a runtime needs for each part, in the order of [`ModelSpec::parts`].
    pub(crate) costs: Vec<Arc<Cost>>,
}

impl ModelPackage {
    /// Reads a package from a file. If `expected_sha256` is given, the SHA-256 of the file must
    /// match it.
    ///
    /// # Errors
    /// Returns [`Status::ModelUnreadable`] if the file cannot be read, is not a regular file or is
    /// larger than 640 MiB, or an error of
    /// [`ModelPackage::from_bytes`].
    pub fn from_path(path: &Path, expected_sha256: Option<[u8; 32]>) -> Result<Self> {
        Self::from_bytes(read_file(path)?, expected_sha256)
    }

    /// Reads a package from memory. If `expected_sha256` is given, the SHA-256 of the package must
    /// match it.
    ///
    /// # Errors
    /// The error has one of these statuses:
    ///
    /// - [`Status::ModelHash`] if the SHA-256 differs from the expected one
    /// - [`Status::ModelInvalid`] if the file is malformed or exceeds a limit, or if its graph was
    ///   altered
    /// - [`Status::ModelMismatch`] if metadata values contradict each other
    /// - [`Status::Unsupported`] for a package with several chunks per step, and for a graph with
    ///   an operator that is not permitted
    pub fn from_bytes(bytes: Vec<u8>, expected_sha256: Option<[u8; 32]>) -> Result<Self> {
        check_size(bytes.len())?;
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        if let Some(expected) = expected_sha256.filter(|&expected| expected != sha256) {
            let (expected, found) = (to_hex(&expected), to_hex(&sha256));
            let message = format!("the SHA-256 of the package must be {expected}, got {found}");
            return Err(Error::new(Status::ModelHash, message));
        }
        // The metadata and the copy of the package take at most this much.
        check_budget("the model package", bytes.len().saturating_mul(3))?;
        let file = onnx_file::read(&bytes)?;
        let graph_sha256 = to_hex(&Sha256::digest(file.graph.bytes()));
        let spec = metadata::parse_spec(&file.metadata, graph_sha256, to_hex(&sha256))?;
        let costs = check_graphs(&file, &spec)?.into_iter().map(Arc::new).collect();
        Ok(Self { spec, bytes: bytes.into(), costs })
    }

    /// Returns the first operator of the graph that only ONNX Runtime runs, or `None` if every
    /// provider runs the package.
    #[must_use]
    pub fn runtime_operator(&self) -> Option<&'static str> {
        self.costs.iter().find_map(|cost| cost.runtime_operator)
    }

    /// Returns the models of all parts of a package with frame steps, or `None` for any other
    /// package. Each is an ONNX model of its own, which a runtime can load.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory is not available.
    pub fn frame_models(&self) -> Result<Option<FrameModels>> {
        let Some(steps) = &self.spec.frame_steps else { return Ok(None) };
        let file = onnx_file::read(&self.bytes)?;
        graph::split_frame_models(&file, &self.spec, steps).map(Some)
    }

    /// Returns the models of the parts that run on their own, in the order of
    /// [`ModelSpec::parts`].
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory is not available.
    pub(crate) fn part_models(&self) -> Result<Vec<PartModel<'_>>> {
        Ok(match self.frame_models()? {
            None => vec![PartModel { part: Part::Whole, bytes: Cow::Borrowed(&*self.bytes) }],
            Some(FrameModels { fast, slow, head }) => {
                let parts = [(Part::Fast, Some(fast)), (Part::Slow, slow), (Part::Head, head)];
                let model = |(part, bytes): (Part, Option<Vec<u8>>)| {
                    Some(PartModel { part, bytes: Cow::Owned(bytes?) })
                };
                parts.into_iter().filter_map(model).collect()
            }
        })
    }

    /// Checks a package that a tool has made, without loading it. In addition to the packages that
    /// [`ModelPackage::from_bytes`] accepts, this function accepts packages that this version of
    /// the library cannot run, which have several chunks per step. Their graphs must be within the
    /// same limits.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory is not available, or the other errors of
    /// [`ModelPackage::from_bytes`] for all other packages.
    pub fn check(bytes: &[u8]) -> Result<()> {
        check_size(bytes.len())?;
        check_budget("the model package", bytes.len())?;
        let file = onnx_file::read(bytes)?;
        let graph_sha256 = to_hex(&Sha256::digest(file.graph.bytes()));
        match metadata::parse_spec(&file.metadata, graph_sha256, String::new()) {
            Ok(spec) => check_graphs(&file, &spec).map(drop),
            // The metadata describes a feature that this version does not support.
            Err(error) if error.status() == Status::Unsupported => {
                graph::check(file.graph, file.opset, Mode::Stream).map(drop)
            }
            Err(error) => Err(error),
        }
    }
}

/// Checks the graph of a package and, if it has frame steps, both parts of the graph. Returns the
/// cost of each part that runs on its own.
fn check_graphs(file: &OnnxFile<'_>, spec: &ModelSpec) -> Result<Vec<Cost>> {
    // The check of the whole graph also makes sure that the file is a valid ONNX model.
    let whole = graph::check(file.graph, file.opset, spec.mode)?;
    let Some(steps) = &spec.frame_steps else {
        check_run_bytes(spec, whole.tensor_bytes)?;
        return Ok(vec![whole]);
    };
    let models = graph::split_frame_models(file, spec, steps)?;
    let check_part = |model: &[u8]| {
        let part = onnx_file::read(model)?;
        graph::check(part.graph, part.opset, spec.mode)
    };
    let fast = check_part(&models.fast)?;
    let slow = models.slow.as_deref().map(check_part).transpose()?;
    let head = models.head.as_deref().map(check_part).transpose()?;
    let costs: Vec<Cost> = std::iter::once(fast).chain(slow).chain(head).collect();
    // All parts may run at the same time.
    check_run_bytes(spec, costs.iter().map(|cost| cost.tensor_bytes).fold(0, u64::saturating_add))?;
    Ok(costs)
}

/// Checks the size of a package in memory, before the package is copied or hashed.
///
/// # Errors
/// Returns [`Status::ModelInvalid`] if the package is too large.
pub(crate) fn check_size(size: usize) -> Result<()> {
    let max = limits::MAX_FILE_BYTES;
    if size as u64 > max {
        let message = format!("the package must have at most {max} bytes, got {size}");
        return Err(Error::new(Status::ModelInvalid, message));
    }
    Ok(())
}

/// Reads a file whose size must fit into the available memory.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    const PURPOSE: &str = "the model package";
    let unreadable = |error: io::Error| {
        Error::new(Status::ModelUnreadable, format!("{}: {error}", path.display()))
    };
    let size = regular_file::check(path).map_err(unreadable)?;
    if size > limits::MAX_FILE_BYTES {
        let max = limits::MAX_FILE_BYTES;
        let problem = format!("the file must have at most {max} bytes, got {size}");
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, problem)));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    check_budget(PURPOSE, size)?;
    regular_file::read(path, limits::MAX_FILE_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::OutOfMemory => out_of_memory(PURPOSE, size),
        _ => unreadable(error),
    })
}

/// Checks the memory of a session, its classifier and a run of the graph, whose tensors have
/// `tensor_bytes` bytes at the same time.
///
/// # Errors
/// Returns [`Status::ModelInvalid`] if the memory exceeds the limit.
pub(crate) fn check_run_bytes(spec: &ModelSpec, tensor_bytes: u64) -> Result<()> {
    let session = spec.session_bytes() as u64;
    let (total, max) = (session.saturating_add(tensor_bytes), limits::MAX_RUN_BYTES);
    if total <= max {
        return Ok(());
    }
    let message = format!("the tensors of a run must have at most {max} bytes, got {total}");
    Err(Error::new(Status::ModelInvalid, message))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns an endless sequence of input values for the self-test. The values for the slow input
/// come first, and those for the fast input follow. Each value is `x / 2^31 - 1`, where `x` is the
/// next number of a 32-bit xorshift generator (docs/model-package.md#self-test). With the seed 0,
/// the generator would always return the same value, so packages with this seed are refused.
pub fn self_test_input(seed: u32) -> impl Iterator<Item = f32> {
    let mut x = seed;
    std::iter::from_fn(move || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        Some((f64::from(x) / f64::from(1u32 << 31) - 1.0) as f32)
    })
}
