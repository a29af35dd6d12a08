//! The inner parts, opened to `benches/` and `tteview bench`. No interface: it changes as they do.

use crate::backend::Session;
use crate::classifier::softmax;
use crate::frame::Geometry;
use crate::model::ModelSpec;
use crate::preprocess::Preprocess;
use crate::ring::{self, Consumer, Producer};
use crate::sampling::{Arrival, Sampler};
use crate::{Engine, Result, ViewResult};

#[cfg(feature = "ort")]
pub use crate::backend::ort::raw::RawGraph;

/// The end of a ring that fills.
pub struct RingProducer<T>(Producer<T>);

/// The end of a ring that reads.
pub struct RingConsumer<T>(Consumer<T>);

/// A ring of `slots` slots of `empty`.
pub fn ring<T: Send + Clone>(slots: usize, empty: &T) -> (RingProducer<T>, RingConsumer<T>) {
    let (producer, consumer) = ring::ring(slots, |_| empty.clone());
    (RingProducer(producer), RingConsumer(consumer))
}

impl<T: Send> RingProducer<T> {
    /// Fills the next slot; false if the ring is full.
    pub fn push(&mut self, value: T) -> bool {
        let Some(slot) = self.0.slot() else { return false };
        *slot = value;
        self.0.commit();
        true
    }
}

impl<T: Send + Copy> RingConsumer<T> {
    /// Reads the oldest slot and gives it back.
    pub fn pop(&mut self) -> Option<T> {
        let value = *self.0.peek(0)?;
        self.0.release();
        Some(value)
    }
}

/// Frame to sample.
pub struct SamplePreprocess(Preprocess);

impl SamplePreprocess {
    /// For frames of at most this size.
    #[must_use]
    pub fn new(spec: &ModelSpec, max_width_px: u32, max_height_px: u32) -> Self {
        Self(Preprocess::new(spec, max_width_px, max_height_px))
    }

    /// Writes the sample of one frame with packed rows.
    ///
    /// # Errors
    /// Where the frame or the sample does not fit.
    pub fn run(&mut self, geometry: &Geometry, packed: &[u8], sample: &mut [f32]) -> Result<()> {
        self.0.run(geometry, packed, sample)
    }
}

/// Timestamps to the sample grid.
pub struct SampleGrid(Sampler);

impl SampleGrid {
    /// A grid with this interval.
    #[must_use]
    pub fn new(interval_ns: i64, gap_ns: i64) -> Self {
        Self(Sampler::new(interval_ns, gap_ns))
    }

    /// Samples that a frame at this time decides.
    pub fn frame(&mut self, time_ns: i64) -> usize {
        match self.0.frame(time_ns) {
            Arrival::Accepted { previous, current, .. } => previous + current,
            _ => 0,
        }
    }
}

/// One run of the network after the other.
pub struct Network(Box<dyn Session>);

impl Network {
    /// Tensors of their own on the engine's provider.
    ///
    /// # Errors
    /// The backend's.
    pub fn new(engine: &Engine) -> Result<Self> {
        engine.backend.session().map(Self)
    }

    /// Runs the graph once.
    ///
    /// # Errors
    /// The backend's.
    pub fn run(&mut self) -> Result<()> {
        self.0.run()
    }

    /// Brings the states back to their initial values, as at the start of a segment.
    ///
    /// # Errors
    /// The backend's.
    pub fn reset(&mut self) -> Result<()> {
        self.0.reset()
    }
}

/// What comes after the network: the mean logits become the posterior, in place, and the label.
pub fn head(logits: &mut [f32], spec: &ModelSpec, result: &mut ViewResult) {
    softmax(logits, spec.temperature);
    result.decide(logits, spec.threshold);
}
