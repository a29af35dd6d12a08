//! Tests of timestamps in the whole range of `i64`, from push to label, against a model of
//! docs/stream-contract.md that computes with `i128`.

use super::network::{
    CHUNK, INTERVAL_NS, Network, acquire_once, config, create_spec, push_at, wait,
};
use crate::engine::Engine;
use crate::model::{Mode, ModelSpec};
use crate::stream::Stream;
use crate::stream::acquirer::PushError;
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::frame_order::AGREEING_FRAMES;
use proptest::prelude::*;
use std::sync::OnceLock;
use std::time::Duration;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Network { runs: None, ..Network::default() }.engine())
}

/// A model of an acquisition in stream mode, with one label span and the default rule for partial
/// chunks.
struct Model {
    interval: i128,
    gap: i128,
    span: i128,
    accepted: Vec<i128>,
    late: Vec<i128>,
    steps: u64,
    /// First frame and samples of the open segment.
    segment: Option<(usize, Vec<usize>)>,
    chunks: Vec<ModelChunk>,
    first_comparable: usize,
}

#[derive(Clone, Debug)]
struct ModelChunk {
    frames: Vec<usize>,
    first: i128,
    last: i128,
}

impl Model {
    fn new(interval: i64, gap: i64, span: i64) -> Self {
        Self {
            interval: interval.into(),
            gap: gap.into(),
            span: span.into(),
            accepted: Vec::new(),
            late: Vec::new(),
            steps: 0,
            segment: None,
            chunks: Vec::new(),
            first_comparable: 0,
        }
    }

    /// Adds a frame, and returns whether it is accepted.
    fn add_frame(&mut self, time: i128) -> bool {
        if let Some(&last) = self.accepted.last() {
            if time <= last {
                if !self.late.last().is_some_and(|&l| l < time && time - l <= self.gap) {
                    self.late.clear();
                }
                self.late.push(time);
                if (self.late.len() as u32) < AGREEING_FRAMES {
                    return false;
                }
                self.end_segment();
                self.steps += 1;
                let earlier = self.chunks.iter().skip(self.first_comparable);
                if earlier.map(|chunk| chunk.last).max().is_some_and(|newest| newest >= time) {
                    self.first_comparable = self.chunks.len();
                }
            } else if time - last > self.gap {
                self.end_segment();
            }
        }
        self.late.clear();
        self.accepted.push(time);
        let newest = self.accepted.len() - 1;
        let (first, samples) = self.segment.get_or_insert((newest, Vec::new()));
        loop {
            let grid = self.accepted[*first] + samples.len() as i128 * self.interval;
            if grid > time {
                return true;
            }
            let distance = |frame: usize| ((self.accepted[frame] - grid).abs(), frame);
            let nearest =
                (newest.saturating_sub(1).max(*first)..=newest).min_by_key(|&f| distance(f));
            samples.push(nearest.unwrap());
        }
    }

    fn end_segment(&mut self) {
        let Some((first, samples)) = self.segment.take() else { return };
        for (index, frames) in samples.chunks(CHUNK).enumerate() {
            if 2 * frames.len() < CHUNK && !self.chunks.is_empty() {
                continue;
            }
            let grid = |sample: usize| self.accepted[first] + sample as i128 * self.interval;
            let mut held = frames.to_vec();
            held.resize(CHUNK, frames[frames.len() - 1]);
            let first = index * CHUNK;
            let chunk = ModelChunk {
                frames: held,
                first: grid(first),
                last: grid(first + frames.len() - 1),
            };
            self.chunks.push(chunk);
        }
    }

    /// Returns the chunks that count for the label.
    fn label_chunks(&self) -> Vec<ModelChunk> {
        if self.span == 0 {
            return self.chunks.clone();
        }
        let comparable = &self.chunks[self.first_comparable..];
        let newest = comparable.last().map_or(0, |chunk| chunk.last);
        comparable.iter().filter(|chunk| chunk.last > newest - self.span).cloned().collect()
    }
}

