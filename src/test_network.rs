//! A network for tests behind the backend trait: it names the brightness of what it sees, remembers, takes as long as
//! it is told to, and keeps a log. A frame is uniform, so a sample of one pixel is its brightness.

use crate::backend::{Backend, RuntimeReport, Session};
use crate::frame::{FrameView, Geometry, Orientation, PixelFormat};
use crate::model::{Label, Mode, ModelSpec, Precision, SelfTest};
use crate::{Engine, Result, Status, Stream, StreamConfig, ViewResult, clock};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Time from one sample to the next.
pub(crate) const INTERVAL_NS: i64 = 10_000_000;
/// Samples of a chunk.
pub(crate) const CHUNK: usize = 4;
/// Samples of a clip.
pub(crate) const CLIP: usize = 16;
/// Side of a frame.
pub(crate) const SIDE: u32 = 32;

/// Frames of the first view.
pub(crate) const DARK: u8 = 40;
/// Frames of the second view.
pub(crate) const BRIGHT: u8 = 200;

/// One run of the network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// Which session, numbered as they were made.
    pub(crate) session: usize,
    /// Grey values of the fast samples.
    pub(crate) greys: Vec<u8>,
    /// What it said.
    pub(crate) logits: Vec<f32>,
    /// Whether it was the first since a reset.
    pub(crate) fresh: bool,
}

/// Dark is view 0, bright view 1.
pub(crate) struct Network {
    pub(crate) mode: Mode,
    /// How much of what it said before counts.
    pub(crate) memory: f32,
    /// How long a run takes, on the clock that passes in tests.
    pub(crate) takes: Duration,
    /// Called in every run.
    pub(crate) during: Option<Box<dyn Fn() + Send + Sync>>,
    /// Log of all runs, if one is wanted.
    pub(crate) runs: Option<Arc<Mutex<Vec<Run>>>>,
    pub(crate) sessions: Arc<AtomicUsize>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            mode: Mode::Stream,
            memory: 0.5,
            takes: Duration::ZERO,
            during: None,
            runs: Some(Arc::default()),
            sessions: Arc::default(),
        }
    }
}

struct NetworkSession {
    network: Arc<Network>,
    number: usize,
    slow: [f32; 1],
    fast: Vec<f32>,
    state: [f32; 2],
    logits: [f32; 2],
    fresh: bool,
}

pub(crate) struct NetworkBackend(Arc<Network>);

impl Network {
    pub(crate) fn spec(&self) -> ModelSpec {
        let label = |index: usize| Label { code: format!("V{index}"), name: String::new(), scheme: None };
        ModelSpec {
            mode: self.mode,
            labels: (0..2).map(label).collect(),
            width_px: 1,
            height_px: 1,
            channels: 1,
            mean: vec![0.0],
            std: vec![1.0 / 255.0],
            sample_interval_ns: INTERVAL_NS,
            alpha: CHUNK,
            clip_samples: CLIP,
            slow_indices: vec![0],
            states: vec![],
            temperature: 1.0,
            threshold: 0.0,
            orientation: Orientation::default(),
            precision: Precision::Fp32,
            self_test: SelfTest { seed: 1, logits: vec![], tolerance_fp32: 0.0, tolerance_fp16: 0.0 },
            source_sha256: String::new(),
            package_sha256: String::new(),
            model_version: String::new(),
            provenance: String::new(),
        }
    }

    pub(crate) fn engine(self) -> Engine {
        Engine::with_backend(self.spec(), Arc::new(NetworkBackend(Arc::new(self))))
    }
}

impl Backend for NetworkBackend {
    fn report(&self) -> RuntimeReport {
        RuntimeReport {
            provider: "test".into(),
            provider_version: String::new(),
            runtime_version: String::new(),
            precision: Precision::Fp32,
        }
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let samples = if self.0.mode == Mode::Stream { CHUNK } else { CLIP };
        Ok(Box::new(NetworkSession {
            network: Arc::clone(&self.0),
            number: self.0.sessions.fetch_add(1, Relaxed),
            slow: [0.0],
            fast: vec![0.0; samples],
            // Nothing that a test would expect: the stream must reset before its first run.
            state: [f32::NAN; 2],
            logits: [0.0; 2],
            fresh: false,
        }))
    }
}

impl Session for NetworkSession {
    fn inputs(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.slow, &mut self.fast)
    }

    fn run(&mut self) -> Result<()> {
        if self.network.takes > Duration::ZERO {
            clock::pass(self.network.takes);
        }
        if let Some(during) = &self.network.during {
            during();
        }
        let grey = self.fast.iter().sum::<f32>() / self.fast.len() as f32;
        let bright = (grey - 120.0) / 20.0;
        for ((logit, state), seen) in self.logits.iter_mut().zip(&mut self.state).zip([-bright, bright]) {
            *state = seen + self.network.memory * *state;
            *logit = *state;
        }
        if let Some(runs) = &self.network.runs {
            runs.lock().push(Run {
                session: self.number,
                greys: self.fast.iter().map(|&value| value.round() as u8).collect(),
                logits: self.logits.to_vec(),
                fresh: self.fresh,
            });
        }
        self.fresh = false;
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        self.state = [0.0; 2];
        self.fresh = true;
        Ok(())
    }
}

/// Settings for frames of [`SIDE`] and bursts.
pub(crate) fn config() -> StreamConfig {
    StreamConfig { ring_slots: 512, max_width_px: SIDE, max_height_px: SIDE, ..StreamConfig::default() }
}

/// Pushes a uniform frame at the time of sample `sample` of a grid from 0.
pub(crate) fn push(stream: &mut Stream, sample: i64, grey: u8) -> Status {
    let pixels = [grey; (SIDE * SIDE) as usize];
    let geometry = Geometry::whole(PixelFormat::Gray8, SIDE, SIDE);
    stream.push(&FrameView::packed(geometry, &pixels, sample * INTERVAL_NS).unwrap())
}

/// An acquisition of these samples and greys to its result.
pub(crate) fn acquire(stream: &mut Stream, samples: impl IntoIterator<Item = (i64, u8)>) -> ViewResult {
    let id = stream.begin().unwrap();
    for (sample, grey) in samples {
        assert_eq!(push(stream, sample, grey), Status::Ok);
    }
    assert_eq!(stream.end(), Status::Ok);
    let reader = stream.reader();
    let mut result = reader.result();
    assert_eq!(reader.wait(id, Duration::from_secs(60), &mut result), Status::Ok);
    result
}
