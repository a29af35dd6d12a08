//! The step `hosts`, which builds and runs C and C++ programs against the installed package.

mod checker;
mod examples;
mod find_package;
mod out_of_memory;
mod packages;
mod priorities;
pub(crate) mod runtime;
mod shared;

pub(crate) use packages::PACKAGES_TEST;
pub(crate) use priorities::{explain_no_priorities, test_priorities};

use crate::abi;
use crate::cargo_test::Selection;
use crate::fetch::onnx_runtime::fetch_newest;
use crate::files::write_file;
use crate::host_build::{ADDRESS_SANITIZER, build_host, compiler, hosts_dir};
use crate::inputs::{DEMO_MODEL, FRAMES_MODEL, STANDIN_MODEL, STANDIN_MODELS};
use crate::package::archive::{END_OF_WHOLE_ARCHIVE, SYSTEM_LIBRARIES, WHOLE_ARCHIVE};
use crate::package::install_for_tests;
use crate::paths::root;
use crate::platform::{Language, Platform};
use crate::process::{Result, cargo, command, read_output, run, rustc};
use crate::skips::run_test_program;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

/// The signal that ends a process after a forbidden system call on Linux.
const SIGSYS: i32 = 31;

/// The test programs and their compiler flags. The argument of each program is a model package.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("tests/c/engine.c", &[]),
    ("tests/c/engine.c", ADDRESS_SANITIZER),
    ("tests/c/stream.c", &[]),
    ("tests/c/stream.c", ADDRESS_SANITIZER),
    ("tests/c/fp_environment.c", &[]),
    ("tests/c/pause.c", ADDRESS_SANITIZER),
    ("tests/c/queries.c", ADDRESS_SANITIZER),
    ("tests/c/groups.c", ADDRESS_SANITIZER),
    ("tests/c/waits.c", ADDRESS_SANITIZER),
    ("tests/c/memory_limit.c", &[]),
    ("tests/c/borders.c", ADDRESS_SANITIZER),
    ("tests/c/callbacks.c", ADDRESS_SANITIZER),
    ("tests/c/cancel.c", &[]),
    ("tests/c/clock_step.c", &[]),
    ("tests/c/process_end.c", &[]),
    ("tests/cpp/owners.cpp", &["-fno-exceptions"]),
    ("tests/cpp/owners.cpp", ADDRESS_SANITIZER),
    ("tests/cpp/static_objects.cpp", &[]),
];

/// The test programs about threads, and their model packages. Each runs once for each provider;
/// `environment.c` is only for the provider `embedded`.
const THREAD_PROGRAMS: [(&str, &str); 6] = [
    ("tests/c/threads.c", STANDIN_MODEL),
    ("tests/c/lanes.c", FRAMES_MODEL),
    ("tests/c/no_threads.c", STANDIN_MODEL),
    ("tests/c/priority.c", STANDIN_MODEL),
    ("tests/c/fork.c", STANDIN_MODEL),
    ("tests/c/environment.c", STANDIN_MODEL),
];

/// The test that compares the scores of `tests/c/scores.c` with those of the Rust interface.
pub(crate) const SCORES_TEST: &str = "the_c_abi_gives_the_same_scores";

/// Builds and runs all hosts.
pub(crate) fn test_hosts() -> Result {
    check_headers()?;
    let prefix = install_for_tests()?;
    abi::check(&prefix)?;
    run_programs(&prefix)?;
    packages::test_packages(&prefix)?;
    out_of_memory::test_failures(&prefix)?;
    compare_scores(&prefix)?;
    check_system_calls(&prefix)?;
    run_thread_programs(&prefix)?;
    runtime::test_newest(&prefix)?;
    runtime::test_refused_libraries(&prefix)?;
    find_package::check_versions(&prefix)?;
    examples::compare_examples(&prefix)?;
    checker::test_checker(&prefix)?;
    link_second_library(&prefix)?;
    link_shared_object(&prefix)?;
    shared::test_shared(&prefix)
}

/// Compiles each header by itself in several versions of C and C++.
fn check_headers() -> Result {
    let include = root().join("include");
    let check = |language: Language, standard: &str, header: &str| {
        let mut compiler = compiler(&Platform::native(), language);
        let name = if language == Language::C { "c" } else { "c++" };
        compiler.arg("-I").arg(&include).args(["-x", name, standard, "-fsyntax-only", "-include"]);
        // The main file is empty and `-include` includes the header, because in a main file the
        // compiler would warn about `#pragma once` and unused constants.
        run(compiler.arg(include.join("tteview").join(header)).arg("/dev/null"))
    };
    for standard in ["-std=c11", "-std=c17"] {
        check(Language::C, standard, "tteview.h")?;
    }
    for standard in ["-std=c++17", "-std=c++20"] {
        check(Language::Cpp, standard, "tteview.h")?;
        check(Language::Cpp, standard, "tteview.hpp")?;
    }
    Ok(())
}

