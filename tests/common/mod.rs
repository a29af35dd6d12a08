//! Helpers for the integration tests.
#![allow(dead_code, reason = "each test uses some of them")]

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tteview::frame::{Geometry, PixelFormat};
use tteview::{Acquirer, Driver, Engine, EngineConfig, ModelPackage, Reader, ViewResult};

/// Maximum time that a test waits for a result.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(300);

/// Returns whether the environment requests full-length tests.
pub(crate) fn is_full_run() -> bool {
    std::env::var_os("TTEVIEW_FULL").is_some_and(|value| value == "1")
}

/// Returns the path of the ONNX Runtime library for the tests.
pub(crate) fn runtime_library() -> PathBuf {
    std::env::var_os("TTEVIEW_ORT_DYLIB")
        .expect("set TTEVIEW_ORT_DYLIB to the ONNX Runtime shared library (libonnxruntime.so)")
        .into()
}

/// Loads a package from the folder `models`.
pub(crate) fn load_package(name: &str) -> ModelPackage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    ModelPackage::from_path(&path, None).unwrap()
}

/// Creates an engine with default settings.
pub(crate) fn create_engine(package: &str) -> Engine {
    Engine::new(load_package(package), &EngineConfig::default()).unwrap()
}

/// Returns the geometry of a grey frame.
pub(crate) fn grey_frame(width_px: u32, height_px: u32) -> Geometry {
    Geometry::new(PixelFormat::Gray8, width_px, height_px).unwrap()
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
    let result = reader.wait(acquisition, TIMEOUT, &mut scores).unwrap();
    Labelled { result, scores }
}

/// Waits until the ring has room for a frame. If the host drives the worker, runs the worker in the
/// meantime. Returns the number of times that this function found the ring full.
pub(crate) fn wait_for_slot(acquirer: &mut Acquirer, driver: &mut Option<Driver>) -> usize {
    let mut attempts = 0;
    while acquirer.free_slots() == 0 {
        attempts += 1;
        run_worker(driver);
    }
    attempts
}

/// Runs the worker for one slot of the ring if the host drives the worker. Otherwise, yields to the
/// worker's thread.
pub(crate) fn run_worker(driver: &mut Option<Driver>) {
    match driver {
        Some(driver) => _ = driver.process(),
        None => std::thread::yield_now(),
    }
}

/// Runs the worker until it has nothing left to do. Does nothing if the library drives the worker.
pub(crate) fn run_worker_to_end(driver: &mut Option<Driver>) {
    while driver.as_mut().is_some_and(|driver| driver.process().is_ok()) {}
}
