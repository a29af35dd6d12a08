//! Tests with hostile and damaged model packages. Every package must give a status in time and
//! within its memory, in both runtimes.
//!
//! The tests run the mutations in processes of their own, in batches, so that a crash or an endless
//! loop is attributed to one mutation. `TTEVIEW_MUTATIONS` sets the number of mutations:
//!
//! ```text
//! TTEVIEW_MUTATIONS=100000 cargo test --release -p tteview --test hostile_packages mutated
//! ```

mod common;
mod packages;

use common::{grey_frame, runtime_library};
use packages::builder::Builder;
use packages::deep::{MAX_DEPTH, chain, mixed_chain};
use packages::hostile::{hostile_packages, valid_packages};
use packages::mutation::Seed;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tteview::frame::FrameView;
use tteview::{Engine, EngineConfig, ModelPackage, Status, Stream, StreamConfig, ViewChange};

/// CPU time in which a package must give a status.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Memory of a package, in addition to four times its size.
const MAX_BYTES: u64 = 512_000_000;

/// Number of mutations in a process.
const BATCH: u64 = 2500;

/// Variable that names the batch of a child process: the provider, the first mutation, and the end.
const BATCH_VARIABLE: &str = "TTEVIEW_MUTATION_BATCH";

fn config(provider: &str) -> EngineConfig {
    EngineConfig {
        providers: vec![provider.into()],
        threads: 1,
        runtime_library: (provider != "embedded").then(runtime_library),
        ..EngineConfig::default()
    }
}

/// Loads a package, prepares an engine and labels a short acquisition. Returns the last step and
/// its status.
fn use_package(bytes: Vec<u8>, provider: &str) -> (&'static str, Status) {
    let package = match ModelPackage::from_bytes(bytes, None) {
        Ok(package) => package,
        Err(error) => return ("package", error.status()),
    };
    let engine = match Engine::new(package, &config(provider)) {
        Ok(engine) => engine,
        Err(error) => {
            println!("engine: {error}");
            return ("engine", error.status());
        }
    };
    if let Err(error) = engine.prepare() {
        println!("prepare: {error}");
        return ("prepare", error.status());
    }
    match label_acquisition(&engine) {
        Ok(()) => ("label", Status::Ok),
        Err(status) => ("label", status),
    }
}

fn label_acquisition(engine: &Engine) -> Result<(), Status> {
    let config = StreamConfig {
        max_width_px: 64,
        max_height_px: 64,
        view_change: Some(ViewChange { span: 0, outputs: 0, margin: 0.5 }),
        ..StreamConfig::default()
    };
    let mut stream = Stream::open(engine, &config).map_err(|error| error.status())?;
    let acquisition = stream.acquirer.begin()?;
    let pixels = vec![128; 32 * 32];
    for index in 0..4 {
        let frame = FrameView::new(grey_frame(32, 32), &pixels).map_err(|error| error.status())?;
        let frame = frame.with_time_ns(index * engine.spec().sample_interval_ns);
        stream.acquirer.push(&frame).map_err(|_| Status::RingFull)?;
    }
    stream.acquirer.end()?;
    let mut scores = vec![0.0; stream.reader.label_count()];
    stream.reader.wait(acquisition, Duration::from_secs(20), &mut scores).map(|_| ())
}

#[test]
fn hostile_packages_are_refused_before_a_runtime_reads_them() {
    for hostile in hostile_packages() {
        let start = Instant::now();
        let checked = ModelPackage::check(&hostile.bytes);
        let error = ModelPackage::from_bytes(hostile.bytes, None).expect_err(&hostile.name);
        let name = &hostile.name;
        println!("{name}: {error}");
        assert!(error.message().contains(hostile.message), "{name}: {error}");
        assert!(error.message().len() < 1000, "{name}: the message is too long");
        let fits = matches!(
            error.status(),
            Status::ModelInvalid | Status::ModelMismatch | Status::Unsupported
        );
        assert!(fits, "{name}: {error}");
        assert!(start.elapsed() < MAX_TIME, "{name} took {:?}", start.elapsed());
        assert_eq!(checked.err(), Some(error), "{name}");
    }
}

