use std::io;
use std::sync::OnceLock;

/// A wrapper around the Rayon thread pool used to run models.
///
/// On platforms where threads are not supported (eg. WebAssembly) this runs
/// operations directly on the main thread.
#[derive(Debug)]
pub struct ThreadPool {
    /// The wrapped thread pool, or None if we failed to construct one.
    pool: Option<rayon::ThreadPool>,
}

impl ThreadPool {
    /// Run a function in the thread pool.
    ///
    /// This corresponds to [`rayon::ThreadPool::install`], except on platforms
    /// where threading is not supported, where it just runs `op` directly.
    pub fn run<R: Send, Op: FnOnce() -> R + Send>(&self, op: Op) -> R {
        if let Some(pool) = self.pool.as_ref() {
            pool.install(op)
        } else {
            op()
        }
    }

    /// Create a thread pool of which the thread that calls [`run`](Self::run) is a part.
    ///
    /// `spawn` is called for each of the other `num_threads - 1` threads. It must start a thread
    /// that runs the given function, which returns when the pool is dropped.
    pub fn with_caller_thread(
        num_threads: usize,
        mut spawn: impl FnMut(Box<dyn FnOnce() + Send>) -> io::Result<()>,
    ) -> io::Result<ThreadPool> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(num_threads)
            .use_caller_thread()
            .spawn_handler(|thread| spawn(Box::new(move || thread.run())))
            .build()
            .map_err(io::Error::other)?;
        Ok(ThreadPool { pool: Some(pool) })
    }

    /// Create a thread pool with a given number of threads.
    pub fn with_num_threads(num_threads: usize) -> ThreadPool {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(num_threads)
            .thread_name(|index| format!("rten-{}", index))
            .build();

        ThreadPool { pool: pool.ok() }
    }
}

/// Return the [Rayon][rayon] thread pool which is used to execute RTen models.
///
/// This pool has one thread, the calling thread, and starts no other thread.
///
/// A thread pool with more threads can be used for each model run by configuring
/// a custom thread pool in [`RunOptions`](crate::RunOptions).
///
/// To run your own tasks in this thread pool, you can use
/// [`ThreadPool::run`].
///
/// [rayon]: https://github.com/rayon-rs/rayon
pub fn thread_pool() -> &'static ThreadPool {
    static THREAD_POOL: OnceLock<ThreadPool> = OnceLock::new();
    THREAD_POOL.get_or_init(|| {
        ThreadPool::with_caller_thread(1, |_| Ok(())).unwrap_or(ThreadPool { pool: None })
    })
}
