//! Random small networks: two pathways or one, every kind of block, head and padding.

use super::source::{LABELS, Padding, Source, Val};
use proptest::prelude::*;

/// One block of a pathway.
#[derive(Clone, Copy, Debug)]
pub(super) enum Block {
    /// Convolution of kernel `[kt, k, k]`.
    Conv { kt: usize, k: usize, stride: usize },
    /// SlowFast's residual bottleneck, `kt` in its first convolution.
    Bottleneck { kt: usize, stride: usize },
    /// X3D's depthwise 3-D convolution with squeeze-excite over space.
    Depthwise { kt: usize },
    /// R(2+1)D: space, then time.
    Factored { kt: usize },
    /// Max pool over space.
    MaxPool,
    /// Max pool over the last frames.
    MaxOverTime { kt: usize },
    /// Average over the last frames.
    AverageOverTime { kt: usize },
    /// A batch norm with no convolution before it.
    Scale,
}

#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) seed: u32,
    pub(super) channels: usize,
    pub(super) alpha: usize,
    pub(super) slow_frames: usize,
    pub(super) chunk: usize,
    pub(super) lateral: usize,
    pub(super) padding: Padding,
    pub(super) two_pathways: bool,
    pub(super) packed: bool,
    pub(super) slow: Vec<Block>,
    pub(super) fast: Vec<Block>,
    pub(super) head: usize,
    pub(super) dynamic_batch: bool,
    /// Winograd's form wherever there is one; networks as small as these never get it otherwise.
    pub(super) fewest_products: bool,
}

fn block() -> impl Strategy<Value = Block> {
    let kt = || prop_oneof![Just(1usize), Just(3), Just(5), Just(7)];
    prop_oneof![
        4 => (kt(), prop_oneof![Just(1usize), Just(3), Just(5)], 1usize..3)
            .prop_map(|(kt, k, stride)| Block::Conv { kt, k, stride }),
        4 => (kt(), 1usize..3).prop_map(|(kt, stride)| Block::Bottleneck { kt, stride }),
        2 => kt().prop_map(|kt| Block::Depthwise { kt }),
        2 => kt().prop_map(|kt| Block::Factored { kt }),
        1 => Just(Block::MaxPool),
        1 => (2usize..4).prop_map(|kt| Block::MaxOverTime { kt }),
        1 => (2usize..4).prop_map(|kt| Block::AverageOverTime { kt }),
        1 => Just(Block::Scale),
    ]
}

pub(super) fn recipe() -> impl Strategy<Value = Recipe> {
    let padding = prop_oneof![
        Just(Padding::Symmetric),
        Just(Padding::Left),
        Just(Padding::LeftPadNode),
        Just(Padding::Chomp)
    ];
    let numbers = (
        any::<u32>(),
        prop_oneof![Just(1usize), Just(3)],
        2usize..5,
        prop_oneof![Just((2usize, 1usize)), Just((4, 1)), Just((4, 2)), Just((5, 1)), Just((6, 3))],
        prop_oneof![Just(1usize), Just(3), Just(5), Just(7)],
        0usize..6,
    );
    let blocks = || proptest::collection::vec(block(), 1..4);
    (numbers, padding, any::<[bool; 4]>(), blocks(), blocks()).prop_map(
        |(numbers, padding, [two_pathways, packed, dynamic_batch, fewest_products], slow, fast)| {
            let (seed, channels, alpha, (slow_frames, chunk), lateral, head) = numbers;
            Recipe {
                seed,
                channels,
                alpha,
                slow_frames,
                chunk,
                lateral,
                padding,
                two_pathways,
                packed,
                slow,
                fast,
                head,
                dynamic_batch,
                fewest_products,
            }
        },
    )
}

