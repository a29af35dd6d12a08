//! Tasks of the repository: `cargo xtask TASK`.

mod abi;
mod bench;
mod components;
mod demo;
mod examples;
mod fetch;
mod graphs;
mod host;
mod instrumented;
mod jetson;
mod latency;
mod package;
mod platform;
mod process;
mod requirements;
mod sbom;
mod sizes;
mod soup;
mod source;
mod test;
mod training;

use std::process::ExitCode;

/// A task: its name on the command line, one line of help, and what it does.
type Task = (&'static str, &'static str, fn(&[&str]) -> process::Result);

const TASKS: &[Task] = &[
    ("demo", "stream a cine through the C ABI to a label", demo::run_demo),
    ("test", "run every check and test, or the steps named; stop at the first that fails", test::run),
    ("bench", "run the benches, or those with FILTER in their name, and print a table of ratios", bench::run),
    ("install", "install archive, headers, pkg-config and CMake files: --prefix P", package::install),
    (
        "jetson",
        "cross-build for aarch64, prove it under emulation and pack an archive: [--glibc 2.31 | --proof]",
        jetson::run,
    ),
    ("sizes", "measure what the library adds to a stripped host, and fail over the bars", sizes::run),
    (
        "source",
        "pack the sources with all crates, and check that they build offline: --output FILE",
        source::source,
    ),
    ("fetch", "fetch what the tests need and print the variables that name it", fetch::print),
    ("abi", "write tests/c/abi.golden: struct layouts, constants, exported functions", abi::write),
    ("header", "write include/tteview/tteview.h from src/ffi", host::write_header),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--help" | "-h" | "help"] => {
            println!("{}", help());
            ExitCode::SUCCESS
        }
        [name, ref rest @ ..] => match TASKS.iter().find(|task| task.0 == name) {
            Some((_, _, run)) => match run(rest) {
                Ok(()) => ExitCode::SUCCESS,
                Err(message) => {
                    eprintln!("cargo xtask {name}: {message}");
                    ExitCode::FAILURE
                }
            },
            None => usage(&format!("no task is called {name}")),
        },
        [] => usage("name a task"),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("cargo xtask: {problem}\n\n{}", help());
    ExitCode::from(2)
}

fn help() -> String {
    let mut text = String::from("Usage: cargo xtask TASK\n\nTasks:");
    for (name, summary, _) in TASKS {
        text += &format!("\n  {name:<10}{summary}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_task() {
        let text = help();
        for (name, summary, _) in TASKS {
            assert!(text.lines().any(|line| line.contains(name) && line.ends_with(summary)), "{name}");
        }
    }
}
