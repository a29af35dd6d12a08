//! The interface that the readers of all file formats implement.

use super::facts::Facts;

/// The pixels of a frame.
pub(super) struct Decoded {
    pub(super) pixels: Vec<u8>,
    /// Whether the end of the frame is missing in the file.
    pub(super) is_cut: bool,
}

impl From<Vec<u8>> for Decoded {
    fn from(pixels: Vec<u8>) -> Self {
        Self { pixels, is_cut: false }
    }
}

/// A decoder that returns the frames of one cine in order.
pub(super) trait Decoder {
    /// Decodes the next frame. Callers call this function once for each frame time in [`Facts`].
    /// After an error, the next call continues with the next frame.
    ///
    /// # Errors
    /// Returns the cause of the error, without the file name and the frame number.
    fn next_frame(&mut self) -> Result<Decoded, String>;
}

/// The facts about a cine, and the decoder for its frames.
pub(super) struct CineSource {
    pub(super) facts: Facts,
    pub(super) decoder: Box<dyn Decoder>,
}

impl Decoder for std::vec::IntoIter<Vec<u8>> {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        let pixels = self.next().ok_or("the cine has fewer frames than times")?;
        Ok(pixels.into())
    }
}
