//! What runs the network: a trait over named tensors, preallocated, and the backends behind it.
//!
//! A [`Backend`] is one loaded model on one provider, shared by all streams of an engine. A [`Session`] is one
//! stream's set of tensors on it: inputs to write, outputs to read, and the temporal state in between.

use crate::model::{ModelSpec, Precision, self_test_input};
use crate::{Error, Result, Status};
use std::path::Path;
use std::time::{Duration, Instant};

#[cfg(feature = "ort")]
pub(crate) mod deferred;
#[cfg(feature = "ort")]
pub(crate) mod ort;
#[cfg(feature = "rten")]
pub(crate) mod rten;

/// What really runs, for the device's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeReport {
    /// Provider that runs the graph: `embedded`, `cpu`, `cuda`, `tensorrt`, `tensorrt-rtx`.
    pub provider: String,
    /// Version of the provider where it has one of its own, else of the runtime.
    pub provider_version: String,
    /// Runtime and its version, as in `onnxruntime 1.23.2` or `rten 0.27.0`.
    pub runtime_version: String,
    /// Precision that the provider computes in.
    pub precision: Precision,
}

/// Whether the provider had to build an engine for this device, and where it came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineOrigin {
    /// The provider builds none.
    #[default]
    NotNeeded,
    /// It will be loaded or built by `prepare`, or by the first stream.
    NotYet,
    /// Built in this process.
    Built,
    /// Loaded from the cache, where a start before this one left it.
    Loaded,
    /// Loaded from the cache, where an import brought it.
    Imported,
}

/// What `prepare` is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looks into the cache of engines and checks what lies there.
    ReadingCache,
    /// The provider loads an engine, or builds one, which may take minutes.
    Building,
    /// Runs the package's self-test.
    SelfTest,
    /// Measures the time of a step.
    Measuring,
}

/// Where `prepare` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Time since it was called.
    pub elapsed: Duration,
}

/// Who is told how far a preparation is, and may end it.
pub(crate) struct Watch<'a> {
    start: Instant,
    go_on: Option<&'a mut dyn FnMut(Progress) -> bool>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(go_on: &'a mut dyn FnMut(Progress) -> bool) -> Self {
        Self { start: Instant::now(), go_on: Some(go_on) }
    }

    /// Nobody is told.
    #[cfg(feature = "ort")]
    pub(crate) fn nobody() -> Self {
        Self { start: Instant::now(), go_on: None }
    }

    /// # Errors
    /// [`Status::Cancelled`].
    pub(crate) fn tell(&mut self, stage: Stage) -> Result<()> {
        let progress = Progress { stage, elapsed: self.start.elapsed() };
        if self.go_on.as_mut().is_none_or(|go_on| go_on(progress)) {
            return Ok(());
        }
        Err(Error::new(Status::Cancelled, format!("the host cancelled it after {:?}", progress.elapsed)))
    }
}

/// One loaded model on one provider. Shared by streams: sessions may run at the same time from several threads.
pub(crate) trait Backend: Send + Sync {
    /// What really runs.
    fn report(&self) -> RuntimeReport;

    /// Allocates the tensors of one stream; states hold their initial values. Makes first what [`Self::prepare`] would
    /// have made.
    fn session(&self) -> Result<Box<dyn Session>>;

    /// Makes what takes long to make, if anything does.
    fn prepare(&self, _: &mut Watch<'_>) -> Result<()> {
        Ok(())
    }

    /// Where the provider's engine came from.
    fn origin(&self) -> EngineOrigin {
        EngineOrigin::NotNeeded
    }

    /// Writes the provider's engine into a file.
    fn export(&self, _: &Path) -> Result<()> {
        Err(no_engine(&self.report().provider))
    }

    /// Takes the provider's engine from a file.
    fn import(&self, _: &Path) -> Result<()> {
        Err(no_engine(&self.report().provider))
    }
}

fn no_engine(provider: &str) -> Error {
    Error::new(
        Status::Unsupported,
        format!("the provider {provider} builds no engine that could be kept in a file"),
    )
}

