//! `cargo xtask docs`: builds the documentation site, which contains the guide, the Rust interface
//! and the C interface.

mod book;
mod dead_links;
mod doxygen;

use crate::files::{copy_file, list_files, remove_folder, write_file};
use crate::paths::{target_dir, work_dir};
use crate::process::{Result, cargo, expect_no_arguments, run};
use std::path::Path;

/// Builds the site and checks its links.
pub(crate) fn build(arguments: &[&str]) -> Result {
    expect_no_arguments(arguments)?;
    let site = work_dir().join("site");
    remove_folder(&site)?;
    book::build(&site)?;
    doxygen::build(&site.join("c"))?;
    build_rust(&site.join("rust"))?;
    let pages = dead_links::check(&site)?;
    println!("{pages} pages without a dead link: {}", site.join("index.html").display());
    Ok(())
}

/// Builds the documentation of the Rust interface. Warnings are errors.
fn build_rust(folder: &Path) -> Result {
    let output = target_dir().join("doc");
    // The folder may contain pages of items that no longer exist.
    remove_folder(&output)?;
    run(cargo("doc --no-deps --package tteview").env("RUSTDOCFLAGS", "-D warnings"))?;
    copy_folder(&output, folder)?;
    let page =
        "<!DOCTYPE html><meta http-equiv=\"refresh\" content=\"0; url=tteview/index.html\">\n";
    write_file(&folder.join("index.html"), page)
}

/// Copies a folder with its content.
fn copy_folder(from: &Path, to: &Path) -> Result {
    list_files(from)?.iter().try_for_each(|file| copy_file(&from.join(file), &to.join(file)))
}
