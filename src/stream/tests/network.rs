//! A network for tests. Each test specifies the model, the computation and the duration of a run.
//! The network records each of its runs. Frames are uniform, and the single pixel of a sample
//! contains the grey value of the frame.

use crate::backend::interface::{Backend, Inputs, Session};
use crate::backend::report::RuntimeReport;
use crate::backend::windows::LateralWindows;
use crate::clock;
use crate::engine::Engine;
use crate::error::Result;
use crate::frame::{FrameView, Geometry, Orientation, PixelFormat};
use crate::model::part::Part;
use crate::model::{ChannelOrder, Label, Mode, ModelSpec, Precision, Resize, SelfTest};
use crate::result::ViewResult;
use crate::stream::acquirer::{Acquirer, PushError};
use crate::stream::config::StreamConfig;
use crate::stream::{Stream, reader::Reader};
use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Time from one sample to the next.
pub(crate) const INTERVAL_NS: i64 = 10_000_000;
/// Number of samples in a chunk.
pub(crate) const CHUNK: usize = 4;
/// Number of samples in a clip.
pub(crate) const CLIP: usize = 16;
/// Width and height of a frame in pixels.
pub(crate) const SIDE: u32 = 32;

/// Grey value of the frames of the first view.
pub(crate) const DARK: u8 = 40;
/// Grey value of the frames of the second view.
pub(crate) const BRIGHT: u8 = 200;

/// One run of the network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// Number of the session, in the order of creation.
    pub(crate) session: usize,
    /// Grey value of the first slow sample.
    pub(crate) slow_grey: u8,
    /// Grey values of the fast samples.
    pub(crate) greys: Vec<u8>,
    pub(crate) logits: Vec<f32>,
    /// Whether this was the first run after a reset.
    pub(crate) is_fresh: bool,
}

/// The computation of one run. Its arguments are the slow samples, the fast samples, the state and
/// the logits. The computation updates the state and writes the logits. The state and the logits
/// each have one value per label.
type Compute = dyn Fn(&[f32], &[f32], &mut [f32], &mut [f32]) + Send + Sync;

/// A network for tests.
pub(crate) struct Network {
    pub(crate) spec: ModelSpec,
    pub(crate) compute: Box<Compute>,
    /// Duration of a run on the test clock.
    pub(crate) takes: Duration,
    /// Function that every run calls.
    pub(crate) during: Option<Box<dyn Fn() -> Result<()> + Send + Sync>>,
    /// Log of all runs; `None` turns logging off.
    pub(crate) runs: Option<Arc<Mutex<Vec<Run>>>>,
    pub(crate) sessions: Arc<AtomicUsize>,
}

/// A network in stream mode that assigns label 0 to dark frames and label 1 to bright frames.
impl Default for Network {
    fn default() -> Self {
        Self::with_memory(Mode::Stream, 0.5)
    }
}

impl Network {
    /// Creates a network with this model and this computation.
    pub(crate) fn new(
        spec: ModelSpec,
        compute: impl Fn(&[f32], &[f32], &mut [f32], &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        Self {
            spec,
            compute: Box::new(compute),
            takes: Duration::ZERO,
            during: None,
            runs: Some(Arc::default()),
            sessions: Arc::default(),
        }
    }

    /// Creates a network that distinguishes dark frames from bright ones. `memory` is the weight of
    /// the network's previous state.
    pub(crate) fn with_memory(mode: Mode, memory: f32) -> Self {
        Self::new(create_spec(mode, 2), move |_, fast, state, logits| {
            let grey = fast.iter().sum::<f32>() / fast.len() as f32;
            let bright = (grey - 120.0) / 20.0;
            for ((logit, state), seen) in logits.iter_mut().zip(state).zip([-bright, bright]) {
                *state = seen + memory * *state;
                *logit = *state;
            }
        })
    }

    pub(crate) fn engine(self) -> Engine {
        Engine::with_backend(self.spec.clone(), Arc::new(NetworkBackend(Arc::new(self))))
    }
}

/// Creates the specification of a model whose samples have one pixel.
pub(crate) fn create_spec(mode: Mode, labels: usize) -> ModelSpec {
    let label = |index: usize| Label {
        code: format!("V{index}"),
        name: String::new(),
        scheme: None,
        scheme_meaning: None,
        modifiers: vec![],
        group: None,
    };
    ModelSpec {
        mode,
        labels: (0..labels).map(label).collect(),
        groups: vec![],
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
        frame_steps: None,
        label_rule: crate::model::LabelRule::MeanLogits,
        temperature: 1.0,
        threshold: 0.0,
        group_threshold: 0.0,
        novelty: None,
        channel_order: ChannelOrder::default(),
        resize: Resize::default(),
        orientation: Orientation::default(),
        precision: Precision::Fp32,
        self_test: SelfTest { seed: 1, logits: vec![], tolerance_fp32: 0.0, tolerance_fp16: 0.0 },
        source_sha256: String::new(),
        package_sha256: String::new(),
        model_version: String::new(),
        provenance: String::new(),
        model_card: None,
    }
}

struct NetworkBackend(Arc<Network>);

struct NetworkSession {
    network: Arc<Network>,
    number: usize,
    slow: Vec<f32>,
    fast: Vec<f32>,
    state: Vec<f32>,
    logits: Vec<f32>,
    is_fresh: bool,
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