/// One stream's tensors. Nothing here allocates by code of ours after [`Backend::session`].
pub(crate) trait Session: Send {
    /// Host memory of both inputs: slow `[Ts, C, H, W]`, empty for a network with one pathway, and fast
    /// `[Tf, C, H, W]`.
    fn inputs(&mut self) -> (&mut [f32], &mut [f32]);

    /// Runs the graph once. On success the next states become the current ones; on an error they stay as they were.
    fn run(&mut self) -> Result<()>;

    /// The logits of the last run, `[L]`.
    fn logits(&self) -> &[f32];

    /// Puts every state back to its initial value.
    fn reset(&mut self) -> Result<()>;
}

/// Names and shapes of the graph's inputs, in order.
#[cfg(any(feature = "ort", feature = "rten"))]
fn expected_inputs(spec: &ModelSpec) -> Vec<(String, Vec<usize>)> {
    let [slow, fast] = spec.input_shapes();
    let slow = (slow[0] > 0).then(|| ("slow".to_owned(), slow.to_vec()));
    let states = spec.states.iter().map(|s| (s.name.clone(), s.shape.clone()));
    slow.into_iter().chain([("fast".to_owned(), fast.to_vec())]).chain(states).collect()
}

/// Names and shapes of the graph's outputs, in order.
#[cfg(any(feature = "ort", feature = "rten"))]
fn expected_outputs(spec: &ModelSpec) -> Vec<(String, Vec<usize>)> {
    let states = spec.states.iter().map(|s| (format!("{}_next", s.name), s.shape.clone()));
    std::iter::once(("logits".to_owned(), vec![1, spec.labels.len()])).chain(states).collect()
}

/// An input or output of a graph as the runtime sees it.
#[cfg(any(feature = "ort", feature = "rten"))]
struct Found<'a> {
    name: &'a str,
    /// `None` for a dimension that is not static.
    shape: Vec<Option<usize>>,
    float32: bool,
}

#[cfg(any(feature = "ort", feature = "rten"))]
fn check_inputs<'a>(spec: &ModelSpec, found: impl ExactSizeIterator<Item = Found<'a>>) -> Result<()> {
    check("input", found, &expected_inputs(spec))
}

#[cfg(any(feature = "ort", feature = "rten"))]
fn check_outputs<'a>(spec: &ModelSpec, found: impl ExactSizeIterator<Item = Found<'a>>) -> Result<()> {
    check("output", found, &expected_outputs(spec))
}

/// `ModelMismatch` where a tensor is not what the metadata says it is.
#[cfg(any(feature = "ort", feature = "rten"))]
fn check<'a>(
    kind: &str,
    found: impl ExactSizeIterator<Item = Found<'a>>,
    expected: &[(String, Vec<usize>)],
) -> Result<()> {
    let mismatch = |what: String| Err(Error::new(Status::ModelMismatch, what));
    if found.len() != expected.len() {
        return mismatch(format!("the graph has {} {kind}s, the metadata {}", found.len(), expected.len()));
    }
    for (Found { name: found, shape: sides, float32 }, (name, shape)) in found.zip(expected) {
        if found != name {
            return mismatch(format!("the {kind} {found:?} stands where {name:?} should"));
        }
        if !sides.iter().copied().eq(shape.iter().copied().map(Some)) {
            let sides: Vec<String> =
                sides.iter().map(|side| side.map_or_else(|| "?".into(), |side| side.to_string())).collect();
            return mismatch(format!(
                "the {kind} {name} has the shape [{}], not {shape:?}",
                sides.join(", ")
            ));
        }
        if !float32 {
            return mismatch(format!("the {kind} {name} is not float32"));
        }
    }
    Ok(())
}

