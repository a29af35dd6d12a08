//! Small random networks with one or two pathways and all kinds of blocks, heads and padding.

use super::source::{LABELS, Padding, Source, Val, float, int, ints, text};
use proptest::prelude::*;

/// A block of a pathway. `kt` is the temporal size of its kernel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Block {
    /// A convolution with the kernel `[kt, k, k]`.
    Conv { kt: usize, k: usize, stride: usize },
    /// SlowFast's residual bottleneck, whose first convolution is temporal.
    Bottleneck { kt: usize, stride: usize },
    /// X3D's depthwise 3-D convolution, followed by a squeeze-excite over space and by a swish.
    Depthwise { kt: usize },
    /// The factored convolution of R(2+1)D, first over space and then over time.
    Factored { kt: usize },
    /// A max pool over space.
    MaxPool,
    /// A max pool over the last `kt` frames.
    MaxOverTime { kt: usize },
    /// An average pool over the last `kt` frames and over space.
    AverageOverTime { kt: usize },
    /// A batch norm that does not follow a convolution.
    Scale,
    /// A function of each element, which is entry `index` of [`FUNCTIONS`].
    Function { index: usize },
    /// A layer norm over the channels, as in ConvNeXt.
    ChannelNorm,
    /// A convolution over space with dilation 2.
    Dilated,
    /// A nearest resize over space that doubles one side, followed by a max pool.
    Resize,
    /// A split of the channels whose parts are joined in reverse order.
    Split,
}

/// Functions of each element that are defined for all numbers.
const FUNCTIONS: [&str; 12] = [
    "Abs",
    "Celu",
    "Elu",
    "Erf",
    "HardSwish",
    "LeakyRelu",
    "Neg",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
];

/// The parameters of a random network.
#[derive(Clone, Debug)]
pub(super) struct RandomNetwork {
    pub(super) seed: u32,
    pub(super) channels: usize,
    pub(super) alpha: usize,
    pub(super) slow_frames: usize,
    pub(super) chunk: usize,
    pub(super) lateral: usize,
    /// Number of later frames that the lateral connection reads, which is less than `alpha`. If it
    /// is `None`, the lateral connection is padded symmetrically.
    pub(super) reach: Option<usize>,
    pub(super) padding: Padding,
    pub(super) two_pathways: bool,
    pub(super) packed: bool,
    pub(super) slow: Vec<Block>,
    pub(super) fast: Vec<Block>,
    pub(super) head: usize,
    pub(super) dynamic_batch: bool,
    /// Whether the test compiles the network with `Winograd::Always`. The cost model would not
    /// choose Winograd's form for such small networks.
    pub(super) always_winograd: bool,
}

/// Returns a strategy that generates random blocks.
fn random_block() -> impl Strategy<Value = Block> {
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
        2 => (0..FUNCTIONS.len()).prop_map(|index| Block::Function { index }),
        1 => Just(Block::ChannelNorm),
        1 => Just(Block::Dilated),
        1 => Just(Block::Resize),
        1 => Just(Block::Split),
    ]
}

/// Returns a strategy that generates the parameters of random networks.
pub(super) fn random_network() -> impl Strategy<Value = RandomNetwork> {
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
        0usize..8,
        proptest::option::weighted(0.6, 0usize..4),
    );
    let blocks = || proptest::collection::vec(random_block(), 1..4);
    (numbers, padding, any::<[bool; 4]>(), blocks(), blocks()).prop_map(
        |(numbers, padding, [two_pathways, packed, dynamic_batch, always_winograd], slow, fast)| {
            let (seed, channels, alpha, (slow_frames, chunk), lateral, head, reach) = numbers;
            let reach = reach.map(|reach: usize| reach.min(alpha - 1));
            RandomNetwork {
                seed,
                channels,
                alpha,
                slow_frames,
                chunk,
                lateral,
                reach,
                padding,
                two_pathways,
                packed,
                slow,
                fast,
                head,
                dynamic_batch,
                always_winograd,
            }
        },
    )
}

