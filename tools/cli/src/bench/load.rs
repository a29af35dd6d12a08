//! Other work on the machine's cores, as a scanner has beside this library.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Threads that compute until this is dropped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(threads: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |seen: Arc<AtomicBool>| {
            move || {
                let mut value = 1.0f64;
                while !seen.load(Ordering::Relaxed) {
                    for _ in 0..1000 {
                        value = black_box(value.mul_add(0.999_999, 1e-6));
                    }
                }
            }
        };
        let threads = (0..threads).map(|_| std::thread::spawn(work(stop.clone()))).collect();
        Self { stop, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that only computes has nothing to report.
            let _ = thread.join();
        }
    }
}
