//! The providers of ONNX Runtime: what each is told, and what to do where one cannot run.

use crate::engine::EngineConfig;
use crate::ffi::gpu::GpuStream;
use crate::model::Precision;
use crate::{Error, Result, Status, options};
use ort::ep::{ArbitrarilyConfigurableExecutionProvider, CUDA, ExecutionProviderDispatch, TensorRT};
use ort::memory::AllocationDevice;
use std::path::Path;

/// What of ONNX Runtime computes the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Cpu,
    Cuda,
    TensorRt,
    #[cfg(feature = "tensorrt-rtx")]
    TensorRtRtx,
}

impl Provider {
    /// The provider that the host calls by this name.
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

    /// Where the states lie from step to step, if not in host memory. What enters a step (samples) and leaves it
    /// (logits) is in host memory.
    pub(super) fn device(self) -> Option<AllocationDevice<'static>> {
        match self {
            Self::Cpu => None,
            Self::Cuda | Self::TensorRt => Some(AllocationDevice::CUDA),
            // A plug-in names the memory of its device itself, which ONNX Runtime tells from 1.23 on: until a GPU has run
            // this the states go by host memory.
            #[cfg(feature = "tensorrt-rtx")]
            Self::TensorRtRtx => None,
        }
    }
}

/// A provider with what the host and the package say of it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) provider: Provider,
    pub(super) threads: usize,
    pub(super) device_id: u32,
    gpu_stream: Option<GpuStream>,
    precision: Precision,
    /// The host's own, those of this provider alone.
    options: Vec<(String, String)>,
}

