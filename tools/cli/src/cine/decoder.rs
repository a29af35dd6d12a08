//! The interface that the readers of all file formats implement.

use super::facts::Facts;

/// A decoder that returns the frames of one cine in order.
pub(super) trait Decoder {
    /// Decodes the next frame. Callers call this function once for each frame time in [`Facts`].
    ///
    /// # Errors
    /// Returns the cause of the error, without the file name and the frame number.
    fn next_frame(&mut self) -> Result<Vec<u8>, String>;
}

/// The facts about a cine, and the decoder for its frames.
pub(super) struct CineSource {
    pub(super) facts: Facts,
    pub(super) decoder: Box<dyn Decoder>,
}

impl Decoder for std::vec::IntoIter<Vec<u8>> {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        self.next().ok_or_else(|| "the cine has fewer frames than times".into())
    }
}
