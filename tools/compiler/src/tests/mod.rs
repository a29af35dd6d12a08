//! Tests of the whole compiler. Those that compare with the source network need ONNX Runtime: set
//! `TTEVIEW_ORT_DYLIB` to its shared library.

mod equality;
mod hostile;
mod package;
mod source;
mod streaming;

use crate::verify::{Runtime, Source, Verification, verify};
use crate::{CompileOptions, Compiled, Label, Result, compile};
use std::path::Path;
use std::sync::LazyLock;

/// ONNX Runtime, once per process.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let library = std::env::var("TTEVIEW_ORT_DYLIB")
        .expect("set TTEVIEW_ORT_DYLIB to the ONNX Runtime shared library (libonnxruntime.so)");
    Runtime::load(Path::new(&library)).expect("ONNX Runtime loads")
});

fn options(labels: usize) -> CompileOptions {
    let label =
        |i| Label { code: format!("L{i}"), name: format!("label {i}"), scheme: None, scheme_code: None };
    CompileOptions { self_test: false, ..CompileOptions::new("model", (0..labels).map(label).collect()) }
}

fn compiled(source: &source::Source) -> Compiled {
    compile(source.bytes(), &options(source::LABELS)).expect("the network compiles")
}

fn checked(source: &source::Source, compiled: &Compiled) -> Result<Verification> {
    verify(&RUNTIME, Source::Bytes(&source.bytes()), compiled, 7)
}
