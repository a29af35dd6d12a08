//! The process's ONNX Runtime: one library and one environment, which are never unloaded.

use crate::error::{Error, Result, Status};
use crate::regular_file;
use crate::sys::onnxruntime::{RuntimeLibrary, inspect_library};
use ort::environment::Environment;
use ort::logging::LogLevel;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Oldest supported version. ONNX Runtime 1.18 is the first version whose CUDA provider can turn
/// off TF32. If this library is built for a newer C API, the oldest supported version is the one
/// that introduced that API.
const MIN_VERSION: (u32, u32) = (1, if ort::MINOR_VERSION > 18 { ort::MINOR_VERSION } else { 18 });

/// Name of the library that is loaded if the host specifies none.
const DEFAULT_LIBRARY: &str = "libonnxruntime.so";

/// First version whose official builds for Linux send telemetry over the network. These builds also
/// store a device identifier in the home folder and start threads for telemetry. Telemetry starts
/// when the environment is created, before the C API can turn it off, so only an environment
/// variable can prevent it.
const TELEMETRY_SINCE: (u32, u32) = (1, 29);

/// Environment variable that turns off telemetry if its value is `1`.
const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// The library and its environment.
///
/// Both are kept until the process ends, because the `ort` crate allows only one of each, and
/// a library that has started threads cannot be unloaded safely.
#[derive(Clone)]
pub(super) struct Runtime {
    pub(super) environment: Environment,
    pub(super) version: String,
    /// File from which the library was loaded.
    #[cfg(feature = "tensorrt-rtx")]
    pub(super) file: PathBuf,
}

struct LoadedLibrary {
    /// Path or name that the host specified.
    requested: PathBuf,
    library: RuntimeLibrary,
    /// Environment of the library, or `None` if it has not been created yet.
    environment: Option<Environment>,
}

static LOADED: Mutex<Option<LoadedLibrary>> = Mutex::new(None);

/// Returns the process's runtime. The first call loads it from `library`, which is a path, or a
/// name that the system's dynamic loader looks up. `None` selects the library that is already
/// loaded or, in the first call, `libonnxruntime.so`.
///
/// # Errors
/// Returns [`Status::RuntimeMissing`] or [`Status::RuntimeTooOld`] if the library cannot be used,
/// [`Status::InvalidArgument`] if the process already uses a different library,
/// [`Status::ProviderUnavailable`] if the library would send telemetry without the host's consent,
/// or [`Status::Inference`] if the environment cannot be created.
pub(super) fn get_runtime(library: Option<&Path>) -> Result<Runtime> {
    let mut loaded = LOADED.lock();
    if loaded.is_none() {
        *loaded = Some(load_library(library.unwrap_or(Path::new(DEFAULT_LIBRARY)))?);
    }
    let Some(LoadedLibrary { requested, library: running, environment }) = &mut *loaded else {
        return Err(Error::new(Status::Internal, "the loaded runtime was lost"));
    };
    if let Some(path) =
        library.filter(|&path| path != requested && !is_same_file(path, &running.file))
    {
        let message = format!(
            "a process can use only one ONNX Runtime; this process uses {}, got {}",
            running.file.display(),
            path.display()
        );
        return Err(Error::new(Status::InvalidArgument, message));
    }
    let environment = match environment {
        Some(environment) => environment.clone(),
        None => environment.insert(create_environment(&running.file)?).clone(),
    };
    Ok(Runtime {
        environment,
        version: running.version.clone(),
        #[cfg(feature = "tensorrt-rtx")]
        file: running.file.clone(),
    })
}

fn load_library(path: &Path) -> Result<LoadedLibrary> {
    // A relative path that contains a folder is made absolute. A bare name is not changed, because
    // the dynamic loader looks it up.
    let is_bare = path.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    let full_path = if is_bare {
        path.to_owned()
    } else {
        std::path::absolute(path).unwrap_or(path.to_owned())
    };
    // The dynamic loader would wait until another program writes to a FIFO. All other errors are
    // left to the loader.
    if !is_bare
        && let Err(error) = regular_file::check(&full_path)
        && error.kind() == std::io::ErrorKind::InvalidInput
    {
        let message = format!("{}: {error}", full_path.display());
        return Err(Error::new(Status::RuntimeMissing, message));
    }
    let library = inspect_library(&full_path, MIN_VERSION, ort::MINOR_VERSION)?;
    // This library does not set the variable itself, because changing environment variables is
    // not safe while other threads of the host run.
    let is_unset = std::env::var_os(TELEMETRY_VARIABLE).is_none_or(|value| value.is_empty());
    if library.release >= TELEMETRY_SINCE && is_unset {
        let message = format!(
            "{}: ONNX Runtime {} sends telemetry unless {TELEMETRY_VARIABLE}=1 is set in the \
             environment of the process; set the variable to 1, or to 0 to allow telemetry",
            library.file.display(),
            library.version
        );
        return Err(Error::new(Status::ProviderUnavailable, message));
    }
    let builder = ort::init_from(&library.file).map_err(|error| {
        Error::new(Status::RuntimeMissing, format!("{}: {error}", library.file.display()))
    })?;
    drop(builder);
    log::info!("loaded onnxruntime {} from {}", library.version, library.file.display());
    Ok(LoadedLibrary { requested: path.to_owned(), library, environment: None })
}

/// Creates the environment. The runtime's log messages go to this library's log and never to
/// stderr.
fn create_environment(library: &Path) -> Result<Environment> {
    let start_error =
        |error: String| Error::new(Status::Inference, format!("{}: {error}", library.display()));
    let builder = ort::init_from(library).map_err(|error| start_error(error.to_string()))?;
    let logger =
        Arc::new(|level: LogLevel, _: &str, _: &str, location: &str, message: &str| match level {
            LogLevel::Fatal | LogLevel::Error => log::error!("onnxruntime: {message} ({location})"),
            LogLevel::Warning => log::warn!("onnxruntime: {message} ({location})"),
            LogLevel::Info | LogLevel::Verbose => {}
        });
    let builder = builder.with_name("tteview").with_telemetry(false).with_logger(logger);
    let environment = builder.build().map_err(|error| start_error(error.to_string()))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let resolve = |path: &Path| path.canonicalize().ok();
    resolve(one).is_some_and(|one| Some(one) == resolve(other))
}
