//! TensorRT for RTX, which is not part of ONNX Runtime but a plug-in library from NVIDIA.

use super::provider::Settings;
use super::runtime::Runtime;
use crate::error::{Error, Result, Status};
use ort::session::builder::SessionBuilder;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// File name of the plug-in in NVIDIA's packages for Linux.
pub(super) const LIBRARY: &str = "libonnxruntime_providers_nv_tensorrt_rtx.so";

/// Name of the provider in ONNX Runtime.
const NAME: &str = "NvTensorRTRTXExecutionProvider";

/// Whether the plug-in is registered with the environment of ONNX Runtime. A process can register a
/// plug-in only once.
static IS_REGISTERED: Mutex<bool> = Mutex::new(false);

/// Loads the plug-in if it is not loaded yet. If ONNX Runtime's folder does not contain the
/// plug-in, the system's dynamic loader searches for it.
fn load_plugin(runtime: &Runtime) -> ort::Result<()> {
    let mut is_registered = IS_REGISTERED.lock();
    if !*is_registered {
        runtime.environment.register_ep_library(NAME, find_library(&runtime.file))?;
        *is_registered = true;
    }
    Ok(())
}

fn find_library(runtime: &Path) -> PathBuf {
    let neighbour = runtime.with_file_name(LIBRARY);
    if neighbour.is_file() { neighbour } else { LIBRARY.into() }
}

/// Registers the plug-in with a session builder. `settings` specifies the GPU and the options, and
/// `convert` converts ONNX Runtime's errors.
///
/// # Errors
/// Returns an error from `convert` if ONNX Runtime fails, [`Status::ProviderUnavailable`] if the
/// plug-in finds no GPU, or [`Status::InvalidArgument`] if the number of the GPU is too large.
pub(super) fn register(
    runtime: &Runtime,
    settings: &Settings,
    builder: SessionBuilder,
    convert: impl Fn(ort::Error) -> Error,
) -> Result<SessionBuilder> {
    load_plugin(runtime).map_err(&convert)?;
    let devices = || {
        let all = runtime.environment.devices();
        all.filter(|device| device.ep().is_ok_and(|name| name == NAME))
    };
    let Some(device) = devices().nth(settings.device_id as usize) else {
        return Err(no_device_error(settings.device_id, devices().count()));
    };
    let options = settings.all_options(None)?.into_iter();
    let options: Vec<_> = options.map(|(key, value)| (format!("{NAME}.{key}"), value)).collect();
    let register = || -> ort::Result<SessionBuilder> {
        Ok(builder.with_devices([device], Some(&options))?.with_disable_cpu_fallback()?)
    };
    register().map_err(convert)
}

fn no_device_error(number: u32, count: usize) -> Error {
    if count > 0 {
        let message = format!("device_id must be 0 to {}, got {number}", count - 1);
        return Error::new(Status::InvalidArgument, message);
    }
    let message = format!(
        "{LIBRARY} sees no GPU that it supports; it needs an NVIDIA RTX GPU of the Ampere \
         generation or later, and the driver that its release notes require"
    );
    Error::new(Status::ProviderUnavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_next_to_the_runtime_comes_first() {
        let folder = std::env::temp_dir().join(format!("tteview-rtx-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = folder.join("libonnxruntime.so.1.31.1");
        assert_eq!(find_library(&runtime), Path::new(LIBRARY));
        std::fs::write(folder.join(LIBRARY), "").unwrap();
        assert_eq!(find_library(&runtime), folder.join(LIBRARY));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn no_gpu_and_too_few_gpus_are_different_errors() {
        let none = no_device_error(0, 0);
        assert_eq!(none.status(), Status::ProviderUnavailable);
        assert!(none.message().contains("no GPU"), "{none}");
        let few = no_device_error(2, 2);
        assert_eq!(few.status(), Status::InvalidArgument);
        assert!(few.message().contains("device_id must be 0 to 1, got 2"), "{few}");
    }
}
