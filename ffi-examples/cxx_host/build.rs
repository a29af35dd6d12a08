//! Compiles the C++ host; the headers of the library's bridge come with the dependency.

fn main() {
    let mut build = cxx_build::bridge("src/main.rs");
    build.file("src/host.cc").std("c++17").flag_if_supported("-Wall").flag_if_supported("-Wextra");
    build.warnings_into_errors(true).compile("cxx-host");
    for file in ["src/main.rs", "src/host.cc", "src/host.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
}
