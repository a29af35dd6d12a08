//! The archive for the board, which contains the installed package, programs, examples and models.

use crate::files::{copy_file, file_bytes, list_files, remove_file, write_file};
use crate::package::VERSION;
use crate::package::programs::{install_command_line_licences, install_program};
use crate::paths::root;
use crate::platform::Platform;
use crate::process::{Result, command, read_output, run};
use std::path::{Path, PathBuf};

const MODELS: [&str; 5] = [
    "demo.stream.onnx",
    "demo.clip.onnx",
    "standin.stream.onnx",
    "standin.clip.onnx",
    "views.json",
];

const README: &str = include_str!("board_archive/README.txt");

/// Adds the programs, models and documents to the prefix, writes the hashes of all files,
/// and packs the prefix into an archive. Returns a phrase with the name and the size of the
/// archive.
pub(super) fn pack(platform: &Platform, prefix: &Path, programs: &[PathBuf]) -> Result<String> {
    for program in programs.iter().filter(|program| !program.starts_with(prefix)) {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        install_program(program, &name, prefix, platform)?;
    }
    install_command_line_licences(prefix, platform)?;
    let share = prefix.join("share/tteview");
    for model in MODELS {
        copy_file(&root().join("models").join(model), &share.join("models").join(model))?;
    }
    let toolchain = "toolchain-aarch64.cmake";
    copy_file(&root().join("jetson-sysroot").join(toolchain), &share.join(toolchain))?;
    for page in ["device/jetson.md", "model/demo-model.md"] {
        copy_file(&root().join("docs").join(page), &prefix.join("share/doc/tteview").join(page))?;
    }
    write_file(&prefix.join("README.txt"), README)?;
    let file_count = write_hashes(prefix)?;
    let archive = platform.work_dir().join(format!("tteview-{VERSION}-aarch64-linux-gnu.tar.gz"));
    // The order, the owners and the times are fixed, because the same files must give the same
    // archive.
    let options = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
    let mut tar = command("tar", options);
    tar.arg(format!("--transform=s,^[.],tteview-{VERSION},")).arg("-C").arg(prefix);
    run(tar.arg("-czf").arg(&archive).arg("."))?;
    println!("{}", archive.display());
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{name}, {:.1} MB, {file_count} files", file_bytes(&archive)? as f64 / 1e6))
}

/// Writes `SHA256SUMS` with the hash of every other file and returns the number of those files.
fn write_hashes(prefix: &Path) -> Result<usize> {
    let path = prefix.join("SHA256SUMS");
    remove_file(&path)?;
    let files = list_files(prefix)?;
    let hashes = read_output(command("sha256sum", &files).current_dir(prefix))?;
    write_file(&path, hashes)?;
    Ok(files.len())
}
