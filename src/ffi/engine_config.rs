//! Engine
//!
//! An engine is one model package on one provider. Several streams can share an engine.

use super::pointers::{read_array, read_path, read_required_text, versioned};
use super::runtime::{call_thread_start, check_abi_version, runtime_library};
use super::types::ttv_stage;
use crate::engine::config::EngineConfig;
use crate::error::{Error, Result, Status};
use crate::memory::copy_values;
use crate::model::{ModelPackage, check_size};
use crate::sys::gpu::GpuStream;
use std::ffi::{c_char, c_void};

/// Maximum number of entries in `providers`.
const MAX_PROVIDERS: u32 = 16;
/// Maximum number of entries in `options`.
const MAX_OPTIONS: u32 = 128;

/// An option of a provider. This struct has no `struct_size` and never grows.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_option {
    /// Key from the provider's documentation, such as "trt_max_workspace_size".
    pub key: *const c_char,
    /// Value, such as "1073741824".
    pub value: *const c_char,
}

/// Settings of an engine. Initialize this struct with TTV_ENGINE_CONFIG_INIT. ttv_engine_create
/// copies everything that the fields point to, except the CUDA stream.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_engine_config {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Version of the ABI. TTV_ENGINE_CONFIG_INIT sets it to TTV_ABI_VERSION.
    pub abi_version: u32,
    /// Path of the model package. Set either this field or `model_data`.
    pub model_path: *const c_char,
    /// Content of the model package. Set either this field or `model_path`.
    pub model_data: *const c_void,
    /// Size of `model_data` in bytes.
    pub model_size: usize,
    /// Expected SHA-256 of the package (32 bytes), or NULL to accept any package.
    pub model_sha256: *const u8,
    /// Names of providers in order of preference. "embedded" is a CPU runtime inside this library.
    /// "cpu", "cuda" and "tensorrt" are providers of ONNX Runtime, as is "tensorrt-rtx" in builds
    /// with the feature of that name. NULL selects "embedded", or "cpu" in builds without
    /// "embedded". The library never uses a provider that is not in the list.
    pub providers: *const *const c_char,
    /// Number of entries in `providers`, at most 16.
    pub provider_count: u32,
    /// Number of threads that run the network, at most 64; 0 selects one. One of them is the
    /// thread that runs the stream, the exact query or ttv_engine_prepare. ttv_engine_create starts
    /// the others, which end when the engine and its streams are destroyed. With frame steps, a
    /// stream has a thread for each of the two parts of the network, so two threads may compute
    /// even if this number is 1, and `threads` - 2 others help the slow part.
    pub threads: u32,
    /// Options of the providers. A key that begins with "trt_" belongs to "tensorrt", a key that
    /// begins with "nv_" belongs to "tensorrt-rtx", and any other key belongs to "cuda". The
    /// library refuses options of providers that are not in `providers`, and options that it sets
    /// itself (device, stream, caches and fp16).
    pub options: *const ttv_option,
    /// Number of entries in `options`, at most 128.
    pub option_count: u32,
    /// Number of the GPU in CUDA's device order. It must be 0 if no provider in the list runs on a
    /// GPU.
    pub device_id: u32,
    /// Folder of the engine cache, in which the library stores the engines built by "tensorrt" so
    /// that later processes can load them. The library creates a missing folder. Several processes
    /// may share the folder. If this field is NULL, every process builds its own TensorRT engine,
    /// which takes minutes.
    pub cache_folder: *const c_char,
    /// CUDA stream (`cudaStream_t`) on which the provider works. The priority of the CUDA stream
    /// determines the priority of the network on the GPU. The CUDA stream must belong to the GPU
    /// `device_id`, and must exist until the engine and its streams are destroyed. If this field is
    /// NULL, the provider uses a new CUDA stream.
    pub gpu_stream: *mut c_void,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers and pointers,
// for which every bit pattern is valid.
versioned!(ttv_engine_config {
    struct_size,
    abi_version,
    model_path,
    model_data,
    model_size,
    model_sha256,
    providers,
    provider_count,
    threads,
    options,
    option_count,
    device_id,
    cache_folder,
    gpu_stream
});

