//! `cargo xtask source`: packs an archive of the sources and all crates, for builds without a
//! network.

use super::VERSION;
use crate::files::write_file;
use crate::files::{
    create_empty_folder, create_folder, file_bytes, read_text, remove_file, remove_folder,
};
use crate::paths::work_dir;
use crate::process::{Result, cargo, command, read_output, run};
use std::path::Path;

/// Cargo settings in the archive that stop Cargo from using the network.
const OFFLINE_SETTINGS: &str = "\n[net]\noffline = true\n";

/// Runs `cargo xtask source --output FILE`, which writes the archive, unpacks it, and checks that
/// the library in it compiles offline.
pub(crate) fn run_source(arguments: &[&str]) -> Result {
    let ["--output", output] = arguments else {
        return Err("usage: cargo xtask source --output FILE.tar.gz".into());
    };
    let output =
        std::path::absolute(output).map_err(|error| format!("output {output}: {error}"))?;
    let folder = work_dir().join("source");
    let name = format!("tteview-{VERSION}");
    let tree = folder.join(&name);
    create_empty_folder(&folder)?;
    export_commit(&tree)?;
    vendor_crates(&tree)?;
    // The archive must not depend on the time or the user.
    let options =
        ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-czf"];
    run(command("tar", options).arg(&output).arg("-C").arg(&folder).arg(&name))?;
    create_empty_folder(&folder)?;
    check_archive(&output, &folder, &name)?;
    let megabytes = file_bytes(&output)? as f64 / 1e6;
    println!(
        "{}: {megabytes:.1} MB; the library builds from it without a network",
        output.display()
    );
    remove_folder(&folder)
}

/// Writes the files of the current commit to a folder.
fn export_commit(tree: &Path) -> Result {
    let changes = read_output(&mut command("git", ["status", "--porcelain"]))?;
    if !changes.is_empty() {
        return Err(format!("the work tree must have no changes; commit them first:\n{changes}"));
    }
    let archive = tree.with_extension("tar");
    run(command("git", ["archive", "--format=tar", "-o"]).arg(&archive).arg("HEAD"))?;
    create_folder(tree)?;
    run(command("tar", ["-xf"]).arg(&archive).arg("-C").arg(tree))?;
    remove_file(&archive)
}

/// Copies all crates in `Cargo.lock` to `vendor/` and configures Cargo to use the copies.
fn vendor_crates(tree: &Path) -> Result {
    let mut vendor = cargo("vendor --locked --versioned-dirs --manifest-path");
    vendor.arg(tree.join("Cargo.toml")).arg("vendor").current_dir(tree);
    let vendor_settings = read_output(&mut vendor)?;
    let path = tree.join(".cargo/config.toml");
    let settings = if path.exists() { read_text(&path)? } else { String::new() };
    write_file(&path, format!("{settings}\n{vendor_settings}{OFFLINE_SETTINGS}"))
}

/// Unpacks the archive and checks that its library compiles with an empty Cargo home.
fn check_archive(archive: &Path, folder: &Path, name: &str) -> Result {
    run(command("tar", ["-xzf"]).arg(archive).arg("-C").arg(folder))?;
    let mut check = cargo("check --release -p tteview --locked --offline");
    check.current_dir(folder.join(name)).env("CARGO_HOME", folder.join("cargo-home"));
    run(check.env("CARGO_TARGET_DIR", folder.join("target")))
}
