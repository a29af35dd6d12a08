//! Any bytes as a model: the compiler and the inspector give a result or an error.
//!
//! `cargo +nightly fuzz run compile -- -rss_limit_mb=1024 -timeout=5`, seeded with small real models in
//! `corpus/compile` (`cargo run -p tteview-compiler --example fuzz_seeds -- tools/compiler/fuzz/corpus/compile` writes
//! some).
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tteview_compiler::{CompileOptions, Label, Precision, Products, compile, inspect};

static OPTIONS: LazyLock<[CompileOptions; 3]> = LazyLock::new(|| {
    let label = |i| Label { code: format!("L{i}"), name: String::new(), scheme: None, scheme_code: None };
    let plain =
        CompileOptions { self_test: false, ..CompileOptions::new("fuzz", (0..5).map(label).collect()) };
    let half = CompileOptions { precision: Precision::Fp16, grey: true, chunk: 2, ..plain.clone() };
    let fewest = CompileOptions { products: Products::Fewest, ..plain.clone() };
    [plain, half, fewest]
});

fuzz_target!(|data: &[u8]| {
    let _ = inspect(data);
    for options in OPTIONS.iter() {
        if let Ok(compiled) = compile(data.to_vec(), options) {
            for package in compiled.packages() {
                inspect(&package.bytes).expect("a package the compiler wrote is readable");
            }
        }
    }
});
