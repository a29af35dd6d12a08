//! Writes a causal SlowFast network with seeded random weights, in the form that a training
//! framework exports. The output is for measurements of latency, which does not depend on the
//! weights.
//!
//! `slowfast FILE [50|101|demo] [REACH]` writes a network of 3-D convolutions without batch norm.
//! The network takes 32 samples and has 21 logits.
//!
//! - `50` and `101` are R50 8x8 and R101 8x8 with 224x224 pixels and three channels. The layers
//!   follow table 1 in Feichtenhofer et al., "SlowFast Networks for Video Recognition" (ICCV 2019),
//!   with alpha 4, beta 1/8 and lateral kernel 7. R101 has 23 blocks in res4 instead of 6.
//! - `demo` has the layers of demo model 3: 112x112 pixels, grey, a quarter of the channels of
//!   R50, one block in each stage and lateral kernel 5.
//!
//! Temporal windows with stride 1 read no later frames. REACH is the number of later frames that
//! the lateral connections read, from 0 to 3; without it, they are padded symmetrically and read
//! half of their kernel.

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

const ALPHA: usize = 4;
const SLOW_FRAMES: usize = 8;
const LABELS: usize = 21;

/// What distinguishes one network from another.
struct Network {
    /// Height and width of a sample in pixels.
    side: usize,
    /// Number of channels of a sample.
    channels: usize,
    /// Number of channels of the slow stem.
    width: usize,
    /// Number of blocks in each of the residual stages.
    blocks: [usize; 4],
    lateral_kernel: usize,
}

const R50: Network =
    Network { side: 224, channels: 3, width: 64, blocks: [3, 4, 6, 3], lateral_kernel: 7 };
const R101: Network = Network { blocks: [3, 4, 23, 3], ..R50 };
const DEMO: Network =
    Network { side: 112, channels: 1, width: 16, blocks: [1, 1, 1, 1], lateral_kernel: 5 };

/// The temporal kernel of the slow pathway and the spatial stride of each residual stage. Each
/// stage has twice the channels of the one before it.
const STAGES: [(usize, usize); 4] = [(1, 1), (1, 2), (3, 2), (3, 2)];

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
fn add_lateral(s: &mut Source, slow: &Val, fast: &Val, kernel: usize, padding: Padding) -> Val {
    let y = s.conv(fast, 2 * fast.shape[1], [kernel, 1, 1], [ALPHA, 1, 1], 1, padding);
    let y = s.unary("Relu", &y);
    s.concat(&[slow, &y], 1)
}

fn build_network(network: &Network, lateral: Padding) -> Source {
    let &Network { side, channels, width, blocks, lateral_kernel } = network;
    let mut s = Source::new(20_240_601);
    let slow = s.input("slow", &[1, channels, SLOW_FRAMES, side, side]);
    let fast = s.input("fast", &[1, channels, SLOW_FRAMES * ALPHA, side, side]);
    let mut slow = add_stem(&mut s, &slow, width, 1);
    let mut fast = add_stem(&mut s, &fast, width / CHANNEL_RATIO, 5);
    for (index, (blocks, (temporal, stride))) in blocks.into_iter().zip(STAGES).enumerate() {
        let inside = width << index;
        slow = add_lateral(&mut s, &slow, &fast, lateral_kernel, lateral);
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
    let (file, name, reach) = match arguments[..] {
        [file] => (file, "50", None),
        [file, name] => (file, name, None),
        [file, name, reach] => (file, name, Some(reach.parse::<usize>()?)),
        _ => return Err("usage: slowfast FILE [50|101|demo] [REACH]".into()),
    };
    let network = match name {
        "50" => &R50,
        "101" => &R101,
        "demo" => &DEMO,
        _ => return Err(format!("the network must be 50, 101 or demo, got {name:?}").into()),
    };
    let lateral = match reach {
        None => Padding::Left,
        Some(reach) if reach < ALPHA => Padding::Reach(reach),
        Some(reach) => return Err(format!("REACH must be 0 to 3, got {reach}").into()),
    };
    let bytes = build_network(network, lateral).bytes();
    std::fs::write(file, &bytes)?;
    println!("{file}: {} bytes", bytes.len());
    Ok(())
}
