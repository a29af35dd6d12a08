//! The parameters of a random network, and the strategy that generates them.

use super::super::random_network::{RandomNetwork, random_network};
use super::super::recurrent::{Recurrence, recurrence};
use proptest::prelude::*;
use proptest::sample::select;

/// Order of the axes of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputLayout {
    /// A cine `[1,C,T,H,W]`.
    ChannelsTime,
    /// A cine `[1,T,C,H,W]`.
    TimeChannels,
    /// A cine `[1,T,H,W,C]`.
    ChannelsLast,
    /// A cine `[C,T,H,W]`.
    NoBatch,
    /// Images `[T,C,H,W]`.
    Images,
    /// Images `[T,H,W,C]`.
    ImagesChannelsLast,
}

/// The input of a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) layout: InputLayout,
    /// Number of further leading axes of a cine, all of size 1.
    pub(super) leading: usize,
    pub(super) channels: usize,
    pub(super) is_bytes: bool,
    /// Which nodes normalise the frames: 0 for none.
    pub(super) normalisation: usize,
}

/// Part of the body of a network. A body has frames `[T,C,H,W]` or a cine `[1,C,T,H,W]`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layer {
    Conv {
        k: usize,
        stride: usize,
        dilation: usize,
        is_grouped: bool,
        padding: usize,
    },
    Function {
        index: usize,
    },
    Norm {
        kind: usize,
    },
    Excite {
        form: usize,
    },
    SpatialGate {
        form: usize,
    },
    Pool {
        form: usize,
        has_ceiling: bool,
    },
    Channels {
        form: usize,
    },
    Pad {
        mode: usize,
    },
    Resize {
        form: usize,
    },
    Blocks,
    Mix {
        form: usize,
    },
    Constant {
        form: usize,
    },
    Residual {
        index: usize,
    },
    Time(TimeLayer),
    /// A node that only ONNX Runtime runs.
    Kept {
        form: usize,
    },
}

/// A layer that combines frames.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimeLayer {
    Conv { kt: usize, padding: usize, dilation: usize },
    Max { kt: usize },
    Average { kt: usize, includes_pads: bool },
    Difference,
    Shift { is_causal: bool },
    Resize,
    Reverse,
    Stride,
    Gate,
    Position,
}

/// How the frames are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Mean,
    Newest,
    Maximum,
    Attention,
    /// They are not: the output has one row for each frame.
    Rows,
}

/// What the output contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Logits,
    Softmax,
    LogSoftmax,
    /// The softmax of a softmax.
    SoftmaxTwice,
    /// A softmax in separate nodes.
    SoftmaxParts,
    Clipped,
    Scaled,
    /// One sigmoid for two labels.
    Sigmoid,
}

/// The end of a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) pool: usize,
    pub(super) time: usize,
    pub(super) head: usize,
    pub(super) over: Over,
    pub(super) last: Last,
    /// Whether the head reads each frame, and the frames are combined after it.
    pub(super) is_head_first: bool,
    /// Whether also the softmax precedes the combination of the frames.
    pub(super) is_softmax_first: bool,
    pub(super) recurrence: Option<Recurrence>,
}

/// Properties of the file that do not change what the network computes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) is_unsorted: bool,
    pub(super) computes_shapes: bool,
    pub(super) has_constant_nodes: bool,
    pub(super) has_identities: bool,
    pub(super) has_second_output: bool,
    pub(super) has_dynamic_batch: bool,
    pub(super) opset: i64,
}

/// The options of the compiler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) has_chunk_steps: bool,
    pub(super) winograd: usize,
    /// Average of a network with one row for each frame: 0 for the default, 1 for logits and 2 for
    /// probabilities.
    pub(super) average: usize,
    pub(super) is_grey: bool,
}

/// A network with one pathway.
#[derive(Clone, Debug)]
pub(super) struct OnePathway {
    pub(super) seed: u32,
    pub(super) frames: usize,
    pub(super) input: Input,
    /// Whether the body has frames instead of a cine.
    pub(super) has_frames: bool,
    pub(super) layers: Vec<Layer>,
    pub(super) end: End,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    OnePathway(OnePathway),
    TwoPathways(RandomNetwork),
}

/// The parameters of a random network.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) body: Body,
    pub(super) form: Form,
    pub(super) options: Options,
}

fn input() -> impl Strategy<Value = Input> {
    use InputLayout::{
        ChannelsLast, ChannelsTime, Images, ImagesChannelsLast, NoBatch, TimeChannels,
    };
    let layouts =
        vec![ChannelsTime, TimeChannels, ChannelsLast, NoBatch, Images, ImagesChannelsLast];
    (
        select(layouts),
        prop_oneof![5 => Just(0usize), 1 => Just(1), 1 => Just(2)],
        select(vec![1usize, 3]),
        prop::bool::weighted(0.15),
        prop_oneof![3 => Just(0usize), 2 => 1usize..5],
    )
        .prop_map(|(layout, leading, channels, is_bytes, normalisation)| Input {
            layout,
            leading,
            channels,
            is_bytes,
            normalisation,
        })
}

