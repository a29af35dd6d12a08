//! A network with frame steps for tests. It computes the formula of the stream contract
//! (docs/stream-contract.md#fixtures) from the grey values of the frames.

use super::network::create_spec;
use crate::backend::interface::{Backend, Inputs, Session};
use crate::backend::report::RuntimeReport;
use crate::backend::windows::LateralWindows;
use crate::engine::Engine;
use crate::error::{Error, Result, Status};
use crate::model::part::{Part, PartSpec};
use crate::model::{ChunkSelfTest, FrameSteps, HeadSpec, Mode, ModelSpec, Precision, StateSpec};
use parking_lot::Mutex;
use std::sync::Arc;

/// Number of labels.
pub(crate) const LABELS: usize = 4;

/// Number of samples in the lateral window.
const WINDOW: usize = 3;

/// One run of a part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) part: Part,
    /// Grey value of the sample.
    pub(crate) grey: i64,
    /// Whether this was the first run after a reset.
    pub(crate) is_fresh: bool,
}

/// A function that every run calls with its part and the grey value of its sample. An error fails
/// the run.
type During = dyn Fn(Part, i64) -> Result<()> + Send + Sync;

/// A network with frame steps for tests.
pub(crate) struct FrameNetwork {
    pub(crate) spec: ModelSpec,
    /// Grey values of the samples whose fast run gives logits that are not finite.
    pub(crate) fails_fast: Vec<i64>,
    /// Grey values of the slow samples whose slow run gives logits that are not finite.
    pub(crate) fails_slow: Vec<i64>,
    pub(crate) during: Box<During>,
    /// Log of all runs; `None` turns logging off.
    pub(crate) runs: Option<Arc<Mutex<Vec<Run>>>>,
}

impl FrameNetwork {
    /// Creates a network with two pathways or, if `alpha` is 1, with one.
    pub(crate) fn new(alpha: usize, reach: usize) -> Self {
        let state = |name: &str, len: usize| StateSpec {
            name: name.into(),
            shape: vec![len],
            initial: 0.0,
        };
        let has_slow_part = alpha > 1;
        let windows = if has_slow_part { vec!["window".into()] } else { Vec::new() };
        let mut spec = create_spec(Mode::Stream, LABELS);
        spec.alpha = alpha;
        spec.states = vec![state("fast", LABELS), state("window", WINDOW)];
        if has_slow_part {
            spec.states.push(state("slow", LABELS));
        } else {
            spec.slow_indices.clear();
        }
        spec.frame_steps = Some(FrameSteps {
            lateral_reach: reach,
            fast_nodes: 1,
            fast_states: 2,
            lateral_windows: windows,
            head: None,
            self_test: Vec::<ChunkSelfTest>::new(),
        });
        Self {
            spec,
            fails_fast: Vec::new(),
            fails_slow: Vec::new(),
            during: Box::new(|_, _| Ok(())),
            runs: Some(Arc::default()),
        }
    }

    /// Adds the head of the contract, which is not linear.
    pub(crate) fn add_head(&mut self) {
        if let Some(steps) = &mut self.spec.frame_steps {
            steps.head = Some(HeadSpec {
                features: LABELS,
                nodes: 1,
                tolerance_fp32: 1e-3,
                tolerance_fp16: 1e-3,
            });
        }
    }

    pub(crate) fn engine(self) -> Engine {
        Engine::with_backend(self.spec.clone(), Arc::new(FrameBackend(Arc::new(self))))
    }
}

struct FrameBackend(Arc<FrameNetwork>);

struct FrameSession {
    network: Arc<FrameNetwork>,
    part: Part,
    slow: Vec<f32>,
    fast: Vec<f32>,
    state: Vec<f32>,
    /// The lateral window, which the fast part writes and the slow part reads.
    window: Vec<f32>,
    logits: Vec<f32>,
    is_fresh: bool,
}

impl Backend for FrameBackend {
    fn report(&self) -> RuntimeReport {
        RuntimeReport {
            provider: "test".into(),
            provider_version: String::new(),
            runtime_version: String::new(),
            precision: Precision::Fp32,
        }
    }

