//! Writes the stand-in packages of `models/`: a small causal SlowFast with seeded random weights.
//!
//! `standin VIEWS.json FOLDER` writes `FOLDER/standin.clip.onnx` and `FOLDER/standin.stream.onnx`. They have the shape
//! of a real package and none of its knowledge: for tests and for trying the library out without a trained network.

use std::error::Error;
use std::path::Path;
use tteview_compiler::{CompileOptions, Spec, compile, labels_from_json};

// The writer of source networks is the one of the compiler's own tests.
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/tests/source.rs"]
mod source;

mod self_test;

use source::{Padding, Source, Val};

const SIDE: usize = 112;
const ALPHA: usize = 4;
const SLOW_FRAMES: usize = 8;

/// Convolution and ReLU.
fn layer(s: &mut Source, x: &Val, outputs: usize, kernel: [usize; 3], strides: [usize; 3]) -> Val {
    let y = s.conv(x, outputs, kernel, strides, 1, Padding::Left);
    s.unary("Relu", &y)
}

/// Three stages; after each of the first two the fast pathway joins the slow one, as in SlowFast.
fn network(labels: usize) -> Source {
    let mut s = Source::new(20_240_601);
    let slow = s.input("slow", &[1, 1, SLOW_FRAMES, SIDE, SIDE]);
    let fast = s.input("fast", &[1, 1, SLOW_FRAMES * ALPHA, SIDE, SIDE]);
    let mut slow = layer(&mut s, &slow, 16, [1, 7, 7], [1, 4, 4]);
    let mut fast = layer(&mut s, &fast, 4, [5, 7, 7], [1, 4, 4]);
    for channels in [32, 64] {
        let joined = layer(&mut s, &fast, channels / 4, [5, 1, 1], [ALPHA, 1, 1]);
        let both = s.concat(&[&slow, &joined], 1);
        slow = layer(&mut s, &both, channels, [1, 3, 3], [1, 2, 2]);
        fast = layer(&mut s, &fast, channels / 8, [3, 3, 3], [1, 2, 2]);
    }
    let slow = layer(&mut s, &slow, 64, [3, 1, 1], [1, 1, 1]);
    s.classify(&slow, &fast, labels);
    s
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [views, folder] = args.as_slice() else {
        return Err("usage: standin VIEWS.json FOLDER".into());
    };
    let labels = labels_from_json(&std::fs::read_to_string(views)?)?;
    let source = network(labels.len()).bytes();
    let mut options = CompileOptions::new("standin", labels);
    options.spec = Spec {
        model_version: "standin-1".into(),
        provenance:
            "A stand-in with seeded random weights, written by the example standin of tteview-compiler. \
                     It was never trained: the views it names mean nothing."
                .into(),
        ..Spec::default()
    };
    let compiled = compile(source, &options)?;
    if let Some(reason) = compiled.window_only {
        return Err(reason.into());
    }
    for package in compiled.packages() {
        std::fs::write(Path::new(folder).join(&package.file_name), &package.bytes)?;
        println!("{} {} bytes", package.file_name, package.bytes.len());
    }
    Ok(())
}
