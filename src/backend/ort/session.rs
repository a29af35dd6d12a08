//! A graph loaded on one provider.

use super::provider::{Provider, Settings, explained};
use super::runtime::Runtime;
use crate::{Error, Result, Status};
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use std::path::Path;

/// A session to be, with its provider registered: the provider's library is loaded and has taken its options. `engines`:
/// where the provider keeps its engines.
///
/// # Errors
/// [`Status::ProviderUnavailable`] where the provider is not there or lacks something, [`Status::InvalidArgument`] where
/// it has no such option.
pub(super) fn registered(
    runtime: &Runtime,
    settings: &Settings,
    engines: Option<&Path>,
) -> Result<SessionBuilder> {
    let failed = |error: ort::Error| {
        let (status, next) = explained(error.message());
        Error::new(status, format!("{}{next}", named(runtime, &error)))
    };
    let builder = || -> ort::Result<SessionBuilder> {
        // Threads that spin would take the acquisition's cores between two chunks.
        Ok(Session::builder(&runtime.environment)?
            .with_intra_threads(settings.threads)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?)
    };
    let builder = builder().map_err(failed)?;
    #[cfg(feature = "tensorrt-rtx")]
    if settings.provider == Provider::TensorRtRtx {
        return super::plugin::registered(runtime, settings, builder, failed);
    }
    let Some(provider) = settings.registration(engines)? else { return Ok(builder) };
    let registered = || -> ort::Result<SessionBuilder> {
        Ok(builder.with_execution_providers([provider])?.with_disable_cpu_fallback()?)
    };
    registered().map_err(failed)
}

/// Loads the graph.
///
/// # Errors
/// As [`registered`], and [`Status::ModelInvalid`] where the CPU provider cannot load the graph.
pub(super) fn session(
    runtime: &Runtime,
    graph: &[u8],
    settings: &Settings,
    engines: Option<&Path>,
) -> Result<Session> {
    let mut builder = registered(runtime, settings, engines)?;
    builder.commit_from_memory(graph).map_err(|error| match settings.provider {
        Provider::Cpu => Error::new(
            Status::ModelInvalid,
            format!("the graph cannot be loaded: {}", named(runtime, &error)),
        ),
        _ => {
            let (status, next) = explained(error.message());
            Error::new(status, format!("{}{next}", named(runtime, &error)))
        }
    })
}

fn named(runtime: &Runtime, error: &ort::Error) -> String {
    format!("onnxruntime {}: {}", runtime.version, error.message().trim_end())
}
