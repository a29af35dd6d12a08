//! Writes the stand-in packages of `models/`: a small causal SlowFast with seeded random weights.
//!
//! `standin VIEWS.json FOLDER` writes `standin.clip.onnx`, `standin.stream.onnx` with chunk steps,
//! and `standin.frames.onnx` with frame steps to FOLDER. The packages have the form of real
//! packages, but their network was never trained. They are for tests and for trying out the library
//! without a trained network.

use std::error::Error;
use std::path::Path;
use tteview_compiler::{CompileOptions, Label, LabelSet, Spec, Steps, compile, parse_labels};

// The example shares the source networks with the compiler's tests.
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/tests/source.rs"]
mod source;

#[path = "../src/xorshift.rs"]
mod xorshift;

use source::{Padding, Source, Val};

const SIDE: usize = 112;
const ALPHA: usize = 4;
const SLOW_FRAMES: usize = 8;

/// Appends a convolution and a ReLU.
fn add_layer(
    s: &mut Source,
    x: &Val,
    outputs: usize,
    kernel: [usize; 3],
    strides: [usize; 3],
) -> Val {
    let y = s.conv(x, outputs, kernel, strides, 1, Padding::Left);
    s.unary("Relu", &y)
}

/// Builds a network with three stages. After each of the first two stages, a lateral connection
/// leads from the fast pathway to the slow one, as in SlowFast.
fn build_network(labels: usize) -> Source {
    let mut s = Source::new(20_240_601);
    let slow = s.input("slow", &[1, 1, SLOW_FRAMES, SIDE, SIDE]);
    let fast = s.input("fast", &[1, 1, SLOW_FRAMES * ALPHA, SIDE, SIDE]);
    let mut slow = add_layer(&mut s, &slow, 16, [1, 7, 7], [1, 4, 4]);
    let mut fast = add_layer(&mut s, &fast, 4, [5, 7, 7], [1, 4, 4]);
    for channels in [32, 64] {
        let joined = add_layer(&mut s, &fast, channels / 4, [5, 1, 1], [ALPHA, 1, 1]);
        let both = s.concat(&[&slow, &joined], 1);
        slow = add_layer(&mut s, &both, channels, [1, 3, 3], [1, 2, 2]);
        fast = add_layer(&mut s, &fast, channels / 8, [3, 3, 3], [1, 2, 2]);
    }
    let slow = add_layer(&mut s, &slow, 64, [3, 1, 1], [1, 1, 1]);
    s.classify(&slow, &fast, labels);
    s
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [views, folder] = args.as_slice() else {
        return Err("usage: standin VIEWS.json FOLDER".into());
    };
    // The stand-ins have no groups, so that the tests also cover packages without them.
    let labels: LabelSet = parse_labels(&std::fs::read_to_string(views)?)?
        .labels
        .into_iter()
        .map(|label| Label { group: None, ..label })
        .collect();
    let source = build_network(labels.labels.len()).bytes();
    let mut options = CompileOptions::new("standin", labels);
    options.spec = Spec {
        model_version: "standin-1".into(),
        provenance:
            "A stand-in with seeded random weights, written by the example standin of tteview-compiler. \
                     It was never trained: the views it names mean nothing."
                .into(),
        ..Spec::default()
    };
    let write = |file_name: &str, bytes: &[u8]| {
        println!("{file_name} {} bytes", bytes.len());
        std::fs::write(Path::new(folder).join(file_name), bytes)
    };
    for steps in [Steps::Chunk, Steps::Frame] {
        options.steps = steps;
        let network = compile(source.clone(), &options)?;
        if let Some(reason) = network.window_only_reason {
            return Err(reason.into());
        }
        for package in network.packages() {
            match steps {
                Steps::Chunk => write(&package.file_name, &package.bytes)?,
                Steps::Frame if package.file_name.contains("stream") => {
                    write("standin.frames.onnx", &package.bytes)?;
                }
                Steps::Frame => {}
            }
        }
    }
    Ok(())
}
