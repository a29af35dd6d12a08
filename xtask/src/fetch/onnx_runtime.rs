//! Fetches the tested versions of ONNX Runtime and NVIDIA's plug-in for TensorRT for RTX. All are
//! unpacked from Python wheels, because package mirrors offer them only in this form.

use super::cache::fill_once;
use super::python::unpack_wheel;
use crate::files::{file_bytes, list_folder};
use crate::process::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// Newest tested version. The compiler is tested only with this version, and the library is tested
/// with it first.
const NEWEST: &str = "1.31.1";

/// Older versions with which the library is also tested, oldest first.
const OLDER: [&str; 2] = ["1.20.1", "1.23.2"];

/// Version of the GPU build. Like JetPack 6, this version uses CUDA 12 and TensorRT 10.
const GPU_BUILD: &str = "1.23.2";

/// Version of NVIDIA's plug-in for TensorRT for RTX. The plug-in is built for CUDA 12.
const RTX_PLUGIN: &str = "0.5.0";

/// Returns the path of the library that `TTEVIEW_ORT_DYLIB` names, or else the path of the newest
/// version.
pub(crate) fn fetch_newest() -> Result<PathBuf> {
    match find_named("TTEVIEW_ORT_DYLIB")? {
        Some(library) => Ok(library),
        None => fetch_version(NEWEST),
    }
}

/// Returns the paths of the older versions.
pub(crate) fn fetch_older() -> Result<Vec<PathBuf>> {
    OLDER.iter().map(|version| fetch_version(version)).collect()
}

/// Returns the path of the oldest version.
pub(crate) fn fetch_oldest() -> Result<PathBuf> {
    fetch_version(OLDER[0])
}

/// Returns the reason why the older versions are not tested, or `None` if they are tested.
pub(crate) fn explain_no_older() -> Option<String> {
    let is_named = std::env::var_os("TTEVIEW_ORT_DYLIB").is_some_and(|path| !path.is_empty());
    is_named.then(|| "TTEVIEW_ORT_DYLIB names the only ONNX Runtime to test with".into())
}

/// Returns the path of the GPU build that `TTEVIEW_ORT_GPU_DYLIB` names, or else the path of the
/// build in the wheel.
pub(crate) fn fetch_gpu_build() -> Result<PathBuf> {
    if let Some(library) = find_named("TTEVIEW_ORT_GPU_DYLIB")? {
        return Ok(library);
    }
    fetch_library("onnxruntime-gpu", "onnxruntime-gpu", GPU_BUILD, &[])
}

/// Returns the reason why the GPU build cannot be tested on this machine, or `None` if it can be
/// tested.
pub(crate) fn explain_no_gpu_build() -> Option<String> {
    let reason = "the GPU build of ONNX Runtime has no TensorRT provider";
    explain_no_wheel("TTEVIEW_ORT_GPU_DYLIB", reason)
}

/// Returns the path of the plug-in that `TTEVIEW_RTX_DYLIB` names, or else the path of the plug-in
/// in the wheel. The libraries that the plug-in needs are in the same folder.
pub(crate) fn fetch_rtx_plugin() -> Result<PathBuf> {
    if let Some(library) = find_named("TTEVIEW_RTX_DYLIB")? {
        return Ok(library);
    }
    let library = "onnxruntime_ep_nv_tensorrt_rtx/libonnxruntime_providers_nv_tensorrt_rtx.so";
    let folder = fill_once(&format!("tensorrt-rtx-{RTX_PLUGIN}"), |folder| {
        unpack_wheel(&format!("onnxruntime-ep-nv-tensorrt-rtx-cu12=={RTX_PLUGIN}"), folder, &[])?;
        file_bytes(&folder.join(library)).map(drop)
    })?;
    Ok(folder.join(library))
}

/// Returns the reason why the plug-in cannot be tested on this machine, or `None` if it can be
/// tested.
pub(crate) fn explain_no_rtx_plugin() -> Option<String> {
    explain_no_wheel("TTEVIEW_RTX_DYLIB", "no wheel of TensorRT for RTX is known")
}

fn explain_no_wheel(variable: &str, reason: &str) -> Option<String> {
    let is_named = std::env::var_os(variable).is_some_and(|path| !path.is_empty());
    if is_named || cfg!(target_arch = "x86_64") {
        return None;
    }
    Some(format!("{reason} for {}; set {variable} to test another library", std::env::consts::ARCH))
}

/// Returns the path of the newest version for aarch64, which only emulated programs can load on
/// this machine.
pub(crate) fn fetch_for_aarch64() -> Result<PathBuf> {
    // Old wheels need glibc 2.17, and newer ones need 2.27 or 2.28, so pip may choose any of them.
    let platforms =
        ["2_17", "2_27", "2_28"].map(|glibc| format!("--platform=manylinux_{glibc}_aarch64"));
    fetch_library("onnxruntime-aarch64", "onnxruntime", NEWEST, &platforms)
}

fn fetch_version(version: &str) -> Result<PathBuf> {
    fetch_library("onnxruntime", "onnxruntime", version, &[])
}

fn fetch_library(
    folder: &str,
    package: &str,
    version: &str,
    platforms: &[String],
) -> Result<PathBuf> {
    let wheel = fill_once(&format!("{folder}-{version}"), |folder| {
        unpack_wheel(&format!("{package}=={version}"), folder, platforms)?;
        find_library(folder).map(drop)
    })?;
    find_library(&wheel)
}

/// Returns the path of the library that an environment variable names, if the variable is set. The
/// path is made absolute, because each test runs in the folder of its crate.
fn find_named(variable: &str) -> Result<Option<PathBuf>> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
    else {
        return Ok(None);
    };
    fs::canonicalize(&path).map(Some).map_err(|error| {
        format!("{variable} must name a shared library, got {}: {error}", path.display())
    })
}

/// Returns the path of the library in an unpacked wheel. The library is named `libonnxruntime.so.X`
/// or `libonnxruntime.X.dylib`.
fn find_library(wheel: &Path) -> Result<PathBuf> {
    let folder = wheel.join("onnxruntime/capi");
    let is_library = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime."))
    };
    let library = list_folder(&folder)?.into_iter().find(is_library);
    library.ok_or_else(|| format!("{} contains no ONNX Runtime library", folder.display()))
}
