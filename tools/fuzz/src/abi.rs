//! Fuzz target that makes calls of the C ABI in an arbitrary order.
//!
//! Each input is a stream configuration and a sequence of calls. The target keeps its own account
//! of the acquisitions and their frames. It checks that each call returns a documented status, that
//! every acquisition gets one final result, and that the result counts every frame.

#![allow(unsafe_code)]

mod account;
mod host;
mod input;

use account::{init, ok_or};
use host::Host;
use input::{Input, Op};
use std::ptr::null_mut;
use std::sync::LazyLock;
use tteview::Status;
use tteview::ffi::engine::{ttv_engine, ttv_engine_create, ttv_engine_prepare};
use tteview::ffi::engine_config::ttv_engine_config;
use tteview::ffi::runtime::ttv_abi_version;
use tteview_compiler::{CompileOptions, Label, Steps, compile};

/// Source of a network that takes microseconds per step.
const NETWORK: &[u8] = include_bytes!("abi/network.onnx");

/// Number of labels of the network.
const LABELS: usize = 5;

/// The engines that all inputs share: with chunk steps, in window mode, and with frame steps.
struct Engines([*mut ttv_engine; 3]);
// SAFETY: functions of the C ABI may be called with the same engine on any thread.
unsafe impl Send for Engines {}
// SAFETY: as above.
unsafe impl Sync for Engines {}

static ENGINES: LazyLock<Engines> = LazyLock::new(|| {
    let label = |index| Label { code: format!("L{index}"), ..Label::default() };
    let options = CompileOptions::new("abi", (0..LABELS).map(label).collect());
    let create = |mode: &str, steps: Steps| {
        let options = CompileOptions { steps, ..options.clone() };
        let network = compile(NETWORK.to_vec(), &options).expect("the network can be compiled");
        let package = network.packages().find(|package| package.file_name.contains(mode));
        create_engine(&package.expect("the network has both packages").bytes)
    };
    Engines([
        create("stream", Steps::Chunk),
        create("clip", Steps::Chunk),
        create("stream", Steps::Frame),
    ])
});

/// Creates and prepares an engine.
fn create_engine(package: &[u8]) -> *mut ttv_engine {
    let mut engine = null_mut();
    let mut config: ttv_engine_config = init();
    config.abi_version = ttv_abi_version();
    config.model_data = package.as_ptr().cast();
    config.model_size = package.len();
    // SAFETY: the configuration and the package live until the call returns.
    let created = unsafe { ttv_engine_create(&raw const config, &raw mut engine) };
    assert_eq!(created, Status::Ok.code());
    // SAFETY: the engine has just been created.
    assert_eq!(unsafe { ttv_engine_prepare(engine) }, Status::Ok.code());
    engine
}

/// Makes the calls of an input.
pub(crate) fn run_abi(bytes: &[u8]) {
    let mut input = Input(bytes);
    let settings = input.settings();
    let engine = match (settings.is_window, settings.has_frame_steps) {
        (true, _) => ENGINES.0[1],
        (false, has_frame_steps) => ENGINES.0[if has_frame_steps { 2 } else { 0 }],
    };
    let Some(mut host) = Host::open(engine, &settings) else { return };
    while let Some(op) = input.op() {
        run_op(&mut host, op);
    }
    host.close();
}

fn run_op(host: &mut Host, op: Op) {
    match op {
        Op::Begin => host.begin(),
        Op::Push(frame) => host.push(frame),
        Op::Loan => host.loan(),
        Op::Commit(frame) => host.commit(frame),
        Op::Mark => ok_or(host.mark(), &[Status::WrongState]),
        Op::End => host.end(),
        Op::Process(count) => (0..count).for_each(|_| host.process()),
        Op::Poll => host.poll(),
        Op::Wait { back, timeout_ns } => host.wait(back, timeout_ns),
        Op::Query { from_ns, to_ns, flags } => host.query(from_ns, to_ns, flags),
        Op::Observe => host.observe(),
        Op::Pause => host.pause(),
        Op::Resume => host.resume(),
        Op::Null(number) => host.pass_null(number),
    }
}

/// Creates inputs that begin with ordinary acquisitions: one for each drive, with chunk steps, with
/// frame steps and in window mode.
pub(crate) fn create_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for settings in [0, 1, 2, 3, 4, 5, 32, 34, 100] {
        let push = |grey: u8| [1, 0, grey, 40];
        let frames: Vec<u8> =
            (0..24).flat_map(|frame| [&push(frame)[..], &[6, 2]].concat()).collect();
        let seed = [
            &[settings, 4, 0, 0][..],
            &[0],
            &frames,
            &[4],
            &frames,
            &[2, 3, 0, 9, 40, 7, 5, 6, 40, 8, 0, 0, 9, 0, 200, 0, 9, 0, 200, 1, 10, 11, 12],
            &[0, 5, 6, 3, 8, 0, 0, 13, 0, 13, 5],
        ]
        .concat();
        seeds.push(seed);
    }
    seeds
}
