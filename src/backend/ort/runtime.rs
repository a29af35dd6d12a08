//! The ONNX Runtime of the process: one library, one environment, loaded once and kept.

use crate::ffi::onnxruntime::{RuntimeLibrary, inspect};
use crate::{Error, Result, Status};
use ort::environment::Environment;
use ort::logging::LogLevel;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Oldest version that runs here: the first whose CUDA provider can leave TF32 off, or that has the C API of this build.
const LOWEST: (u32, u32) = (1, if ort::MINOR_VERSION > 18 { ort::MINOR_VERSION } else { 18 });

/// What the loader looks for where the host names no library.
const DEFAULT_LIBRARY: &str = "libonnxruntime.so";

/// From this version on the official builds for Linux send telemetry over the network, keep a device identifier in the
/// user's home and run threads for it. They begin when the environment is made, before the C API can say no; only a
/// variable in the process's environment keeps them from it.
const TELEMETRY_SINCE: (u32, u32) = (1, 29);

/// The variable: `1` for no telemetry.
const TELEMETRY_OFF: &str = "ORT_DISABLE_TELEMETRY";

/// The library and its environment. Both stay for the life of the process: the `ort` crate allows one of each, and a
/// library with threads of its own cannot be unloaded safely.
#[derive(Clone)]
pub(super) struct Runtime {
    pub(super) environment: Environment,
    pub(super) version: String,
    /// The file that it was loaded from.
    #[cfg(feature = "tensorrt-rtx")]
    pub(super) file: PathBuf,
}

struct Loaded {
    named: PathBuf,
    library: RuntimeLibrary,
    /// Absent where the library was loaded and its environment could not be made.
    environment: Option<Environment>,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// The runtime of the process, which the first call loads from `library`: a path, or a name that the system's loader
/// looks up. Without one, what is loaded already, else `libonnxruntime.so`.
///
/// # Errors
/// `RuntimeMissing` and `RuntimeTooOld` where the library will not do, `InvalidArgument` where the process runs
/// another one already, `ProviderUnavailable` where it would send telemetry and the host has not said whether it may,
/// `Inference` where the library is fine and does not start.
pub(super) fn runtime(library: Option<&Path>) -> Result<Runtime> {
    let mut loaded = LOADED.lock();
    if loaded.is_none() {
        *loaded = Some(load(library.unwrap_or(Path::new(DEFAULT_LIBRARY)))?);
    }
    let Some(Loaded { named, library: running, environment }) = &mut *loaded else {
        return Err(Error::new(Status::Internal, "the runtime is gone"));
    };
    if library.is_some_and(|path| path != named && !same_file(path, &running.file)) {
        let what = format!("this process runs {} already, and can run one library", running.file.display());
        return Err(Error::new(Status::InvalidArgument, what));
    }
    let environment = match environment {
        Some(environment) => environment.clone(),
        None => environment.insert(start(&running.file)?).clone(),
    };
    Ok(Runtime {
        environment,
        version: running.version.clone(),
        #[cfg(feature = "tensorrt-rtx")]
        file: running.file.clone(),
    })
}

fn load(path: &Path) -> Result<Loaded> {
    // A path with a folder in it is relative to the working folder; a bare name is the loader's to find.
    let bare = path.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    let full = if bare { path.to_owned() } else { std::path::absolute(path).unwrap_or(path.to_owned()) };
    let library = inspect(&full, LOWEST, ort::MINOR_VERSION)?;
    // Not set here: changing the environment under the threads of a host is not safe.
    if library.release >= TELEMETRY_SINCE && std::env::var_os(TELEMETRY_OFF).is_none_or(|v| v.is_empty()) {
        let what = format!(
            "{}: ONNX Runtime {} sends telemetry unless {TELEMETRY_OFF}=1 is set in the environment of the process; set \
             it, or set 0 to allow that",
            library.file.display(),
            library.version
        );
        return Err(Error::new(Status::ProviderUnavailable, what));
    }
    let builder = ort::init_from(&library.file)
        .map_err(|e| Error::new(Status::RuntimeMissing, format!("{}: {e}", library.file.display())))?;
    drop(builder);
    log::info!("onnxruntime {} from {}", library.version, library.file.display());
    Ok(Loaded { named: path.to_owned(), library, environment: None })
}

/// Makes the environment. What the runtime logs goes where our own messages go, and never to stderr.
fn start(library: &Path) -> Result<Environment> {
    let failed = |what: String| Error::new(Status::Inference, format!("{}: {what}", library.display()));
    let builder = ort::init_from(library).map_err(|e| failed(e.to_string()))?;
    let logger = Arc::new(|level: LogLevel, _: &str, _: &str, place: &str, message: &str| match level {
        LogLevel::Fatal | LogLevel::Error => log::error!("onnxruntime: {message} ({place})"),
        LogLevel::Warning => log::warn!("onnxruntime: {message} ({place})"),
        LogLevel::Info | LogLevel::Verbose => {}
    });
    let builder = builder.with_name("tteview").with_telemetry(false).with_logger(logger);
    let environment = builder.build().map_err(|e| failed(e.to_string()))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

fn same_file(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| path.canonicalize().ok();
    resolved(one).is_some_and(|one| Some(one) == resolved(other))
}
