//! Random networks of all kinds: image and cine networks, all operators, heads, inputs, options and
//! ways of writing a file. Each is compiled, and its packages are compared with the source.
//!
//! The environment variable `TTEVIEW_RANDOM_NETWORKS` contains the number of networks, and
//! `TTEVIEW_RANDOM_SEED` a number that selects other networks.

mod check;
mod compare;
mod ends;
mod expected;
mod form;
mod functions;
mod input;
mod kept;
mod layers;
mod mutate;
mod mutated;
mod norms;
mod run;
mod spec;
mod starts;
mod time;

use super::random_network::build_network;
use super::source::{LABELS, Source};
use spec::{Body, InputLayout, Network};

/// A source network in a file.
struct BuiltNetwork {
    bytes: Vec<u8>,
    labels: usize,
}

/// Builds the file of a network for this number of chunks.
fn build(network: &Network, chunks: usize) -> BuiltNetwork {
    let mut form = network.form;
    match &network.body {
        Body::TwoPathways(r) => {
            let mut r = r.clone();
            r.slow_frames = chunks;
            let mut s = build_network(&r);
            let output = s.graph.output.pop().expect("the network has an output");
            let output = super::source::Val { name: output.name, shape: vec![1, LABELS] };
            // The two pathways already have a form of their own.
            form.opset = 17;
            form.has_dynamic_batch = r.dynamic_batch;
            undo_dynamic_batch(&mut s);
            BuiltNetwork { bytes: form::encode(s, &output, &form), labels: LABELS }
        }
        Body::OnePathway(body) => {
            let mut s = Source::new(body.seed);
            let mut x = input::add_input(&mut s, &body.input, chunks, body.has_frames);
            for &layer in &body.layers {
                x = layers::add_layer(&mut s, &x, layer, form.opset);
            }
            let output = ends::add_end(&mut s, &x, &body.end);
            // A first axis with the frames is no batch axis.
            form.has_dynamic_batch &= !matches!(
                body.input.layout,
                InputLayout::NoBatch | InputLayout::Images | InputLayout::ImagesChannelsLast
            );
            let labels = ends::labels(&body.end);
            BuiltNetwork { bytes: form::encode(s, &output, &form), labels }
        }
    }
}

/// Gives the first axis of the inputs the size 1, so that the form of the file decides about it.
fn undo_dynamic_batch(s: &mut Source) {
    for value in &mut s.graph.input {
        let tensor = value.r#type.as_mut().and_then(|t| t.tensor_type.as_mut());
        if let Some(dim) = tensor.and_then(|t| t.shape.as_mut()).and_then(|s| s.dim.first_mut()) {
            dim.dim_value = Some(1);
            dim.dim_param = None;
        }
    }
}
