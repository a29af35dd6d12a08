//! TensorRT builds an engine for the GPU when a session is made, for minutes: so the session is made when the engine is
//! prepared, and what was built is kept.

use super::provider::Settings;
use super::runtime::Runtime;
use super::{made, session};
use crate::backend::deferred::{Deferred, Maker};
use crate::backend::{Backend, EngineOrigin, RuntimeReport, Stage};
use crate::engine::EngineConfig;
use crate::engine_cache::{EngineCache, Key};
use crate::ffi::gpu::{Gpu, gpu, tensorrt_version};
use crate::model::{ModelPackage, ModelSpec};
use crate::{Error, Result, Status};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

struct Build {
    runtime: Runtime,
    spec: ModelSpec,
    /// Until the session is made, which has its own copy of the graph.
    package: Mutex<Option<ModelPackage>>,
    settings: Settings,
    /// `TensorRT 10.3.0`.
    version: String,
    cache: Option<(EngineCache, Key)>,
}

/// Checks all that can be checked at once: the provider's library with what it needs, its options, the driver, the GPU.
///
/// # Errors
/// [`Status::ProviderUnavailable`] where something is missing; [`Status::EngineCache`] where engines shall be kept and
/// nothing tells TensorRT's version.
pub(super) fn load(
    runtime: Runtime,
    package: &ModelPackage,
    settings: Settings,
    config: &EngineConfig,
) -> Result<Arc<dyn Backend>> {
    // Loads the provider's library and has it read its options; makes no engine.
    drop(session::registered(&runtime, &settings, None)?);
    let gpu = gpu(settings.device_id)?;
    let found = tensorrt_version();
    let cache = match (&config.cache_folder, &found) {
        (None, _) => None,
        (Some(folder), Some(version)) => {
            Some((EngineCache::new(folder), key(&runtime.version, package, &settings, version, &gpu)))
        }
        (Some(folder), None) => {
            let what = format!(
                "{}: no libnvinfer that is loaded tells TensorRT's version, so no engine can be kept; name no cache folder",
                folder.display()
            );
            return Err(Error::new(Status::EngineCache, what));
        }
    };
    let version = format!("TensorRT {}", found.as_deref().unwrap_or("of unknown version"));
    Ok(deferred(runtime, package, settings, version, cache, config))
}

/// TensorRT for RTX, whose engines take seconds: none is kept here, and its own cache is an option of its own.
///
/// # Errors
/// [`Status::ProviderUnavailable`] where something is missing, [`Status::InvalidArgument`] where there are fewer GPUs.
#[cfg(feature = "tensorrt-rtx")]
pub(super) fn load_rtx(
    runtime: Runtime,
    package: &ModelPackage,
    settings: Settings,
    config: &EngineConfig,
) -> Result<Arc<dyn Backend>> {
    drop(session::registered(&runtime, &settings, None)?);
    Ok(deferred(runtime, package, settings, "TensorRT for RTX".into(), None, config))
}

/// The session to be made when the engine is prepared.
fn deferred(
    runtime: Runtime,
    package: &ModelPackage,
    settings: Settings,
    version: String,
    cache: Option<(EngineCache, Key)>,
    config: &EngineConfig,
) -> Arc<dyn Backend> {
    let (spec, package) = (package.spec.clone(), Mutex::new(Some(package.clone())));
    let build = Build { runtime, spec, package, settings, version, cache };
    Arc::new(Deferred::new(build, config.thread_start))
}

/// All that decides whether an engine fits. The driver is not in it: TensorRT does not bind its engines to one.
fn key(runtime: &str, package: &ModelPackage, settings: &Settings, tensorrt: &str, gpu: &Gpu) -> Key {
    let mut key = Key::default()
        .with("provider", settings.provider.name())
        .with("model", &package.spec.package_sha256)
        .with("onnxruntime", runtime)
        .with("tensorrt", tensorrt)
        .with("gpu", &gpu.name)
        .with("compute", &gpu.compute)
        .with("multiprocessors", &gpu.multiprocessors);
    for (name, value) in settings.engine_options() {
        // Of what an option names, the content counts.
        for (index, file) in value.split(';').enumerate() {
            if let Ok(content) = std::fs::read(file) {
                let sha256: String =
                    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
                key = key.with(format!("file {index} of {name}"), sha256);
            }
        }
        key = key.with(format!("option {name}"), value);
    }
    key
}

