//! Tests of ONNX Runtime in a C host.

use crate::fetch::onnx_runtime::fetch_newest;
use crate::host_build::{build_host, hosts_dir};
use crate::inputs::{STANDIN_MODEL, STANDIN_MODELS};
use crate::paths::root;
use crate::platform::{Language, Platform};
use crate::process::{Result, command, run};
use std::path::{Path, PathBuf};

const SOURCE: &str = "tests/c/runtime.c";

// These are status codes of the C ABI.
const TTV_ERR_RUNTIME_MISSING: &str = "-30";
const TTV_ERR_RUNTIME_TOO_OLD: &str = "-31";
const TTV_ERR_PROVIDER_UNAVAILABLE: &str = "-32";

/// Runs the C host with the newest ONNX Runtime.
pub(super) fn test_newest(prefix: &Path) -> Result {
    test_libraries(prefix, &[fetch_newest()?])
}

/// Runs the C host with each ONNX Runtime and both stand-in packages.
pub(crate) fn test_libraries(prefix: &Path, libraries: &[PathBuf]) -> Result {
    let program = build_host(prefix, SOURCE, &[])?;
    for library in libraries {
        println!("{SOURCE} with {}", library.display());
        for model in STANDIN_MODELS {
            run(command(&program, [model]).arg(library))?;
        }
    }
    Ok(())
}

/// Checks the status that a C host gets for each library that cannot be used.
pub(super) fn test_refused_libraries(prefix: &Path) -> Result {
    let program = build_host(prefix, SOURCE, &[])?;
    let refused = [
        (PathBuf::from("/nowhere/libonnxruntime.so"), TTV_ERR_RUNTIME_MISSING),
        (PathBuf::from("libm.so.6"), TTV_ERR_RUNTIME_MISSING),
        (root().join("README.md"), TTV_ERR_RUNTIME_MISSING),
        (build_fake_runtime("libold.so", &["-DVERSION=\"1.10.0\""])?, TTV_ERR_RUNTIME_TOO_OLD),
        // The library must be refused, because this version can send telemetry and
        // `ORT_DISABLE_TELEMETRY` is not set.
        (
            build_fake_runtime("libtelemetry.so", &["-DVERSION=\"1.29.0\"", "-DAPI"])?,
            TTV_ERR_PROVIDER_UNAVAILABLE,
        ),
    ];
    for (library, status) in refused {
        println!("{SOURCE} with {}: expects status {status}", library.display());
        let mut program = command(&program, [STANDIN_MODEL]);
        run(program.arg(library).arg(status).env_remove("ORT_DISABLE_TELEMETRY"))?;
    }
    Ok(())
}

fn build_fake_runtime(name: &str, defines: &[&str]) -> Result<PathBuf> {
    let platform = Platform::native();
    let library = hosts_dir(&platform).join(name);
    let mut compiler = command(platform.compiler(Language::C), ["-shared", "-fPIC"]);
    run(compiler.args(defines).arg("tests/c/fake_runtime.c").arg("-o").arg(&library))?;
    Ok(library)
}
