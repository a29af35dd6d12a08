//! Interruption of a command that runs until the user ends it.

use crate::failure::{Exit, Failure};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Returns a flag that becomes true at the first Ctrl-C (SIGINT) or SIGTERM. A second signal ends
/// the program at once.
///
/// # Errors
/// Returns a failure if the system does not accept the handlers.
pub(crate) fn catch_interrupts() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let register = || {
            // The handlers run in the order of their registration.
            flag::register_conditional_default(signal, Arc::clone(&stop))?;
            flag::register(signal, Arc::clone(&stop))
        };
        register().map_err(|error| {
            Failure::new(Exit::Files, format!("signals cannot be caught: {error}"))
        })?;
    }
    Ok(stop)
}
