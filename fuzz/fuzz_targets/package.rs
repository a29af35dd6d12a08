//! Fuzz target that reads arbitrary bytes as a model package. The library must return a package or
//! an error.
//!
//! ```text
//! mkdir -p fuzz/corpus/package && cp models/*.onnx fuzz/corpus/package
//! cargo +nightly fuzz run package -- -rss_limit_mb=1024 -timeout=5
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use tteview::ModelPackage;

fuzz_target!(|data: &[u8]| {
    if let Ok(package) = ModelPackage::from_bytes(data.to_vec(), None) {
        assert!(!package.spec.labels.is_empty(), "a valid package has labels");
    }
});
