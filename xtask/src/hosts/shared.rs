//! Tests of the installed shared library: its ELF properties, and hosts that link it, load it with
//! `dlopen` or contain several copies.

use super::checker;
use crate::fetch::build_tools::{fetch_cmake, fetch_ninja, fetch_pkg_config};
use crate::files::{copy_file, create_empty_folder, create_folder};
use crate::host_build::{FLAGS, build_host, hosts_dir};
use crate::inputs::STANDIN_MODEL;
use crate::package::shared::{file_name, soname, symbol_version};
use crate::paths::{root, work_dir};
use crate::platform::Platform;
use crate::process::{Result, command, read_output, run};
use crate::skips::skip_part;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The libraries that the shared library may need.
const ALLOWED_LIBRARIES: &[&str] =
    &["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "ld-linux"];

/// The compilers for C and C++, and whether the test requires them. Clang may be missing.
const COMPILERS: [([&str; 2], bool); 2] = [(["gcc", "g++"], true), (["clang", "clang++"], false)];

/// The hosts that are linked with the shared library, and their language standards.
const PROGRAMS: [[&str; 2]; 2] =
    [["tests/c/engine.c", "-std=c11"], ["tests/cpp/owners.cpp", "-std=c++17"]];

/// The rule that a host breaks when CMake links it with the checker.
const CMAKE_RULE: &str = "use-after-destroy";

/// Runs all tests of the shared library.
pub(super) fn test_shared(prefix: &Path) -> Result {
    let library = prefix.join("lib").join(file_name());
    check_properties(&library)?;
    link_with_compilers(prefix)?;
    link_with_cmake(prefix)?;
    load_copies(prefix, &library)
}

/// Checks the dynamic section, the segments and the relocations.
fn check_properties(library: &Path) -> Result {
    let read = |option: &str| read_output(command("readelf", ["--wide", option]).arg(library));
    let problems = find_problems(&read("--dynamic")?, &read("--segments")?, &read("--relocs")?);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("{}: {}", library.display(), problems.join("; ")))
    }
}

/// Returns the properties that the library lacks, from the output of `readelf`.
fn find_problems(dynamic: &str, segments: &str, relocations: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    expect(dynamic.contains(&format!("[{}]", soname())), "the SONAME is wrong");
    expect(dynamic.contains("NODELETE"), "dlclose would unload the library");
    expect(dynamic.contains("BIND_NOW"), "symbols are bound lazily");
    for tag in ["TEXTREL", "RPATH", "RUNPATH"] {
        expect(!dynamic.contains(tag), &format!("the dynamic section has {tag}"));
    }
    expect(segments.contains("GNU_RELRO"), "relocated data stays writable");
    let stack = segments.lines().find(|line| line.contains("GNU_STACK"));
    expect(stack.is_some_and(|line| !line.contains("RWE")), "the stack is executable");
    expect(!relocations.contains("ttv_"), "the host can replace functions of the library");
    for line in dynamic.lines().filter(|line| line.contains("(NEEDED)")) {
        let name = line.split(['[', ']']).nth(1).unwrap_or_default();
        let is_allowed = ALLOWED_LIBRARIES.iter().any(|allowed| name.starts_with(allowed));
        expect(is_allowed, &format!("the library needs {name}"));
    }
    problems
}

