//! Fuzz target that reads arbitrary bytes as a model. The compiler and the inspector must return a
//! result or an error.
//!
//! The first command writes small models as seeds, and the second command runs the fuzzer:
//!
//! ```text
//! cargo run -p tteview-compiler --example fuzz_seeds -- fuzz/corpus/compile
//! cargo +nightly fuzz run compile -- -rss_limit_mb=1024 -timeout=5
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tteview_compiler::{CompileOptions, Label, Precision, Winograd, compile, inspect};

static OPTIONS: LazyLock<[CompileOptions; 3]> = LazyLock::new(|| {
    let label = |i| Label { code: format!("L{i}"), name: String::new(), scheme: None, scheme_code: None };
    let default =
        CompileOptions { self_test: false, ..CompileOptions::new("fuzz", (0..5).map(label).collect()) };
    let half = CompileOptions { precision: Precision::Fp16, grey: true, chunk: 2, ..default.clone() };
    let winograd = CompileOptions { winograd: Winograd::Always, ..default.clone() };
    [default, half, winograd]
});

fuzz_target!(|data: &[u8]| {
    let _ = inspect(data);
    for options in OPTIONS.iter() {
        if let Ok(network) = compile(data.to_vec(), options) {
            for package in network.packages() {
                inspect(&package.bytes).expect("the compiler's own packages are readable");
            }
        }
    }
});