#[test]
fn packages_for_later_versions_can_be_checked() {
    for (key, value) in [("chunk", "2"), ("head", "{}")] {
        let package = |depth: usize| chain(depth).set(key, value).build();
        let error = ModelPackage::from_bytes(package(MAX_DEPTH), None).expect_err(key);
        assert_eq!(error.status(), Status::Unsupported, "{error}");
        ModelPackage::check(&package(MAX_DEPTH)).expect(key);
        let error = ModelPackage::check(&package(MAX_DEPTH + 1)).expect_err(key);
        assert!(error.message().contains("at most 2048 nodes"), "{error}");
    }
}

/// Writes each package to NAME.onnx, and a part of its message to NAME.txt.
#[test]
#[ignore = "needs TTEVIEW_PACKAGES; `cargo xtask test` runs it"]
fn hostile_packages_are_written_for_a_c_host() {
    let folder = std::env::var("TTEVIEW_PACKAGES").expect("set TTEVIEW_PACKAGES");
    for hostile in hostile_packages() {
        let file = std::path::Path::new(&folder).join(hostile.name);
        std::fs::write(file.with_extension("onnx"), hostile.bytes).unwrap();
        std::fs::write(file.with_extension("txt"), hostile.message).unwrap();
    }
}

fn check_valid_packages(provider: &str) {
    for (name, bytes) in valid_packages() {
        let start = cpu_time();
        let outcome = use_package(bytes, provider);
        println!("{name}: {:?}", cpu_time() - start);
        // The expected logits of these packages are not known, but every result is within the
        // tolerance.
        assert_eq!(outcome, ("label", Status::Ok), "{name}");
    }
}

#[test]
fn packages_at_the_edge_of_the_limits_run_embedded() {
    check_valid_packages("embedded");
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn packages_at_the_edge_of_the_limits_run_in_onnx_runtime() {
    check_valid_packages("cpu");
}

/// A host may load a package on a thread with a small stack.
fn load_on_a_small_stack(provider: &'static str) {
    for builder in [chain(MAX_DEPTH), mixed_chain(MAX_DEPTH)] {
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        let outcome = thread.spawn(move || use_package(builder.build(), provider)).unwrap().join();
        assert_eq!(outcome.expect("no panic"), ("label", Status::Ok));
    }
}

#[test]
fn the_longest_chain_needs_a_small_stack() {
    load_on_a_small_stack("embedded");
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn the_longest_chain_needs_a_small_stack_in_onnx_runtime() {
    load_on_a_small_stack("cpu");
}

#[test]
fn a_file_that_is_not_regular_is_refused() {
    for path in ["/dev/zero", "/"] {
        let error = ModelPackage::from_path(path.as_ref(), None).expect_err(path);
        assert_eq!(error.status(), Status::ModelUnreadable, "{error}");
    }
}

/// Returns the packages that are mutated.
fn seeds() -> Vec<Seed> {
    let file = |name: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        std::fs::read(folder.join(name)).unwrap()
    };
    let [operators, window, ..] = &valid_packages()[..] else { panic!("two packages") };
    let small = Builder::default().finish("fast").build();
    let files = ["standin.stream.onnx", "standin.clip.onnx"].map(file);
    [operators.1.clone(), window.1.clone(), small].into_iter().chain(files).map(Seed::new).collect()
}

/// Returns the CPU time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Returns a number of kilobytes from the status of this process, in bytes.
fn read_memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// Ends the process if a mutation needs too much time. The parent then reports the mutation.
fn start_watchdog(progress: &'static AtomicU64) {
    std::thread::spawn(move || {
        let (mut current, mut start, mut cpu) = (u64::MAX, Instant::now(), cpu_time());
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let now = progress.load(Ordering::Relaxed);
            if now != current {
                (current, start, cpu) = (now, Instant::now(), cpu_time());
            }
            if cpu_time() - cpu > MAX_TIME || start.elapsed() > 30 * MAX_TIME {
                std::process::exit(99);
            }
        }
    });
}

