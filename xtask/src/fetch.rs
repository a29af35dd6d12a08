//! Fetches what the tests need and the repository does not hold.

use crate::process::{Result, command, no_arguments, root, run, target};
use std::fs;
use std::path::{Path, PathBuf};

/// Versions of ONNX Runtime that the library is tested with: old, in between, new. The compiler compares with the last.
pub(crate) const ONNX_RUNTIMES: &[&str] = &["1.20.1", "1.23.2", "1.31.1"];

/// Version of the GPU build of ONNX Runtime whose providers are asked what they lack and which options they have: for
/// CUDA 12 and TensorRT 10, as a JetPack 6 has.
#[cfg(target_arch = "x86_64")]
const ONNX_RUNTIME_GPU: &str = "1.23.2";

/// Version of NVIDIA's plug-in of TensorRT for RTX, built for CUDA 12.
#[cfg(target_arch = "x86_64")]
const TENSORRT_RTX: &str = "0.5.0";

/// Version of CMake that hosts are built with: that of Ubuntu 22.04, which a JetPack 6 has.
const CMAKE: &str = "3.22.6";

/// Version of pydicom, whose wheel ships a real cardiac cine and files of every coding.
const PYDICOM: &str = "3.0.1";

/// Files of the wheel that pydicom and Pillow decode too.
const DECODED_BY_PYDICOM: &[&str] = &[
    "examples_ybr_color.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "ExplVR_BigEnd.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_jpeg_no_color_transform.dcm",
];

/// Files whose pixels are compared with one another, or only read.
const DECODED_HERE_ALONE: &[&str] = &["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_2frame.dcm"];

/// `cargo xtask fetch`: for running single tests, as in `export $(cargo xtask fetch)`.
pub(crate) fn print(arguments: &[&str]) -> Result {
    no_arguments(arguments)?;
    println!("TTEVIEW_ORT_DYLIB={}\nTTEVIEW_CINES={}", newest_onnx_runtime()?.display(), cines()?.display());
    Ok(())
}

/// The ONNX Runtime shared libraries: the one that `TTEVIEW_ORT_DYLIB` names, else one for each of
/// [`ONNX_RUNTIMES`].
pub(crate) fn onnx_runtimes() -> Result<Vec<PathBuf>> {
    match named("TTEVIEW_ORT_DYLIB")? {
        Some(named) => Ok(vec![named]),
        None => ONNX_RUNTIMES.iter().map(|version| onnx_runtime(version)).collect(),
    }
}

/// The newest of them.
pub(crate) fn newest_onnx_runtime() -> Result<PathBuf> {
    onnx_runtimes()?.pop().ok_or_else(|| "no ONNX Runtime to test with".into())
}

/// The library in the Python wheel of this version, kept under the target directory. The wheel is fetched with pip
/// because it is the one build of ONNX Runtime that package mirrors carry.
fn onnx_runtime(version: &str) -> Result<PathBuf> {
    let folder = kept(&format!("onnxruntime-{version}"), |folder| {
        unpack_wheel(&format!("onnxruntime=={version}"), folder, &[])?;
        library_in(folder).map(|_| ())
    })?;
    library_in(&folder)
}

/// The GPU build: the library that `TTEVIEW_ORT_GPU_DYLIB` names, else that of the wheel. `None` on other machines than
/// x86-64: their wheel holds no TensorRT provider.
pub(crate) fn onnx_runtime_gpu() -> Result<Option<PathBuf>> {
    if let Some(named) = named("TTEVIEW_ORT_GPU_DYLIB")? {
        return Ok(Some(named));
    }
    #[cfg(not(target_arch = "x86_64"))]
    return Ok(None);
    #[cfg(target_arch = "x86_64")]
    {
        let folder = kept(&format!("onnxruntime-gpu-{ONNX_RUNTIME_GPU}"), |folder| {
            unpack_wheel(&format!("onnxruntime-gpu=={ONNX_RUNTIME_GPU}"), folder, &[])?;
            library_in(folder).map(drop)
        })?;
        library_in(&folder).map(Some)
    }
}

/// NVIDIA's plug-in of TensorRT for RTX, in a folder with what it needs: the library that `TTEVIEW_RTX_DYLIB` names, else
/// that of the wheel. `None` on other machines than x86-64: their wheel is another build, which nobody has looked at.
pub(crate) fn tensorrt_rtx() -> Result<Option<PathBuf>> {
    if let Some(named) = named("TTEVIEW_RTX_DYLIB")? {
        return Ok(Some(named));
    }
    #[cfg(not(target_arch = "x86_64"))]
    return Ok(None);
    #[cfg(target_arch = "x86_64")]
    {
        let package = "onnxruntime-ep-nv-tensorrt-rtx-cu12";
        let library = "onnxruntime_ep_nv_tensorrt_rtx/libonnxruntime_providers_nv_tensorrt_rtx.so";
        let folder = kept(&format!("tensorrt-rtx-{TENSORRT_RTX}"), |folder| {
            unpack_wheel(&format!("{package}=={TENSORRT_RTX}"), folder, &[])?;
            fs::metadata(folder.join(library)).map(drop).map_err(|e| format!("{package}: {library}: {e}"))
        })?;
        Ok(Some(folder.join(library)))
    }
}

/// The oldest of [`ONNX_RUNTIMES`].
pub(crate) fn oldest_onnx_runtime() -> Result<PathBuf> {
    onnx_runtime(ONNX_RUNTIMES[0])
}

