//! Soak by the clock: three streams at 60 frames per second with faults of the host, pauses and new
//! engines. Every frame is accounted for, and the resident memory does not grow.
//!
//! The test runs for three seconds, for a minute with `TTEVIEW_FULL=1`, or for the number of
//! minutes in `TTEVIEW_SOAK_MINUTES`. The hosts run in rounds. Between two rounds nothing is open,
//! so the resident memory of different rounds can be compared. The test checks the memory only if
//! it runs for at least a minute.

mod common;

use common::{TIMEOUT, create_engine, grey_frame, is_full_run};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::{Acquirer, Drive, Driver, Engine, PushError, Status, Stream, StreamConfig};

const PERIOD: Duration = Duration::from_nanos(16_666_667);
const PERIOD_NS: i64 = 16_666_667;

/// Largest width and height of a frame that the streams accept.
const MAX_SIDE: u32 = 96;

/// Maximum growth of the resident memory after the first sixth of the time.
const MAX_GROWTH_BYTES: i64 = 1_000_000;

/// Shortest and longest duration of a round. A soak of a minute has 60 rounds, one of an hour 360.
const ROUND_TIMES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// The drives of the three streams.
const DRIVES: [Drive; 3] = [Drive::Wake, Drive::Poll, Drive::Host];

/// A 32-bit xorshift generator.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}

/// Counts of frames and acquisitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    accepted: u64,
    dropped: u64,
    refused: u64,
    invalid: u64,
    acquisitions: u64,
    streams: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.dropped += other.dropped;
        self.refused += other.refused;
        self.invalid += other.invalid;
        self.acquisitions += other.acquisitions;
        self.streams += other.streams;
    }
}

/// A host with one stream at a time.
struct Host {
    random: Random,
    drive: Drive,
    pixels: Vec<u8>,
    /// Time of the host's clock, which steps and has gaps.
    time_ns: i64,
    sequence: u64,
    geometry: Geometry,
    /// Time at which the next frame is due.
    due: Instant,
}

impl Host {
    fn new(index: usize) -> Self {
        Self {
            random: Random(0x9e37_79b9 ^ (index as u32 + 1)),
            drive: DRIVES[index],
            pixels: vec![0; 4 * (MAX_SIDE * MAX_SIDE) as usize],
            time_ns: 0,
            sequence: 0,
            geometry: grey_frame(64, 64),
            due: Instant::now(),
        }
    }

    /// Opens streams on the current engine and acquires until `end`.
    fn run(&mut self, engine: &Mutex<Arc<Engine>>, end: Instant) -> Counts {
        let mut total = Counts::default();
        while Instant::now() < end {
            let current = Arc::clone(&engine.lock().unwrap());
            total.add(self.use_stream(&current, end));
        }
        total
    }

    /// Opens a stream, makes up to four acquisitions, and checks the counters of the stream.
    fn use_stream(&mut self, engine: &Engine, end: Instant) -> Counts {
        let config = StreamConfig {
            ring_slots: 8,
            max_width_px: MAX_SIDE,
            max_height_px: MAX_SIDE,
            exact_history_ns: 500_000_000,
            drive: self.drive,
            ..StreamConfig::default()
        };
        let mut stream = Stream::open(engine, &config).unwrap();
        let mut total = Counts { streams: 1, ..Counts::default() };
        for _ in 0..=self.random.below(4) {
            if Instant::now() < end {
                total.add(self.acquire(&mut stream, end));
            }
        }
        let stats = stream.reader.stats();
        assert_eq!(
            (stats.pushed, stats.dropped, stats.refused),
            (total.accepted, total.dropped, total.refused)
        );
        total
    }