    fn create_session(&self, _: Part) -> Result<Box<dyn Session>> {
        let spec = &self.0.spec;
        let [slow, fast] = spec.input_shapes().map(|shape| vec![0.0; shape.iter().product()]);
        Ok(Box::new(NetworkSession {
            network: Arc::clone(&self.0),
            number: self.0.sessions.fetch_add(1, Relaxed),
            slow,
            fast,
            // The state starts as NaN, so that the tests detect a stream that does not reset the
            // session before the first run.
            state: vec![f32::NAN; spec.output_len()],
            logits: vec![0.0; spec.output_len()],
            is_fresh: false,
        }))
    }

    fn create_windows(&self) -> Result<LateralWindows> {
        LateralWindows::in_host_memory(&self.0.spec)
    }
}

impl Session for NetworkSession {
    fn inputs(&mut self) -> Inputs<'_> {
        Inputs { slow: &mut self.slow, fast: &mut self.fast }
    }

    fn run(&mut self) -> Result<()> {
        if self.network.takes > Duration::ZERO {
            clock::advance(self.network.takes);
        }
        if let Some(during) = &self.network.during {
            during()?;
        }
        (self.network.compute)(&self.slow, &self.fast, &mut self.state, &mut self.logits);
        if let Some(runs) = &self.network.runs {
            let grey = |value: &f32| value.round() as u8;
            runs.lock().push(Run {
                session: self.number,
                slow_grey: grey(&self.slow[0]),
                greys: self.fast.iter().map(grey).collect(),
                logits: self.logits.clone(),
                is_fresh: self.is_fresh,
            });
        }
        self.is_fresh = false;
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        self.state.fill(0.0);
        self.is_fresh = true;
        Ok(())
    }

    fn copy_windows(&mut self, _: &mut LateralWindows) -> Result<()> {
        Ok(())
    }

    fn set_windows(&mut self, _: &LateralWindows) -> Result<()> {
        Ok(())
    }
}

/// Returns settings for frames of [`SIDE`] x [`SIDE`] pixels and for a ring that holds long bursts
/// of frames.
pub(crate) fn config() -> StreamConfig {
    StreamConfig {
        ring_slots: 512,
        max_width_px: SIDE,
        max_height_px: SIDE,
        ..StreamConfig::default()
    }
}

/// Pushes a uniform frame with this time and grey value.
pub(crate) fn push_at(acquirer: &mut Acquirer, time_ns: i64, grey: u8) -> Result<(), PushError> {
    let pixels = [grey; (SIDE * SIDE) as usize];
    let geometry = Geometry::new(PixelFormat::Gray8, SIDE, SIDE).unwrap();
    acquirer.push(&FrameView::new(geometry, &pixels).unwrap().with_time_ns(time_ns))
}

/// Pushes a uniform frame at the grid time of a sample, on a grid that starts at 0.
pub(crate) fn push(acquirer: &mut Acquirer, sample: i64, grey: u8) -> Result<(), PushError> {
    push_at(acquirer, sample * INTERVAL_NS, grey)
}

/// A result with its posterior.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Labelled {
    pub(crate) result: ViewResult,
    pub(crate) scores: Vec<f32>,
}

impl Deref for Labelled {
    type Target = ViewResult;

    fn deref(&self) -> &ViewResult {
        &self.result
    }
}

/// Waits for the final result of an acquisition.
pub(crate) fn wait(reader: &Reader, acquisition: u64) -> Labelled {
    let mut scores = vec![0.0; reader.label_count()];
    let result = reader.wait(acquisition, Duration::from_secs(60), &mut scores).unwrap();
    Labelled { result, scores }
}

/// Acquires frames, each of which is given by its sample number and grey value, and waits for the
/// final result.
pub(crate) fn acquire(
    stream: &mut Stream,
    frames: impl IntoIterator<Item = (i64, u8)>,
) -> Labelled {
    let acquisition = stream.acquirer.begin().unwrap();
    for (sample, grey) in frames {
        assert_eq!(push(&mut stream.acquirer, sample, grey), Ok(()));
    }
    assert_eq!(stream.acquirer.end(), Ok(()));
    wait(&stream.reader, acquisition)
}

/// Opens a stream, acquires frames and waits for the final result.
pub(crate) fn acquire_once(
    engine: &Engine,
    config: &StreamConfig,
    frames: impl IntoIterator<Item = (i64, u8)>,
) -> Labelled {
    acquire(&mut Stream::open(engine, config).unwrap(), frames)
}
