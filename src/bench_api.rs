//! Internal parts of the library, made public for `benches/`, `tteview bench` and the fuzz targets.
//! This interface is not stable.

use crate::backend::interface::Session;
use crate::classifier::decision::conclude;
use crate::engine::Engine;
#[cfg(feature = "ort")]
use crate::engine::cache::{EngineCache, Key};
use crate::error::Result;
use crate::frame::Geometry;
use crate::model::ModelSpec;
use crate::model::part::Part;
use crate::preprocess::Preprocess;
use crate::result::ViewResult;
use crate::sampling::{Arrival, Sampler};
use crate::stream::ring::{Consumer, Producer, create_ring};
#[cfg(feature = "ort")]
use std::path::Path;

#[cfg(feature = "ort")]
pub use crate::backend::ort::raw::RawGraph;

/// The side of a ring that fills slots.
pub struct RingProducer<T>(Producer<T>);

/// The side of a ring that reads slots.
pub struct RingConsumer<T>(Consumer<T>);

/// Creates a ring of `slots` slots, each of which contains a copy of `empty`.
///
/// # Errors
/// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be allocated.
pub fn create_test_ring<T: Send + Clone>(
    slots: usize,
    empty: &T,
) -> Result<(RingProducer<T>, RingConsumer<T>)> {
    let (producer, consumer) = create_ring(slots, |_| Ok(empty.clone()))?;
    Ok((RingProducer(producer), RingConsumer(consumer)))
}

impl<T: Send> RingProducer<T> {
    /// Fills the next slot. Returns false if the ring is full.
    pub fn push(&mut self, value: T) -> bool {
        let Some(slot) = self.0.slot() else { return false };
        *slot = value;
        self.0.commit();
        true
    }
}

impl<T: Send + Copy> RingConsumer<T> {
    /// Reads and releases the oldest slot. Returns `None` if the ring is empty.
    pub fn pop(&mut self) -> Option<T> {
        let value = *self.0.peek(0)?;
        self.0.release();
        Some(value)
    }
}

/// The preprocessing that turns frames into samples.
pub struct SamplePreprocess(Preprocess);

impl SamplePreprocess {
    /// Creates the preprocessing for frames of at most this size.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
    /// allocated.
    pub fn new(spec: &ModelSpec, max_width_px: u32, max_height_px: u32) -> Result<Self> {
        Preprocess::new(spec, max_width_px, max_height_px).map(Self)
    }

    /// Converts a frame with packed rows to a sample.
    ///
    /// # Errors
    /// Returns an error if the frame or the sample has the wrong size.
    pub fn run(&mut self, geometry: &Geometry, packed: &[u8], sample: &mut [f32]) -> Result<()> {
        self.0.run(geometry, packed, sample)
    }
}

/// A sampler, which assigns frames to samples on a time grid.
pub struct SampleGrid(Sampler);

impl SampleGrid {
    /// Creates a sampler. A time of more than `gap_ns` between two frames is a gap.
    #[must_use]
    pub fn new(interval_ns: i64, gap_ns: i64) -> Self {
        Self(Sampler::new(interval_ns, gap_ns))
    }

    /// Adds the frame at `time_ns`, and returns the number of samples that this frame decides.
    pub fn add_frame(&mut self, time_ns: i64) -> usize {
        match self.0.add_frame(time_ns) {
            Arrival::Accepted { previous, current, .. } => previous + current,
            Arrival::Refused => 0,
        }
    }
}

/// Returns the names of a network's parts, in the order of [`Network::parts`].
#[must_use]
pub fn part_names(spec: &ModelSpec) -> Vec<&'static str> {
    let name = |part: &Part| match part {
        Part::Whole => "step",
        Part::Fast => "fast run",
        Part::Slow => "slow run",
        Part::Head => "head",
    };
    spec.parts().iter().map(name).collect()
}

/// A part of an engine's network, which the caller runs.
pub struct Network(Box<dyn Session>);

impl Network {
    /// Allocates the tensors of each part of the network on the engine's provider: of the whole
    /// graph or, with frame steps, of the fast part and of the slow part.
    ///
    /// # Errors
    /// Returns the error of the backend.
    pub fn parts(engine: &Engine) -> Result<Vec<Self>> {
        let create = |part: &Part| engine.backend().create_session(*part).map(Self);
        engine.spec().parts().iter().map(create).collect()
    }

    /// Allocates the tensors of the network's first part on the engine's provider.
    ///
    /// # Errors
    /// Returns the error of the backend.
    pub fn new(engine: &Engine) -> Result<Self> {
        let part = engine.spec().parts().first().copied().unwrap_or(Part::Whole);
        engine.backend().create_session(part).map(Self)
    }

    /// Runs the graph once.
    ///
    /// # Errors
    /// Returns the error of the backend.
    pub fn run(&mut self) -> Result<()> {
        self.0.run()
    }

    /// Sets the states to their initial values.
    ///
    /// # Errors
    /// Returns the error of the backend.
    pub fn reset(&mut self) -> Result<()> {
        self.0.reset()
    }
}

/// Imports an engine file into the engine cache in `folder` if the engine was built for a key with
/// these names and values.
///
/// # Errors
/// Returns the errors of [`Engine::import`].
#[cfg(feature = "ort")]
pub fn import_engine_file(folder: &Path, key: &[(&str, &str)], file: &Path) -> Result<()> {
    let key = key.iter().fold(Key::default(), |key, (name, value)| key.with(*name, *value));
    EngineCache::new(folder).import(&key, file)
}

/// Creates an empty result for [`apply_head`].
#[must_use]
pub fn create_result() -> ViewResult {
    ViewResult::new(0)
}

/// Converts the mean of the outputs to the posterior in place, and sets the label of `result`.
pub fn apply_head(mean: &mut [f32], spec: &ModelSpec, result: &mut ViewResult) {
    conclude(result, spec, mean);
}
