//! Host functions that a stream calls.

use crate::result::ViewResult;
use std::sync::Arc;

/// The function that each thread of a stream calls when it starts. The argument is the role of the
/// thread: `tteview` for the worker, or `tteview-slow` for the thread that runs the slow part of a
/// network with frame steps.
pub type ThreadStart = Arc<dyn Fn(&str) + Send + Sync>;

/// The function that the worker calls with a result and its posterior, which has one value per
/// label.
pub type OnResult = Box<dyn FnMut(&ViewResult, &[f32]) + Send>;

/// Host functions that a stream calls on the thread that runs the worker.
#[derive(Default)]
pub struct Hooks {
    /// Function that each thread of the stream calls when it starts. The function can set the
    /// thread's affinity and priority. Host-driven streams do not call it, because they have no
    /// threads.
    pub thread_start: Option<ThreadStart>,
    /// Function that the worker calls after it has published a provisional or final result. The
    /// function must not block, because the worker waits for it. A panic in the function is an
    /// internal error of the stream, and the function is then not called again. After any other
    /// internal error, the worker calls the function with the final results that report the error.
    pub on_result: Option<OnResult>,
}
