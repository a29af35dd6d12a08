//! The fixtures of the stream contract, end to end: frames into a stream, a stand-in network behind the backend
//! trait. A frame is uniform with its index as its grey value, so a sample of one pixel is the index of its frame.

use crate::backend::{Backend, RuntimeReport, Session};
use crate::frame::{FrameView, Geometry, Orientation, PixelFormat};
use crate::model::{Label, Mode, ModelSpec, Precision, SelfTest, StateSpec};
use crate::{Engine, PartialChunk, Result, Status, Stream, StreamConfig};
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const LABELS: usize = 4;

struct StandIn {
    alpha: usize,
    /// How long a step takes at least.
    step: Duration,
    /// What goes wrong in the third run, and only then.
    trouble: Option<fn() -> Result<()>>,
    chunks: Arc<Mutex<Vec<Chunk>>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Chunk {
    slow: i64,
    fast: Vec<i64>,
    logits: Vec<f32>,
}

struct StandInSession {
    step: Duration,
    trouble: Option<fn() -> Result<()>>,
    slow: Vec<f32>,
    fast: Vec<f32>,
    state: [f32; LABELS],
    logits: [f32; LABELS],
    chunks: Arc<Mutex<Vec<Chunk>>>,
}

impl Backend for StandIn {
    fn report(&self) -> RuntimeReport {
        RuntimeReport {
            provider: "stand-in".into(),
            provider_version: String::new(),
            runtime_version: String::new(),
            precision: Precision::Fp32,
        }
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(StandInSession {
            step: self.step,
            trouble: self.trouble,
            slow: vec![0.0],
            fast: vec![0.0; self.alpha],
            state: [f32::NAN; LABELS],
            logits: [0.0; LABELS],
            chunks: Arc::clone(&self.chunks),
        }))
    }
}

impl Session for StandInSession {
    fn inputs(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.slow, &mut self.fast)
    }

    fn run(&mut self) -> Result<()> {
        std::thread::sleep(self.step);
        if self.chunks.lock().len() == 2
            && let Some(trouble) = self.trouble.take()
        {
            trouble()?;
        }
        let index = |value: f32| value.round() as i64;
        let fast: Vec<i64> = self.fast.iter().map(|&v| index(v)).collect();
        let slow = index(self.slow[0]);
        for (j, (logit, state)) in (0i64..).zip(self.logits.iter_mut().zip(&mut self.state)) {
            let sum: i64 = (0i64..).zip(&fast).map(|(i, f)| (f * (j + 3) + i) % 11).sum();
            *logit = (sum + (slow * (j + 1)) % 5) as f32 + 0.5 * *state;
            *state = *logit / 2.0;
        }
        self.chunks.lock().push(Chunk { slow, fast, logits: self.logits.to_vec() });
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        self.state = [0.0; LABELS];
        Ok(())
    }
}

