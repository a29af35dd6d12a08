//! The archive for the board.

use super::EXAMPLES;
use crate::package::{place, write};
use crate::platform::Platform;
use crate::process::{Result, command, read, root, run};
use std::fs;
use std::path::{Path, PathBuf};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Completes the prefix, hashes every file of it, and packs it; the result names the archive.
pub(super) fn pack(platform: &Platform, prefix: &Path, programs: &[PathBuf]) -> Result<String> {
    for program in programs {
        let to = prefix.join("bin").join(program.file_name().unwrap_or_default());
        place(program, &to)?;
        run(command(platform.tool("strip"), ["--strip-unneeded"]).arg(&to))?;
    }
    for source in EXAMPLES.iter().chain(&["cine.h", "CMakeLists.txt"]) {
        place(
            &root().join("ffi-examples").join(source),
            &prefix.join("share/tteview/examples").join(source),
        )?;
    }
    for model in
        ["demo.stream.onnx", "demo.clip.onnx", "standin.stream.onnx", "standin.clip.onnx", "views.json"]
    {
        place(&root().join("models").join(model), &prefix.join("share/tteview/models").join(model))?;
    }
    place(
        &root().join("jetson-sysroot/toolchain-aarch64.cmake"),
        &prefix.join("share/tteview/toolchain-aarch64.cmake"),
    )?;
    for page in ["jetson.md", "model.md"] {
        place(&root().join("docs").join(page), &prefix.join("share/doc/tteview").join(page))?;
    }
    write(&prefix.join("README.txt"), README)?;
    let mut hashes = String::new();
    for file in files(prefix)? {
        hashes += &read(command("sha256sum", [&file]).current_dir(prefix))?;
    }
    write(&prefix.join("SHA256SUMS"), &hashes)?;
    let archive = platform.folder().join(format!("tteview-{VERSION}-aarch64-linux-gnu.tar.gz"));
    // Order, owner and time are fixed, so the same files are the same archive.
    let options = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
    let mut tar = command("tar", options);
    tar.arg(format!("--transform=s,^[.],tteview-{VERSION},")).arg("-C").arg(prefix);
    run(tar.args(["-czf"]).arg(&archive).arg("."))?;
    let bytes = fs::metadata(&archive).map_err(|error| format!("{}: {error}", archive.display()))?.len();
    println!("{}", archive.display());
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("{name}, {:.1} MB, {} files", bytes as f64 / 1e6, hashes.lines().count()))
}

/// Every file under the folder but the list of hashes, relative to it and in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = open.pop() {
        let entries = fs::read_dir(&next).map_err(|error| format!("{}: {error}", next.display()))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            match path.strip_prefix(folder) {
                _ if path.is_dir() => open.push(path),
                Ok(name) if name != Path::new("SHA256SUMS") => found.push(name.to_path_buf()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

const README: &str = "tteview for aarch64 Linux (Jetson)\n\n\
lib/libtteview.a, include/, lib/pkgconfig, lib/cmake   link your host with these\n\
bin/                     examples and the program tteview\n\
share/tteview/examples   sources of the examples\n\
share/tteview/models     demo model, trained on synthetic cines alone: for bring-up, not for clinical use;\n\
                         standin: random weights, for tests\n\
share/doc/tteview        jetson.md, model.md, licences\n\n\
sha256sum -c SHA256SUMS checks the files. First label on the board:\n\n\
    bin/tteview demo\n";
