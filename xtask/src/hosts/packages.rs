//! Tests of hostile model packages in a C host.

use crate::cargo_test::Selection;
use crate::files::create_empty_folder;
use crate::host_build::{ADDRESS_SANITIZER, build_host, hosts_dir};
use crate::inputs::STANDIN_MODEL;
use crate::platform::Platform;
use crate::process::{Result, cargo, command, run};
use std::ffi::OsStr;
use std::path::Path;

/// The test that writes the packages in `tests/packages/` to a folder.
pub(crate) const PACKAGES_TEST: &str = "hostile_packages_are_written_for_a_c_host";

/// Writes the packages, and loads each of them in a C host.
pub(super) fn test_packages(prefix: &Path) -> Result {
    let folder = hosts_dir(&Platform::native()).join("packages");
    create_empty_folder(&folder)?;
    let selection =
        Selection { filter: PACKAGES_TEST, include_ignored: true, ..Selection::default() };
    // This command uses the same features as the step `tests`, so Cargo rebuilds nothing.
    let tests = || cargo("test --workspace --test hostile_packages");
    selection.check(&mut tests())?;
    run(selection.apply(tests().env("TTEVIEW_PACKAGES", &folder)))?;
    let program = build_host(prefix, "tests/c/hostile_packages.c", ADDRESS_SANITIZER)?;
    run(&mut command(program, [OsStr::new(STANDIN_MODEL), folder.as_os_str()]))
}