impl Settings {
    pub(super) fn new(provider: Provider, precision: Precision, config: &EngineConfig) -> Self {
        let own = options::of(&config.options, provider.name());
        Self {
            provider,
            threads: config.threads.max(1) as usize,
            device_id: config.device_id,
            gpu_stream: config.gpu_stream,
            precision,
            options: own.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }

    /// The stream that the provider works in, if it does not make its own.
    pub(super) fn gpu_stream(&self) -> Option<GpuStream> {
        self.gpu_stream
    }

    /// The same in this stream.
    pub(super) fn in_stream(self, stream: GpuStream) -> Self {
        Self { gpu_stream: Some(stream), ..self }
    }

    /// The host wants the provider to capture a CUDA graph and to launch that from then on.
    pub(super) fn captures_graph(&self) -> bool {
        let wanted = match self.provider {
            Provider::Cuda => "enable_cuda_graph",
            Provider::TensorRt => "trt_cuda_graph_enable",
            _ => return false,
        };
        // What ONNX Runtime takes for true.
        let is_true = |value: &str| ["1", "true", "True"].contains(&value);
        self.options.iter().any(|(key, value)| key == wanted && is_true(value))
    }

    /// The provider's options that decide what an engine computes.
    pub(super) fn engine_options(&self) -> Vec<(String, String)> {
        let given = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut pairs = match self.provider {
            Provider::Cpu => Vec::new(),
            // Without TF32, so that float32 is float32; a host that wants it has an option for it.
            Provider::Cuda => vec![given("use_tf32", "0")],
            Provider::TensorRt => {
                vec![given("trt_fp16_enable", if self.precision == Precision::Fp16 { "1" } else { "0" })]
            }
            // It takes the types of the graph.
            #[cfg(feature = "tensorrt-rtx")]
            Provider::TensorRtRtx => Vec::new(),
        };
        pairs.retain(|(key, _)| self.options.iter().all(|(own, _)| own != key));
        pairs.extend(self.options.iter().cloned());
        pairs
    }

    /// All that the provider is told, by its own keys; `engines`: where it finds its engines and writes them.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for a folder whose path is not UTF-8.
    pub(super) fn all_options(&self, engines: Option<&Path>) -> Result<Vec<(String, String)>> {
        let mut pairs = self.engine_options();
        let mut give = |key: &str, value: String| pairs.push((key.to_owned(), value));
        // A plug-in is given its device, not the number.
        if matches!(self.provider, Provider::Cpu | Provider::Cuda | Provider::TensorRt) {
            give("device_id", self.device_id.to_string());
        }
        if let Some(stream) = self.gpu_stream {
            give("has_user_compute_stream", "1".into());
            give("user_compute_stream", stream.address().to_string());
        }
        if let Some(folder) = engines {
            let folder = folder.to_str().ok_or_else(|| {
                Error::new(Status::InvalidArgument, format!("{}: the path is not UTF-8", folder.display()))
            })?;
            for key in ["trt_engine_cache_enable", "trt_timing_cache_enable"] {
                give(key, "1".into());
            }
            for key in ["trt_engine_cache_path", "trt_timing_cache_path"] {
                give(key, folder.to_owned());
            }
        }
        Ok(pairs)
    }

    /// What a session must register; the CPU provider is always there, and a plug-in goes another way.
    pub(super) fn registration(&self, engines: Option<&Path>) -> Result<Option<ExecutionProviderDispatch>> {
        let registration = match self.provider {
            Provider::Cpu => return Ok(None),
            #[cfg(feature = "tensorrt-rtx")]
            Provider::TensorRtRtx => return Ok(None),
            Provider::Cuda => told(CUDA::default(), self.all_options(engines)?).build(),
            Provider::TensorRt => told(TensorRT::default(), self.all_options(engines)?).build(),
        };
        Ok(Some(registration.error_on_failure()))
    }
}

fn told<P: ArbitrarilyConfigurableExecutionProvider>(provider: P, options: Vec<(String, String)>) -> P {
    options.into_iter().fold(provider, |provider, (key, value)| provider.with_arbitrary_config(key, value))
}

/// The status of a provider's failure, and what the host can do about it.
pub(super) fn explained(message: &str) -> (Status, &'static str) {
    let has = |word: &str| message.contains(word);
    if has("Unknown provider option") {
        return (Status::InvalidArgument, "; this version of ONNX Runtime has no such option");
    }
    if has("Failed to parse provider option") {
        return (Status::InvalidArgument, "; this option takes another value");
    }
    let next = if has("providers_nv_tensorrt_rtx.so: cannot open") {
        "; put NVIDIA's plug-in into ONNX Runtime's folder, or its folder into LD_LIBRARY_PATH"
    } else if has("libtensorrt_") {
        "; install that version of TensorRT for RTX, or put its folder into LD_LIBRARY_PATH"
    } else if has("not enabled in this build") {
        "; name the library of a GPU build of ONNX Runtime"
    } else if has("libnvinfer") || has("libnvonnxparser") {
        "; install that version of TensorRT (JetPack has it), or put its folder into LD_LIBRARY_PATH"
    } else if has("libcudnn") {
        "; install that version of cuDNN (JetPack has it), or put its folder into LD_LIBRARY_PATH"
    } else if has("libcuda.so") || has("libnvidia-ml") || has("CUDA failure 35") || has("CUDA failure 100") {
        "; install the NVIDIA driver (JetPack has it), or start the container with NVIDIA's runtime"
    } else if has("libcu") || has("libnv") {
        "; install that version of CUDA (JetPack has it), or put its folder into LD_LIBRARY_PATH"
    } else if has("libonnxruntime_providers") {
        "; put the provider's library beside ONNX Runtime's, from the same build"
    } else {
        ""
    };
    (Status::ProviderUnavailable, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn settings(provider: Provider, config: &EngineConfig) -> Settings {
        Settings::new(provider, Precision::Fp16, config)
    }

    fn config(options: &[(&str, &str)]) -> EngineConfig {
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        EngineConfig { options: options.iter().map(own).collect(), device_id: 2, ..EngineConfig::default() }
    }

    fn all(settings: &Settings, engines: Option<&str>) -> BTreeMap<String, String> {
        let pairs = settings.all_options(engines.map(Path::new)).unwrap();
        let count = pairs.len();
        let map: BTreeMap<_, _> = pairs.into_iter().collect();
        assert_eq!(map.len(), count, "a key stands there twice");
        map
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn tensorrt_is_told_precision_device_and_caches_and_the_options_of_the_host() {
        let config = config(&[("trt_max_workspace_size", "1073741824"), ("gpu_mem_limit", "1")]);
        let settings = settings(Provider::TensorRt, &config);
        let expected = [
            ("trt_fp16_enable", "1"),
            ("trt_max_workspace_size", "1073741824"),
            ("device_id", "2"),
            ("trt_engine_cache_enable", "1"),
            ("trt_engine_cache_path", "/engines"),
            ("trt_timing_cache_enable", "1"),
            ("trt_timing_cache_path", "/engines"),
        ];
        assert_eq!(all(&settings, Some("/engines")), map(&expected));
        assert_eq!(all(&settings, None), map(&expected[..3]));
        // What does not change the engine is no part of its key.
        assert_eq!(settings.engine_options().into_iter().collect::<BTreeMap<_, _>>(), map(&expected[..2]));
    }

    #[test]
    fn cuda_runs_without_tf32_unless_the_host_wants_it() {
        let plain = settings(Provider::Cuda, &config(&[("trt_x", "1")]));
        assert_eq!(all(&plain, None), map(&[("use_tf32", "0"), ("device_id", "2")]));
        let wanted = settings(Provider::Cuda, &config(&[("use_tf32", "1"), ("gpu_mem_limit", "7")]));
        let expected = [("use_tf32", "1"), ("gpu_mem_limit", "7"), ("device_id", "2")];
        assert_eq!(all(&wanted, None), map(&expected));
    }

    #[test]
    fn a_cuda_graph_is_captured_where_the_providers_own_option_says_so() {
        for (provider, key, value, captured) in [
            (Provider::TensorRt, "trt_cuda_graph_enable", "1", true),
            (Provider::TensorRt, "trt_cuda_graph_enable", "true", true),
            (Provider::TensorRt, "trt_cuda_graph_enable", "0", false),
            (Provider::TensorRt, "enable_cuda_graph", "1", false),
            (Provider::Cuda, "enable_cuda_graph", "True", true),
            (Provider::Cuda, "trt_cuda_graph_enable", "1", false),
            (Provider::Cpu, "enable_cuda_graph", "1", false),
        ] {
            let settings = settings(provider, &config(&[(key, value)]));
            assert_eq!(settings.captures_graph(), captured, "{provider:?} {key}={value}");
        }
        // The provider must work where the copies are made.
        let told = all(&settings(Provider::Cuda, &config(&[])).in_stream(GpuStream::of_nobody()), None);
        assert_eq!(told["user_compute_stream"], GpuStream::of_nobody().address().to_string());
        assert_eq!(told["has_user_compute_stream"], "1");
    }

    #[test]
    fn each_failure_comes_with_what_to_do() {
        for (message, word) in [
            ("libnvinfer.so.10: cannot open shared object file", "TensorRT"),
            ("libcudnn.so.9: cannot open shared object file", "cuDNN"),
            ("libcublasLt.so.12: cannot open shared object file", "CUDA"),
            ("TensorRT execution provider is not enabled in this build.", "GPU build"),
            ("Failed to load library libonnxruntime_providers_tensorrt.so", "beside"),
            ("libtensorrt_rtx.so.1: cannot open shared object file", "TensorRT for RTX"),
            ("libonnxruntime_providers_nv_tensorrt_rtx.so: cannot open shared object file", "plug-in"),
            ("libnvidia-ml.so.1: cannot open shared object file", "driver"),
            ("CUDA failure 35: CUDA driver version is insufficient", "driver"),
        ] {
            let (status, next) = explained(message);
            assert!(status == Status::ProviderUnavailable && next.contains(word), "{message}: {next}");
        }
        for message in ["Unknown provider option: \"x\".", "Failed to parse provider option \"x\": ..."] {
            assert_eq!(explained(message).0, Status::InvalidArgument);
        }
    }
}
