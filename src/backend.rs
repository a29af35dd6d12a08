//! Backends, which run the network: their common interface and the providers that implement it.
//!
//! A `Backend` is one model loaded on one provider, and all streams of an engine share it. A
//! `Session` contains the tensors of one stream.

#[cfg(feature = "ort")]
pub(crate) mod deferred;
#[cfg(any(feature = "ort", feature = "rten"))]
pub(crate) mod helpers;
pub(crate) mod interface;
#[cfg(feature = "ort")]
pub(crate) mod ort;
pub(crate) mod report;
#[cfg(feature = "rten")]
pub(crate) mod rten;
pub(crate) mod self_test;
#[cfg(any(feature = "ort", feature = "rten"))]
pub(crate) mod signature;
pub(crate) mod windows;

use crate::engine::config::EngineConfig;
use crate::error::{Error, Result, Status};
use crate::model::ModelPackage;
use interface::Backend;
use std::sync::Arc;

/// Provider that is used if the host selects none: `embedded`, which needs no other software, or
/// `cpu` in builds without `embedded`.
pub(crate) const DEFAULT_PROVIDER: &str = if cfg!(feature = "rten") { "embedded" } else { "cpu" };

/// Loads a model on the provider with this name.
///
/// # Errors
/// Returns [`Status::ProviderUnavailable`] if this build has no provider with this name or the
/// provider cannot run on this machine, or the provider's error if the model cannot be loaded.
pub(crate) fn load_on(
    provider: &str,
    package: &ModelPackage,
    config: &EngineConfig,
) -> Result<Arc<dyn Backend>> {
    #[cfg(feature = "rten")]
    if provider == "embedded" {
        return rten::load(package, config);
    }
    #[cfg(feature = "ort")]
    if let Some(provider) = ort::Provider::from_name(provider) {
        return ort::load(package, provider, config);
    }
    let _ = (package, config);
    let feature = match provider {
        "embedded" => "rten",
        "cpu" | "cuda" | "tensorrt" => "ort",
        "tensorrt-rtx" => "tensorrt-rtx",
        _ => {
            let message = "no provider has this name";
            return Err(Error::new(Status::ProviderUnavailable, message));
        }
    };
    let message = format!("this build lacks the provider; build with the feature {feature}");
    Err(Error::new(Status::ProviderUnavailable, message))
}
