//! Checks and tests of the whole workspace. All of them build with the same features, so Cargo
//! builds each crate only once.

use super::runtimes::{GPU_TESTS, fetch_test_environment};
use crate::cargo_test::Selection;
use crate::hosts::{PACKAGES_TEST, SCORES_TEST};
use crate::process::{Result, cargo, run};

/// The tests of the step `style`.
const STYLE_TESTS: &str = "repository::";

/// Runs the step `format`.
pub(super) fn check_format() -> Result {
    run(&mut cargo("fmt --all --check"))
}

/// Runs the step `clippy`.
pub(super) fn run_clippy() -> Result {
    run(&mut cargo("clippy --workspace --all-targets --features tteview/bench -- -D warnings"))
}

/// Runs the step `style`, which runs the tests in `xtask/src/repository/`.
pub(super) fn check_style() -> Result {
    let selection = Selection { filter: STYLE_TESTS, ..Selection::default() };
    let tests = || cargo("test --workspace --bin xtask");
    selection.check(&mut tests())?;
    run(selection.apply(&mut tests()))
}

/// Runs the step `tests`, which runs the unit, integration and documentation tests of every crate
/// with the newest ONNX Runtime. Other steps run the tests that have further requirements.
pub(super) fn run_tests() -> Result {
    let skip = &[STYLE_TESTS, GPU_TESTS, SCORES_TEST, PACKAGES_TEST];
    let selection = Selection { filter: "", skip, include_ignored: true };
    // The documentation tests are not listed, because Cargo would have to compile them first.
    selection.check(&mut cargo(
        "test --workspace --lib --bin xtask --test c_scores --test hostile_packages",
    ))?;
    let mut tests = cargo("test --workspace");
    fetch_test_environment(&mut tests)?;
    run(selection.apply(&mut tests))
}

/// Runs the step `soak`, which runs the soak and memory tests at full length, and a minute of the
/// soak by the clock.
pub(super) fn run_soak() -> Result {
    let mut tests = cargo("test --workspace --test soak --test soak_clock --test memory");
    run(tests.env("TTEVIEW_FULL", "1"))
}
