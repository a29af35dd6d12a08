//! A network that is too slow, and several streams on one: what is left out, what is counted, whose turn it is. Time
//! passes on the clock of the tests, so ten minutes of a stream take seconds.

use crate::classifier::softmax;
use crate::counting::grown;
use crate::model::Mode;
use crate::result::flags;
use crate::stream::Drive;
use crate::test_network::{CHUNK, CLIP, INTERVAL_NS, Network, Run, config, push};
use crate::turn::Turn;
use crate::{Status, Stream, StreamConfig, StreamStats, ViewResult, clock};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const TEN_MINUTES: i64 = 600_000_000_000 / INTERVAL_NS;

/// Grey of a sample; runs of skipped samples are shorter than the cycle.
fn grey(sample: i64) -> u8 {
    (sample % 256) as u8
}

/// Frames at their times on the clock of the tests into a worker that this thread drives. Calls `every` after each
/// frame that the worker has handled.
fn drive(stream: &mut Stream, frames: i64, mut every: impl FnMut(i64)) -> ViewResult {
    let reader = stream.reader();
    let mut result = reader.result();
    let id = stream.begin().unwrap();
    clock::pass(Duration::ZERO);
    let start = clock::now();
    let mut pushed = 0;
    loop {
        let passed_ns = (clock::now() - start).as_nanos() as i64;
        while pushed < frames && pushed * INTERVAL_NS <= passed_ns {
            assert_eq!(push(stream, pushed, grey(pushed)), Status::Ok, "the ring is full at frame {pushed}");
            pushed += 1;
        }
        match stream.process() {
            Status::Ok => every(pushed),
            Status::NotReady if pushed == frames => break,
            Status::NotReady => {
                clock::pass(Duration::from_nanos((pushed * INTERVAL_NS - passed_ns).max(0).cast_unsigned()));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(stream.end(), Status::Ok);
    while stream.process() == Status::Ok {}
    assert_eq!(reader.wait(id, Duration::ZERO, &mut result), Status::Ok);
    result
}

fn driven(ring_slots: usize) -> StreamConfig {
    StreamConfig { ring_slots, drive: Drive::Host, ..config() }
}

fn too_slow(mode: Mode, hop: usize) -> Network {
    let step = INTERVAL_NS * if mode == Mode::Stream { CHUNK } else { hop } as i64;
    let memory = if mode == Mode::Stream { 0.5 } else { 0.0 };
    Network { mode, memory, takes: Duration::from_nanos(3 * step.cast_unsigned()), ..Network::default() }
}

/// First sample of each run, and how many samples it really has: a completed chunk repeats its last.
fn samples(runs: &[Run]) -> Vec<(i64, usize)> {
    let mut first = 0;
    let of = |run: &Run| {
        first += i64::from(run.greys[0].wrapping_sub(grey(first)));
        let real = 1 + run.greys.windows(2).take_while(|pair| pair[0] != pair[1]).count();
        (first, real)
    };
    runs.iter().map(of).collect()
}

#[test]
fn ten_minutes_of_a_network_three_times_too_slow_skip_runs_of_chunks_and_count_every_one() {
    let network = too_slow(Mode::Stream, 0);
    let log = network.runs.clone().unwrap();
    let engine = network.engine();
    let mut stream = Stream::new(&engine, &driven(128)).unwrap();
    let result = drive(&mut stream, TEN_MINUTES, |_| ());
    let (runs, stats) = (log.lock().clone(), stream.reader().stats());
    assert_ne!(result.flags & flags::DEGRADED, 0);
    assert_eq!((result.frames_used, result.frames_dropped), (TEN_MINUTES as u64, 0));
    assert_eq!((stats.chunks, u64::from(result.chunks)), (runs.len() as u64, runs.len() as u64));

    // Runs of chunks, one after the other, each run from initial state and of the chunks of a clip at least.
    let samples = samples(&runs);
    let (mut skipped, mut last, mut length) = (0, 0, 0);
    for (index, (&(first, real), run)) in samples.iter().zip(&runs).enumerate() {
        let expected: Vec<u8> = (0..CHUNK).map(|i| grey(first + i.min(real - 1) as i64)).collect();
        assert_eq!(run.greys, expected, "run {index} is no chunk of {first}");
        let next = samples.get(index + 1).map_or(TEN_MINUTES, |next| next.0);
        let left = next - first - CHUNK as i64;
        length += 1;
        if left != 0 || real < CHUNK {
            assert!(length >= CLIP / CHUNK, "only {length} chunks before sample {next}");
            last = u64::try_from(left).unwrap_or(0) / CHUNK as u64;
            skipped += last;
            length = 0;
        }
        assert_eq!(runs.get(index + 1).is_some_and(|next| next.fresh), length == 0 && index + 1 < runs.len());
    }
    // After the last run there may be a segment too short for a chunk, which is not skipped.
    let ended = skipped - stats.skipped_chunks;
    assert!(ended <= last.min(1), "{} chunks skipped, not {skipped}", stats.skipped_chunks);
    // Two of three chunks do not find time, and the network waits a moment for the first chunk of each segment.
    let third = TEN_MINUTES as u64 / CHUNK as u64 / 3;
    assert!((third * 9 / 10..=third).contains(&stats.chunks), "{} chunks of {third}", stats.chunks);

    // The contract's mean over the chunks that ran.
    let (mut state, mut sums) = ([0.0f64; 2], [0.0f64; 2]);
    for run in &runs {
        if run.fresh {
            state = [0.0; 2];
        }
        let grey = run.greys.iter().map(|&grey| f64::from(grey)).sum::<f64>() / CHUNK as f64;
        let bright = (grey - 120.0) / 20.0;
        for ((sum, state), seen) in sums.iter_mut().zip(&mut state).zip([-bright, bright]) {
            *state = seen + 0.5 * *state;
            *sum += *state / runs.len() as f64;
        }
    }
    let mut expected = sums.map(|sum| sum as f32);
    softmax(&mut expected, 1.0);
    for (score, expected) in result.scores.iter().zip(expected) {
        assert!((score - expected).abs() < 1e-4, "score {score} for {expected}");
    }
}

#[test]
fn ten_minutes_of_overload_take_no_more_memory_than_the_first() {
    for (mode, hop) in [(Mode::Stream, 0), (Mode::Window, 4)] {
        let engine = Network { runs: None, ..too_slow(mode, hop) }.engine();
        let config = StreamConfig { window_hop_samples: hop, exact_history_ns: 1_000_000_000, ..driven(256) };
        let mut stream = Stream::new(&engine, &config).unwrap();
        let minute = TEN_MINUTES / 10;
        drive(&mut stream, minute, |_| ());
        let (bytes, seen) = grown(|| drive(&mut stream, TEN_MINUTES, |_| ()).flags);
        assert_ne!(seen & flags::DEGRADED, 0);
        assert_eq!(bytes, 0, "{mode:?}");
    }
}

#[test]
fn window_mode_leaves_out_windows_and_counts_every_one() {
    let hop = 4;
    let network = too_slow(Mode::Window, hop);
    let log = network.runs.clone().unwrap();
    let engine = network.engine();
    let config = StreamConfig { window_hop_samples: hop, ..driven(256) };
    let mut stream = Stream::new(&engine, &config).unwrap();
    let frames = TEN_MINUTES - 3;
    let result = drive(&mut stream, frames, |_| ());
    let (runs, stats) = (log.lock().clone(), stream.reader().stats());
    assert_ne!(result.flags & flags::DEGRADED, 0);
    let due = (frames as usize - CLIP) / hop + 1;
    assert_eq!(
        stats.chunks + stats.skipped_chunks,
        due as u64 + 1,
        "all on the grid, and the last to the end"
    );
    assert_eq!(stats.chunks, runs.len() as u64);
    let samples = samples(&runs);
    assert!(samples[..samples.len() - 1].iter().all(|(first, _)| first % hop as i64 == 0));
    assert_eq!(samples[samples.len() - 1].0, frames - CLIP as i64);
}

#[test]
fn wherever_an_acquisition_ends_its_chunks_ran_or_were_counted_as_skipped() {
    // The first ten seconds end in every phase of a skip.
    for frames in 900..950 {
        let network = too_slow(Mode::Stream, 0);
        let log = network.runs.clone().unwrap();
        let engine = network.engine();
        let mut stream = Stream::new(&engine, &driven(128)).unwrap();
        let mut all = 0;
        drive(&mut stream, frames, |pushed| all = pushed);
        assert_eq!(all, frames);
        let StreamStats { chunks, skipped_chunks, .. } = stream.reader().stats();
        let runs = log.lock().len() as u64;
        assert_eq!(chunks, runs);
        // Less than a chunk is neither at each of the ends of a run, of which there is one in twelve chunks.
        let whole = frames as u64 / CHUNK as u64;
        let ends = whole / 12 + 1;
        assert!(chunks + skipped_chunks <= whole + 1, "{frames}: {chunks} + {skipped_chunks} of {whole}");
        assert!(chunks + skipped_chunks + ends >= whole, "{frames}: {chunks} + {skipped_chunks} of {whole}");
    }
}

#[test]
fn of_several_streams_on_one_engine_none_waits_for_more_than_one_step_of_each_other() {
    const STREAMS: u64 = 5;
    const ROUNDS: usize = 20;
    let turn: Arc<OnceLock<Arc<Turn>>> = Arc::default();
    let order: Arc<Mutex<Vec<Run>>> = Arc::default();
    let (seen, log) = (Arc::clone(&turn), Arc::clone(&order));
    // A run goes on until all others ask, as long as they have something left to run.
    let during = move || {
        let all_ask = log.lock().len() < (ROUNDS - 1) * STREAMS as usize;
        while all_ask && seen.get().unwrap().waiting() < STREAMS - 1 {
            std::thread::yield_now();
        }
    };
    let network =
        Network { during: Some(Box::new(during)), runs: Some(Arc::clone(&order)), ..Network::default() };
    let engine = network.engine();
    turn.set(Arc::clone(&engine.turn)).ok().unwrap();
    let mut streams: Vec<_> = (0..STREAMS).map(|_| Stream::new(&engine, &config()).unwrap()).collect();
    for stream in &mut streams {
        stream.begin().unwrap();
        for sample in 0..(ROUNDS * CHUNK) as i64 {
            assert_eq!(push(stream, sample, 0), Status::Ok);
        }
        assert_eq!(stream.end(), Status::Ok);
    }
    for stream in &streams {
        let reader = stream.reader();
        let mut result = reader.result();
        assert_eq!(reader.wait(1, Duration::from_secs(60), &mut result), Status::Ok);
        assert_eq!(result.chunks, ROUNDS as u32);
    }
    let order: Vec<usize> = order.lock().iter().map(|run| run.session).collect();
    let first = &order[..STREAMS as usize];
    for (round, sessions) in order.chunks(STREAMS as usize).take(ROUNDS - 1).enumerate() {
        assert_eq!(sessions, first, "round {round}");
    }
}
