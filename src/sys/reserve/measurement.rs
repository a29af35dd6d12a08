//! Measurement of the memory that a piece of work allocates.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

/// Number of measurements in progress.
static MEASURING: AtomicU32 = AtomicU32::new(0);
/// Bytes allocated and not freed since the first of these measurements began.
static GROWN: AtomicI64 = AtomicI64::new(0);
/// Maximum of `GROWN`.
static PEAK: AtomicI64 = AtomicI64::new(0);

/// Runs `work` and returns the largest number of bytes that the process allocated and had not freed
/// during `work`, and the result of `work`. Other threads count, too, so the number is too small if
/// they free memory that was allocated before. In a build without the reserve, the number is 0.
pub(crate) fn measure_peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    if MEASURING.fetch_add(1, Relaxed) == 0 {
        GROWN.store(0, Relaxed);
        PEAK.store(0, Relaxed);
    }
    let measurement = Measurement;
    let result = work();
    let peak = PEAK.load(Relaxed);
    drop(measurement);
    (usize::try_from(peak).unwrap_or(0), result)
}

/// A measurement in progress. Dropping it ends the measurement, also after a panic.
struct Measurement;

impl Drop for Measurement {
    fn drop(&mut self) {
        MEASURING.fetch_sub(1, Relaxed);
    }
}

/// Returns whether [`count_growth`] must be called for each allocation.
pub(super) fn is_measuring() -> bool {
    MEASURING.load(Relaxed) > 0
}

/// Counts bytes that were allocated (positive) or freed (negative).
pub(crate) fn count_growth(bytes: i64) {
    let grown = GROWN.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(grown, Relaxed);
}
