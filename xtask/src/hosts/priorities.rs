//! The step `priorities`, which runs a C host whose threads have different real-time priorities.

use crate::host_build::build_host;
use crate::inputs::STANDIN_MODELS;
use crate::package::install_for_tests;
use crate::process::{Result, command, run};

/// Returns the reason why the step cannot run, if this machine grants no real-time priorities.
pub(crate) fn explain_no_priorities() -> Option<String> {
    let reason = match command("chrt", ["--fifo", "30", "true"]).output() {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("chrt cannot be started: {error}"),
    };
    Some(format!("this machine grants no real-time priorities ({reason})"))
}

/// Runs the step, which checks that no thread holds up a thread of another priority.
pub(crate) fn test_priorities() -> Result {
    let program = build_host(&install_for_tests()?, "tests/c/priorities.c", &[])?;
    for model in STANDIN_MODELS {
        println!("tests/c/priorities.c {model}");
        run(&mut command(&program, [model]))?;
    }
    Ok(())
}
