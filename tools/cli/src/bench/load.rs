//! Other work during a measurement: threads that load the machine's cores, as other software on a
//! scanner does, and other streams of the same engine.

use super::scanner::Scanner;
use crate::failure::Failure;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Threads that compute until this value is dropped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the threads.
    pub(super) fn start(threads: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let compute = |stop: Arc<AtomicBool>| {
            move || {
                let mut value = 1.0f64;
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..1000 {
                        value = black_box(value.mul_add(0.999_999, 1e-6));
                    }
                }
            }
        };
        let threads = (0..threads).map(|_| std::thread::spawn(compute(stop.clone()))).collect();
        Self { stop, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // The threads only compute, so they have no error to report.
            let _ = thread.join();
        }
    }
}

/// Streams that acquire until this value is stopped.
pub(super) struct OtherStreams {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<(), Failure>>>,
}

impl OtherStreams {
    /// Starts a thread for each scanner. Its acquisitions last `seconds`, rounded up to whole
    /// chunks.
    pub(super) fn start(scanners: Vec<Scanner>, seconds: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acquire = |mut scanner: Scanner, stop: Arc<AtomicBool>| {
            move || {
                while !stop.load(Ordering::Relaxed) {
                    scanner.acquire(seconds, 0.0)?;
                }
                Ok(())
            }
        };
        let start = |scanner| std::thread::spawn(acquire(scanner, stop.clone()));
        let threads = scanners.into_iter().map(start).collect();
        Self { stop, threads }
    }

    /// Ends the threads after their acquisitions, and returns the first error.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    }
}

impl Drop for OtherStreams {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