/// Links hosts through pkg-config with each compiler, and runs them.
fn link_with_compilers(prefix: &Path) -> Result {
    let folder = hosts_dir(&Platform::native()).join("shared");
    create_folder(&folder)?;
    for (compilers, is_required) in COMPILERS {
        if !is_required && !is_installed(compilers[0]) {
            skip_part(format!("hosts built with {}, which is not installed", compilers[0]));
            continue;
        }
        for package in ["tteview", "tteview-shared"] {
            let mut query = fetch_pkg_config()?;
            query.args(["--cflags", "--libs", package]);
            query.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
            let flags = read_output(&mut query)?;
            for ([source, standard], compiler) in PROGRAMS.iter().zip(compilers) {
                let program = folder.join(format!("{compiler}-{package}"));
                let mut build = command(compiler, FLAGS);
                build.args([standard, "-I", "tests/c", source, "-o"]).arg(&program);
                run(build.args(flags.split_whitespace()))?;
                run_host(prefix, &program, package == "tteview-shared")?;
            }
        }
    }
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let mut version = command(program, ["--version"]);
    version.stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Runs a host and checks whether it is linked with the shared library.
fn run_host(prefix: &Path, program: &Path, is_shared: bool) -> Result {
    println!("{}", program.display());
    let needed = read_output(command("readelf", ["--wide", "--dynamic"]).arg(program))?;
    if needed.contains(&soname()) != is_shared {
        let verb = if is_shared { "must" } else { "must not" };
        return Err(format!("{} {verb} need {}", program.display(), soname()));
    }
    let mut host = command(program, [STANDIN_MODEL]);
    if is_shared {
        host.env("LD_LIBRARY_PATH", prefix.join("lib"));
    }
    run(&mut host)
}

/// Builds hosts outside the source tree with each CMake target of the package, and runs them.
fn link_with_cmake(prefix: &Path) -> Result {
    let build = work_dir().join("components");
    create_empty_folder(&build)?;
    let mut cmake = fetch_cmake()?;
    cmake.args(["-G", "Ninja"]).arg(format!("-DCMAKE_MAKE_PROGRAM={}", fetch_ninja()?.display()));
    cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    cmake.arg(format!("-DSOURCES={}", root().join("tests").display()));
    cmake.arg(format!("-DRULE={CMAKE_RULE}"));
    run(cmake.arg("-S").arg(root().join("xtask/src/hosts/components")).arg("-B").arg(&build))?;
    run(fetch_cmake()?.arg("--build").arg(&build))?;
    for target in ["tteview", "static", "shared"] {
        for language in ["c", "cpp"] {
            let program = build.join(format!("{language}_{target}"));
            run_host(prefix, &program, target == "shared")?;
        }
    }
    checker::expect_rule(&build.join("c_check"), CMAKE_RULE)
}

/// Runs a host that loads several copies of the library, with and without a static copy.
fn load_copies(prefix: &Path, library: &Path) -> Result {
    let copy: PathBuf = hosts_dir(&Platform::native()).join("libcopy.so");
    copy_file(library, &copy)?;
    for flags in [&["-DSTATIC_COPY"][..], &[]] {
        println!("tests/c/shared_copies.c {} with {}", flags.join(" "), symbol_version());
        let program = build_host(prefix, "tests/c/shared_copies.c", flags)?;
        run(command(program, [library, &copy, Path::new(STANDIN_MODEL)].map(Path::as_os_str))
            .stdin(Stdio::null()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_property_is_named() {
        let dynamic = format!(
            "(NEEDED) Shared library: [libc.so.6]\n(SONAME) Library soname: [{}]\n(FLAGS) BIND_NOW\n\
             (FLAGS_1) Flags: NOW NODELETE\n",
            soname()
        );
        let segments = "GNU_STACK 0x0 0x0 RW 0x10\nGNU_RELRO 0x0\n";
        assert_eq!(find_problems(&dynamic, segments, "malloc"), [""; 0]);
        for (dynamic, segments, relocations) in [
            (dynamic.replace("NODELETE", ""), segments, ""),
            (dynamic.replace("BIND_NOW", ""), segments, ""),
            (format!("{dynamic}(RUNPATH) x"), segments, ""),
            (dynamic.replace("libc.so.6", "libz.so.1"), segments, ""),
            (dynamic.clone(), "GNU_STACK RWE\nGNU_RELRO", ""),
            (dynamic.clone(), "GNU_STACK RW", ""),
            (dynamic.clone(), segments, "R_X86_64_JUMP_SLOT ttv_last_error"),
        ] {
            assert_eq!(find_problems(&dynamic, segments, relocations).len(), 1);
        }
    }
}
