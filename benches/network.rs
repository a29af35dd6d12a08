//! The parts of the network alone, without a stream: a step or, with frame steps, a fast run and a
//! slow run.

use crate::compare::{self, Bench, Timed};
use crate::settings::Settings;
use criterion::Criterion;
use tteview::Engine;
use tteview::bench_api::{self, Network};

/// Measures each part of the network and the initialisation of its states.
pub(crate) fn bench_network(criterion: &mut Criterion, settings: &Settings) {
    let mut group = criterion.benchmark_group("network");
    if settings.has_source() {
        // One run of a source network may take seconds.
        compare::make_few_calls(&mut group);
    }
    for provider in &settings.providers {
        let engine = std::cell::LazyCell::new(|| settings.create_engine(provider));
        for (index, part) in bench_api::part_names(&settings.spec).into_iter().enumerate() {
            let name = format!("{}, one {part}", provider.name);
            let bench = Bench { group: "network", name: &name, each: 1 };
            if settings.has_source() {
                compare::compare(&mut group, bench, "source", None, || {
                    (time_part(&engine, index), time_source(settings))
                });
            } else {
                compare::measure(&mut group, bench, || time_part(&engine, index));
            }
            // A stream sets the initial states at the start of each segment.
            let name = format!("{}, initial states of a {part}", provider.name);
            let bench = Bench { group: "network", name: &name, each: 1 };
            compare::measure(&mut group, bench, || {
                let mut network = create_part(&engine, index);
                Box::new(move || {
                    network.run().unwrap();
                    compare::time(|| network.reset().unwrap())
                })
            });
        }
    }
    group.finish();
}

/// Returns a function that measures a run of a part.
fn time_part<'a>(engine: &Engine, index: usize) -> Timed<'a> {
    let mut network = create_part(engine, index);
    Box::new(move || compare::time(|| network.run().unwrap()))
}

/// Returns a function that measures a run of the source network.
#[cfg(feature = "ort")]
fn time_source<'a>(settings: &Settings) -> Timed<'a> {
    let mut source = settings.load_source();
    Box::new(move || source.measure_run().unwrap())
}

#[cfg(not(feature = "ort"))]
fn time_source<'a>(_: &Settings) -> Timed<'a> {
    panic!("a source network needs a build with ONNX Runtime")
}

fn create_part(engine: &Engine, index: usize) -> Network {
    Network::parts(engine).unwrap().swap_remove(index)
}

/// Measures the computation of the label from the mean of the logits.
pub(crate) fn bench_head(criterion: &mut Criterion, settings: &Settings) {
    let mut group = criterion.benchmark_group("head");
    let bench = Bench { group: "head", name: "posterior and label", each: 1 };
    compare::measure(&mut group, bench, || {
        let spec = settings.spec.clone();
        let logits: Vec<f32> = (0..spec.output_len()).map(|label| label as f32 * 0.1).collect();
        let mut scores = logits.clone();
        let mut result = bench_api::create_result();
        Box::new(move || {
            scores.copy_from_slice(&logits);
            compare::time(|| {
                bench_api::apply_head(std::hint::black_box(&mut scores), &spec, &mut result)
            })
        })
    });
    group.finish();
}
