//! Loading of a graph on a provider, with or without capture as a CUDA graph.

use super::captured::CapturedBackend;
use super::plain::PlainBackend;
use super::provider::Settings;
use super::runtime::Runtime;
use crate::backend::interface::Backend;
use crate::error::Result;
use crate::model::ModelPackage;
use std::path::Path;
use std::sync::Arc;

/// Loads the graph of a package and checks its inputs and outputs. `engines` is the folder in which
/// the provider keeps its engines; `version` is the provider's version, or empty if the provider
/// has none.
///
/// # Errors
/// Returns the same errors as [`super::load`].
pub(super) fn load_graph(
    runtime: &Runtime,
    package: &ModelPackage,
    settings: &Settings,
    engines: Option<&Path>,
    version: &str,
) -> Result<Arc<dyn Backend>> {
    if settings.captures_graph() {
        let backend = CapturedBackend::load(runtime, package, settings, engines, version)?;
        return Ok(Arc::new(backend));
    }
    Ok(Arc::new(PlainBackend::load(runtime, package, settings, engines, version)?))
}
