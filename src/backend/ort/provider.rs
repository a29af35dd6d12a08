//! The providers of ONNX Runtime, their options, and hints for the host if a provider cannot run.

use crate::backend::helpers::ThreadStart;
use crate::engine::config::EngineConfig;
use crate::engine::options;
use crate::error::{Error, Result, Status};
use crate::model::Precision;
use crate::sys::gpu::GpuStream;
use ort::ep::{
    ArbitrarilyConfigurableExecutionProvider, CUDA, ExecutionProviderDispatch, TensorRT,
};
use ort::memory::AllocationDevice;
use std::path::Path;

/// An execution provider of ONNX Runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Cpu,
    Cuda,
    TensorRt,
    #[cfg(feature = "tensorrt-rtx")]
    TensorRtRtx,
}

impl Provider {
    /// Returns the provider with this name, if this build has it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Cpu,
            Self::Cuda,
            Self::TensorRt,
            #[cfg(feature = "tensorrt-rtx")]
            Self::TensorRtRtx,
        ];
        all.into_iter().find(|provider| provider.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            #[cfg(feature = "tensorrt-rtx")]
            Self::TensorRtRtx => "tensorrt-rtx",
        }
    }

    /// Returns the kind of memory that contains the states between steps, or `None` for host
    /// memory. Samples and logits are always in host memory.
    pub(super) fn state_memory(self) -> Option<AllocationDevice<'static>> {
        match self {
            Self::Cpu => None,
            Self::Cuda | Self::TensorRt => Some(AllocationDevice::CUDA),
            // The states are in host memory. To allocate device memory, this library would need the
            // plug-in's own name for that memory, which ONNX Runtime versions before 1.23 do not
            // report.
            #[cfg(feature = "tensorrt-rtx")]
            Self::TensorRtRtx => None,
        }
    }
}

/// A provider with the settings from the host and from the package.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) provider: Provider,
    pub(super) threads: u32,
    pub(super) thread_start: ThreadStart,
    pub(super) device_id: u32,
    gpu_stream: Option<GpuStream>,
    precision: Precision,
    /// Options that the host has set for this provider.
    options: Vec<(String, String)>,
}

