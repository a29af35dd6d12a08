//! The levels of an image that become black and white.

use crate::image::organic::look::Look;
use ndarray::Array2;

/// Least dynamic range, as a binary logarithm. An image without contrast stays without contrast.
pub(crate) const LEAST_RANGE: f32 = 5.0;

/// Returns the levels that become black and white.
pub(crate) fn find_range(level: &Array2<f32>, look: &Look) -> [f32; 2] {
    let samples = level.ncols();
    // The samples near the probe cover few pixels.
    let mut sorted: Vec<f32> = level
        .indexed_iter()
        .filter(|((_, s), _)| s * 6 > samples)
        .map(|(_, &level)| level)
        .collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let percentile = |part: f32| sorted[(sorted.len() as f32 * part) as usize];
    let (dark, bright) = (percentile(0.3), percentile(0.97));
    let range = ((bright - dark) / (look.bright_level - look.dark_level)).max(LEAST_RANGE);
    let white = bright + range * (1.0 - look.bright_level);
    [white - range, white]
}
