//! The C header, and hosts in C and C++ built against the installed package.

use crate::abi;
use crate::demo::STAND_IN;
use crate::examples::examples;
use crate::fetch;
use crate::package::own_prefix;
use crate::platform::Platform;
use crate::process::{Result, command, no_arguments, read, root, run, target};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

/// Signal of a forbidden system call on Linux.
const SIGSYS: i32 = 31;

/// The stand-in packages.
const MODELS: [&str; 2] = [STAND_IN, "models/standin.clip.onnx"];

/// Flags of every C and C++ compilation: warnings are errors.
const FLAGS: &[&str] = &["-O2", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn generated() -> Result<String> {
    let config = cbindgen::Config::from_root_or_default(root());
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in ["status", "border", "host", "engine", "label", "frame", "stream", "result"] {
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
pub(crate) fn write_header(arguments: &[&str]) -> Result {
    no_arguments(arguments)?;
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

/// Builds a host from one source against the installed package, as its pkg-config file says.
pub(crate) fn build_host(prefix: &Path, source: &str, more_flags: &[&str]) -> Result<PathBuf> {
    build_host_for(&Platform::here(), prefix, source, more_flags)
}

/// The same for another platform.
pub(crate) fn build_host_for(
    platform: &Platform,
    prefix: &Path,
    source: &str,
    more_flags: &[&str],
) -> Result<PathBuf> {
    let folder = platform.folder().join("hosts");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let source = Path::new(source);
    let program = folder.join(source.file_stem().unwrap_or_default());
    let (variable, standard) = match source.extension().and_then(|end| end.to_str()) {
        Some("c") => ("CC", "-std=c11"),
        _ => ("CXX", "-std=c++17"),
    };
    let mut compiler = command(platform.compiler(variable), FLAGS);
    compiler.arg(standard).args(more_flags).args(platform.link_flags());
    compiler.arg(source).arg("-o").arg(&program).args(pkg_config(prefix)?);
    run(&mut compiler)?;
    Ok(program)
}

fn compiler(variable: &str, default: &str) -> std::ffi::OsString {
    std::env::var_os(variable).unwrap_or_else(|| default.into())
}

/// Compiler and linker flags of the installed package.
fn pkg_config(prefix: &Path) -> Result<Vec<String>> {
    let mut query = command("pkg-config", ["--cflags", "--libs", "tteview"]);
    let flags = read(query.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))?;
    Ok(flags.split_whitespace().map(String::from).collect())
}

/// Each header alone, in every language it promises.
fn headers_alone() -> Result {
    let include = root().join("include");
    let check = |variable, default, language: &str, standard: &str, header: &str| {
        let mut compiler = command(compiler(variable, default), FLAGS);
        compiler.arg("-I").arg(&include).args(["-x", language, standard, "-fsyntax-only"]);
        // The pragma of a header compiled as a main file, and constants that nothing uses, are no fault of it.
        run(compiler.arg("-include").arg(include.join("tteview").join(header)).arg("/dev/null"))
    };
    for standard in ["-std=c11", "-std=c17"] {
        check("CC", "cc", "c", standard, "tteview.h")?;
    }
    for standard in ["-std=c++17", "-std=c++20"] {
        check("CXX", "c++", "c++", standard, "tteview.h")?;
        check("CXX", "c++", "c++", standard, "tteview.hpp")?;
    }
    Ok(())
}

/// Hosts in C and C++ against the installed package, on both stand-in packages; the C one with the address and leak
/// sanitizers too.
pub(crate) fn hosts() -> Result {
    headers_alone()?;
    let prefix = own_prefix()?;
    abi::check(&prefix)?;
    for (source, flags) in [
        ("tests/c/abi.c", &[][..]),
        ("tests/c/abi.c", &["-fsanitize=address", "-fno-omit-frame-pointer"]),
        ("tests/c/queries.c", &["-fsanitize=address", "-fno-omit-frame-pointer"]),
        ("tests/cpp/owners.cpp", &["-fno-exceptions"]),
    ] {
        let program = build_host(&prefix, source, flags)?;
        for model in MODELS {
            run(command(&program, [model]).env("ASAN_OPTIONS", "detect_leaks=1"))?;
        }
    }
    no_system_call(&prefix)?;
    runtime_tests(&prefix)?;
    examples(&prefix)?;
    second_library(&prefix)?;
    shared_object(&prefix)
}

/// Real-time calls make no system call with a polling worker; the control shows that one would have been seen.
fn no_system_call(prefix: &Path) -> Result {
    let program = build_host(prefix, "tests/c/no_system_call.c", &[])?;
    run(&mut command(&program, [STAND_IN]))?;
    let control = command(&program, [STAND_IN, "control"]).status().map_err(|error| error.to_string())?;
    if control.signal() == Some(SIGSYS) {
        Ok(())
    } else {
        Err(format!("a system call made on purpose went unseen: {control}"))
    }
}

/// A second static library written in Rust, with link-time optimisation over its standard library, in the same host.
fn second_library(prefix: &Path) -> Result {
    let library = target().join("tteview/hosts/libsecond.a");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut build =
        command(rustc, ["--edition=2024", "--crate-type=staticlib", "-Copt-level=2", "-Clto=fat"]);
    run(build.arg("tests/c/second_library.rs").arg("-o").arg(&library))?;
    let flags = ["-Wl,--whole-archive", &library.to_string_lossy(), "-Wl,--no-whole-archive"];
    run(&mut command(build_host(prefix, "tests/c/second_library.c", &flags)?, [STAND_IN]))
}

/// The archive goes into a shared object without anything undefined.
fn shared_object(prefix: &Path) -> Result {
    let library = target().join("tteview/hosts/libhost.so");
    let mut linker = command(compiler("CC", "cc"), ["-shared", "-Wl,--no-undefined", "-Wl,--whole-archive"]);
    linker.arg(prefix.join("lib/libtteview.a")).arg("-Wl,--no-whole-archive").arg("-o").arg(library);
    run(linker.args(["-lpthread", "-ldl", "-lm"]))
}

/// ONNX Runtime from C: every version on both packages, then libraries that will not do.
fn runtime_tests(prefix: &Path) -> Result {
    let program = build_host(prefix, "tests/c/runtime.c", &[])?;
    for library in fetch::onnx_runtimes()? {
        println!("{}", library.display());
        for model in MODELS {
            run(command(&program, [model]).arg(&library))?;
        }
    }
    let fake = |name: &str, defines: &[&str]| -> Result<PathBuf> {
        let library = program.with_file_name(name);
        let mut compiler = command(compiler("CC", "cc"), ["-shared", "-fPIC"]);
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
