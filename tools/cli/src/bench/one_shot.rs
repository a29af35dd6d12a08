//! The same network run once after the end, as it would be without streaming.

use super::spread::Spread;
use crate::Failure;
use crate::engine::EngineArguments;
use std::path::Path;
use std::time::Instant;
use tteview::bench_api::{Network, RawGraph};

/// A graph that computes one whole clip.
pub(super) struct OneShot {
    graph: Graph,
    times: Spread,
}

enum Graph {
    /// The clip package, on the provider that is measured.
    Package(Network),
    /// The source's three-dimensional graph in ONNX Runtime, with its own settings but for the number of threads.
    Source(RawGraph),
}

impl OneShot {
    pub(super) fn package(file: &Path, arguments: &EngineArguments) -> Result<Self, Failure> {
        let engine = arguments.with_model(file)?;
        let network = Network::new(&engine).map_err(|error| Failure::model(file, error))?;
        Self::warm(Graph::Package(network))
    }

    pub(super) fn source(file: &Path, threads: u32) -> Result<Self, Failure> {
        let graph = RawGraph::load(file, threads).map_err(|error| Failure::model(file, error))?;
        Self::warm(Graph::Source(graph))
    }

    /// The first runs allocate.
    fn warm(graph: Graph) -> Result<Self, Failure> {
        let mut this = Self { graph, times: Spread::new() };
        this.run()?;
        this.run()?;
        this.times = Spread::new();
        Ok(this)
    }

    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let time = match &mut self.graph {
            Graph::Package(network) => {
                let start = Instant::now();
                network.run().map(|()| start.elapsed())
            }
            Graph::Source(graph) => graph.time(),
        };
        let time = time.map_err(|error| Failure { exit: crate::Exit::Model, message: error.to_string() })?;
        self.times.add(time);
        Ok(())
    }

    /// What was measured since the last call.
    pub(super) fn take(&mut self) -> Spread {
        std::mem::replace(&mut self.times, Spread::new())
    }
}