impl ttv_engine_config {
    /// Converts the settings.
    pub(super) fn parse(&self) -> Result<EngineConfig> {
        check_abi_version(self.abi_version)?;
        Ok(EngineConfig {
            providers: self.read_providers()?,
            threads: self.threads,
            runtime_library: runtime_library(),
            options: self.read_options()?,
            cache_folder: read_path(self.cache_folder, "cache_folder")?,
            device_id: self.device_id,
            // SAFETY: the host guarantees that the CUDA stream belongs to the device and outlives
            // the engine and its streams.
            gpu_stream: unsafe { GpuStream::from_raw(self.gpu_stream) },
            thread_start: Some(call_thread_start),
        })
    }

    /// Reads the model package from the file or from memory.
    pub(super) fn load_package(&self) -> Result<ModelPackage> {
        // SAFETY: the caller guarantees that `model_sha256` is NULL or points to 32 bytes. An array
        // of bytes needs no alignment.
        let sha256 = unsafe { self.model_sha256.cast::<[u8; 32]>().as_ref() }.copied();
        let path = read_path(self.model_path, "model_path")?;
        match (path, self.model_data.is_null()) {
            (Some(path), true) => ModelPackage::from_path(&path, sha256),
            (None, false) => {
                let size = self.model_size;
                if size == 0 || isize::try_from(size).is_err() {
                    let message = format!("model_size must be 1 to {}, got {size}", isize::MAX);
                    return Err(Error::new(Status::InvalidArgument, message));
                }
                check_size(size)?;
                // SAFETY: the caller guarantees that `model_data` points to `model_size` bytes. The
                // check above ensures that the size is 1 to `isize::MAX`.
                let bytes =
                    unsafe { std::slice::from_raw_parts(self.model_data.cast::<u8>(), size) };
                ModelPackage::from_bytes(copy_values(bytes, "the model package")?, sha256)
            }
            (None, true) => {
                let message = "model_path and model_data are both NULL; set exactly one of them";
                Err(Error::new(Status::NullArgument, message))
            }
            (Some(_), false) => {
                let message = "model_path and model_data are both set; set exactly one of them";
                Err(Error::new(Status::InvalidArgument, message))
            }
        }
    }

    fn read_providers(&self) -> Result<Vec<String>> {
        let names = read_array(self.providers, self.provider_count, MAX_PROVIDERS, "providers")?;
        names.iter().map(|&name| read_required_text(name, "an entry of providers")).collect()
    }

    fn read_options(&self) -> Result<Vec<(String, String)>> {
        let options = read_array(self.options, self.option_count, MAX_OPTIONS, "options")?;
        let read = |option: &ttv_option| {
            let key = read_required_text(option.key, "the key of an option")?;
            Ok((key, read_required_text(option.value, "the value of an option")?))
        };
        options.iter().map(read).collect()
    }
}

/// Settings for ttv_engine_prepare_with. Initialize this struct with TTV_PREPARE_CONFIG_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_prepare_config {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Reserved; must be 0.
    pub reserved: u32,
    /// Callback that receives the progress, or NULL. The library calls it on the thread that called
    /// ttv_engine_prepare_with: at the start of every stage, and about once a second while a
    /// TensorRT engine is built. `stage` is one of TTV_STAGE_*, and `elapsed_ns` is the time since
    /// ttv_engine_prepare_with was called. If the callback returns a value other than 0,
    /// ttv_engine_prepare_with is cancelled. The callback must not throw exceptions.
    pub progress:
        Option<unsafe extern "C" fn(user: *mut c_void, stage: ttv_stage, elapsed_ns: i64) -> i32>,
    /// Pointer that the library passes to `progress`.
    pub user: *mut c_void,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers, a pointer and
// an optional function pointer. The host guarantees that the function pointer is NULL or valid.
versioned!(ttv_prepare_config { struct_size, reserved, progress, user });