fn spec(settings: &Value) -> ModelSpec {
    let label = |index: usize| Label { code: format!("L{index}"), name: String::new(), scheme: None };
    let number = |key: &str| settings[key].as_u64().unwrap() as usize;
    ModelSpec {
        mode: Mode::Stream,
        labels: (0..LABELS).map(label).collect(),
        width_px: 1,
        height_px: 1,
        channels: 1,
        mean: vec![0.0],
        std: vec![1.0 / 255.0],
        sample_interval_ns: settings["interval_ns"].as_i64().unwrap(),
        alpha: number("alpha"),
        clip_samples: number("clip_samples"),
        slow_indices: vec![],
        states: vec![StateSpec { name: "state0".into(), shape: vec![LABELS], initial: 0.0 }],
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

fn run_case(case: &Value) {
    let name = case["name"].as_str().unwrap();
    let (settings, expect) = (&case["settings"], &case["expect"]);
    let spec = spec(settings);
    let chunks = Arc::new(Mutex::new(Vec::new()));
    let backend =
        StandIn { alpha: spec.alpha, step: Duration::ZERO, trouble: None, chunks: Arc::clone(&chunks) };
    let engine = Engine::with_backend(spec, Arc::new(backend));
    let mut stream = Stream::new(
        &engine,
        &StreamConfig {
            ring_slots: 512,
            max_width_px: 32,
            max_height_px: 32,
            label_span_ns: settings["span_ns"].as_i64().unwrap_or(0),
            gap_ns: settings["gap_ns"].as_i64().unwrap_or(250_000_000),
            partial: match settings["partial"].as_str() {
                None | Some("auto") => PartialChunk::Auto,
                Some("drop") => PartialChunk::Drop,
                Some("hold") => PartialChunk::Hold,
                Some(other) => panic!("partial {other}"),
            },
            ..StreamConfig::default()
        },
    )
    .unwrap();

    let acquisition = stream.begin().unwrap();
    let mut accepted = 0u8;
    for event in case["events"].as_array().unwrap() {
        match event[0].as_str().unwrap() {
            "frame" => {
                let pixels = [accepted; 32 * 32];
                let geometry = Geometry::whole(PixelFormat::Gray8, 32, 32);
                let frame = FrameView::packed(geometry, &pixels, event[1].as_i64().unwrap()).unwrap();
                match stream.push(&frame) {
                    Status::Ok => accepted += 1,
                    status => assert_eq!(status, Status::FrameRefused, "{name}"),
                }
            }
            "change" => assert_eq!(stream.mark(), Status::Ok),
            "end" => assert_eq!(stream.end(), Status::Ok),
            other => panic!("event {other}"),
        }
    }
    let reader = stream.reader();
    let mut result = reader.result();
    assert_eq!(reader.wait(acquisition, Duration::from_secs(60), &mut result), Status::Ok, "{name}");

    assert_eq!(reader.stats().refused, expect["refused"].as_u64().unwrap(), "{name}: refused");
    let segments = expect["segments"].as_array().unwrap();
    let samples: usize = segments.iter().map(|s| s["samples"].as_array().unwrap().len()).sum();
    assert_eq!(reader.stats().samples, samples as u64, "{name}: samples");
    let expected: Vec<Chunk> = expect["chunks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chunk| Chunk {
            slow: chunk["slow"].as_i64().unwrap(),
            fast: chunk["fast"].as_array().unwrap().iter().map(|f| f.as_i64().unwrap()).collect(),
            logits: chunk["logits"].as_array().unwrap().iter().map(|l| l.as_f64().unwrap() as f32).collect(),
        })
        .collect();
    let seen = chunks.lock().clone();
    assert_eq!(seen.len(), expected.len(), "{name}: chunks");
    for (index, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
        assert_eq!((seen.slow, &seen.fast), (expected.slow, &expected.fast), "{name}: chunk {index}");
        for (a, b) in seen.logits.iter().zip(&expected.logits) {
            assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{name}: chunk {index}: {a} for {b}");
        }
    }
    let last = &expect["final"];
    assert_eq!(result.status, Status::Ok);
    check_label(name, last, &result);
    check_queries(name, expect, &reader);
}

fn check_label(name: &str, expect: &Value, result: &crate::ViewResult) {
    assert_eq!(result.label.map_or(-1, i64::from), expect["label"].as_i64().unwrap(), "{name}: label");
    assert_eq!(u64::from(result.chunks), expect["chunks"].as_u64().unwrap(), "{name}: chunks of the label");
    assert_eq!(result.first_time_ns, expect["first_ns"].as_i64().unwrap(), "{name}: first");
    assert_eq!(result.last_time_ns, expect["last_ns"].as_i64().unwrap(), "{name}: last");
    for (score, expected) in result.scores.iter().zip(expect["posterior"].as_array().unwrap()) {
        let expected = expected.as_f64().unwrap() as f32;
        assert!((score - expected).abs() < 1e-4, "{name}: score {score} for {expected}");
    }
}

fn check_queries(name: &str, expect: &Value, reader: &crate::Reader) {
    for query in expect["queries"].as_array().unwrap() {
        let (from, to) = (query["from_ns"].as_i64().unwrap(), query["to_ns"].as_i64().unwrap());
        let mut found = reader.result();
        assert_eq!(reader.query(from, to, Duration::ZERO, &mut found), Status::Ok, "{name}: {from} to {to}");
        check_label(name, &query["result"], &found);
    }
}

#[test]
fn every_fixture_of_the_contract_passes_from_push_to_label() {
    let fixtures: Value =
        serde_json::from_str(include_str!("../tests/contract/stream_fixtures.json")).unwrap();
    let cases = fixtures["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 16);
    cases.iter().for_each(run_case);
}

#[test]
fn under_overload_runs_of_chunks_are_skipped_counted_and_the_mean_is_that_of_the_others() {
    const INTERVAL_NS: i64 = 100_000;
    let settings = serde_json::json!({"interval_ns": INTERVAL_NS, "alpha": 4, "clip_samples": 16});
    let spec = spec(&settings);
    let chunks = Arc::new(Mutex::new(Vec::new()));
    let step = Duration::from_millis(1);
    let backend = StandIn { alpha: spec.alpha, step, trouble: None, chunks: Arc::clone(&chunks) };
    let engine = Engine::with_backend(spec, Arc::new(backend));
    let config = StreamConfig {
        ring_slots: 64,
        max_width_px: 32,
        max_height_px: 32,
        drive: crate::Drive::Host,
        ..StreamConfig::default()
    };
    let mut stream = Stream::new(&engine, &config).unwrap();
    let reader = stream.reader();
    let id = stream.begin().unwrap();
    // Three chunks come while one is worked on.
    for index in 0..240u8 {
        let pixels = [index; 32 * 32];
        let time_ns = i64::from(index) * INTERVAL_NS;
        let frame = FrameView::packed(Geometry::whole(PixelFormat::Gray8, 32, 32), &pixels, time_ns).unwrap();
        assert_eq!(stream.push(&frame), Status::Ok, "the ring must not fill: frame {index}");
        if index % 12 == 11 {
            let before = chunks.lock().len();
            while chunks.lock().len() == before && stream.process() == Status::Ok {}
        }
    }
    assert_eq!(stream.end(), Status::Ok);
    while stream.process() == Status::Ok {}
    let mut result = reader.result();
    assert_eq!(reader.wait(id, Duration::ZERO, &mut result), Status::Ok);

    let ran = chunks.lock().clone();
    let stats = reader.stats();
    assert_ne!(result.flags & crate::result::flags::DEGRADED, 0);
    assert_eq!(result.frames_used, 240, "every accepted frame is accounted for");
    assert_eq!(u64::from(result.chunks), stats.chunks);
    assert_eq!(stats.chunks, ran.len() as u64);
    assert!(stats.skipped_chunks >= 20, "{} chunks skipped", stats.skipped_chunks);
    // Each chunk is four frames in a row; a run of them has the chunks of a clip before it is left.
    let mut runs = vec![1];
    for (before, after) in ran.iter().zip(&ran[1..]) {
        let follows = after.slow == before.slow + 4;
        if follows { *runs.last_mut().unwrap() += 1 } else { runs.push(1) }
    }
    assert!(ran.iter().all(|chunk| chunk.fast.windows(2).all(|pair| pair[1] - pair[0] <= 1)));
    assert!(runs.len() > 2 && runs[..runs.len() - 1].iter().all(|&run| run >= 4), "runs {runs:?}");
    // The contract's network over the chunks that ran, with fresh state where a run starts.
    let mut state = [0.0f32; LABELS];
    let mut sums = [0.0f32; LABELS];
    for (index, chunk) in ran.iter().enumerate() {
        if index > 0 && chunk.slow != ran[index - 1].slow + 4 {
            state = [0.0; LABELS];
        }
        for (j, ((sum, state), &logit)) in (0i64..).zip(sums.iter_mut().zip(&mut state).zip(&chunk.logits)) {
            let fast: i64 = (0i64..).zip(&chunk.fast).map(|(i, f)| (f * (j + 3) + i) % 11).sum();
            let expected = (fast + (chunk.slow * (j + 1)) % 5) as f32 + 0.5 * *state;
            assert!((logit - expected).abs() < 1e-3, "chunk {index}: {logit} for {expected}");
            *state = expected / 2.0;
            *sum += expected / ran.len() as f32;
        }
    }
    crate::classifier::softmax(&mut sums, 1.0);
    for (score, expected) in result.scores.iter().zip(sums) {
        assert!((score - expected).abs() < 1e-4, "score {score} for {expected}");
    }
}

/// An acquisition of eight chunks on a network with this trouble in its third run, then another one.
fn two_acquisitions_in_trouble(
    trouble: fn() -> Result<()>,
) -> (crate::ViewResult, Status, Option<crate::ViewResult>) {
    let settings = serde_json::json!({"interval_ns": 1_000_000, "alpha": 4, "clip_samples": 16});
    let spec = spec(&settings);
    let backend = StandIn {
        alpha: spec.alpha,
        step: Duration::ZERO,
        trouble: Some(trouble),
        chunks: Arc::new(Mutex::new(Vec::new())),
    };
    let engine = Engine::with_backend(spec, Arc::new(backend));
    let config =
        StreamConfig { ring_slots: 64, max_width_px: 32, max_height_px: 32, ..StreamConfig::default() };
    let mut stream = Stream::new(&engine, &config).unwrap();
    let reader = stream.reader();
    let mut acquire = |first: i64| -> std::result::Result<crate::ViewResult, Status> {
        let id = stream.begin()?;
        for index in first..first + 32 {
            let geometry = Geometry::whole(PixelFormat::Gray8, 32, 32);
            let pixels = [7; 32 * 32];
            let status = stream.push(&FrameView::packed(geometry, &pixels, index * 1_000_000).unwrap());
            assert!(matches!(status, Status::Ok | Status::Poisoned), "{status:?}");
        }
        assert!(matches!(stream.end(), Status::Ok | Status::Poisoned));
        let mut result = reader.result();
        assert_eq!(reader.wait(id, Duration::from_secs(60), &mut result), Status::Ok);
        Ok(result)
    };
    let first = acquire(0).unwrap();
    let second = acquire(100);
    (first, reader.last_event(), second.ok())
}

#[test]
fn a_runtime_error_reaches_the_result_and_the_last_event_and_the_next_acquisition_goes_on() {
    let lost = || Err(crate::Error::new(Status::Inference, "device lost"));
    let (failed, event, next) = two_acquisitions_in_trouble(lost);
    assert_eq!((failed.status, failed.label), (Status::Inference, None));
    assert_eq!(failed.frames_used, 32, "the frames after the failure are accounted for too");
    assert_ne!(failed.flags & crate::result::flags::FINAL, 0);
    assert_eq!(event, Status::Inference);
    let next = next.expect("the stream goes on");
    assert_eq!((next.status, next.frames_used, next.chunks), (Status::Ok, 32, 8));
}

#[test]
fn a_panic_in_the_worker_ends_the_acquisition_and_poisons_the_stream_alone() {
    let (failed, event, next) = two_acquisitions_in_trouble(|| panic!("on purpose"));
    assert_eq!((failed.status, failed.label), (Status::Poisoned, None));
    assert_eq!(event, Status::Poisoned);
    assert_eq!(next, None, "begin says that the stream is poisoned");
}
