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
    let provider = settings.registration(engines)?;
    let registered = || -> ort::Result<Result<SessionBuilder>> {
        // Threads that spin would take the acquisition's cores between two chunks.
        let builder = Session::builder(&runtime.environment)?
            .with_intra_threads(settings.threads)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?;
        #[cfg(feature = "tensorrt-rtx")]
        if settings.provider == Provider::TensorRtRtx {
            return super::plugin::chosen(runtime, settings, builder);
        }
        Ok(Ok(match provider {
            Some(provider) => builder.with_execution_providers([provider])?.with_disable_cpu_fallback()?,
            None => builder,
        }))
    };
    registered().unwrap_or_else(|error| {
        let (status, next) = explained(error.message());
        Err(Error::new(status, format!("{}{next}", named(runtime, &error))))
    })
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