impl Settings {
    pub(super) fn new(provider: Provider, precision: Precision, config: &EngineConfig) -> Self {
        let own = options::options_of(&config.options, provider.name());
        Self {
            provider,
            threads: config.threads.max(1),
            thread_start: config.thread_start,
            device_id: config.device_id,
            gpu_stream: config.gpu_stream,
            precision,
            options: own.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }

    /// Returns the CUDA stream that the provider must use, or `None` if the provider creates one.
    pub(super) fn gpu_stream(&self) -> Option<GpuStream> {
        self.gpu_stream
    }

    /// Sets the CUDA stream that the provider must use.
    pub(super) fn with_gpu_stream(self, stream: GpuStream) -> Self {
        Self { gpu_stream: Some(stream), ..self }
    }

    /// Sets the number of threads.
    pub(super) fn with_threads(self, threads: u32) -> Self {
        Self { threads, ..self }
    }

    /// Returns whether the host has turned on CUDA graphs for this provider.
    pub(super) fn captures_graph(&self) -> bool {
        let option = match self.provider {
            Provider::Cuda => "enable_cuda_graph",
            Provider::TensorRt => "trt_cuda_graph_enable",
            _ => return false,
        };
        // ONNX Runtime accepts these values as true.
        let is_true = |value: &str| ["1", "true", "True"].contains(&value);
        self.options.iter().any(|(key, value)| key == option && is_true(value))
    }

    /// Returns the options that can influence the engine that the provider builds.
    pub(super) fn engine_options(&self) -> Vec<(String, String)> {
        let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let is_fp16 = self.precision == Precision::Fp16;
        let mut options = match self.provider {
            Provider::Cpu => Vec::new(),
            // TF32 is off by default, so that the provider computes in full float32 precision. A
            // host can set this option to turn TF32 on.
            Provider::Cuda => vec![option("use_tf32", "0")],
            Provider::TensorRt => vec![option("trt_fp16_enable", if is_fp16 { "1" } else { "0" })],
            // This provider takes the precision from the types in the graph.
            #[cfg(feature = "tensorrt-rtx")]
            Provider::TensorRtRtx => Vec::new(),
        };
        options.retain(|(key, _)| self.options.iter().all(|(own, _)| own != key));
        options.extend(self.options.iter().cloned());
        options
    }

    /// Returns all options for the provider, with the keys that the provider defines. `engines` is
    /// the folder in which the provider keeps its engines.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if the path of the folder is not valid UTF-8.
    pub(super) fn all_options(&self, engines: Option<&Path>) -> Result<Vec<(String, String)>> {
        let mut options = self.engine_options();
        let mut add = |key: &str, value: String| options.push((key.to_owned(), value));
        // A plug-in receives the device itself instead of its number.
        if matches!(self.provider, Provider::Cpu | Provider::Cuda | Provider::TensorRt) {
            add("device_id", self.device_id.to_string());
        }
        if let Some(stream) = self.gpu_stream {
            add("has_user_compute_stream", "1".into());
            add("user_compute_stream", stream.address().to_string());
        }
        if let Some(folder) = engines {
            let folder = folder.to_str().ok_or_else(|| {
                let message = format!("cache_folder must be valid UTF-8, got {}", folder.display());
                Error::new(Status::InvalidArgument, message)
            })?;
            for key in ["trt_engine_cache_enable", "trt_timing_cache_enable"] {
                add(key, "1".into());
            }
            for key in ["trt_engine_cache_path", "trt_timing_cache_path"] {
                add(key, folder.to_owned());
            }
        }
        Ok(options)
    }

    /// Returns the registration of the provider for a session. The result is `None` for the CPU
    /// provider, which is always available, and for a plug-in, which is registered separately.
    pub(super) fn create_registration(
        &self,
        engines: Option<&Path>,
    ) -> Result<Option<ExecutionProviderDispatch>> {
        let registration = match self.provider {
            Provider::Cpu => return Ok(None),
            #[cfg(feature = "tensorrt-rtx")]
            Provider::TensorRtRtx => return Ok(None),
            Provider::Cuda => set_options(CUDA::default(), self.all_options(engines)?).build(),
            Provider::TensorRt => {
                set_options(TensorRT::default(), self.all_options(engines)?).build()
            }
        };
        Ok(Some(registration.error_on_failure()))
    }
}

fn set_options<P: ArbitrarilyConfigurableExecutionProvider>(
    provider: P,
    options: Vec<(String, String)>,
) -> P {
    let set = |provider: P, (key, value)| provider.with_arbitrary_config(key, value);
    options.into_iter().fold(provider, set)
}

/// Returns the status for a provider's error message, and a hint to append to the message.
pub(super) fn classify_failure(message: &str) -> (Status, &'static str) {
    let has = |word: &str| message.contains(word);
    if has("Unknown provider option") {
        return (Status::InvalidArgument, "; this version of ONNX Runtime has no such option");
    }
    if has("Failed to parse provider option") {
        return (Status::InvalidArgument, "; this option takes a different kind of value");
    }
    let hint = if has("providers_nv_tensorrt_rtx.so: cannot open") {
        "; put NVIDIA's plug-in into the folder of ONNX Runtime, or add its folder to \
         LD_LIBRARY_PATH"
    } else if has("libtensorrt_") {
        "; install that version of TensorRT for RTX, or add its folder to LD_LIBRARY_PATH"
    } else if has("not enabled in this build") {
        "; set the runtime library to a GPU build of ONNX Runtime"
    } else if has("libnvinfer") || has("libnvonnxparser") {
        "; install that version of TensorRT (part of JetPack), or add its folder to \
         LD_LIBRARY_PATH"
    } else if has("libcudnn") {
        "; install that version of cuDNN (part of JetPack), or add its folder to LD_LIBRARY_PATH"
    } else if ["libcuda.so", "libnvidia-ml", "CUDA failure 35", "CUDA failure 100"]
        .iter()
        .any(|word| has(word))
    {
        "; install the NVIDIA driver (part of JetPack), or start the container with NVIDIA's runtime"
    } else if has("libcu") || has("libnv") {
        "; install that version of CUDA (part of JetPack), or add its folder to LD_LIBRARY_PATH"
    } else if has("libonnxruntime_providers") {
        "; put the provider's library from the same build next to ONNX Runtime's library"
    } else {
        ""
    };
    (Status::ProviderUnavailable, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn create_settings(provider: Provider, config: &EngineConfig) -> Settings {
        Settings::new(provider, Precision::Fp16, config)
    }

    fn create_config(options: &[(&str, &str)]) -> EngineConfig {
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        EngineConfig {
            options: options.iter().map(own).collect(),
            device_id: 2,
            ..EngineConfig::default()
        }
    }

    fn all_options(settings: &Settings, engines: Option<&str>) -> BTreeMap<String, String> {
        let pairs = settings.all_options(engines.map(Path::new)).unwrap();
        let count = pairs.len();
        let map: BTreeMap<_, _> = pairs.into_iter().collect();
        assert_eq!(map.len(), count, "a key is repeated");
        map
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn tensorrt_gets_precision_device_caches_and_host_options() {
        let config =
            create_config(&[("trt_max_workspace_size", "1073741824"), ("gpu_mem_limit", "1")]);
        let settings = create_settings(Provider::TensorRt, &config);
        let expected = [
            ("trt_fp16_enable", "1"),
            ("trt_max_workspace_size", "1073741824"),
            ("device_id", "2"),
            ("trt_engine_cache_enable", "1"),
            ("trt_engine_cache_path", "/engines"),
            ("trt_timing_cache_enable", "1"),
            ("trt_timing_cache_path", "/engines"),
        ];
        assert_eq!(all_options(&settings, Some("/engines")), map(&expected));
        assert_eq!(all_options(&settings, None), map(&expected[..3]));
        // Options that do not change the engine are not part of its key.
        assert_eq!(
            settings.engine_options().into_iter().collect::<BTreeMap<_, _>>(),
            map(&expected[..2])
        );
    }

    #[test]
    fn cuda_runs_without_tf32_unless_the_host_wants_it() {
        let plain = create_settings(Provider::Cuda, &create_config(&[("trt_x", "1")]));
        assert_eq!(all_options(&plain, None), map(&[("use_tf32", "0"), ("device_id", "2")]));
        let wanted = create_settings(
            Provider::Cuda,
            &create_config(&[("use_tf32", "1"), ("gpu_mem_limit", "7")]),
        );
        let expected = [("use_tf32", "1"), ("gpu_mem_limit", "7"), ("device_id", "2")];
        assert_eq!(all_options(&wanted, None), map(&expected));
    }

    #[test]
    fn the_own_option_of_a_provider_turns_on_cuda_graphs() {
        for (provider, key, value, captured) in [
            (Provider::TensorRt, "trt_cuda_graph_enable", "1", true),
            (Provider::TensorRt, "trt_cuda_graph_enable", "true", true),
            (Provider::TensorRt, "trt_cuda_graph_enable", "0", false),
            (Provider::TensorRt, "enable_cuda_graph", "1", false),
            (Provider::Cuda, "enable_cuda_graph", "True", true),
            (Provider::Cuda, "trt_cuda_graph_enable", "1", false),
            (Provider::Cpu, "enable_cuda_graph", "1", false),
        ] {
            let settings = create_settings(provider, &create_config(&[(key, value)]));
            assert_eq!(settings.captures_graph(), captured, "{provider:?} {key}={value}");
        }
        // The provider must use the CUDA stream on which the copies are made.
        let stream = GpuStream::dangling();
        let cuda = create_settings(Provider::Cuda, &create_config(&[])).with_gpu_stream(stream);
        let options = all_options(&cuda, None);
        assert_eq!(options["user_compute_stream"], stream.address().to_string());
        assert_eq!(options["has_user_compute_stream"], "1");
    }

    #[test]
    fn each_failure_comes_with_a_hint() {
        for (message, word) in [
            ("libnvinfer.so.10: cannot open shared object file", "TensorRT"),
            ("libcudnn.so.9: cannot open shared object file", "cuDNN"),
            ("libcublasLt.so.12: cannot open shared object file", "CUDA"),
            ("TensorRT execution provider is not enabled in this build.", "GPU build"),
            ("Failed to load library libonnxruntime_providers_tensorrt.so", "next to"),
            ("libtensorrt_rtx.so.1: cannot open shared object file", "TensorRT for RTX"),
            (
                "libonnxruntime_providers_nv_tensorrt_rtx.so: cannot open shared object file",
                "plug-in",
            ),
            ("libnvidia-ml.so.1: cannot open shared object file", "driver"),
            ("CUDA failure 35: CUDA driver version is insufficient", "driver"),
        ] {
            let (status, hint) = classify_failure(message);
            assert!(
                status == Status::ProviderUnavailable && hint.contains(word),
                "{message}: {hint}"
            );
        }
        for message in
            ["Unknown provider option: \"x\".", "Failed to parse provider option \"x\": ..."]
        {
            assert_eq!(classify_failure(message).0, Status::InvalidArgument);
        }
    }
}
