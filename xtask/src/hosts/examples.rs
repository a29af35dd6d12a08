//! Builds and runs the examples: those in ffi-examples/ with pkg-config, CMake and Cargo, and those
//! in examples/ with Cargo.

use crate::fetch::build_tools::{fetch_cmake, fetch_ninja};
use crate::files::create_empty_folder;
use crate::host_build::{EXAMPLES, build_host};
use crate::inputs::{PERIOD_NS, STANDIN_MODEL, write_phantom_cine};
use crate::paths::{root, target_dir, work_dir};
use crate::process::{Result, cargo, command, read_output, run};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The programs in examples/. They take the same arguments as the examples in ffi-examples/.
const RUST_EXAMPLES: [&str; 3] = ["host_driven", "label_cine", "live_query"];

/// Checks that all examples give the same view for the same cine, in every language and with every
/// build system.
pub(super) fn compare_examples(prefix: &Path) -> Result {
    let mut programs = Vec::new();
    for source in EXAMPLES {
        programs.push(build_host(prefix, &format!("ffi-examples/{source}"), &[])?);
    }
    programs.extend(build_with_cmake(prefix)?);
    programs.push(build_with_cargo()?);
    programs.extend(build_rust_examples()?);
    let cine = write_phantom_cine()?;
    let mut views = Vec::new();
    for program in &programs {
        let arguments = [Path::new(STANDIN_MODEL), &cine, Path::new(PERIOD_NS)];
        let output = read_output(command(program, arguments).stdin(Stdio::null()))?;
        let view = parse_view(&output)
            .ok_or_else(|| format!("{} must print a view, got:\n{output}", program.display()))?;
        println!("{}: {view}", program.display());
        views.push(view);
    }
    if views.windows(2).all(|pair| pair[0] == pair[1]) {
        Ok(())
    } else {
        Err(format!("the examples must give the same view, got {}", views.join(", ")))
    }
}

/// Returns the word after "view" in the output of an example.
fn parse_view(output: &str) -> Option<String> {
    let line = output.lines().find(|line| line.starts_with("view "))?;
    line.split([',', ' ']).filter(|word| !word.is_empty()).nth(1).map(String::from)
}

/// Builds the examples as a CMake project that finds the installed package.
fn build_with_cmake(prefix: &Path) -> Result<Vec<PathBuf>> {
    let build = work_dir().join("cmake");
    // The folder must be empty, because CMake would reuse the settings of an earlier run.
    create_empty_folder(&build)?;
    let mut configure = fetch_cmake()?;
    configure.args(["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]);
    configure.arg(format!("-DCMAKE_MAKE_PROGRAM={}", fetch_ninja()?.display()));
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    run(configure.arg("-S").arg(root().join("ffi-examples")).arg("-B").arg(&build))?;
    run(fetch_cmake()?.arg("--build").arg(&build))?;
    let program = |source: &&str| build.join(Path::new(source).file_stem().unwrap_or_default());
    Ok(EXAMPLES.iter().map(program).collect())
}

/// Builds the host `cargo-host`, which Cargo compiles and links.
fn build_with_cargo() -> Result<PathBuf> {
    run(&mut cargo("build --release -p cargo-host"))?;
    Ok(target_dir().join("release/cargo-host"))
}

/// Builds the programs in examples/. The step `tests` uses the same features, so Cargo rebuilds
/// nothing.
fn build_rust_examples() -> Result<Vec<PathBuf>> {
    run(&mut cargo("build --workspace --examples"))?;
    let folder = target_dir().join("debug/examples");
    Ok(RUST_EXAMPLES.iter().map(|name| folder.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::list_folder;

    #[test]
    fn no_example_is_left_out() {
        for (folder, endings, names) in
            [("ffi-examples", "c cpp", &EXAMPLES[..]), ("examples", "rs", &RUST_EXAMPLES[..])]
        {
            let mut files = list_folder(&root().join(folder)).unwrap();
            files.retain(|file| {
                let ending = file.extension().unwrap_or_default().to_string_lossy();
                endings.split(' ').any(|other| other == ending)
            });
            assert_eq!(files.len(), names.len(), "{files:?}");
            for name in names {
                let is_named =
                    |file: &PathBuf| file.ends_with(name) || file.file_stem().unwrap() == *name;
                assert!(files.iter().any(is_named), "{name}");
            }
        }
    }

    #[test]
    fn view_is_read_from_the_output() {
        let output = "frames 3\nview      A4C, confidence 0.512\n";
        assert_eq!(parse_view(output).as_deref(), Some("A4C"));
        assert_eq!(parse_view("no line"), None);
    }
}