    /// Acquires up to two seconds of frames and checks the final result.
    fn acquire(&mut self, stream: &mut Stream, end: Instant) -> Counts {
        let Stream { acquirer, reader, driver } = stream;
        let mut counts = Counts { acquisitions: 1, ..Counts::default() };
        let acquisition = acquirer.begin().unwrap();
        assert_eq!(acquirer.begin(), Err(Status::WrongState));
        self.due = Instant::now();
        for _ in 0..self.random.below(120) {
            if Instant::now() >= end {
                break;
            }
            self.disturb(acquirer, &mut counts);
            self.push(acquirer, &mut counts);
            run_driver(driver);
        }
        if self.random.below(4) == 0 {
            let from_ns = self.time_ns.saturating_sub(400_000_000);
            let timeout = Duration::from_millis(1);
            match reader.query_exact(from_ns, self.time_ns, timeout, &mut []) {
                Ok(_) | Err(Status::Empty | Status::TimedOut) => {}
                Err(status) => panic!("an exact query returned {status:?}"),
            }
        }
        acquirer.end().unwrap();
        assert_eq!(acquirer.end(), Err(Status::WrongState));
        let start = Instant::now();
        let result = loop {
            run_driver(driver);
            // A host-driven stream publishes the result only when the host runs the worker.
            let timeout = if driver.is_some() { Duration::from_millis(1) } else { TIMEOUT };
            match reader.wait(acquisition, timeout, &mut []) {
                Err(Status::TimedOut) if start.elapsed() < TIMEOUT => {}
                outcome => break outcome.unwrap(),
            }
        };
        assert_eq!((result.status, result.acquisition), (Status::Ok, acquisition));
        assert_eq!((result.frames_used, result.frames_dropped), (counts.accepted, counts.dropped));
        counts
    }

    /// Possibly makes one of the faults that hosts make.
    fn disturb(&mut self, acquirer: &mut Acquirer, counts: &mut Counts) {
        match self.random.below(160) {
            0 => assert_eq!(acquirer.mark(), Ok(())),
            // The host misses frames.
            1 => self.time_ns += 3 * PERIOD_NS,
            // A gap.
            2 => self.time_ns += 400_000_000,
            // The clock steps back by half a second, or repeats a time.
            3 => self.time_ns -= 500_000_000,
            4 => self.time_ns -= PERIOD_NS,
            5 => {
                let formats = [PixelFormat::Gray8, PixelFormat::Rgb24, PixelFormat::Nv12];
                let format = formats[self.random.below(3) as usize];
                let side = 32 + 16 * self.random.below(5);
                self.geometry = Geometry::new(format, side, 64).unwrap();
            }
            // A frame that is too large.
            6 => {
                let geometry = grey_frame(MAX_SIDE + 1, MAX_SIDE);
                let frame = FrameView::new(geometry, &self.pixels).unwrap();
                let error = PushError::Invalid(Status::FrameTooLarge);
                assert_eq!(acquirer.push(&frame.with_time_ns(self.time_ns)), Err(error));
                counts.invalid += 1;
            }
            // A burst: the next frames are due now.
            7 => self.due -= 12 * PERIOD,
            // The host stalls.
            8 => self.due += 5 * PERIOD,
            _ => {}
        }
    }

    /// Waits until the next frame is due, and pushes or commits it.
    fn push(&mut self, acquirer: &mut Acquirer, counts: &mut Counts) {
        self.due += PERIOD;
        std::thread::sleep(self.due.saturating_duration_since(Instant::now()));
        self.time_ns += PERIOD_NS;
        self.sequence += 1;
        let grey = self.random.below(256) as u8;
        let outcome = if self.random.below(8) == 0 {
            self.lend_and_commit(acquirer, counts, grey)
        } else {
            self.pixels.fill(grey);
            let frame = FrameView::new(self.geometry, &self.pixels).unwrap();
            acquirer.push(&frame.with_time_ns(self.time_ns).with_sequence(self.sequence))
        };
        match outcome {
            Ok(()) => counts.accepted += 1,
            Err(PushError::Dropped) => counts.dropped += 1,
            Err(PushError::Refused) => counts.refused += 1,
            Err(other) => panic!("{other}"),
        }
    }

