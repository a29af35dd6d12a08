//! Runs of the network on a whole clip after the end of an acquisition, for comparison with
//! streaming.

use super::times::Times;
use crate::engine_arguments::EngineArguments;
use crate::failure::Failure;
use std::path::Path;
use std::time::Instant;
use tteview::bench_api::{Network, RawGraph};
use tteview::regular_file;

/// A graph that processes one whole clip.
pub(super) struct OneShot {
    graph: Graph,
    times: Times,
}

enum Graph {
    /// The clip package on the measured provider.
    Package(Network),
    /// The source's three-dimensional graph in ONNX Runtime, with the runtime's default settings
    /// except for the number of threads.
    Source(RawGraph),
}

impl OneShot {
    /// Loads a clip package.
    pub(super) fn load_package(file: &Path, arguments: &EngineArguments) -> Result<Self, Failure> {
        let engine = arguments.load_engine_for(file)?;
        let network = Network::new(&engine).map_err(|error| Failure::model(file, error))?;
        Self::warm_up(Graph::Package(network))
    }

    /// Loads a source network.
    pub(super) fn load_source(file: &Path, arguments: &EngineArguments) -> Result<Self, Failure> {
        regular_file::check(file).map_err(|error| Failure::model(file, error))?;
        let graph = RawGraph::load(file, arguments.threads, arguments.runtime.as_deref())
            .map_err(|error| Failure::model(file, error))?;
        Self::warm_up(Graph::Source(graph))
    }

    /// Runs the graph twice and discards the times, because the first runs allocate memory.
    fn warm_up(graph: Graph) -> Result<Self, Failure> {
        let mut one_shot = Self { graph, times: Times::new() };
        one_shot.run()?;
        one_shot.run()?;
        one_shot.times = Times::new();
        Ok(one_shot)
    }

    /// Runs the graph once and measures the time.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let time = match &mut self.graph {
            Graph::Package(network) => {
                let start = Instant::now();
                network.run()?;
                start.elapsed()
            }
            Graph::Source(graph) => graph.measure_run()?,
        };
        self.times.add(time);
        Ok(())
    }

    /// Returns the times of the runs since the last call of this function.
    pub(super) fn take_times(&mut self) -> Times {
        std::mem::take(&mut self.times)
    }
}