/// A change of the host's clock from one frame to the next.
#[derive(Clone, Debug)]
enum Tick {
    /// Part of `gap_ns`, in thousandths.
    Forward(i64),
    Back(i64),
    To(i64),
    /// To within this many thousandths of `gap_ns` of a limit of `i64`.
    NearEnd(bool, i64),
}

fn tick() -> impl Strategy<Value = Tick> {
    prop_oneof![
        20 => (0..1100i64).prop_map(Tick::Forward),
        2 => (0..4000i64).prop_map(Tick::Back),
        1 => any::<i64>().prop_map(Tick::To),
        1 => (any::<bool>(), 0..2000i64).prop_map(|(late, part)| Tick::NearEnd(late, part)),
    ]
}

/// Returns a duration up to `most` whose order of magnitude is random.
fn duration(most: i64) -> impl Strategy<Value = i64> {
    (1..=most, 0..63u32).prop_map(|(value, shift)| (value >> shift).max(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_times_give_the_chunks_of_the_contract(
        start in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(0)],
        ticks in prop::collection::vec(tick(), 0..80),
        gap_ns in duration(10_000_000_000),
        samples_per_gap in 1..6i64,
        has_span: bool,
    ) {
        let interval_ns = (gap_ns / samples_per_gap).max(1);
        let label_span_ns = if has_span { gap_ns * 2 } else { 0 };
        let history_ns = label_span_ns.max(1000 * interval_ns).min(3_600_000_000_000);
        let spec =
            ModelSpec { sample_interval_ns: interval_ns, ..create_spec(Mode::Stream, 2) };
        let network = Network { spec, ..Network::default() };
        let runs = network.runs.clone().unwrap();
        // The test processes each frame at once, so no chunk is skipped, however short it is.
        let config =
            StreamConfig { gap_ns, label_span_ns, history_ns, drive: Drive::Host, ..config() };
        let Stream { mut acquirer, reader, driver } =
            Stream::open(&network.engine(), &config).unwrap();
        let mut driver = driver.unwrap();
        let mut model = Model::new(interval_ns, gap_ns, label_span_ns);
        let acquisition = acquirer.begin().unwrap();
        let part = |part: i64| (i128::from(gap_ns) * i128::from(part) / 1000) as i64;
        let (mut time, mut refused) = (start, 0);
        for tick in std::iter::once(Tick::Forward(0)).chain(ticks) {
            // A clock that leaves the range of i64 wraps.
            time = match tick {
                Tick::Forward(by) => time.wrapping_add(part(by)),
                Tick::Back(by) => time.wrapping_sub(part(by)),
                Tick::To(time) => time,
                Tick::NearEnd(true, by) => i64::MAX.wrapping_sub(part(by)),
                Tick::NearEnd(false, by) => i64::MIN.wrapping_add(part(by)),
            };
            let grey = model.accepted.len() as u8;
            let expected =
                if model.add_frame(time.into()) { Ok(()) } else { Err(PushError::Refused) };
            prop_assert_eq!(push_at(&mut acquirer, time, grey), expected);
            while driver.process().is_ok() {}
            refused += u64::from(expected.is_err());
        }
        acquirer.end().unwrap();
        while driver.process().is_ok() {}
        model.end_segment();
        let result = wait(&reader, acquisition);
        let stats = reader.stats();
        prop_assert_eq!(result.status, crate::Status::Ok);
        prop_assert_eq!((stats.refused, stats.clock_steps), (refused, model.steps));
        prop_assert_eq!(result.frames_used, model.accepted.len() as u64);
        let seen: Vec<Vec<usize>> = runs
            .lock()
            .iter()
            .map(|run| run.greys.iter().map(|&grey| grey.into()).collect())
            .collect();
        let expected: Vec<Vec<usize>> =
            model.chunks.iter().map(|chunk| chunk.frames.clone()).collect();
        prop_assert_eq!(seen, expected);
        let counted = model.label_chunks();
        prop_assert_eq!(result.chunks as usize, counted.len());
        if let (Some(first), Some(last)) = (counted.first(), counted.last()) {
            let span = (i128::from(result.first_time_ns), i128::from(result.last_time_ns));
            prop_assert_eq!(span, (first.first, last.last));
        }
        let all = reader.query(i64::MIN, i64::MAX, Duration::ZERO, &mut []);
        let newest = model.chunks[model.first_comparable..].last();
        let ends = all.map(|answer| i128::from(answer.result.last_time_ns));
        prop_assert_eq!(ends.ok(), newest.map(|chunk| chunk.last));
    }

    #[test]
    fn frame_periods_of_any_length_do_not_wrap(period in duration(i64::MAX), frames in 1..30i64) {
        let network = Network::default();
        let config = StreamConfig { frame_period_ns: period, ..config() };
        let Stream { mut acquirer, reader, .. } =
            Stream::open(&network.engine(), &config).unwrap();
        let acquisition = acquirer.begin().unwrap();
        for frame in 0..frames {
            // The frame before has the largest time if the exact time of this one is beyond it.
            let exact = |frame: i64| i128::from(frame) * i128::from(period);
            let saturates = frame > 0 && exact(frame - 1) >= i64::MAX.into();
            let expected = if saturates { Err(PushError::Refused) } else { Ok(()) };
            prop_assert_eq!(push_at(&mut acquirer, 0, 0), expected);
        }
        acquirer.end().unwrap();
        let result = wait(&reader, acquisition);
        prop_assert_eq!(result.status, crate::Status::Ok);
        prop_assert!(0 <= result.first_time_ns && result.first_time_ns <= result.last_time_ns);
        prop_assert_eq!(reader.stats().clock_steps, 0);
    }

    #[test]
    fn whole_chunks_at_the_ends_of_i64_have_exact_times(chunks in 1i64..8, is_late: bool) {
        let samples = chunks * CHUNK as i64;
        let length = (samples - 1) * INTERVAL_NS;
        let start = if is_late { i64::MAX - length } else { i64::MIN };
        let Stream { mut acquirer, reader, .. } = Stream::open(engine(), &config()).unwrap();
        let acquisition = acquirer.begin().unwrap();
        for sample in 0..samples {
            push_at(&mut acquirer, start + sample * INTERVAL_NS, 0).unwrap();
        }
        acquirer.end().unwrap();
        let result = wait(&reader, acquisition);
        prop_assert_eq!(i64::from(result.chunks), chunks);
        prop_assert_eq!(result.first_time_ns, start);
        prop_assert_eq!(result.last_time_ns, start + length);
    }
}

/// A frame that arrives late stands for several samples. The label equals that of the same samples
/// in frames of their own.
#[test]
fn a_frame_of_several_samples_equals_that_many_frames() {
    const APART: i64 = 5;
    let grey = |frame: i64| (frame * frame * 7 % 251) as u8;
    for mode in [Mode::Window, Mode::Stream] {
        let engine = Network::with_memory(mode, 0.9).engine();
        let config = StreamConfig { window_hop_samples: 3, ..config() };
        let sparse = (0..20).map(|frame| (frame * APART, grey(frame)));
        // Each sample is the nearest frame, and none follows the last frame.
        let nearest = |sample| (sample, grey((sample + APART / 2) / APART));
        let dense = (0..=19 * APART).map(nearest);
        let [sparse, dense] =
            [acquire_once(&engine, &config, sparse), acquire_once(&engine, &config, dense)];
        assert_eq!((sparse.label, sparse.scores), (dense.label, dense.scores), "{mode:?}");
        assert_eq!(sparse.result.chunks, dense.result.chunks);
    }
}