/// Appends a block.
fn add_block(s: &mut Source, x: &Val, block: Block, p: Padding) -> Val {
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
            // No ReLU precedes the pool, so some values are negative. Padding with zeros before the
            // first frame would therefore change the result.
            let y = s.conv(x, c, [1, 1, 1], [1, 1, 1], 1, p);
            s.pool("MaxPool", &y, [kt, 1, 1], [1, 1, 1], [kt - 1, 0, 0, 0, 0, 0], false)
        }
        Block::AverageOverTime { kt } => {
            s.pool("AveragePool", x, [kt, 3, 3], [1, 1, 1], [kt - 1, 1, 1, 0, 1, 1], true)
        }
        Block::Scale => s.batch_norm(x),
        Block::Function { index } => s.unary(FUNCTIONS[index], x),
        Block::ChannelNorm => {
            // The large epsilon keeps a rounding error of the mean from being divided by a tiny
            // deviation.
            let y = s.conv(x, c + 2, [1, 1, 1], [1, 1, 1], 1, p);
            let y = s.transpose(&y, &[0, 2, 3, 4, 1]);
            let (scale, bias) = (s.random(&[c + 2], 0.5, 1.0), s.random(&[c + 2], 0.5, 0.0));
            let inputs = [y.name.as_str(), &scale, &bias];
            let attributes = vec![int("axis", -1), float("epsilon", 0.1)];
            let y = s.node("LayerNormalization", &inputs, y.shape.clone(), attributes);
            s.transpose(&y, &[0, 4, 1, 2, 3])
        }
        Block::Dilated => {
            let w = s.random(&[c, c, 1, 3, 3], 0.5, 0.0);
            let attributes = vec![ints("dilations", &[1, 2, 2]), ints("pads", &[0, 2, 2, 0, 2, 2])];
            s.node("Conv", &[&x.name, &w], x.shape.clone(), attributes)
        }
        Block::Resize => {
            let mut shape = x.shape.clone();
            shape[4] *= 2;
            let sizes: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
            let sizes = s.ints(&sizes);
            let attributes = vec![text("coordinate_transformation_mode", "asymmetric")];
            let y = s.node("Resize", &[&x.name, "", "", &sizes], shape, attributes);
            s.pool("MaxPool", &y, [1, 1, 3], [1, 1, 2], [0, 0, 1, 0, 0, 1], false)
        }
        Block::Split if c < 2 => x.clone(),
        Block::Split => {
            let parts = s.split(x, 1, &[1, c - 1]);
            s.concat(&[&parts[1], &parts[0]], 1)
        }
    }
}

/// Appends the mean over time and space, in one of the forms that exporters write.
fn add_pool(s: &mut Source, x: &Val, head: usize) -> Val {
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

/// Builds the source network.
pub(super) fn build_network(r: &RandomNetwork) -> Source {
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
            let attributes = vec![int("axis", 2)];
            let slow = s.node(
                "Gather",
                &[&packed.name, &indices],
                shape(r.slow_frames).to_vec(),
                attributes,
            );
            (slow, packed)
        } else {
            (
                s.input("slow_frames", &shape(r.slow_frames)),
                s.input("fast_frames", &shape(fast_frames)),
            )
        };
        let slow = s.conv(&slow, 6, [1, 3, 3], [1, 1, 1], 1, r.padding);
        let fast = s.conv(&fast, 4, [5, 3, 3], [1, 1, 1], 1, r.padding);
        let fast = s.unary("Relu", &fast);
        let padding = r.reach.map_or(r.padding, Padding::Reach);
        let lateral = s.conv(&fast, 8, [r.lateral, 1, 1], [r.alpha, 1, 1], 1, padding);
        let slow = s.concat(&[&slow, &lateral], 1);
        paths.extend([(slow, &r.slow), (fast, &r.fast)]);
    } else {
        let x = s.input("frames", &shape(fast_frames));
        paths.push((x, &r.fast));
    }
    let mut features = Vec::new();
    for (mut x, blocks) in paths {
        for &block in blocks {
            x = add_block(&mut s, &x, block, r.padding);
        }
        // The ReLU makes all numbers nonnegative, as in real networks. If numbers of both signs
        // cancelled out in the mean, the test would measure the order of the additions and not the
        // compiler.
        x = s.unary("Relu", &x);
        features.push(add_pool(&mut s, &x, r.head));
    }
    let x = s.concat(&features.iter().collect::<Vec<_>>(), 1);
    let out = match r.head {
        0 | 1 => {
            let flat = s.flatten(&x);
            s.gemm(&flat, LABELS)
        }
        // PyTorchVideo's head consists of a projection along the last axis, a softmax, and a mean
        // over the remaining axes of time and space.
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
        6 => {
            let flat = s.flatten(&x);
            let y = s.gemm(&flat, LABELS);
            s.node("LogSoftmax", &[&y.name], y.shape.clone(), vec![int("axis", 1)])
        }
        7 => {
            let mut flat = s.flatten(&x);
            if flat.shape[1] > 1 {
                let parts = s.split(&flat, 1, &[1, flat.shape[1] - 1]);
                flat = s.concat(&[&parts[1], &parts[0]], 1);
            }
            s.gemm(&flat, LABELS)
        }
        // X3D has this head, which is not linear.
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
