//! The inputs of the network's two pathways. The slow pathway takes some of the fast pathway's
//! samples.

use crate::backend::interface::Session;

/// Fills each slow sample `i` with a copy of fast sample `source(i)`.
pub(super) fn copy_slow_samples(
    session: &mut dyn Session,
    sample_len: usize,
    source: impl Fn(usize) -> usize,
) {
    let inputs = session.inputs();
    for (index, to) in inputs.slow.chunks_exact_mut(sample_len).enumerate() {
        if let Some(from) = inputs.fast.chunks_exact(sample_len).nth(source(index)) {
            to.copy_from_slice(from);
        }
    }
}