/// The library that this variable names, if it names one. Test processes run in the folder of their crate, so a relative
/// path would miss there.
fn named(variable: &str) -> Result<Option<PathBuf>> {
    let Some(named) = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(None);
    };
    fs::canonicalize(&named).map(Some).map_err(|e| format!("{variable} names {}: {e}", named.display()))
}

/// The newest of [`ONNX_RUNTIMES`] for aarch64, which this machine cannot load itself.
pub(crate) fn onnx_runtime_aarch64() -> Result<PathBuf> {
    let version = ONNX_RUNTIMES.last().ok_or("no ONNX Runtime to test with")?;
    let folder = kept(&format!("onnxruntime-aarch64-{version}"), |folder| {
        // The wheels' own glibc floors: old ones were built for 2.17, new ones for 2.27 or 2.28.
        let platforms = ["2_17", "2_27", "2_28"].map(|glibc| format!("--platform=manylinux_{glibc}_aarch64"));
        unpack_wheel(&format!("onnxruntime=={version}"), folder, &platforms)?;
        library_in(folder).map(drop)
    })?;
    library_in(&folder)
}

/// The DICOM files that the Python package pydicom ships for its own tests.
pub(crate) fn pydicom() -> Result<PathBuf> {
    let wheel =
        kept(&format!("pydicom-{PYDICOM}"), |folder| unpack_wheel(&pydicom_requirement(), folder, &[]))?;
    Ok(wheel.join("pydicom/data/test_files"))
}

/// Real cines for the tests of the command line, and beside some of them what pydicom decodes them to: the folder
/// `TTEVIEW_CINES` names, else one under the target directory.
pub(crate) fn cines() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TTEVIEW_CINES").filter(|path| !path.is_empty()) {
        let named = PathBuf::from(named);
        return fs::canonicalize(&named).map_err(|e| format!("TTEVIEW_CINES names {}: {e}", named.display()));
    }
    kept(&format!("cines-pydicom-{PYDICOM}"), |folder| {
        let source = pydicom()?;
        for name in DECODED_BY_PYDICOM.iter().chain(DECODED_HERE_ALONE) {
            fs::copy(source.join(name), folder.join(name)).map_err(|e| format!("cannot copy {name}: {e}"))?;
        }
        let packages = kept(&format!("python-pydicom-{PYDICOM}"), |packages| {
            install_packages(packages, &[&pydicom_requirement(), "pillow", "numpy"])
        })?;
        let mut script = command("python3", [root().join("xtask/src/cine.py")]);
        run(script.arg(folder).args(DECODED_BY_PYDICOM).env("PYTHONPATH", packages))
    })
}

/// CMake and Ninja, as `bin/cmake` and `bin/ninja` of a folder of Python packages.
pub(crate) fn cmake() -> Result<PathBuf> {
    let folder = kept(&format!("cmake-{CMAKE}"), |folder| {
        install_packages(folder, &[&format!("cmake=={CMAKE}"), "ninja==1.13.2"])
    })?;
    std::path::absolute(folder).map_err(|e| e.to_string())
}

/// Python packages into a folder of their own.
fn install_packages(folder: &Path, requirements: &[&str]) -> Result {
    let options = ["-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target"];
    run(command("python3", options).arg(folder).args(requirements))
}

fn pydicom_requirement() -> String {
    format!("pydicom=={PYDICOM}")
}

/// A folder under the target directory, filled on the first call.
pub(crate) fn kept(name: &str, fill: impl FnOnce(&Path) -> Result) -> Result<PathBuf> {
    let kept = target().join("tteview").join(name);
    if kept.exists() {
        return Ok(kept);
    }
    // Filled beside and renamed, so that an interrupted run leaves nothing that looks complete.
    let partial = kept.with_file_name(format!("{name}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|e| format!("cannot remove {}: {e}", partial.display()))?;
    }
    fs::create_dir_all(&partial).map_err(|e| format!("cannot create {}: {e}", partial.display()))?;
    fill(&partial)?;
    fs::rename(&partial, &kept).map_err(|e| format!("cannot create {}: {e}", kept.display()))?;
    Ok(kept)
}

/// Downloads the wheel, for this machine unless pip is told otherwise, and unpacks it into `folder`.
fn unpack_wheel(requirement: &str, folder: &Path, platforms: &[String]) -> Result {
    // A fixed Python version: what is used is the same in every wheel, and the host's Python may have none.
    let options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "--dest"];
    let mut pip = command("python3", ["-m", "pip", "download"]);
    run(pip.args(options).arg(folder).args(platforms).arg(requirement))?;
    let wheel = files(folder)?
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .ok_or_else(|| format!("pip left no wheel in {}", folder.display()))?;
    run(command("python3", ["-m", "zipfile", "-e"]).arg(&wheel).arg(folder))?;
    fs::remove_file(&wheel).map_err(|e| format!("cannot remove {}: {e}", wheel.display()))
}

/// The library in an unpacked wheel: `libonnxruntime.so.X`, `libonnxruntime.X.dylib` or `onnxruntime.dll`.
fn library_in(wheel: &Path) -> Result<PathBuf> {
    let folder = wheel.join("onnxruntime").join("capi");
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
    };
    let library = files(&folder)?.into_iter().find(is_library);
    library.ok_or_else(|| format!("no ONNX Runtime library in {}", folder.display()))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}