/// Runs each test program with both stand-in packages.
fn run_programs(prefix: &Path) -> Result {
    for (source, flags) in PROGRAMS {
        let program = build_host(prefix, source, flags)?;
        for model in STANDIN_MODELS {
            println!("{source} {} {model}", flags.join(" "));
            let mut test = command(&program, [model]);
            run_test_program(source, test.env("ASAN_OPTIONS", "detect_leaks=1"))?;
        }
    }
    // The stand-in packages have no groups.
    let groups = build_host(prefix, "tests/c/groups.c", ADDRESS_SANITIZER)?;
    run(&mut command(&groups, [DEMO_MODEL]))
}

/// Runs the programs about threads.
fn run_thread_programs(prefix: &Path) -> Result {
    let library = fetch_newest()?;
    for (source, model) in THREAD_PROGRAMS {
        let program = build_host(prefix, source, &["-pthread"])?;
        let mut runs = vec![command(&program, [model])];
        if !source.contains("environment") {
            let mut with_library = command(&program, [model]);
            with_library.arg(&library);
            runs.push(with_library);
        }
        for mut run in runs {
            println!("{run:?}");
            run_test_program(source, &mut run)?;
        }
    }
    Ok(())
}

/// Checks that the scores from the C ABI are equal to those from the Rust interface.
fn compare_scores(prefix: &Path) -> Result {
    let program = build_host(prefix, "tests/c/scores.c", &[])?;
    let mut outputs = Vec::new();
    for model in STANDIN_MODELS {
        let name = Path::new(model).file_name().unwrap_or_default().to_string_lossy();
        let file = hosts_dir(&Platform::native()).join(format!("{name}.scores"));
        write_file(&file, read_output(&mut command(&program, [model]))?)?;
        outputs.push(format!("{name}={}", file.display()));
    }
    let selection =
        Selection { filter: SCORES_TEST, include_ignored: true, ..Selection::default() };
    // This command uses the same features as the step `tests`, so Cargo rebuilds nothing.
    let tests = || cargo("test --workspace --test c_scores");
    selection.check(&mut tests())?;
    run(selection.apply(tests().env("TTEVIEW_C_SCORES", outputs.join(":"))))
}

/// Checks that real-time calls with a polling worker make no system call. As a control, a second
/// run makes a system call and must end with the signal `SIGSYS`.
fn check_system_calls(prefix: &Path) -> Result {
    let program = build_host(prefix, "tests/c/no_system_call.c", &[])?;
    run(&mut command(&program, [STANDIN_MODEL]))?;
    let status = command(&program, [STANDIN_MODEL, "control"]).status();
    let status = status.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    if status.signal() == Some(SIGSYS) {
        Ok(())
    } else {
        Err(format!(
            "the control run of tests/c/no_system_call.c must end with signal {SIGSYS}, got {status}"
        ))
    }
}

/// Builds and runs a host that links a second static library written in Rust. That library contains
/// its own copy of the standard library, merged by link-time optimization.
fn link_second_library(prefix: &Path) -> Result {
    let library = hosts_dir(&Platform::native()).join("libsecond.a");
    let options = ["--edition=2024", "--crate-type=staticlib", "-Copt-level=2", "-Clto=fat"];
    run(command(rustc(), options).arg("tests/c/second_library.rs").arg("-o").arg(&library))?;
    let flags = [WHOLE_ARCHIVE, &library.to_string_lossy(), END_OF_WHOLE_ARCHIVE];
    run(&mut command(build_host(prefix, "tests/c/second_library.c", &flags)?, [STANDIN_MODEL]))
}

/// Checks that the archive can be linked into a shared object without undefined symbols.
fn link_shared_object(prefix: &Path) -> Result {
    let platform = Platform::native();
    let object = hosts_dir(&platform).join("libhost.so");
    let flags = ["-shared", "-Wl,--no-undefined", WHOLE_ARCHIVE];
    let mut linker = command(platform.compiler(Language::C), flags);
    linker.arg(prefix.join("lib/libtteview.a")).arg(END_OF_WHOLE_ARCHIVE).arg("-o").arg(object);
    run(linker.args(SYSTEM_LIBRARIES))
}
