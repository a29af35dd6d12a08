//! `cargo xtask fetch`: downloads the files that the tests need and that are not in the repository.
//! Each file is downloaded once and stays in the target directory.

pub(crate) mod build_tools;
pub(crate) mod cache;
pub(crate) mod cines;
pub(crate) mod onnx_runtime;
pub(crate) mod python;

use crate::process::{Result, expect_no_arguments};

/// Fetches the files that the tests need and prints the environment variables that name these
/// files, for `export $(cargo xtask fetch)`.
pub(crate) fn print_variables(arguments: &[&str]) -> Result {
    expect_no_arguments(arguments)?;
    println!("TTEVIEW_ORT_DYLIB={}", onnx_runtime::fetch_newest()?.display());
    println!("TTEVIEW_CINES={}", cines::fetch_cines()?.display());
    Ok(())
}
