//! The tasks of the repository: `cargo xtask TASK`.

mod abi;
mod bench;
mod cargo_test;
mod demo;
mod docs;
mod fetch;
mod files;
mod header;
mod host_build;
mod hosts;
mod inputs;
mod jetson;
mod package;
mod paths;
mod platform;
mod process;
mod repository;
mod skips;
mod test;
mod trust;

use std::process::ExitCode;

/// A task.
struct Task {
    /// The name of the task on the command line.
    name: &'static str,
    /// The arguments of the task, for the help text.
    arguments: &'static str,
    summary: &'static str,
    run: fn(&[&str]) -> process::Result,
}

const TASKS: &[Task] = &[
    Task {
        name: "demo",
        arguments: "",
        summary: "stream a cine through the C ABI and print its label",
        run: demo::run_demo,
    },
    Task {
        name: "test",
        arguments: "[--all | STEP...]",
        summary: "run the quick test, every step, or the named steps",
        run: test::run_test,
    },
    Task {
        name: "bench",
        arguments: "[FILTER] [OPTIONS] | graphs | latency [NAME...] | archive [OPTIONS] [FILE...]",
        summary: "run the benches whose names contain FILTER and print a table of the results",
        run: bench::run_bench,
    },
    Task {
        name: "install",
        arguments: "--prefix P [--features F] [--check]",
        summary: "install the library, the headers, the benches, and files for pkg-config and CMake",
        run: package::run_install,
    },
    Task {
        name: "jetson",
        arguments: "[--glibc VERSION | --test]",
        summary: "cross-build for aarch64, test under emulation and pack an archive",
        run: jetson::run_jetson,
    },
    Task {
        name: "sizes",
        arguments: "",
        summary: "measure how many bytes the library adds to a stripped host, and check the limits",
        run: package::sizes::run_sizes,
    },
    Task {
        name: "source",
        arguments: "--output FILE",
        summary: "pack the sources with all crates and check that the archive builds offline",
        run: package::source::run_source,
    },
    Task {
        name: "fetch",
        arguments: "",
        summary: "fetch the files that the tests need and print the variables that name the files",
        run: fetch::print_variables,
    },
    Task {
        name: "abi",
        arguments: "",
        summary: "write tests/c/abi.golden: layouts, constants and exported functions",
        run: abi::write,
    },
    Task {
        name: "docs",
        arguments: "",
        summary: "build the documentation site: guide, Rust interface and C interface",
        run: docs::build,
    },
    Task {
        name: "sentences",
        arguments: "[COUNT [SEED]]",
        summary: "draw sentences from comments and documents for review",
        run: repository::sentences::draw,
    },
    Task {
        name: "trust",
        arguments: "[coverage | mutants | fuzz | races | soak]",
        summary: "print the figures of coverage, mutants, fuzzing, races and soak, or measure them",
        run: trust::run_trust,
    },
    Task {
        name: "header",
        arguments: "",
        summary: "write include/tteview/tteview.h from src/ffi",
        run: header::write,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--help" | "-h" | "help"] => {
            println!("{}", format_help());
            ExitCode::SUCCESS
        }
        [name, ref rest @ ..] => match TASKS.iter().find(|task| task.name == name) {
            Some(task) => match (task.run)(rest) {
                Ok(()) => ExitCode::SUCCESS,
                Err(message) => {
                    eprintln!("cargo xtask {name}: {message}");
                    ExitCode::FAILURE
                }
            },
            None => refuse(&format!("TASK must be one of the following, got {name}")),
        },
        [] => refuse("TASK is missing"),
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("cargo xtask: {message}\n\n{}", format_help());
    ExitCode::from(2)
}

fn format_help() -> String {
    let mut text = String::from("usage: cargo xtask TASK\n");
    for Task { name, arguments, summary, .. } in TASKS {
        text += &format!("\n  {}\n      {summary}", format!("{name} {arguments}").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_task_with_its_summary() {
        let text = format_help();
        for task in TASKS {
            let mut lines = text.lines();
            assert!(lines.any(|line| line.trim_start().starts_with(task.name)), "{}", task.name);
            assert_eq!(lines.next().map(str::trim), Some(task.summary));
        }
    }
}
