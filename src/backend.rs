//! What runs the network: a trait over named tensors, preallocated, and the backends behind it.
//!
//! A [`Backend`] is one loaded model on one provider, shared by all streams of an engine. A [`Session`] is one
//! stream's set of tensors on it: inputs to write, outputs to read, and the temporal state in between.

use crate::model::{ModelSpec, self_test_input};
use crate::{Error, Result, Status};

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
    /// Precision the provider computes in: `fp32` or `fp16`.
    pub precision: &'static str,
}

/// One loaded model on one provider. Shared by streams: sessions may run at the same time from several threads.
pub(crate) trait Backend: Send + Sync {
    /// What really runs.
    fn report(&self) -> RuntimeReport;

    /// Allocates the tensors of one stream; states hold their initial values.
    fn session(&self) -> Result<Box<dyn Session>>;
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
fn expected_inputs(spec: &ModelSpec) -> Vec<(String, Vec<usize>)> {
    let [slow, fast] = spec.input_shapes();
    let slow = (slow[0] > 0).then(|| ("slow".to_owned(), slow.to_vec()));
    let states = spec.states.iter().map(|s| (s.name.clone(), s.shape.clone()));
    slow.into_iter().chain([("fast".to_owned(), fast.to_vec())]).chain(states).collect()
}

/// Names and shapes of the graph's outputs, in order.
fn expected_outputs(spec: &ModelSpec) -> Vec<(String, Vec<usize>)> {
    let states = spec.states.iter().map(|s| (format!("{}_next", s.name), s.shape.clone()));
    std::iter::once(("logits".to_owned(), vec![1, spec.labels.len()])).chain(states).collect()
}

/// Runs the package's self-test in a session of its own and gives the largest absolute difference of a logit.
///
/// # Errors
/// `SelfTest` where the difference is more than the tolerance of the provider's precision, or is not a number.
pub(crate) fn self_test(backend: &dyn Backend, spec: &ModelSpec) -> Result<f32> {
    let mut session = backend.session()?;
    let mut values = self_test_input(spec.self_test.seed);
    let (slow, fast) = session.inputs();
    slow.fill_with(|| values.next().unwrap_or_default());
    fast.fill_with(|| values.next().unwrap_or_default());
    session.run()?;
    let test = &spec.self_test;
    let precision = backend.report().precision;
    let tolerance = if precision == "fp16" { test.tolerance_fp16 } else { test.tolerance_fp32 };
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

#[cfg(test)]
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
