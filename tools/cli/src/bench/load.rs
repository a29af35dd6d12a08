//! Threads that load the machine's cores, as other software on a scanner does.

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
