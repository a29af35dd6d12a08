//! Checks the ONNX Runtime library, its GPU providers and the libraries that they need.

use super::finding::{Finding, State};
use super::libraries::{LibrarySearch, read_needed_libraries};
use std::path::Path;

/// The providers for NVIDIA GPUs and their library files, which must be in the same folder as ONNX
/// Runtime.
const PROVIDER_LIBRARIES: &[(&str, &str)] = &[
    ("cuda", "libonnxruntime_providers_cuda.so"),
    ("tensorrt", "libonnxruntime_providers_tensorrt.so"),
    ("tensorrt-rtx", "libonnxruntime_providers_nv_tensorrt_rtx.so"),
];

/// Checks the ONNX Runtime library and its GPU providers.
pub(super) fn check_runtime(runtime: Option<&Path>, search: &LibrarySearch) -> Vec<Finding> {
    let Some(runtime) = runtime else {
        let text =
            "the dynamic loader finds no libonnxruntime.so; the embedded provider runs without it";
        let advice = "for cpu, cuda or tensorrt, install ONNX Runtime 1.18 or later and name its \
                      library with --runtime";
        return vec![Finding::new("onnxruntime", State::Absent, text).with_advice(advice)];
    };
    let mut findings = vec![match read_needed_libraries(runtime) {
        Ok(_) => Finding::new("onnxruntime", State::Fine, runtime.display().to_string()),
        Err(error) => {
            Finding::new("onnxruntime", State::Problem, format!("{}: {error}", runtime.display()))
                .with_advice("name ONNX Runtime's libonnxruntime.so with --runtime")
        }
    }];
    let folder = runtime.parent().unwrap_or(Path::new("."));
    for (provider, file) in PROVIDER_LIBRARIES {
        findings.push(check_provider_library(
            &format!("{provider} library"),
            &folder.join(file),
            search,
        ));
    }
    findings
}

fn check_provider_library(name: &str, path: &Path, search: &LibrarySearch) -> Finding {
    let shown = path.display();
    if !path.is_file() {
        return Finding::new(name, State::Absent, format!("{shown} does not exist"));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    match read_needed_libraries(path) {
        Err(error) => Finding::new(name, State::Problem, format!("{shown}: {error}"))
            .with_advice("reinstall ONNX Runtime, because this file is unusable"),
        Ok(needed) => {
            let is_missing = |library: &&String| {
                search.find(library).is_none() && !folder.join(library).is_file()
            };
            let missing: Vec<&str> = needed.iter().filter(is_missing).map(String::as_str).collect();
            if missing.is_empty() {
                return Finding::new(
                    name,
                    State::Fine,
                    format!("{shown}; all libraries that it needs exist"),
                );
            }
            let advice = format!("install {}", list_packages(&missing).join(", "));
            Finding::new(
                name,
                State::Problem,
                format!("{shown} needs missing libraries: {}", missing.join(", ")),
            )
            .with_advice(advice)
        }
    }
}

/// Returns the names of the software packages that contain the missing libraries, without
/// duplicates. If the package of a library is unknown, the list contains the name of the library
/// instead.
fn list_packages(missing: &[&str]) -> Vec<String> {
    let mut packages: Vec<String> = Vec::new();
    for library in missing {
        let package = match library {
            name if name.starts_with("libtensorrt_") => "TensorRT for RTX".to_owned(),
            name if name.starts_with("libnvinfer") || name.starts_with("libnvonnxparser") => {
                "TensorRT (libnvinfer-bin, libnvonnxparsers; JetPack contains both)".to_owned()
            }
            name if name.starts_with("libcudnn") => "cuDNN".to_owned(),
            name if name.starts_with("libcuda.so") || name.starts_with("libnvidia-ml") => {
                "the NVIDIA driver".to_owned()
            }
            name if ["libcu", "libnvrtc", "libnvJitLink"]
                .iter()
                .any(|start| name.starts_with(start)) =>
            {
                cuda_package(missing)
            }
            name => (*name).to_owned(),
        };
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    packages
}

/// Returns the name of the CUDA package. Only the file name of the CUDA runtime library gives the
/// version of CUDA, because the other CUDA libraries have different version numbers.
fn cuda_package(missing: &[&str]) -> String {
    let version = missing.iter().find_map(|name| name.strip_prefix("libcudart.so."));
    format!("CUDA {}", version.unwrap_or("in the version that ONNX Runtime was built for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_libraries_lead_to_the_packages_with_them() {
        let packages = list_packages(&[
            "libnvinfer.so.10",
            "libnvonnxparser.so.10",
            "libcudart.so.12",
            "libcudnn.so.9",
        ]);
        assert_eq!(packages.len(), 3);
        assert!(packages[0].starts_with("TensorRT"));
        assert_eq!(packages[1..], ["CUDA 12", "cuDNN"]);
        assert!(list_packages(&["libcublas.so.12"])[0].contains("built for"));
    }
}