impl Build {
    fn cache(&self) -> Result<&(EngineCache, Key)> {
        #[cfg(feature = "tensorrt-rtx")]
        if self.settings.provider == super::Provider::TensorRtRtx {
            return Err(crate::backend::no_engine(self.settings.provider.name()));
        }
        self.cache.as_ref().ok_or_else(|| {
            let what = "engines go through the cache: name a cache_folder when the engine is created";
            Error::new(Status::WrongState, what)
        })
    }
}

impl Maker for Build {
    fn make(&self, stage: &dyn Fn(Stage)) -> Result<(Arc<dyn Backend>, EngineOrigin)> {
        let package = self.package.lock().clone();
        let package = package.ok_or_else(|| Error::new(Status::Internal, "the session was made already"))?;
        let load =
            |engines: Option<&Path>| made(&self.runtime, &package, &self.settings, engines, &self.version);
        let made = match &self.cache {
            Some((cache, key)) => cache.obtain(key, stage, |folder| load(Some(folder)))?,
            None => {
                stage(Stage::Building);
                (load(None)?, EngineOrigin::Built)
            }
        };
        *self.package.lock() = None;
        Ok(made)
    }

    fn report(&self) -> RuntimeReport {
        super::report(&self.runtime.version, &self.settings, &self.spec, &self.version)
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
    use crate::backend::ort::provider::Provider;
    use crate::model::Precision;

    #[test]
    fn the_key_changes_with_everything_that_an_engine_depends_on_and_with_nothing_else() {
        let bytes = include_bytes!("../../../models/standin.stream.onnx").to_vec();
        let package = ModelPackage::from_bytes(bytes, None).unwrap();
        let gpu = Gpu { name: "Orin".into(), compute: "8.7".into(), multiprocessors: "8".into() };
        let settings = |config: &EngineConfig| Settings::new(Provider::TensorRt, Precision::Fp32, config);
        let option = |name: &str, value: &str| EngineConfig {
            options: vec![(name.to_owned(), value.to_owned())],
            ..EngineConfig::default()
        };
        let plain = settings(&EngineConfig::default());
        let here = key("1.23.2", &package, &plain, "10.3.0", &gpu);
        let mut retrained = package.clone();
        retrained.spec.package_sha256 = "0".repeat(64);
        let half = Settings::new(Provider::TensorRt, Precision::Fp16, &EngineConfig::default());
        for (other, word) in [
            (key("1.23.3", &package, &plain, "10.3.0", &gpu), "onnxruntime 1.23.3, here is 1.23.2"),
            (key("1.23.2", &retrained, &plain, "10.3.0", &gpu), "model"),
            (key("1.23.2", &package, &plain, "10.7.0", &gpu), "tensorrt 10.7.0, here is 10.3.0"),
            (key("1.23.2", &package, &half, "10.3.0", &gpu), "trt_fp16_enable 1, here is 0"),
            (
                key("1.23.2", &package, &settings(&option("trt_dla_enable", "1")), "10.3.0", &gpu),
                "option trt_dla_enable 1, here is nothing",
            ),
            (
                key("1.23.2", &package, &plain, "10.3.0", &Gpu { name: "NVIDIA RTX".into(), ..gpu.clone() }),
                "gpu",
            ),
            (
                key("1.23.2", &package, &plain, "10.3.0", &Gpu { compute: "8.6".into(), ..gpu.clone() }),
                "compute",
            ),
            (
                key(
                    "1.23.2",
                    &package,
                    &plain,
                    "10.3.0",
                    &Gpu { multiprocessors: "4".into(), ..gpu.clone() },
                ),
                "multiprocessors",
            ),
        ] {
            assert_ne!(here.folder(), other.folder());
            assert!(here.differences(&other).contains(word), "{}", here.differences(&other));
        }
        let elsewhere = EngineConfig { device_id: 3, threads: 4, ..option("gpu_mem_limit", "1") };
        assert_eq!(here, key("1.23.2", &package, &settings(&elsewhere), "10.3.0", &gpu));
    }

    #[test]
    fn a_file_that_an_option_names_counts_by_its_content() {
        let bytes = include_bytes!("../../../models/standin.stream.onnx").to_vec();
        let package = ModelPackage::from_bytes(bytes, None).unwrap();
        let gpu = Gpu { name: "Orin".into(), compute: "8.7".into(), multiprocessors: "8".into() };
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
            key("1.23.2", &package, &settings, "10.3.0", &gpu).folder()
        };
        let first = folder("one");
        assert_ne!(first, folder("two"));
        assert_eq!(first, folder("one"));
        std::fs::remove_file(file).unwrap();
    }
}
