//! Constants of the reserve.

/// Whether this build uses the reserve.
pub(crate) const IS_ACTIVE: bool = cfg!(all(feature = "memory-reserve", not(test)));

/// Alignment of the arena and of mappings, which is the largest alignment that the reserve serves.
pub(super) const ALIGNMENT: usize = 4096;
