//! Creation of ONNX Runtime sessions that use one provider.

use super::provider::{Provider, Settings, classify_failure};
use super::runtime::Runtime;
use super::tensor::classify_memory;
use crate::backend::helpers::{HelperThread, HelperThreads};
use crate::error::{Error, Result, Status};
use ort::environment::ThreadManager;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use std::path::Path;

/// Creates a session builder and registers the provider. The registration loads the provider's
/// library and checks the options. `engines` is the folder in which the provider keeps its engines.
///
/// # Errors
/// Returns [`Status::System`] if a thread cannot be started, [`Status::ProviderUnavailable`] if the
/// provider or a library that it needs is missing, or [`Status::InvalidArgument`] if the provider
/// does not accept an option.
pub(super) fn create_builder(
    runtime: &Runtime,
    settings: &Settings,
    engines: Option<&Path>,
) -> Result<SessionBuilder> {
    let convert = |error: ort::Error| provider_error(runtime, &error);
    let helpers = Helpers(HelperThreads::start(settings.threads - 1, settings.thread_start)?);
    let configure = move || -> ort::Result<SessionBuilder> {
        // The threads must not spin, because between two chunks they would occupy cores that the
        // acquisition needs.
        Ok(Session::builder(&runtime.environment)?
            .with_intra_threads(settings.threads as usize)?
            .with_thread_manager(helpers)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?)
    };
    let builder = configure().map_err(convert)?;
    #[cfg(feature = "tensorrt-rtx")]
    if settings.provider == Provider::TensorRtRtx {
        return super::plugin::register(runtime, settings, builder, convert);
    }
    let Some(provider) = settings.create_registration(engines)? else { return Ok(builder) };
    let register = || -> ort::Result<SessionBuilder> {
        Ok(builder.with_execution_providers([provider])?.with_disable_cpu_fallback()?)
    };
    register().map_err(convert)
}

/// The source of ONNX Runtime's threads.
struct Helpers(HelperThreads);

impl ThreadManager for Helpers {
    type Thread = HelperThread;

    fn create(&self, work: impl FnOnce() + Send + 'static) -> ort::Result<HelperThread> {
        let missing = || ort::Error::new("ONNX Runtime needs more threads than expected");
        self.0.assign(Box::new(work)).ok_or_else(missing)
    }

    fn join(thread: HelperThread) -> ort::Result<()> {
        drop(thread);
        Ok(())
    }
}

/// Loads a graph.
///
/// # Errors
/// Returns the errors of [`create_builder`], or [`Status::ModelInvalid`] if the CPU provider cannot
/// load the graph.
pub(super) fn load_session(
    runtime: &Runtime,
    graph: &[u8],
    settings: &Settings,
    engines: Option<&Path>,
) -> Result<Session> {
    let mut builder = create_builder(runtime, settings, engines)?;
    builder.commit_from_memory(graph).map_err(|error| match settings.provider {
        Provider::Cpu => {
            let message = format!("the graph cannot be loaded: {}", describe(runtime, &error));
            Error::new(classify_memory(error.message(), Status::ModelInvalid), message)
        }
        _ => provider_error(runtime, &error),
    })
}

fn provider_error(runtime: &Runtime, error: &ort::Error) -> Error {
    let (status, hint) = classify_failure(error.message());
    Error::new(
        classify_memory(error.message(), status),
        format!("{}{hint}", describe(runtime, error)),
    )
}

fn describe(runtime: &Runtime, error: &ort::Error) -> String {
    format!("onnxruntime {}: {}", runtime.version, error.message().trim_end())
}