fn apply(s: &mut Source, x: &Val, block: Block, p: Padding) -> Val {
    let c = x.shape[1];
    let small = x.shape[3] < 4;
    match block {
        Block::Conv { kt, k, stride } => {
            let stride = if small { 1 } else { stride };
            let outputs = if stride == 1 { c + 3 } else { c.div_ceil(2) };
            let y = s.conv(x, outputs, [kt, k, k], [1, stride, stride], 1, p);
            let y = s.batch_norm(&y);
            s.unary("Relu", &y)
        }
        Block::Bottleneck { kt, stride } => {
            let stride = if small { 1 } else { stride };
            let y = s.conv(x, c.div_ceil(2), [kt, 1, 1], [1, 1, 1], 1, p);
            let y = s.unary("Relu", &y);
            let y = s.conv(&y, c.div_ceil(2), [1, 3, 3], [1, stride, stride], 1, p);
            let y = s.batch_norm(&y);
            let y = s.unary("Relu", &y);
            let y = s.conv(&y, c + 2, [1, 1, 1], [1, 1, 1], 1, p);
            let short = s.conv(x, c + 2, [1, 1, 1], [1, stride, stride], 1, p);
            let y = s.binary("Add", &y, &short);
            s.unary("Relu", &y)
        }
        Block::Depthwise { kt } => {
            let y = s.conv(x, c, [kt, 3, 3], [1, 1, 1], c, p);
            let y = s.batch_norm(&y);
            let gate = s.mean(&y, &[3, 4], true);
            let gate = s.conv(&gate, 2, [1, 1, 1], [1, 1, 1], 1, p);
            let gate = s.unary("Relu", &gate);
            let gate = s.conv(&gate, c, [1, 1, 1], [1, 1, 1], 1, p);
            let gate = s.unary("Sigmoid", &gate);
            let y = s.binary("Mul", &y, &gate);
            let swish = s.unary("Sigmoid", &y);
            s.binary("Mul", &y, &swish)
        }
        Block::Factored { kt } => {
            let y = s.conv(x, c + 1, [1, 3, 3], [1, 1, 1], 1, p);
            let y = s.unary("Relu", &y);
            s.conv(&y, c, [kt, 1, 1], [1, 1, 1], 1, p)
        }
        Block::MaxPool if small => x.clone(),
        Block::MaxPool => s.pool("MaxPool", x, [1, 3, 3], [1, 2, 2], [0, 1, 1, 0, 1, 1], false),
        Block::MaxOverTime { kt } => {
            // Not after a Relu: a zero before the first frame would win and show.
            let y = s.conv(x, c, [1, 1, 1], [1, 1, 1], 1, p);
            s.pool("MaxPool", &y, [kt, 1, 1], [1, 1, 1], [kt - 1, 0, 0, 0, 0, 0], false)
        }
        Block::AverageOverTime { kt } => {
            s.pool("AveragePool", x, [kt, 3, 3], [1, 1, 1], [kt - 1, 1, 1, 0, 1, 1], true)
        }
        Block::Scale => s.batch_norm(x),
    }
}

fn pooled(s: &mut Source, x: &Val, head: usize) -> Val {
    match head % 3 {
        0 => s.mean(x, &[2, 3, 4], true),
        1 => {
            let kernel = [x.shape[2], x.shape[3], x.shape[4]];
            s.pool("AveragePool", x, kernel, [1, 1, 1], [0; 6], false)
        }
        _ => {
            let mut shape = x.shape.clone();
            shape[2..].fill(1);
            s.node("GlobalAveragePool", &[&x.name], shape, vec![])
        }
    }
}

pub(super) fn build(r: &Recipe) -> Source {
    let mut s = Source::new(r.seed);
    let fast_frames = r.slow_frames * r.alpha;
    let size = 8;
    let shape = |t| [1, r.channels, t, size, size];
    let mut paths = Vec::new();
    if r.two_pathways {
        let (slow, fast) = if r.packed {
            let packed = s.input("frames", &shape(fast_frames));
            let indices: Vec<i64> = (0..r.slow_frames).map(|i| (i * r.alpha) as i64).collect();
            let indices = s.ints(&indices);
            let attributes = vec![super::source::int("axis", 2)];
            let slow = s.node("Gather", &[&packed.name, &indices], shape(r.slow_frames).to_vec(), attributes);
            (slow, packed)
        } else {
            (s.input("slow_frames", &shape(r.slow_frames)), s.input("fast_frames", &shape(fast_frames)))
        };
        let slow = s.conv(&slow, 6, [1, 3, 3], [1, 1, 1], 1, r.padding);
        let fast = s.conv(&fast, 4, [5, 3, 3], [1, 1, 1], 1, r.padding);
        let fast = s.unary("Relu", &fast);
        let lateral = s.conv(&fast, 8, [r.lateral, 1, 1], [r.alpha, 1, 1], 1, r.padding);
        let slow = s.concat(&[&slow, &lateral], 1);
        paths.extend([(slow, &r.slow), (fast, &r.fast)]);
    } else {
        let x = s.input("frames", &shape(fast_frames));
        paths.push((x, &r.fast));
    }
    let mut features = Vec::new();
    for (mut x, blocks) in paths {
        for &block in blocks {
            x = apply(&mut s, &x, block, r.padding);
        }
        // As in real networks, a mean of numbers of one sign: one that cancels to almost nothing would measure the
        // order of sums, not the compiler.
        x = s.unary("Relu", &x);
        features.push(pooled(&mut s, &x, r.head));
    }
    let x = s.concat(&features.iter().collect::<Vec<_>>(), 1);
    let out = match r.head {
        0 | 1 => {
            let flat = s.flatten(&x);
            s.gemm(&flat, LABELS)
        }
        // pytorchvideo's head: a projection over the last axis, softmax, mean over what is left of space.
        2 => {
            let y = s.transpose(&x, &[0, 2, 3, 4, 1]);
            let y = s.matmul(&y, LABELS);
            let y = s.softmax(&y, 4);
            s.mean(&y, &[1, 2, 3], false)
        }
        3 => {
            let flat = s.flatten(&x);
            let y = s.matmul(&flat, LABELS);
            s.softmax(&y, 1)
        }
        // X3D's head is not linear.
        _ => {
            let y = s.conv(&x, 7, [1, 1, 1], [1, 1, 1], 1, r.padding);
            let y = s.unary("Relu", &y);
            let flat = s.flatten(&y);
            s.gemm(&flat, LABELS)
        }
    };
    s.output(&out);
    if r.dynamic_batch {
        s.make_batch_dynamic();
    }
    s
}
