//! The C header, and C hosts built against it and the static library.

use crate::fetch;
use crate::process::{Result, cargo, command, root, run, target};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Warnings of the C compiler that are errors here.
const C_FLAGS: &[&str] =
    &["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// Native libraries that a host links after `libtteview.a` on Linux.
const NATIVE: &[&str] = &["-lpthread", "-ldl", "-lm"];

fn generated() -> Result<String> {
    let config = cbindgen::Config::from_root_or_default(root());
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in ["status", "border", "host", "engine", "frame", "stream"] {
        builder = builder.with_src(root().join("src/ffi").join(name).with_extension("rs"));
    }
    let bindings = builder.generate().map_err(|error| format!("cbindgen: {error}"))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).map_err(|error| error.to_string())
}

fn header() -> PathBuf {
    root().join("include/tteview/tteview.h")
}

/// Writes the header.
pub(crate) fn write_header() -> Result {
    std::fs::write(header(), generated()?).map_err(|error| format!("{}: {error}", header().display()))
}

/// Fails if the committed header is not what the sources say.
pub(crate) fn check_header() -> Result {
    let committed = std::fs::read_to_string(header()).map_err(|error| error.to_string())?;
    if committed == generated()? {
        Ok(())
    } else {
        Err("include/tteview/tteview.h is not what src/ffi says: run `cargo xtask header` and commit it"
            .into())
    }
}

fn compiler() -> OsString {
    std::env::var_os("CC").unwrap_or_else(|| "cc".into())
}

/// Builds one C source with the static library of the release profile.
pub(crate) fn build_host(source: &str) -> Result<PathBuf> {
    run(&mut cargo("build --release -p tteview"))?;
    let folder = target().join("tteview/hosts");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = Path::new(source).file_stem().unwrap_or_default();
    let program = folder.join(name);
    let mut compiler = command(compiler(), C_FLAGS);
    compiler.arg("-I").arg(root().join("include")).arg(source).arg("-o").arg(&program);
    compiler.arg(target().join("release/libtteview.a")).args(NATIVE);
    run(&mut compiler)?;
    Ok(program)
}

/// The stand-in packages.
const MODELS: [&str; 2] = ["models/standin.stream.onnx", "models/standin.clip.onnx"];

/// The C tests, on both stand-in packages.
pub(crate) fn c_tests() -> Result {
    check_header()?;
    let program = build_host("tests/c/abi.c")?;
    for model in MODELS {
        run(&mut command(&program, [model]))?;
    }
    runtime_tests()
}

/// ONNX Runtime from C: every version on both packages, then libraries that will not do.
fn runtime_tests() -> Result {
    let program = build_host("tests/c/runtime.c")?;
    for library in fetch::onnx_runtimes()? {
        println!("{}", library.display());
        for model in MODELS {
            run(command(&program, [model]).arg(&library))?;
        }
    }
    let fake = |name: &str, defines: &[&str]| -> Result<PathBuf> {
        let library = program.with_file_name(name);
        let mut compiler = command(compiler(), ["-shared", "-fPIC"]);
        run(compiler.args(defines).arg("tests/c/fake_runtime.c").arg("-o").arg(&library))?;
        Ok(library)
    };
    let (missing, too_old, unavailable) = ("-30", "-31", "-32");
    let refusals = [
        (PathBuf::from("/nowhere/libonnxruntime.so"), missing),
        (PathBuf::from("libm.so.6"), missing),
        (root().join("README.md"), missing),
        (fake("libold.so", &["-DVERSION=\"1.10.0\""])?, too_old),
        // It would send telemetry, and the host has not said whether it may.
        (fake("libtelemetry.so", &["-DVERSION=\"1.29.0\"", "-DAPI"])?, unavailable),
    ];
    for (library, status) in refusals {
        println!("{} is refused with {status}", library.display());
        let mut program = command(&program, [MODELS[0]]);
        run(program.arg(library).arg(status).env_remove("ORT_DISABLE_TELEMETRY"))?;
    }
    Ok(())
}
