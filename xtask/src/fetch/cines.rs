//! Fetches real cines from the Python package pydicom, which contains DICOM files in many encodings
//! for its own tests.

use super::cache::fill_once;
use super::python::{install_packages, python, unpack_wheel};
use crate::files::copy_file;
use crate::paths::root;
use crate::process::{Result, run};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const PYDICOM_VERSION: &str = "3.0.1";

/// The files for which the tests compare the decoded frames with those of pydicom and Pillow.
const DECODED_BY_PYDICOM: &[&str] = &[
    REAL_CINE,
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "ExplVR_BigEnd.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_jpeg_no_color_transform.dcm",
];

/// Other files that the tests read. The tests compare the frames of these files only with each
/// other.
const NOT_DECODED: &[&str] = &["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_2frame.dcm"];

/// The only cardiac cine among the files. It has 30 frames of 320 x 240 pixels.
const REAL_CINE: &str = "examples_ybr_color.dcm";

/// Returns the folder that contains the cines for the command-line tests and the frames that
/// pydicom decoded from them. `TTEVIEW_CINES` can name the folder; otherwise it is in the target
/// directory.
pub(crate) fn fetch_cines() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TTEVIEW_CINES").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return fs::canonicalize(&path).map_err(|error| {
            format!("TTEVIEW_CINES must name a folder of cines, got {}: {error}", path.display())
        });
    }
    fill_once(&format!("cines-pydicom-{PYDICOM_VERSION}"), |folder| {
        let files = fetch_pydicom_files()?;
        for name in DECODED_BY_PYDICOM.iter().chain(NOT_DECODED) {
            copy_file(&files.join(name), &folder.join(name))?;
        }
        let mut script = python_with_pydicom()?;
        script.arg(root().join("xtask/src/fetch/decode_cines.py")).arg(folder);
        run(script.args(DECODED_BY_PYDICOM))
    })
}

/// Returns a command that runs Python with pydicom, Pillow and NumPy.
pub(crate) fn python_with_pydicom() -> Result<Command> {
    let packages = fill_once(&format!("python-pydicom-{PYDICOM_VERSION}"), |packages| {
        install_packages(packages, &[&pydicom_requirement(), "pillow", "numpy"])
    })?;
    let mut python = python();
    python.env("PYTHONPATH", packages);
    Ok(python)
}

/// Returns a command that runs Python with pydicom, Pillow, NumPy and the codecs of pydicom.
pub(crate) fn python_with_codecs() -> Result<Command> {
    let packages = fill_once(&format!("python-codecs-{PYDICOM_VERSION}"), |packages| {
        let codecs = ["pylibjpeg[openjpeg,rle]", "pyjpegls"];
        let requirement = pydicom_requirement();
        let base = [requirement.as_str(), "pillow", "numpy"];
        install_packages(packages, &[&base[..], &codecs[..]].concat())
    })?;
    let mut python = python();
    python.env("PYTHONPATH", packages);
    Ok(python)
}

/// Returns the path of the DICOM file of a real cardiac cine.
pub(crate) fn fetch_real_cine() -> Result<PathBuf> {
    Ok(fetch_pydicom_files()?.join(REAL_CINE))
}

fn fetch_pydicom_files() -> Result<PathBuf> {
    let wheel = fill_once(&format!("pydicom-{PYDICOM_VERSION}"), |folder| {
        unpack_wheel(&pydicom_requirement(), folder, &[])
    })?;
    Ok(wheel.join("pydicom/data/test_files"))
}

fn pydicom_requirement() -> String {
    format!("pydicom=={PYDICOM_VERSION}")
}
