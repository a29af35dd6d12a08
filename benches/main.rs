//! The program `tteview-bench`: benches of the library for criterion.
//!
//! `cargo bench` runs the benches in the repository. The installed package and the archive for the
//! board contain the program, which needs no Cargo. `settings.rs` describes the options.

mod acquisition;
mod compare;
mod latency;
mod network;
mod prepare;
mod preprocess;
mod push;
mod query;
mod ring;
mod settings;

use settings::Settings;

fn main() {
    settings::take_arguments();
    let settings = Settings::from_environment().unwrap_or_else(|message| {
        eprintln!("tteview-bench: {message}");
        std::process::exit(2);
    });
    let mut criterion = compare::create_criterion();
    push::bench_push(&mut criterion, &settings);
    ring::bench_ring(&mut criterion);
    preprocess::bench_preprocessing(&mut criterion, &settings);
    preprocess::bench_sampling(&mut criterion);
    network::bench_network(&mut criterion, &settings);
    network::bench_head(&mut criterion, &settings);
    acquisition::bench_acquisition(&mut criterion, &settings);
    latency::bench_latency(&mut criterion, &settings);
    query::bench_query(&mut criterion, &settings);
    prepare::bench_prepare(&mut criterion, &settings);
    criterion.final_summary();
}
