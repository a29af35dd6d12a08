//! Tests of a network that is too slow, and of several streams that share one network. The test
//! clock simulates time, so ten minutes of acquisition take only seconds.

use super::network::{CHUNK, CLIP, INTERVAL_NS, Labelled, Network, Run, config, push, wait};
use crate::classifier::posterior::softmax;
use crate::clock;
use crate::counting::grown;
use crate::engine::scheduler::Scheduler;
use crate::error::Status;
use crate::model::Mode;
use crate::result::ResultFlags;
use crate::stream::Stream;
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::stats::StreamStats;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const TEN_MINUTES: i64 = 600_000_000_000 / INTERVAL_NS;

/// Returns the grey value of a sample. The values repeat only after 256 samples, and fewer than 256
/// samples are skipped at a time, so the grey values identify the samples that the network
/// receives.
fn grey(sample: i64) -> u8 {
    (sample % 256) as u8
}

/// Pushes frames at their times on the test clock, and drives the worker. Calls `every` after each
/// frame that the worker has processed, with the number of frames pushed so far.
fn drive(stream: &mut Stream, frames: i64, mut every: impl FnMut(i64)) -> Labelled {
    let Stream { acquirer, driver, reader } = stream;
    let driver = driver.as_mut().expect("a host-driven stream");
    let acquisition = acquirer.begin().unwrap();
    clock::advance(Duration::ZERO);
    let start = clock::now();
    let mut pushed = 0;
    loop {
        let passed_ns = (clock::now() - start).as_nanos() as i64;
        while pushed < frames && pushed * INTERVAL_NS <= passed_ns {
            assert_eq!(push(acquirer, pushed, grey(pushed)), Ok(()), "frame {pushed}");
            pushed += 1;
        }
        match driver.process() {
            Ok(()) => every(pushed),
            Err(Status::NotReady) if pushed == frames => break,
            Err(Status::NotReady) => {
                clock::advance(Duration::from_nanos(
                    (pushed * INTERVAL_NS - passed_ns).max(0).cast_unsigned(),
                ));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(acquirer.end(), Ok(()));
    while driver.process().is_ok() {}
    wait(reader, acquisition)
}

fn host_driven(ring_slots: usize) -> StreamConfig {
    StreamConfig { ring_slots, drive: Drive::Host, ..config() }
}

fn too_slow(mode: Mode, hop: usize) -> Network {
    let step = INTERVAL_NS * if mode == Mode::Stream { CHUNK } else { hop } as i64;
    let memory = if mode == Mode::Stream { 0.5 } else { 0.0 };
    let takes = Duration::from_nanos(3 * step.cast_unsigned());
    Network { takes, ..Network::with_memory(mode, memory) }
}

/// Returns the first sample of each run and the number of different samples in that run. This
/// number is smaller for a completed partial chunk, because such a chunk repeats its last sample.
fn find_samples(runs: &[Run]) -> Vec<(i64, usize)> {
    let mut first = 0;
    let of = |run: &Run| {
        first += i64::from(run.greys[0].wrapping_sub(grey(first)));
        let real = 1 + run.greys.windows(2).take_while(|pair| pair[0] != pair[1]).count();
        (first, real)
    };
    runs.iter().map(of).collect()
}

#[test]
fn a_slow_network_skips_runs_of_chunks_and_counts_them() {
    let network = too_slow(Mode::Stream, 0);
    let log = network.runs.clone().unwrap();
    let engine = network.engine();
    let mut stream = Stream::open(&engine, &host_driven(128)).unwrap();
    let result = drive(&mut stream, TEN_MINUTES, |_| ());
    let (runs, stats) = (log.lock().clone(), stream.reader.stats());
    assert_ne!(result.flags & ResultFlags::DEGRADED, ResultFlags::empty());
    assert_eq!((result.frames_used, result.frames_dropped), (TEN_MINUTES as u64, 0));
    assert_eq!((stats.chunks, u64::from(result.chunks)), (runs.len() as u64, runs.len() as u64));

    // Between two skips, the network runs on consecutive chunks. Each such sequence begins with the
    // initial state and is at least as long as a clip.
    let samples = find_samples(&runs);
    let (mut skipped, mut last, mut length) = (0, 0, 0);
    for (index, (&(first, real), run)) in samples.iter().zip(&runs).enumerate() {
        let expected: Vec<u8> = (0..CHUNK).map(|i| grey(first + i.min(real - 1) as i64)).collect();
        assert_eq!(run.greys, expected, "run {index} is not the chunk at {first}");
        let next = samples.get(index + 1).map_or(TEN_MINUTES, |next| next.0);
        let left = next - first - CHUNK as i64;
        length += 1;
        if left != 0 || real < CHUNK {
            assert!(length >= CLIP / CHUNK, "only {length} chunks before sample {next}");
            last = u64::try_from(left).unwrap_or(0) / CHUNK as u64;
            skipped += last;
            length = 0;
        }
        assert_eq!(
            runs.get(index + 1).is_some_and(|next| next.is_fresh),
            length == 0 && index + 1 < runs.len()
        );
    }
    // The last segment may be too short for a chunk. The network then does not run on the samples
    // of that segment, and they do not count as skipped either.
    let ended = skipped - stats.skipped_chunks;
    assert!(ended <= last.min(1), "{} chunks skipped, not {skipped}", stats.skipped_chunks);
    // The network has time for one chunk in three. At the start of each segment, it waits until the
    // first chunk is full, so it runs on slightly fewer than a third of the chunks.
    let third = TEN_MINUTES as u64 / CHUNK as u64 / 3;
    assert!((third * 9 / 10..=third).contains(&stats.chunks), "{} chunks of {third}", stats.chunks);

    // Compute the mean of the chunks that ran, as the contract defines it.
    let (mut state, mut sums) = ([0.0f64; 2], [0.0f64; 2]);
    for run in &runs {
        if run.is_fresh {
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
fn overload_does_not_grow_the_memory() {
    for (mode, hop) in [(Mode::Stream, 0), (Mode::Window, 4)] {
        let engine = Network { runs: None, ..too_slow(mode, hop) }.engine();
        let config = StreamConfig {
            window_hop_samples: hop,
            exact_history_ns: 1_000_000_000,
            ..host_driven(256)
        };
        let mut stream = Stream::open(&engine, &config).unwrap();
        let minute = TEN_MINUTES / 10;
        drive(&mut stream, minute, |_| ());
        let (bytes, seen) = grown(|| drive(&mut stream, TEN_MINUTES, |_| ()).flags);
        assert_ne!(seen & ResultFlags::DEGRADED, ResultFlags::empty());
        assert_eq!(bytes, 0, "{mode:?}");
    }
}

#[test]
fn window_mode_skips_windows_and_counts_them() {
    let hop = 4;
    let network = too_slow(Mode::Window, hop);
    let log = network.runs.clone().unwrap();
    let engine = network.engine();
    let config = StreamConfig { window_hop_samples: hop, ..host_driven(256) };
    let mut stream = Stream::open(&engine, &config).unwrap();
    let frames = TEN_MINUTES - 3;
    let result = drive(&mut stream, frames, |_| ());
    let (runs, stats) = (log.lock().clone(), stream.reader.stats());
    assert_ne!(result.flags & ResultFlags::DEGRADED, ResultFlags::empty());
    let due = (frames as usize - CLIP) / hop + 1;
    assert_eq!(
        stats.chunks + stats.skipped_chunks,
        due as u64 + 1,
        "the windows on the grid and the last one"
    );
    assert_eq!(stats.chunks, runs.len() as u64);
    let samples = find_samples(&runs);
    assert!(samples[..samples.len() - 1].iter().all(|(first, _)| first % hop as i64 == 0));
    assert_eq!(samples[samples.len() - 1].0, frames - CLIP as i64);
}

#[test]
fn every_chunk_ran_or_counts_as_skipped() {
    // With these lengths, acquisitions end at every possible point of a sequence of skipped chunks.
    for frames in 900..950 {
        let network = too_slow(Mode::Stream, 0);
        let log = network.runs.clone().unwrap();
        let engine = network.engine();
        let mut stream = Stream::open(&engine, &host_driven(128)).unwrap();
        let mut all = 0;
        drive(&mut stream, frames, |pushed| all = pushed);
        assert_eq!(all, frames);
        let StreamStats { chunks, skipped_chunks, .. } = stream.reader.stats();
        let runs = log.lock().len() as u64;
        assert_eq!(chunks, runs);
        // A sequence of skipped chunks ends every twelve chunks. At its end, the samples of up
        // to one chunk are neither processed nor counted as skipped.
        let whole = frames as u64 / CHUNK as u64;
        let ends = whole / 12 + 1;
        assert!(
            chunks + skipped_chunks <= whole + 1,
            "{frames}: {chunks} + {skipped_chunks} of {whole}"
        );
        assert!(
            chunks + skipped_chunks + ends >= whole,
            "{frames}: {chunks} + {skipped_chunks} of {whole}"
        );
    }
}

#[test]
fn streams_wait_for_at_most_one_step_of_each_other() {
    const STREAMS: u64 = 5;
    const ROUNDS: usize = 20;
    let scheduler: Arc<OnceLock<Arc<Scheduler>>> = Arc::default();
    let order: Arc<Mutex<Vec<Run>>> = Arc::default();
    let (seen, log) = (Arc::clone(&scheduler), Arc::clone(&order));
    // Except in the last round, each step lasts until all other streams are waiting.
    let during = move || {
        let all_wait = log.lock().len() < (ROUNDS - 1) * STREAMS as usize;
        while all_wait && seen.get().unwrap().waiting() < STREAMS - 1 {
            std::thread::yield_now();
        }
        Ok(())
    };
    let network = Network {
        during: Some(Box::new(during)),
        runs: Some(Arc::clone(&order)),
        ..Network::default()
    };
    let engine = network.engine();
    scheduler.set(Arc::clone(engine.scheduler())).ok().unwrap();
    let mut streams: Vec<_> =
        (0..STREAMS).map(|_| Stream::open(&engine, &config()).unwrap()).collect();
    for stream in &mut streams {
        stream.acquirer.begin().unwrap();
        for sample in 0..(ROUNDS * CHUNK) as i64 {
            assert_eq!(push(&mut stream.acquirer, sample, 0), Ok(()));
        }
        assert_eq!(stream.acquirer.end(), Ok(()));
    }
    for stream in &streams {
        assert_eq!(wait(&stream.reader, 1).chunks, ROUNDS as u32);
    }
    let order: Vec<usize> = order.lock().iter().map(|run| run.session).collect();
    let first = &order[..STREAMS as usize];
    for (round, sessions) in order.chunks(STREAMS as usize).take(ROUNDS - 1).enumerate() {
        assert_eq!(sessions, first, "round {round}");
    }
}

#[test]
fn a_query_shows_whether_its_interval_has_skips() {
    for (mode, hop) in [(Mode::Stream, 0), (Mode::Window, 4)] {
        let engine = too_slow(mode, hop).engine();
        let config = StreamConfig {
            window_hop_samples: hop,
            exact_history_ns: 20_000_000_000,
            ..host_driven(128)
        };
        let mut stream = Stream::open(&engine, &config).unwrap();
        let result = drive(&mut stream, 1000, |_| ());
        assert!(result.flags.contains(ResultFlags::DEGRADED), "{mode:?}");
        let reader = &stream.reader;
        let is_degraded = |is_exact: bool, samples: usize| {
            let (to, long) = (samples as i64 * INTERVAL_NS - 1, Duration::from_secs(60));
            let answer = if is_exact {
                reader.query_exact(0, to, long, &mut [])
            } else {
                reader.query(0, to, Duration::ZERO, &mut [])
            };
            answer.unwrap().result.flags.contains(ResultFlags::DEGRADED)
        };
        // The first clip always runs.
        assert!(!is_degraded(false, CLIP) && !is_degraded(true, CLIP), "{mode:?}");
        assert!(is_degraded(false, 1000), "{mode:?}");
        // In window mode, the samples of skipped windows are kept.
        assert_eq!(is_degraded(true, 1000), mode == Mode::Stream);
    }
}
