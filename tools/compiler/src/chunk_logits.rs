//! The result of a chunk in frame steps.

/// The logits of one chunk in frame steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChunkLogits {
    /// Mean of the logits of the fast part.
    pub(crate) fast: Vec<f32>,
    /// Logits of the slow part; zeros in a network with one pathway.
    pub(crate) slow: Vec<f32>,
}

/// The result of one chunk of the self-test.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TestedChunk {
    /// The logits or, if the head is not linear, the features.
    pub(crate) outputs: ChunkLogits,
    /// Logits that a head that is not linear gives for the features of the chunk.
    pub(crate) head: Option<Vec<f32>>,
}

impl ChunkLogits {
    /// Returns the logits of the chunk.
    pub(crate) fn sum(&self) -> Vec<f32> {
        self.fast.iter().zip(&self.slow).map(|(fast, slow)| fast + slow).collect()
    }
}
