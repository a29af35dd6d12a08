//! The package's static library, which contains one object whose only global symbols are `ttv_*`.

use crate::files::{remove_file, write_file};
use crate::platform::Platform;
use crate::process::{Result, command, read_output, run};
use std::path::{Path, PathBuf};

/// Prefix of the names of all functions in the C ABI.
pub(crate) const EXPORT_PREFIX: &str = "ttv_";

/// The feature that adds the reserve for failed allocations.
const RESERVE: &str = "memory-reserve";

/// The functions of the C library whose calls go to the functions of the reserve. The files in
/// src/sys/reserve/ define these functions, except the last, which stays undefined.
const WRAPPED: [&str; 6] =
    ["malloc", "calloc", "realloc", "posix_memalign", "free", "__cxa_thread_atexit_impl"];

/// Linker flag before an archive that is linked as a whole. [`END_OF_WHOLE_ARCHIVE`] must follow
/// the archive.
pub(crate) const WHOLE_ARCHIVE: &str = "-Wl,--whole-archive";
pub(crate) const END_OF_WHOLE_ARCHIVE: &str = "-Wl,--no-whole-archive";

/// The system libraries that a host links after `libtteview.a` on Linux.
pub(crate) const SYSTEM_LIBRARIES: [&str; 3] = ["-lpthread", "-ldl", "-lm"];

/// Builds the library in release mode with the Cargo options `options` and returns the path of its
/// packed archive.
pub(crate) fn build_archive(platform: &Platform, options: &[&str]) -> Result<PathBuf> {
    let features = format!("--release -p tteview --features {RESERVE}");
    run(platform.cargo("build", &features).args(options))?;
    pack_archive(&platform.release_dir().join("libtteview.a"), platform)
}

/// Links the objects of an archive into one object, and returns the path of an archive that
/// contains only that object. Only `ttv_*` symbols are global in the object, because other global
/// symbols could clash with those of another Rust library in the same host. The sections stay
/// separate, so the host's linker can leave out sections that the host does not use.
fn pack_archive(archive: &Path, platform: &Platform) -> Result<PathBuf> {
    let folder = platform.work_dir().join("archive");
    let exports = folder.join("exports");
    let object = folder.join("tteview.o");
    let packed = folder.join("libtteview.a");
    let mut names = list_global_symbols(archive, platform)?;
    names.retain(|name| name.starts_with(EXPORT_PREFIX));
    write_file(&exports, names.join("\n"))?;
    let mut linker = command(platform.tool("ld"), ["-r", "--whole-archive"]);
    linker.args(WRAPPED.map(|name| format!("--wrap={name}")));
    run(linker.arg(archive).arg("-o").arg(&object))?;
    let mut objcopy = command(platform.tool("objcopy"), ["--strip-debug"]);
    objcopy.args(["--remove-section=.llvmbc", "--remove-section=.llvmcmd"]);
    run(objcopy.arg(format!("--keep-global-symbols={}", exports.display())).arg(&object))?;
    // An archive from an earlier run must be removed, because `ar` would add the object to it.
    remove_file(&packed)?;
    run(command(platform.tool("ar"), ["crsD"]).arg(&packed).arg(&object))?;
    let mut others = list_global_symbols(&packed, platform)?;
    others.retain(|name| !name.starts_with(EXPORT_PREFIX));
    if others.is_empty() {
        Ok(packed)
    } else {
        Err(format!("{} must export only ttv_*, got {}", packed.display(), others.join(", ")))
    }
}

/// Returns the names of the global symbols that an archive defines, sorted.
pub(crate) fn list_global_symbols(archive: &Path, platform: &Platform) -> Result<Vec<String>> {
    let options = ["--quiet", "--defined-only", "--extern-only", "--format=posix"];
    let listing = read_output(command(platform.tool("nm"), options).arg(archive))?;
    let mut names: Vec<String> = listing
        .lines()
        .filter(|line| !line.ends_with(':'))
        .filter_map(|line| line.split_whitespace().next())
        .map(String::from)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}
