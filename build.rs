//! Passes the folder of the C and C++ headers to the build scripts of dependent crates, in the
//! variable `DEP_TTEVIEW_INCLUDE`.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::metadata=include={}", Path::new(&root).join("include").display());
}
