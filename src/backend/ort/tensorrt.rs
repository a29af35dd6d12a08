//! The TensorRT providers.
//!
//! When a session of ONNX Runtime is created, TensorRT builds an engine for the GPU, which takes
//! minutes. The session is therefore created in `Engine::prepare` or for the first stream, and
//! TensorRT's engine is kept in the engine cache. With frame steps, each part has a session and an
//! engine. ONNX Runtime derives the name of an engine's file from the names of the inputs and
//! values of the graph, which differ between the parts, so both engines are in one folder.

use super::graph::load_graph;
#[cfg(any(feature = "tensorrt-rtx", test))]
use super::provider::Provider;
use super::provider::Settings;
use super::runtime::Runtime;
use super::session;
use super::tensor::describe_runtime;
use crate::backend::deferred::{BackendBuilder, DeferredBackend};
use crate::backend::interface::Backend;
use crate::backend::report::RuntimeReport;
use crate::engine::cache::{EngineCache, Key};
use crate::engine::config::EngineConfig;
use crate::engine::origin::EngineOrigin;
use crate::engine::progress::Stage;
use crate::error::{Error, Result, Status};
use crate::model::{ModelPackage, ModelSpec};
use crate::sys::gpu::{GpuInfo, query_gpu, tensorrt_version};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

struct TensorRtBuilder {
    runtime: Runtime,
    spec: ModelSpec,
    /// Package from which the sessions are created. The package is dropped afterwards, because the
    /// sessions have their own copies of the graphs.
    package: Mutex<Option<ModelPackage>>,
    settings: Settings,
    /// Name and version of the provider, such as `TensorRT 10.3.0`.
    version: String,
    cache: Option<(EngineCache, Key)>,
}

/// Returns a backend that is built when the engine is prepared. The provider's library and its
/// dependencies, the options, the driver and the GPU are checked immediately.
///
/// # Errors
/// Returns [`Status::ProviderUnavailable`] if a library, the driver or the GPU is missing,
/// [`Status::InvalidArgument`] if the provider does not accept an option or the number of the GPU
/// is too large, or [`Status::EngineCache`] if a cache folder is set and the version of TensorRT
/// cannot be determined.
pub(super) fn load(
    runtime: Runtime,
    package: &ModelPackage,
    settings: Settings,
    config: &EngineConfig,
) -> Result<Arc<dyn Backend>> {
    // Creating the builder loads the provider's library and checks the options, but does not build
    // an engine.
    drop(session::create_builder(&runtime, &settings, None)?);
    let gpu = query_gpu(settings.device_id)?;
    let version = tensorrt_version();
    let cache = match (&config.cache_folder, &version) {
        (None, _) => None,
        (Some(folder), Some(version)) => {
            let key = create_key(&runtime.version, package, &settings, version, &gpu);
            Some((EngineCache::new(folder), key))
        }
        (Some(_), None) => {
            let message = "no loaded libnvinfer reports the version of TensorRT, so engines \
                           cannot be kept; leave cache_folder unset";
            return Err(Error::new(Status::EngineCache, message));
        }
    };
    let version = format!("TensorRT {}", version.as_deref().unwrap_or("of unknown version"));
    Ok(defer(runtime, package, settings, version, cache, config))
}

/// Loads TensorRT for RTX. Its engines are built in seconds and are not kept in the engine cache.
/// The provider has its own cache, which an option turns on.
///
/// # Errors
/// Returns [`Status::ProviderUnavailable`] if a library, the driver or the GPU is missing, or
/// [`Status::InvalidArgument`] if the number of the GPU is too large.
#[cfg(feature = "tensorrt-rtx")]
pub(super) fn load_rtx(
    runtime: Runtime,
    package: &ModelPackage,
    settings: Settings,
    config: &EngineConfig,
) -> Result<Arc<dyn Backend>> {
    drop(session::create_builder(&runtime, &settings, None)?);
    Ok(defer(runtime, package, settings, "TensorRT for RTX".into(), None, config))
}

/// Returns a backend that is built when the engine is prepared.
pub(super) fn defer(
    runtime: Runtime,
    package: &ModelPackage,
    settings: Settings,
    version: String,
    cache: Option<(EngineCache, Key)>,
    config: &EngineConfig,
) -> Arc<dyn Backend> {
    let (spec, package) = (package.spec.clone(), Mutex::new(Some(package.clone())));
    let builder = TensorRtBuilder { runtime, spec, package, settings, version, cache };
    Arc::new(DeferredBackend::new(builder, config.thread_start))
}

/// Creates a key from everything that determines whether a built engine can be used. The hash of
/// the package covers the graphs of all parts. The driver is not part of the key, because TensorRT
/// does not tie its engines to a driver.
fn create_key(
    runtime: &str,
    package: &ModelPackage,
    settings: &Settings,
    tensorrt: &str,
    gpu: &GpuInfo,
) -> Key {
    let mut key = Key::default()
        .with("provider", settings.provider.name())
        .with("model", &package.spec.package_sha256)
        .with("onnxruntime", runtime)
        .with("tensorrt", tensorrt)
        .with("gpu", &gpu.name)
        .with("compute", &gpu.compute)
        .with("multiprocessors", &gpu.multiprocessors);
    for (name, value) in settings.engine_options() {
        // If an option contains file paths, the key also contains the hashes of these files.
        for (index, file) in value.split(';').enumerate() {
            if let Ok(content) = std::fs::read(file) {
                let digest = Sha256::digest(content);
                let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                key = key.with(format!("file {index} of {name}"), sha256);
            }
        }
        key = key.with(format!("option {name}"), value);
    }
    key
}

