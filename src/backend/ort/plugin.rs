//! TensorRT for RTX, which is no part of ONNX Runtime: NVIDIA ships it as a plug-in library of its own.

use super::provider::Settings;
use super::runtime::Runtime;
use crate::{Error, Result, Status};
use ort::session::builder::SessionBuilder;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// The file in NVIDIA's packages for Linux.
pub(super) const LIBRARY: &str = "libonnxruntime_providers_nv_tensorrt_rtx.so";

/// The provider's name in ONNX Runtime.
const NAME: &str = "NvTensorRTRTXExecutionProvider";

/// Whether the process's environment has the library: it may be registered once.
static REGISTERED: Mutex<bool> = Mutex::new(false);

/// Loads the library, if no engine before did: from ONNX Runtime's folder if it lies there, else from where the loader
/// looks.
///
/// # Errors
/// ONNX Runtime's, which names the library that is missing.
fn register(runtime: &Runtime) -> ort::Result<()> {
    let mut registered = REGISTERED.lock();
    if !*registered {
        runtime.environment.register_ep_library(NAME, library(&runtime.file))?;
        *registered = true;
    }
    Ok(())
}

fn library(runtime: &Path) -> PathBuf {
    let beside = runtime.with_file_name(LIBRARY);
    if beside.is_file() { beside } else { LIBRARY.into() }
}

/// Gives a session the GPU that the settings name, and the options of the host. `failed` says what ONNX Runtime's errors
/// mean.
///
/// # Errors
/// As `failed` says; [`Status::ProviderUnavailable`] where the library sees no GPU, [`Status::InvalidArgument`] where it
/// sees fewer than the number says.
pub(super) fn registered(
    runtime: &Runtime,
    settings: &Settings,
    builder: SessionBuilder,
    failed: impl Fn(ort::Error) -> Error,
) -> Result<SessionBuilder> {
    register(runtime).map_err(&failed)?;
    let devices =
        || runtime.environment.devices().filter(|device| device.ep().is_ok_and(|name| name == NAME));
    let Some(device) = devices().nth(settings.device_id as usize) else {
        return Err(no_device(settings.device_id, devices().count()));
    };
    let options = settings.all_options(None)?.into_iter();
    let options: Vec<_> = options.map(|(key, value)| (format!("{NAME}.{key}"), value)).collect();
    let registered = || -> ort::Result<SessionBuilder> {
        Ok(builder.with_devices([device], Some(&options))?.with_disable_cpu_fallback()?)
    };
    registered().map_err(failed)
}

fn no_device(number: u32, count: usize) -> Error {
    if count > 0 {
        let what = format!("device_id is {number}, and {LIBRARY} sees {count} GPUs");
        return Error::new(Status::InvalidArgument, what);
    }
    let what = format!(
        "{LIBRARY} sees no GPU that it runs on: it takes NVIDIA's RTX from Ampere on, with the driver that its release notes \
         ask for"
    );
    Error::new(Status::ProviderUnavailable, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_taken_from_the_runtimes_folder_or_left_to_the_loader() {
        let folder = std::env::temp_dir().join(format!("tteview-rtx-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = folder.join("libonnxruntime.so.1.31.1");
        assert_eq!(library(&runtime), Path::new(LIBRARY));
        std::fs::write(folder.join(LIBRARY), "").unwrap();
        assert_eq!(library(&runtime), folder.join(LIBRARY));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_machine_without_a_gpu_and_one_with_too_few_are_told_apart() {
        let none = no_device(0, 0);
        assert_eq!(none.status(), Status::ProviderUnavailable);
        assert!(none.message().contains("no GPU"), "{none}");
        let few = no_device(2, 2);
        assert_eq!(few.status(), Status::InvalidArgument);
        assert!(few.message().contains("device_id is 2") && few.message().contains("sees 2 GPUs"), "{few}");
    }
}