/// Runs the mutations of a batch and prints a line before and after each.
fn run_batch(provider: &str, first: u64, end: u64) {
    static PROGRESS: AtomicU64 = AtomicU64::new(0);
    start_watchdog(&PROGRESS);
    let seeds = seeds();
    std::panic::set_hook(Box::new(|_| {}));
    let mut out = std::io::stderr();
    for number in first..end {
        let seed = &seeds[(number % seeds.len() as u64) as usize];
        let bytes = seed.mutate(number / seeds.len() as u64);
        let allowed = MAX_BYTES + 4 * bytes.len() as u64;
        PROGRESS.store(number, Ordering::Relaxed);
        writeln!(out, "mutation begin {number}").unwrap();
        // Writing 5 resets the peak to the current size.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = read_memory("VmRSS:");
        let outcome = match catch_unwind(AssertUnwindSafe(|| use_package(bytes, provider))) {
            Ok((step, status)) => format!("{step} {status:?}"),
            Err(_) => "panic".into(),
        };
        let used = read_memory("VmHWM:").saturating_sub(before);
        let outcome = if used > allowed { format!("memory {used} {outcome}") } else { outcome };
        writeln!(out, "mutation end {number} {outcome}").unwrap();
    }
}

/// The entry point of the child processes. Without the variable, it does nothing: the time limit
/// would also count the time of the other tests in the process.
#[test]
fn a_batch_of_mutations_ends_in_time() {
    let Ok(batch) = std::env::var(BATCH_VARIABLE) else { return };
    let parts: Vec<&str> = batch.split(' ').collect();
    run_batch(parts[0], parts[1].parse().unwrap(), parts[2].parse().unwrap());
}

/// Runs a batch in a child process. Counts the outcomes, and returns the next mutation.
fn run_child(provider: &str, first: u64, end: u64, counts: &mut BTreeMap<String, u64>) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_batch_of_mutations_ends_in_time", "--nocapture", "--test-threads=1"])
        .env(BATCH_VARIABLE, format!("{provider} {first} {end}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut next, mut begun) = (first, None);
    for line in BufReader::new(child.stderr.take().unwrap()).split(b'\n') {
        let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
        if let Some(number) = line.strip_prefix("mutation begin ") {
            begun = Some(number.parse::<u64>().unwrap());
        } else if let Some(rest) = line.strip_prefix("mutation end ") {
            let (number, outcome) = rest.split_once(' ').unwrap();
            let is_bad = outcome.starts_with("panic") || outcome.starts_with("memory");
            let outcome =
                if is_bad { format!("BAD {outcome} in {number}") } else { outcome.into() };
            *counts.entry(outcome).or_default() += 1;
            next = number.parse::<u64>().unwrap() + 1;
            begun = None;
        }
    }
    let status = child.wait().unwrap();
    match (begun, status.success()) {
        (None, true) => assert_eq!(next, end, "the child ended early"),
        (Some(number), _) => {
            *counts.entry(format!("BAD {status} in {number}")).or_default() += 1;
            next = number + 1;
        }
        (None, false) => panic!("the child failed: {status}"),
    }
    next
}

fn check_mutations(provider: &str, default: u64) {
    let count = std::env::var("TTEVIEW_MUTATIONS").map_or(default, |count| count.parse().unwrap());
    let first = std::env::var("TTEVIEW_MUTATIONS_FIRST").map_or(0, |first| first.parse().unwrap());
    let (mut next, mut counts) = (first, BTreeMap::new());
    while next < first + count {
        next = run_child(provider, next, (next + BATCH).min(first + count), &mut counts);
    }
    let mut bad = 0;
    for (outcome, count) in &counts {
        println!("{count:>8} {outcome}");
        bad += if outcome.starts_with("BAD") { *count } else { 0 };
    }
    assert_eq!(bad, 0, "{bad} of {count} mutations gave no status in time");
    let reached = |step: &str| counts.keys().any(|outcome| outcome.starts_with(step));
    assert!(reached("package") && reached("label"), "the mutations are too weak");
}

#[test]
fn mutated_packages_give_a_status_embedded() {
    check_mutations("embedded", 2000);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn mutated_packages_give_a_status_in_onnx_runtime() {
    check_mutations("cpu", 1000);
}
