//! Host functions that a stream calls.

use crate::result::ViewResult;

/// The function that the worker thread calls when it starts. The argument is the role of the
/// thread, which is always `tteview`.
pub type ThreadStart = Box<dyn FnOnce(&str) + Send>;

/// The function that the worker calls with a result and its posterior, which has one value per
/// label.
pub type OnResult = Box<dyn FnMut(&ViewResult, &[f32]) + Send>;

/// Host functions that a stream calls on the thread that runs the worker.
#[derive(Default)]
pub struct Hooks {
    /// Function that the worker thread calls when it starts. The function can set the thread's
    /// affinity and priority. Host-driven streams do not call it.
    pub thread_start: Option<ThreadStart>,
    /// Function that the worker calls after it has published a provisional or final result. The
    /// function must not block, because the worker waits for it. A panic in the function is an
    /// internal error of the stream, and the function is then not called again. After any other
    /// internal error, the worker calls the function with the final results that report the error.
    pub on_result: Option<OnResult>,
}
