//! Compiles the C++ side of the bridge where the feature `cxx` asks for it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "cxx")]
    {
        cxx_build::bridge("src/ffi/cxx_bridge.rs").std("c++17").compile("tteview-cxx");
        println!("cargo:rerun-if-changed=src/ffi/cxx_bridge.rs");
    }
}
