//! The sources with every crate they need in one archive, for builds without a network.

use crate::process::{Result, cargo, command, read, run, target};
use std::fs;
use std::path::{Path, PathBuf};

/// Cargo's settings in the archive: crates come from the folder beside, and nothing is fetched.
const OFFLINE: &str = "\n[net]\noffline = true\n";

/// `cargo xtask source --output FILE`: writes the archive, unpacks it and checks the library from it without a network.
pub(crate) fn source(arguments: &[&str]) -> Result {
    let ["--output", output] = arguments else {
        return Err("usage: cargo xtask source --output FILE.tar.gz".into());
    };
    let output = std::path::absolute(output).map_err(|error| format!("{output}: {error}"))?;
    let folder = std::path::absolute(target().join("tteview/source")).map_err(|error| error.to_string())?;
    let name = format!("tteview-{}", env!("CARGO_PKG_VERSION"));
    let tree = fresh(&folder)?.join(&name);
    committed(&tree)?;
    vendor(&tree)?;
    // Names, times and owners that do not depend on who packs it.
    let options = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-czf"];
    run(command("tar", options).arg(&output).arg("-C").arg(&folder).arg(&name))?;
    builds_alone(&output, &fresh(&folder)?, &name)?;
    let size = fs::metadata(&output).map_err(|error| format!("{}: {error}", output.display()))?.len();
    println!("{}: {:.1} MB, the library builds from it offline", output.display(), size as f64 / 1e6);
    fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// The folder, empty.
fn fresh(folder: &Path) -> Result<PathBuf> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)?;
    Ok(folder.to_owned())
}

/// What is committed, and nothing else that lies around.
fn committed(tree: &Path) -> Result {
    let changed = read(&mut command("git", ["status", "--porcelain"]))?;
    if !changed.is_empty() {
        return Err(format!("commit first: the archive holds what is committed\n{changed}"));
    }
    let packed = tree.with_extension("tar");
    run(command("git", ["archive", "--format=tar", "-o"]).arg(&packed).arg("HEAD"))?;
    fs::create_dir_all(tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    run(command("tar", ["-xf"]).arg(&packed).arg("-C").arg(tree))?;
    fs::remove_file(&packed).map_err(|error| format!("{}: {error}", packed.display()))
}

/// Every crate of `Cargo.lock` into `vendor/`, and the settings that make Cargo look there.
fn vendor(tree: &Path) -> Result {
    let manifest = tree.join("Cargo.toml");
    let mut vendor = cargo("vendor --locked --versioned-dirs --manifest-path");
    let settings = read(vendor.arg(&manifest).arg("vendor").current_dir(tree))?;
    let file = tree.join(".cargo/config.toml");
    let before = fs::read_to_string(&file).unwrap_or_default();
    fs::create_dir_all(tree.join(".cargo")).map_err(|error| format!("{}: {error}", file.display()))?;
    fs::write(&file, format!("{before}\n{settings}{OFFLINE}"))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// Checks the library from the unpacked archive, with a Cargo that has never fetched anything.
fn builds_alone(archive: &Path, folder: &Path, name: &str) -> Result {
    run(command("tar", ["-xzf"]).arg(archive).arg("-C").arg(folder))?;
    let mut check = cargo("check --release -p tteview --locked --offline");
    check.current_dir(folder.join(name)).env("CARGO_HOME", folder.join("cargo-home"));
    run(check.env("CARGO_TARGET_DIR", folder.join("target")))
}
