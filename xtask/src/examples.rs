//! The examples in ffi-examples/, built in every way that a host may build them.

use crate::demo::{PERIOD_NS, STAND_IN, phantom_cine};
use crate::fetch;
use crate::host::build_host;
use crate::process::{Result, cargo, command, read, root, run, target};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Each takes a model, a cine and its frame period.
const EXAMPLES: &[&str] = &["c_minimal.c", "c_zero_copy.c", "cpp_host.cpp", "scanner_sim.c"];

/// Every example names a view, and they agree on it: the same frames are the same answer, whatever the pace, the language
/// and the build.
pub(crate) fn examples(prefix: &Path) -> Result {
    let mut programs = Vec::new();
    for source in EXAMPLES {
        programs.push(build_host(prefix, &format!("ffi-examples/{source}"), &[])?);
    }
    programs.extend(built_with_cmake(prefix)?);
    run(&mut cargo("build --release -p cxx-host"))?;
    programs.push(target().join("release/cxx-host"));
    let cine = phantom_cine()?;
    let mut views = Vec::new();
    for program in &programs {
        let arguments = [Path::new(STAND_IN), &cine, Path::new(PERIOD_NS)];
        let printed = read(command(program, arguments).stdin(Stdio::null()))?;
        let view =
            view(&printed).ok_or_else(|| format!("{} named no view:\n{printed}", program.display()))?;
        views.push((program, view));
    }
    if views.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        Ok(())
    } else {
        Err(format!("the examples disagree: {views:?}"))
    }
}

/// The word after "view" in what an example prints.
fn view(printed: &str) -> Option<String> {
    let line = printed.lines().find(|line| line.starts_with("view "))?;
    line.split([',', ' ']).filter(|word| !word.is_empty()).nth(1).map(String::from)
}

/// All of them as a CMake project that finds the installed package.
fn built_with_cmake(prefix: &Path) -> Result<Vec<PathBuf>> {
    let build = std::path::absolute(target().join("tteview/cmake")).map_err(|error| error.to_string())?;
    if build.exists() {
        // What an earlier run found must not stand in for what is there now.
        std::fs::remove_dir_all(&build).map_err(|error| format!("{}: {error}", build.display()))?;
    }
    let tools = fetch::cmake()?;
    let cmake = || {
        let mut cmake = command(tools.join("bin/cmake"), [""; 0]);
        cmake.env("PYTHONPATH", &tools);
        cmake
    };
    let mut configure = cmake();
    configure.args(["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]);
    configure.arg(format!("-DCMAKE_MAKE_PROGRAM={}", tools.join("bin/ninja").display()));
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    run(configure.arg("-S").arg(root().join("ffi-examples")).arg("-B").arg(&build))?;
    run(cmake().arg("--build").arg(&build))?;
    let program = |source: &&str| build.join(Path::new(source).file_stem().unwrap_or_default());
    Ok(EXAMPLES.iter().map(program).collect())
}