    fn create_session(&self, part: Part) -> Result<Box<dyn Session>> {
        let spec = PartSpec::new(&self.0.spec, part);
        // The states start as NaN, so that the tests detect a stream that does not reset them.
        Ok(Box::new(FrameSession {
            network: Arc::clone(&self.0),
            part,
            slow: vec![0.0; spec.slow[0]],
            fast: vec![0.0; spec.fast[0] * spec.fast[1]],
            state: vec![f32::NAN; LABELS],
            window: vec![f32::NAN; WINDOW],
            logits: vec![0.0; LABELS],
            is_fresh: false,
        }))
    }

    fn create_windows(&self) -> Result<LateralWindows> {
        LateralWindows::in_host_memory(&self.0.spec)
    }
}

/// Computes the formula of the contract for a head that is not linear.
fn compute_head(features: &[f32], logits: &mut [f32]) {
    let next = features.iter().cycle().skip(1);
    for (logit, (&feature, &next)) in logits.iter_mut().zip(features.iter().zip(next)) {
        *logit = (feature - 4.0).max(0.0) - 0.5 * next;
    }
}

impl FrameSession {
    fn spoil(&mut self, grey: i64) {
        let spoilt = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][grey as usize % 3];
        self.logits[grey as usize % LABELS] = spoilt;
        // The state is spoilt, too, so that a stream that does not reset it fails again.
        self.state.fill(f32::NAN);
        self.window.fill(f32::NAN);
    }
}

impl Session for FrameSession {
    fn inputs(&mut self) -> Inputs<'_> {
        Inputs { slow: &mut self.slow, fast: &mut self.fast }
    }

    fn run(&mut self) -> Result<()> {
        let network = Arc::clone(&self.network);
        if self.part == Part::Head {
            (network.during)(self.part, self.fast.first().map_or(0, |&value| value as i64))?;
            compute_head(&self.fast, &mut self.logits);
            return Ok(());
        }
        let sample = self.fast.first().or(self.slow.first()).copied();
        let grey = sample.map(|value| value.round() as i64).ok_or(Status::Internal)?;
        if let Some(runs) = &network.runs {
            runs.lock().push(Run { part: self.part, grey, is_fresh: self.is_fresh });
        }
        self.is_fresh = false;
        (network.during)(self.part, grey)?;
        let lateral: f32 = (1u8..).zip(&self.window).map(|(w, &value)| f32::from(w) * value).sum();
        for (label, (logit, state)) in self.logits.iter_mut().zip(&mut self.state).enumerate() {
            let j = label as i64;
            let value = match self.part {
                Part::Slow => (grey * (j + 1)) % 5 + (lateral as i64 * (j + 2)) % 7,
                _ => (grey * (j + 3)) % 11,
            };
            *logit = value as f32 + 0.5 * *state;
            *state = *logit / 2.0;
        }
        let fails = match self.part {
            Part::Slow => &network.fails_slow,
            _ => {
                self.window.rotate_left(1);
                if let Some(newest) = self.window.last_mut() {
                    *newest = (grey + 1) as f32;
                }
                &network.fails_fast
            }
        };
        if fails.contains(&grey) {
            self.spoil(grey);
        }
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        self.state.fill(0.0);
        if self.part != Part::Slow {
            self.window.fill(0.0);
        }
        self.is_fresh = true;
        Ok(())
    }

    fn copy_windows(&mut self, to: &mut LateralWindows) -> Result<()> {
        match to.host_mut()? {
            [window] => window.copy_from_slice(&self.window),
            _ => return Err(Error::new(Status::Internal, "the network has one window")),
        }
        Ok(())
    }

    fn set_windows(&mut self, from: &LateralWindows) -> Result<()> {
        match from.host()? {
            [window] => self.window.copy_from_slice(window),
            _ => return Err(Error::new(Status::Internal, "the network has one window")),
        }
        Ok(())
    }
}
