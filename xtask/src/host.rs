//! The C header, and C hosts built against it and the static library.

use crate::process::{Result, cargo, command, root, run, target};
use std::path::{Path, PathBuf};

/// Warnings of the C compiler that are errors here.
const C_FLAGS: &[&str] = &["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

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

/// Builds one C source with the static library of the release profile.
pub(crate) fn build_host(source: &str) -> Result<PathBuf> {
    run(&mut cargo("build --release -p tteview"))?;
    let folder = target().join("tteview/hosts");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = Path::new(source).file_stem().unwrap_or_default();
    let program = folder.join(name);
    let mut compiler = command(std::env::var_os("CC").unwrap_or_else(|| "cc".into()), C_FLAGS);
    compiler.arg("-I").arg(root().join("include")).arg(source).arg("-o").arg(&program);
    compiler.arg(target().join("release/libtteview.a")).args(NATIVE);
    run(&mut compiler)?;
    Ok(program)
}

/// The C tests, on both stand-in packages.
pub(crate) fn c_tests() -> Result {
    check_header()?;
    let program = build_host("tests/c/abi.c")?;
    for model in ["models/standin.stream.onnx", "models/standin.clip.onnx"] {
        run(&mut command(&program, [model]))?;
    }
    Ok(())
}
