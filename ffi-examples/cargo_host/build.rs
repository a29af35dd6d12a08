//! Compiles the C++ host. The build script of the crate `tteview` provides the path of the headers
//! in the variable `DEP_TTEVIEW_INCLUDE`.

use std::path::PathBuf;

fn main() {
    let include = std::env::var_os("DEP_TTEVIEW_INCLUDE").map(PathBuf::from);
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").file("src/host.cc").include("..").includes(include);
    build.warnings(true).extra_warnings(true).warnings_into_errors(true).compile("cargo-host");
    println!("cargo::rerun-if-changed=src/host.cc");
}
