//! The unit tests of the library under loom and under AddressSanitizer. Each of these two runs has
//! its own target directory, because Cargo would otherwise rebuild everything whenever the compiler
//! flags change.

use crate::cargo_test::Selection;
use crate::paths::target_dir;
use crate::process::{Result, cargo, read_host_triple, run};
use std::process::Command;

/// A test that needs `mlock`, which AddressSanitizer replaces with a function that does nothing.
const MEMORY_LOCK_TEST: &str = "locked_buffers_are_unlocked_when_they_are_dropped";

/// Returns a `cargo test` command for the library without backends, with additional compiler flags.
fn library_tests(folder: &str, flags: &str, options: &str) -> Command {
    let all_flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " " + flags;
    let mut tests = cargo(&format!(
        "test --release -p tteview --no-default-features --features capi --lib {options}"
    ));
    // `CARGO_ENCODED_RUSTFLAGS` is removed, because it would take precedence over `RUSTFLAGS`.
    tests.env("RUSTFLAGS", all_flags.trim()).env_remove("CARGO_ENCODED_RUSTFLAGS");
    tests.env("CARGO_TARGET_DIR", target_dir().join(folder));
    tests
}

/// Runs the step `loom`, which tests the ring, the mailbox, the history and the sample store in
/// every interleaving of threads that loom can reach.
pub(super) fn run_loom() -> Result {
    let selection = Selection { filter: "loom_tests", ..Selection::default() };
    let tests = || library_tests("loom", "--cfg loom", "");
    selection.check(&mut tests())?;
    run(selection.apply(&mut tests()))
}

/// Runs the step `sanitizer`, which runs the unit tests under AddressSanitizer with leak detection.
///
/// ThreadSanitizer is not used, because it needs an instrumented standard library. Without that
/// library, it falsely reports races in the test harness and in scoped threads.
pub(super) fn run_sanitizer() -> Result {
    let flags = "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer";
    // With an explicit target, the flags do not apply to build scripts and procedural macros.
    let target = format!("--target {}", read_host_triple()?);
    let tests = || {
        let mut tests = library_tests("sanitizer", flags, &target);
        // `RUSTC_BOOTSTRAP` makes a stable compiler accept the unstable flag. Some tests request
        // more memory than AddressSanitizer supports, and expect that the allocation fails.
        tests
            .env("RUSTC_BOOTSTRAP", "1")
            .env("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1");
        tests
    };
    let selection = Selection { skip: &[MEMORY_LOCK_TEST], ..Selection::default() };
    selection.check(&mut tests())?;
    run(selection.apply(&mut tests()))
}
