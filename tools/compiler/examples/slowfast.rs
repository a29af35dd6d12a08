//! Writes a causal SlowFast R50 8x8 or R101 8x8 with seeded random weights, in the form that a
//! training framework exports. The output is for measurements that need a full-size network.
//!
//! `slowfast FILE [50|101] [REACH]` writes a network of 3-D convolutions without batch norm. The
//! network takes 32 samples of 224x224 pixels with three channels and has 21 logits. The layers
//! follow table 1 in Feichtenhofer et al., "SlowFast Networks for Video Recognition" (ICCV 2019),
//! with alpha 4, beta 1/8 and lateral kernel 7. R101 has 23 blocks in res4 instead of 6. Temporal
//! windows with stride 1 read no later frames. REACH is the number of later frames that the lateral
//! connections read, from 0 to 3; without it, they are padded symmetrically and read 3.

use std::error::Error;

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

const SIDE: usize = 224;
const ALPHA: usize = 4;
const SLOW_FRAMES: usize = 8;
const LABELS: usize = 21;
const LATERAL_KERNEL: usize = 7;

/// The residual stages of R50. Each entry contains the number of blocks, the number of channels
/// inside a block of the slow pathway, the temporal kernel of the slow pathway, and the spatial
/// stride.
const STAGES: [(usize, usize, usize, usize); 4] =
    [(3, 64, 1, 1), (4, 128, 1, 2), (6, 256, 3, 2), (3, 512, 3, 2)];

/// Index of res4 in the stages.
const RES4: usize = 2;

/// Ratio of slow channels to fast channels, which is 1 / beta.
const CHANNEL_RATIO: usize = 8;

/// Ratio of the output channels of a block to the channels inside the block.
const EXPANSION: usize = 4;

fn add_conv(s: &mut Source, x: &Val, outputs: usize, kernel: [usize; 3], stride: usize) -> Val {
    s.conv(x, outputs, kernel, [1, stride, stride], 1, Padding::Left)
}

fn add_bottleneck(
    s: &mut Source,
    x: &Val,
    inside: usize,
    temporal: usize,
    stride: usize,
    first: bool,
) -> Val {
    let y = add_conv(s, x, inside, [temporal, 1, 1], 1);
    let y = s.unary("Relu", &y);
    let y = add_conv(s, &y, inside, [1, 3, 3], stride);
    let y = s.unary("Relu", &y);
    let y = add_conv(s, &y, inside * EXPANSION, [1, 1, 1], 1);
    let shortcut =
        if first { add_conv(s, x, inside * EXPANSION, [1, 1, 1], stride) } else { x.clone() };
    let sum = s.binary("Add", &y, &shortcut);
    s.unary("Relu", &sum)
}

fn add_stem(s: &mut Source, x: &Val, outputs: usize, temporal: usize) -> Val {
    let y = add_conv(s, x, outputs, [temporal, 7, 7], 2);
    let y = s.unary("Relu", &y);
    s.pool("MaxPool", &y, [1, 3, 3], [1, 2, 2], [0, 1, 1, 0, 1, 1], false)
}

/// Appends a lateral connection from the fast pathway to the slow one.
fn add_lateral(s: &mut Source, slow: &Val, fast: &Val, padding: Padding) -> Val {
    let kernel = [LATERAL_KERNEL, 1, 1];
    let y = s.conv(fast, 2 * fast.shape[1], kernel, [ALPHA, 1, 1], 1, padding);
    let y = s.unary("Relu", &y);
    s.concat(&[slow, &y], 1)
}

/// Builds a network whose stage res4 has `res4_blocks` blocks.
fn build_network(res4_blocks: usize, lateral: Padding) -> Source {
    let mut s = Source::new(20_240_601);
    let slow = s.input("slow", &[1, 3, SLOW_FRAMES, SIDE, SIDE]);
    let fast = s.input("fast", &[1, 3, SLOW_FRAMES * ALPHA, SIDE, SIDE]);
    let mut slow = add_stem(&mut s, &slow, 64, 1);
    let mut fast = add_stem(&mut s, &fast, 64 / CHANNEL_RATIO, 5);
    for (index, (blocks, inside, temporal, stride)) in STAGES.into_iter().enumerate() {
        let blocks = if index == RES4 { res4_blocks } else { blocks };
        slow = add_lateral(&mut s, &slow, &fast, lateral);
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            slow = add_bottleneck(&mut s, &slow, inside, temporal, stride, block == 0);
            fast = add_bottleneck(&mut s, &fast, inside / CHANNEL_RATIO, 3, stride, block == 0);
        }
    }
    s.classify(&slow, &fast, LABELS);
    s
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (file, depth, reach) = match arguments[..] {
        [file] => (file, "50", None),
        [file, depth] => (file, depth, None),
        [file, depth, reach] => (file, depth, Some(reach.parse::<usize>()?)),
        _ => return Err("usage: slowfast FILE [50|101] [REACH]".into()),
    };
    let res4_blocks = match depth {
        "50" => STAGES[RES4].0,
        "101" => 23,
        _ => return Err(format!("the depth must be 50 or 101, got {depth:?}").into()),
    };
    let lateral = match reach {
        None => Padding::Left,
        Some(reach) if reach < ALPHA => Padding::Reach(reach),
        Some(reach) => return Err(format!("REACH must be 0 to 3, got {reach}").into()),
    };
    let bytes = build_network(res4_blocks, lateral).bytes();
    std::fs::write(file, &bytes)?;
    println!("{file}: {} bytes", bytes.len());
    Ok(())
}
