//! Fuzz target `image`; see `tools/fuzz/src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tteview_fuzz_targets::run("image", input));
