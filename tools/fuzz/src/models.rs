//! Fuzz targets that read arbitrary bytes as a model package and as a source network.

use std::sync::LazyLock;
use tteview::ModelPackage;
use tteview_compiler::{CompileOptions, Label, Precision, Winograd, compile, inspect};

/// Reads the input as a model package. The library must return a package or an error.
pub(crate) fn run_package(input: &[u8]) {
    if let Ok(package) = ModelPackage::from_bytes(input.to_vec(), None) {
        assert!(!package.spec.labels.is_empty(), "a valid package has labels");
    }
}

static OPTIONS: LazyLock<[CompileOptions; 3]> = LazyLock::new(|| {
    let label = |i| Label { code: format!("L{i}"), ..Label::default() };
    let labels = (0..5).map(label).collect();
    let default = CompileOptions { self_test: false, ..CompileOptions::new("fuzz", labels) };
    let half =
        CompileOptions { precision: Precision::Fp16, grey: true, chunk: 2, ..default.clone() };
    let winograd = CompileOptions { winograd: Winograd::Always, ..default.clone() };
    [default, half, winograd]
});

/// Creates small packages of all kinds from the source networks in `sources`.
pub(crate) fn create_package_seeds(sources: &std::path::Path) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(sources).into_iter().flatten().flatten() {
        let Ok(source) = std::fs::read(entry.path()) else { continue };
        for (index, options) in OPTIONS.iter().enumerate() {
            let options = CompileOptions { self_test: index == 0, ..options.clone() };
            let Ok(network) = compile(source.clone(), &options) else { continue };
            seeds.extend(network.packages().map(|package| package.bytes.clone()));
        }
    }
    seeds.sort_by_key(Vec::len);
    seeds.truncate(12);
    seeds
}

/// Reads the input as a model. The compiler and the inspector must return a result or an error, and
/// the library's reader must accept or refuse a compiled package without a panic.
pub(crate) fn run_compile(input: &[u8]) {
    let _ = inspect(input);
    for options in OPTIONS.iter() {
        if let Ok(network) = compile(input.to_vec(), options) {
            for package in network.packages() {
                inspect(&package.bytes).expect("the compiler's own packages are readable");
            }
        }
    }
}
