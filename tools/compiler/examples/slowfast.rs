//! Writes a causal SlowFast R50 8x8 with seeded random weights, as a training framework would export it: for
//! measurements that need a network of full size and nothing that it knows.
//!
//! `slowfast FILE` writes 3-D convolutions with batch norms folded, 32 samples of three channels and 224x224, 21
//! logits. The layers are those of table 1 in Feichtenhofer et al., "SlowFast Networks for Video Recognition" (ICCV 2019):
//! alpha 4, beta 1/8, lateral kernel 7. Temporal windows of stride 1 look back only.

use std::error::Error;

// The writer of source networks is the one of the compiler's own tests.
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/tests/source.rs"]
mod source;

mod self_test;

use source::{Padding, Source, Val};

const SIDE: usize = 224;
const ALPHA: usize = 4;
const SLOW_FRAMES: usize = 8;
const LABELS: usize = 21;
const LATERAL_KERNEL: usize = 7;

/// Blocks of a stage, channels inside a block of the slow pathway, its temporal kernel, spatial stride.
const STAGES: [(usize, usize, usize, usize); 4] =
    [(3, 64, 1, 1), (4, 128, 1, 2), (6, 256, 3, 2), (3, 512, 3, 2)];

/// Slow channels for one of the fast pathway: 1 / beta.
const FEWER: usize = 8;

/// Channels out of a block for one inside.
const EXPANSION: usize = 4;

fn conv(s: &mut Source, x: &Val, outputs: usize, kernel: [usize; 3], stride: usize) -> Val {
    s.conv(x, outputs, kernel, [1, stride, stride], 1, Padding::Left)
}

fn bottleneck(s: &mut Source, x: &Val, inside: usize, temporal: usize, stride: usize, first: bool) -> Val {
    let y = conv(s, x, inside, [temporal, 1, 1], 1);
    let y = s.unary("Relu", &y);
    let y = conv(s, &y, inside, [1, 3, 3], stride);
    let y = s.unary("Relu", &y);
    let y = conv(s, &y, inside * EXPANSION, [1, 1, 1], 1);
    let shortcut = if first { conv(s, x, inside * EXPANSION, [1, 1, 1], stride) } else { x.clone() };
    let sum = s.binary("Add", &y, &shortcut);
    s.unary("Relu", &sum)
}

fn stem(s: &mut Source, x: &Val, outputs: usize, temporal: usize) -> Val {
    let y = conv(s, x, outputs, [temporal, 7, 7], 2);
    let y = s.unary("Relu", &y);
    s.pool("MaxPool", &y, [1, 3, 3], [1, 2, 2], [0, 1, 1, 0, 1, 1], false)
}

/// Joins the fast pathway to the slow one.
fn lateral(s: &mut Source, slow: &Val, fast: &Val) -> Val {
    let kernel = [LATERAL_KERNEL, 1, 1];
    let y = s.conv(fast, 2 * fast.shape[1], kernel, [ALPHA, 1, 1], 1, Padding::Left);
    let y = s.unary("Relu", &y);
    s.concat(&[slow, &y], 1)
}

fn network() -> Source {
    let mut s = Source::new(20_240_601);
    let slow = s.input("slow", &[1, 3, SLOW_FRAMES, SIDE, SIDE]);
    let fast = s.input("fast", &[1, 3, SLOW_FRAMES * ALPHA, SIDE, SIDE]);
    let mut slow = stem(&mut s, &slow, 64, 1);
    let mut fast = stem(&mut s, &fast, 64 / FEWER, 5);
    for (blocks, inside, temporal, stride) in STAGES {
        slow = lateral(&mut s, &slow, &fast);
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            slow = bottleneck(&mut s, &slow, inside, temporal, stride, block == 0);
            fast = bottleneck(&mut s, &fast, inside / FEWER, 3, stride, block == 0);
        }
    }
    s.classify(&slow, &fast, LABELS);
    s
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file] = arguments.as_slice() else { return Err("usage: slowfast FILE".into()) };
    let bytes = network().bytes();
    std::fs::write(file, &bytes)?;
    println!("{file}: {} bytes", bytes.len());
    Ok(())
}
