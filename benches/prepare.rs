//! The creation and preparation of an engine: everything from the package to the first stream.

use crate::compare::{self, Bench};
use crate::settings::Settings;
use criterion::Criterion;

/// Measures how long each provider takes to load the package and to prepare its engine.
pub(crate) fn bench_prepare(criterion: &mut Criterion, settings: &Settings) {
    let mut group = criterion.benchmark_group("prepare");
    compare::make_few_calls(&mut group);
    for provider in &settings.providers {
        let bench = Bench { group: "prepare", name: &provider.name, each: 1 };
        compare::measure(&mut group, bench, || {
            Box::new(move || {
                let mut engine = None;
                compare::time(|| engine = Some(settings.create_engine(provider)))
            })
        });
    }
    group.finish();
}