    fn lend_and_commit(
        &mut self,
        acquirer: &mut Acquirer,
        counts: &mut Counts,
        grey: u8,
    ) -> Result<(), PushError> {
        let loan = acquirer.loan()?;
        let token = loan.token;
        loan.pixels.fill(grey);
        let outcome = acquirer.commit(token, &self.geometry, self.time_ns, self.sequence);
        if outcome == Err(PushError::Refused) {
            // The slot stays lent, and a push is not allowed before the loan ends. A commit with a
            // later time ends the loan.
            counts.refused += 1;
            self.time_ns += 2_000_000_000;
            return acquirer.commit(token, &self.geometry, self.time_ns, self.sequence);
        }
        outcome
    }
}

fn run_driver(driver: &mut Option<Driver>) {
    while driver.as_mut().is_some_and(|driver| driver.process().is_ok()) {}
}

/// Returns the resident memory of this process in bytes, after the allocator has returned its free
/// memory to the system.
fn resident_bytes() -> i64 {
    // SAFETY: the function changes only memory that the allocator does not lend to anyone.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * 1024
}

/// Returns the growth from the median of the resident memory before the end of the first sixth of
/// the rounds to the median in the last sixth. Single values vary by megabytes, because threads
/// that end leave their allocators to later threads.
fn compute_growth(resident_bytes: &[i64]) -> i64 {
    let sixth = resident_bytes.len() / 6;
    let median = |values: &[i64]| {
        let mut values = values.to_vec();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let (start, end) =
        (&resident_bytes[..=sixth], &resident_bytes[resident_bytes.len() - 1 - sixth..]);
    // The first rounds fill caches, such as the one for the stacks of threads.
    median(end) - median(&start[start.len() / 2..])
}

/// Runs the three hosts for `time`, while engines are paused and replaced. In the second half, the
/// package has frame steps.
fn run_round(hosts: &mut [Host], time: Duration, random: &mut Random) -> Counts {
    let end = Instant::now() + time;
    let engine = Mutex::new(Arc::new(create_engine("standin.stream.onnx")));
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            hosts.iter_mut().map(|host| scope.spawn(|| host.run(&engine, end))).collect();
        let mut is_replaced = false;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50 + u64::from(random.below(150))));
            let current = Arc::clone(&engine.lock().unwrap());
            current.pause().unwrap();
            std::thread::sleep(Duration::from_millis(random.below(60).into()));
            current.resume();
            if !is_replaced && end.saturating_duration_since(Instant::now()) < time / 2 {
                is_replaced = true;
                *engine.lock().unwrap() = Arc::new(create_engine("standin.frames.onnx"));
            }
        }
        let mut total = Counts::default();
        for thread in threads {
            total.add(thread.join().expect("the host accounts for every frame"));
        }
        total
    })
}

#[test]
fn three_streams_with_faults_leave_no_memory_behind() {
    let minutes = std::env::var("TTEVIEW_SOAK_MINUTES")
        .map(|text| text.parse::<u64>().expect("TTEVIEW_SOAK_MINUTES must be a number of minutes"));
    let time = match minutes {
        Ok(minutes) => Duration::from_secs(60 * minutes),
        Err(_) if is_full_run() => Duration::from_secs(60),
        Err(_) => Duration::from_secs(3),
    };
    let mut hosts: Vec<Host> = (0..DRIVES.len()).map(Host::new).collect();
    let mut random = Random(41);
    let mut total = Counts::default();
    let mut resident = Vec::new();
    let round_time = (time / 360).clamp(ROUND_TIMES[0], ROUND_TIMES[1]);
    let start = Instant::now();
    while start.elapsed() < time {
        total.add(run_round(&mut hosts, round_time, &mut random));
        resident.push(resident_bytes());
    }
    let growth_bytes = compute_growth(&resident);
    println!(
        "soak figures: {{\"frames\":{},\"dropped\":{},\"acquisitions\":{},\"growth_bytes\":{growth_bytes}}}",
        total.accepted, total.dropped, total.acquisitions
    );
    println!("{total:?}, resident bytes after each round: {resident:?}");
    assert!(total.accepted > 0 && total.acquisitions >= total.streams);
    if time >= Duration::from_secs(60) {
        assert!(total.dropped > 0 && total.refused > 0 && total.invalid > 0, "{total:?}");
        assert!(growth_bytes < MAX_GROWTH_BYTES, "the memory grew by {growth_bytes} bytes");
    }
}