impl TensorRtBuilder {
    fn cache(&self) -> Result<&(EngineCache, Key)> {
        #[cfg(feature = "tensorrt-rtx")]
        if self.settings.provider == Provider::TensorRtRtx {
            return Err(crate::backend::interface::no_engine_error(self.settings.provider.name()));
        }
        self.cache.as_ref().ok_or_else(|| {
            let message = "engines are exported from and imported into the engine cache; set \
                           cache_folder when the engine is created";
            Error::new(Status::WrongState, message)
        })
    }
}

impl BackendBuilder for TensorRtBuilder {
    fn build(&self, stage: &dyn Fn(Stage)) -> Result<(Arc<dyn Backend>, EngineOrigin)> {
        let package = self.package.lock().clone();
        let missing = || Error::new(Status::Internal, "the sessions were already created");
        let package = package.ok_or_else(missing)?;
        let load = |engines: Option<&Path>| {
            load_graph(&self.runtime, &package, &self.settings, engines, &self.version)
        };
        let built = match &self.cache {
            Some((cache, key)) => cache.load_or_build(key, stage, |folder| load(Some(folder)))?,
            None => {
                stage(Stage::Building);
                (load(None)?, EngineOrigin::Built)
            }
        };
        *self.package.lock() = None;
        Ok(built)
    }

    fn report(&self) -> RuntimeReport {
        describe_runtime(&self.runtime.version, &self.settings, &self.spec, &self.version)
    }

    fn export(&self, path: &Path) -> Result<()> {
        let (cache, key) = self.cache()?;
        cache.export(key, path)
    }

    fn import(&self, path: &Path) -> Result<()> {
        let (cache, key) = self.cache()?;
        cache.import(key, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Precision;

    fn package() -> ModelPackage {
        let bytes = include_bytes!("../../../models/standin.stream.onnx").to_vec();
        ModelPackage::from_bytes(bytes, None).unwrap()
    }

    fn orin() -> GpuInfo {
        GpuInfo { name: "Orin".into(), compute: "8.7".into(), multiprocessors: "8".into() }
    }

    #[test]
    fn the_key_covers_everything_an_engine_depends_on() {
        let (package, gpu) = (package(), orin());
        let settings =
            |config: &EngineConfig| Settings::new(Provider::TensorRt, Precision::Fp32, config);
        let option = |name: &str, value: &str| EngineConfig {
            options: vec![(name.to_owned(), value.to_owned())],
            ..EngineConfig::default()
        };
        let plain = settings(&EngineConfig::default());
        let here = create_key("1.23.2", &package, &plain, "10.3.0", &gpu);
        let mut retrained = package.clone();
        retrained.spec.package_sha256 = "0".repeat(64);
        let half = Settings::new(Provider::TensorRt, Precision::Fp16, &EngineConfig::default());
        for (other, word) in [
            (
                create_key("1.23.3", &package, &plain, "10.3.0", &gpu),
                "onnxruntime 1.23.3, this device has 1.23.2",
            ),
            (create_key("1.23.2", &retrained, &plain, "10.3.0", &gpu), "model"),
            (
                create_key("1.23.2", &package, &plain, "10.7.0", &gpu),
                "tensorrt 10.7.0, this device has 10.3.0",
            ),
            (
                create_key("1.23.2", &package, &half, "10.3.0", &gpu),
                "trt_fp16_enable 1, this device has 0",
            ),
            (
                create_key(
                    "1.23.2",
                    &package,
                    &settings(&option("trt_dla_enable", "1")),
                    "10.3.0",
                    &gpu,
                ),
                "option trt_dla_enable 1, this device has nothing",
            ),
            (
                create_key(
                    "1.23.2",
                    &package,
                    &plain,
                    "10.3.0",
                    &GpuInfo { name: "NVIDIA RTX".into(), ..gpu.clone() },
                ),
                "gpu",
            ),
            (
                create_key(
                    "1.23.2",
                    &package,
                    &plain,
                    "10.3.0",
                    &GpuInfo { compute: "8.6".into(), ..gpu.clone() },
                ),
                "compute",
            ),
            (
                create_key(
                    "1.23.2",
                    &package,
                    &plain,
                    "10.3.0",
                    &GpuInfo { multiprocessors: "4".into(), ..gpu.clone() },
                ),
                "multiprocessors",
            ),
        ] {
            assert_ne!(here.folder(), other.folder());
            assert!(here.differences(&other).contains(word), "{}", here.differences(&other));
        }
        let elsewhere = EngineConfig { device_id: 3, threads: 4, ..option("gpu_mem_limit", "1") };
        assert_eq!(here, create_key("1.23.2", &package, &settings(&elsewhere), "10.3.0", &gpu));
    }

    #[test]
    fn the_key_covers_the_content_of_files_in_options() {
        let (package, gpu) = (package(), orin());
        let file = std::env::temp_dir().join(format!("tteview-plugin-{}", std::process::id()));
        let config = EngineConfig {
            options: vec![(
                "trt_extra_plugin_lib_paths".into(),
                format!("/nowhere;{}", file.to_str().unwrap()),
            )],
            ..EngineConfig::default()
        };
        let settings = Settings::new(Provider::TensorRt, Precision::Fp32, &config);
        let folder = |content: &str| {
            std::fs::write(&file, content).unwrap();
            create_key("1.23.2", &package, &settings, "10.3.0", &gpu).folder()
        };
        let first = folder("one");
        assert_ne!(first, folder("two"));
        assert_eq!(first, folder("one"));
        std::fs::remove_file(file).unwrap();
    }
}