fn time_layer() -> impl Strategy<Value = TimeLayer> {
    prop_oneof![
        6 => (1usize..6, 0usize..6, 1usize..3)
            .prop_map(|(kt, padding, dilation)| TimeLayer::Conv { kt, padding, dilation }),
        2 => (2usize..4).prop_map(|kt| TimeLayer::Max { kt }),
        2 => (2usize..4, prop::bool::weighted(0.7))
            .prop_map(|(kt, includes_pads)| TimeLayer::Average { kt, includes_pads }),
        2 => Just(TimeLayer::Difference),
        2 => prop::bool::weighted(0.7).prop_map(|is_causal| TimeLayer::Shift { is_causal }),
        1 => Just(TimeLayer::Resize),
        1 => Just(TimeLayer::Reverse),
        1 => Just(TimeLayer::Stride),
        1 => Just(TimeLayer::Gate),
        1 => Just(TimeLayer::Position),
    ]
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        6 => (1usize..4, 1usize..3, 1usize..3, any::<bool>(), 0usize..4).prop_map(
            |(k, stride, dilation, is_grouped, padding)| Layer::Conv {
                k,
                stride,
                dilation,
                is_grouped,
                padding
            }
        ),
        8 => (0usize..35).prop_map(|index| Layer::Function { index }),
        4 => (0usize..6).prop_map(|kind| Layer::Norm { kind }),
        2 => (0usize..4).prop_map(|form| Layer::Excite { form }),
        1 => (0usize..4).prop_map(|form| Layer::SpatialGate { form }),
        2 => (0usize..4, any::<bool>())
            .prop_map(|(form, has_ceiling)| Layer::Pool { form, has_ceiling }),
        4 => (0usize..9).prop_map(|form| Layer::Channels { form }),
        1 => (0usize..3).prop_map(|mode| Layer::Pad { mode }),
        2 => (0usize..8).prop_map(|form| Layer::Resize { form }),
        1 => Just(Layer::Blocks),
        2 => (0usize..3).prop_map(|form| Layer::Mix { form }),
        2 => (0usize..7).prop_map(|form| Layer::Constant { form }),
        2 => (0usize..35).prop_map(|index| Layer::Residual { index }),
        5 => time_layer().prop_map(Layer::Time),
        1 => (0usize..7).prop_map(|form| Layer::Kept { form }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    let over = prop_oneof![
        6 => Just(Over::Mean),
        2 => Just(Over::Newest),
        1 => Just(Over::Maximum),
        1 => Just(Over::Attention),
        3 => Just(Over::Rows),
    ];
    let last = prop_oneof![
        6 => Just(Last::Logits),
        4 => Just(Last::Softmax),
        2 => Just(Last::LogSoftmax),
        1 => Just(Last::SoftmaxTwice),
        1 => Just(Last::SoftmaxParts),
        1 => Just(Last::Clipped),
        1 => Just(Last::Scaled),
        1 => Just(Last::Sigmoid),
    ];
    let forms = (0usize..7, 0usize..6, 0usize..9);
    let layer = prop_oneof![
        4 => recurrence("forward"),
        1 => recurrence("reverse"),
        1 => recurrence("bidirectional"),
    ];
    let recurrence = prop::option::weighted(0.25, layer);
    (forms, over, last, any::<[bool; 2]>(), recurrence).prop_map(
        |((pool, time, head), over, last, [is_head_first, is_softmax_first], recurrence)| {
            // One sigmoid has no rows.
            let over = if (over, last) == (Over::Rows, Last::Sigmoid) { Over::Mean } else { over };
            End {
                pool,
                time,
                head,
                over,
                last,
                is_head_first: is_head_first || over == Over::Rows,
                // The largest probabilities of all frames are not a distribution.
                is_softmax_first: is_softmax_first
                    && last != Last::Sigmoid
                    && over != Over::Maximum,
                recurrence,
            }
        },
    )
}

fn one_pathway() -> impl Strategy<Value = OnePathway> {
    let layers = prop::collection::vec(layer(), 1..6);
    // Three frames in the order `[1,T,C,H,W]` would be taken for the channels.
    let frames = select(vec![2usize, 4, 5, 6]);
    (1..u32::MAX, frames, input(), any::<bool>(), layers, end()).prop_map(
        |(seed, frames, input, has_frames, layers, end)| OnePathway {
            seed,
            frames,
            input,
            has_frames,
            layers,
            end,
        },
    )
}

/// Returns a strategy that generates the parameters of networks of all kinds.
pub(super) fn network() -> impl Strategy<Value = Network> {
    let body = prop_oneof![
        6 => one_pathway().prop_map(Body::OnePathway),
        1 => random_network().prop_map(|mut network| {
            network.chunk = 1;
            Body::TwoPathways(network)
        }),
    ];
    let form = (any::<[bool; 2]>(), prop::array::uniform4(prop::bool::weighted(0.25)))
        .prop_map(|([is_unsorted, computes_shapes], flags)| (is_unsorted, computes_shapes, flags));
    let opset = prop_oneof![3 => Just(17i64), 1 => Just(18), 1 => Just(20)];
    let options = (prop::bool::weighted(0.25), 0usize..3, 0usize..3, prop::bool::weighted(0.04));
    (body, form, opset, options).prop_map(
        |(body, (is_unsorted, computes_shapes, flags), opset, options)| {
            let [has_constant_nodes, has_identities, has_second_output, has_dynamic_batch] = flags;
            let (has_chunk_steps, winograd, average, is_grey) = options;
            Network {
                body,
                form: Form {
                    is_unsorted,
                    computes_shapes,
                    has_constant_nodes,
                    has_identities,
                    has_second_output,
                    has_dynamic_batch,
                    opset,
                },
                options: Options { has_chunk_steps, winograd, average, is_grey },
            }
        },
    )
}
