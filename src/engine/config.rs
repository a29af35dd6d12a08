//! Settings of an engine.

use crate::sys::gpu::GpuStream;
use std::path::PathBuf;

/// Maximum number of threads. It prevents a wrong setting from exhausting the system's resources.
pub(super) const MAX_THREADS: u32 = 64;

/// Settings of an engine.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Names of providers in order of preference. `embedded` needs no other software. `cpu`,
    /// `cuda`, `tensorrt` and, in builds with the feature of the same name, `tensorrt-rtx` use ONNX
    /// Runtime. An empty list selects `embedded`, or `cpu` in builds without `embedded`. A
    /// provider that is not in the list is never used.
    pub providers: Vec<String>,
    /// Number of threads that run the network, at most 64; 0 selects one thread. One of them is the
    /// thread that runs the stream, the exact query or [`Engine::prepare`](crate::Engine::prepare).
    /// The engine starts the others, which end with the engine and its streams.
    pub threads: u32,
    /// Shared library of ONNX Runtime for the providers that need it: a path, or a name that the
    /// system's dynamic loader looks up. `None` selects the library that the process already uses
    /// or, for the first engine, `libonnxruntime.so`.
    ///
    /// A process can use only one ONNX Runtime library. The first engine that needs ONNX Runtime
    /// loads it. ONNX Runtime 1.29 and later may send telemetry over the network, so these versions
    /// are refused unless the environment variable `ORT_DISABLE_TELEMETRY` is set. If its value is
    /// `1`, telemetry is turned off.
    pub runtime_library: Option<PathBuf>,
    /// Options of the providers as key-value pairs, for example
    /// `("trt_max_workspace_size", "1073741824")`. The providers define the keys and their values.
    /// A key that begins with `trt_` belongs to `tensorrt`, a key that begins with `nv_` belongs to
    /// `tensorrt-rtx`, and any other key belongs to `cuda`. Options that this library sets itself
    /// are refused.
    pub options: Vec<(String, String)>,
    /// Folder in which engines built by `tensorrt` are kept for later processes. The folder is
    /// created if it does not exist. With `None`, every process builds its own engine.
    pub cache_folder: Option<PathBuf>,
    /// Number of the GPU in CUDA's device order.
    pub device_id: u32,
    /// The host's CUDA stream on which the provider works. `None` selects a new CUDA stream.
    pub gpu_stream: Option<GpuStream>,
    /// Function that runs first on each thread of the engine. Its argument is the thread's role:
    /// `tteview-helper` for a thread that helps to run the network, or `tteview-build` for the
    /// thread that builds an engine.
    pub thread_start: Option<fn(&str)>,
}