/// Runs the package's self-test in a session of its own and gives the largest absolute difference of a logit.
///
/// # Errors
/// `SelfTest` where the difference is more than the tolerance, or is not a number. The tolerance is that of the lower
/// precision of the two: the weights of an fp16 package are rounded, whatever the provider computes in.
pub(crate) fn self_test(backend: &dyn Backend, spec: &ModelSpec) -> Result<f32> {
    let mut session = backend.session()?;
    let mut values = self_test_input(spec.self_test.seed);
    let (slow, fast) = session.inputs();
    slow.fill_with(|| values.next().unwrap_or_default());
    fast.fill_with(|| values.next().unwrap_or_default());
    session.run()?;
    let test = &spec.self_test;
    let precisions = [spec.precision, backend.report().precision];
    let (precision, tolerance) = if precisions.contains(&Precision::Fp16) {
        (Precision::Fp16, test.tolerance_fp16)
    } else {
        (Precision::Fp32, test.tolerance_fp32)
    };
    let mut largest = 0.0f32;
    for (index, (got, expected)) in session.logits().iter().zip(&test.logits).enumerate() {
        let error = (got - expected).abs();
        if error.is_nan() || error > tolerance {
            let what =
                format!("logit {index} is {got}, should be {expected} within {tolerance} ({precision})");
            return Err(Error::new(Status::SelfTest, what));
        }
        largest = largest.max(error);
    }
    Ok(largest)
}

/// Time of one run after warm-up: the median of five, in a session of its own.
pub(crate) fn step_time(backend: &dyn Backend) -> Result<Duration> {
    let mut session = backend.session()?;
    let mut times = [Duration::ZERO; 5];
    session.run()?;
    for time in &mut times {
        let start = Instant::now();
        session.run()?;
        *time = start.elapsed();
    }
    times.sort_unstable();
    Ok(times[2])
}

#[cfg(all(test, feature = "rten"))]
mod tests {
    use super::*;
    use crate::model::ModelPackage;

    fn package(bytes: &[u8]) -> ModelPackage {
        ModelPackage::from_bytes(bytes.to_vec(), None).expect("valid")
    }

    #[test]
    fn the_embedded_backend_passes_the_self_tests_and_refuses_wrong_numbers() {
        for bytes in [
            &include_bytes!("../models/standin.stream.onnx")[..],
            &include_bytes!("../models/standin.clip.onnx")[..],
        ] {
            let mut package = package(bytes);
            let backend = rten::load(&package, 1).expect("loads");
            assert!(self_test(backend.as_ref(), &package.spec).expect("passes") < 1e-3);
            package.spec.self_test.logits[3] += 1.0;
            let error = self_test(backend.as_ref(), &package.spec).expect_err("wrong");
            assert_eq!(error.status(), Status::SelfTest);
        }
    }

    #[test]
    fn the_self_test_allows_what_the_precision_of_the_package_does() {
        let mut package = package(include_bytes!("../models/standin.stream.onnx"));
        let backend = rten::load(&package, 1).expect("loads");
        let test = &mut package.spec.self_test;
        test.logits[0] += f32::midpoint(test.tolerance_fp32, test.tolerance_fp16);
        let error = self_test(backend.as_ref(), &package.spec).expect_err("too far for fp32");
        assert!(error.message().contains("fp32"), "{error}");
        package.spec.precision = Precision::Fp16;
        self_test(backend.as_ref(), &package.spec).expect("near enough for fp16");
    }

    #[test]
    fn the_state_is_carried_and_reset_brings_the_first_result_back() {
        let package = package(include_bytes!("../models/standin.stream.onnx"));
        let mut session = rten::load(&package, 1).expect("loads").session().expect("a session");
        let (slow, fast) = session.inputs();
        slow.fill(0.5);
        fast.fill(0.5);
        session.run().expect("runs");
        let first = session.logits().to_vec();
        session.run().expect("runs");
        assert_ne!(session.logits(), first);
        session.reset().expect("resets");
        session.run().expect("runs");
        assert_eq!(session.logits(), first);
    }

    #[test]
    fn a_graph_that_does_not_fit_the_metadata_is_refused_by_the_tensor() {
        let mut package = package(include_bytes!("../models/standin.stream.onnx"));
        package.spec.states[0].shape[0] += 1;
        let error = rten::load(&package, 1).err().expect("refused");
        assert_eq!(error.status(), Status::ModelMismatch);
        assert!(error.message().contains(&package.spec.states[0].name), "{error}");
    }
}
