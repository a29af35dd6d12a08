//! PNG files.

use crate::files::whole::write_whole;
use std::io;
use std::path::Path;

/// Writes an 8-bit PNG file, which is RGB if there are three bytes per pixel and grey otherwise.
///
/// # Errors
/// Returns any error from the file system, or an encoder error if the length of `pixels` does not
/// match the size of the image.
pub fn write_png(path: &Path, pixels: &[u8], width: usize, height: usize) -> io::Result<()> {
    // Speckle hardly compresses, so more effort would take time and save little space.
    write_with_effort(path, pixels, [height, width], png::Compression::Fast)
}

/// Writes an 8-bit PNG file of `[height, width]` pixels like `write_png`, but with the given
/// compression effort.
pub(crate) fn write_with_effort(
    path: &Path,
    pixels: &[u8],
    [height, width]: [usize; 2],
    effort: png::Compression,
) -> io::Result<()> {
    write_whole(path, |file| {
        let mut encoder = png::Encoder::new(file, width as u32, height as u32);
        let is_colour = pixels.len() == 3 * width * height;
        encoder.set_color(if is_colour { png::ColorType::Rgb } else { png::ColorType::Grayscale });
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(effort);
        let mut writer = encoder.write_header().map_err(io::Error::other)?;
        writer.write_image_data(pixels).map_err(io::Error::other)?;
        // Without this call, the encoder would ignore errors while it writes the end of the file.
        writer.finish().map_err(io::Error::other)
    })
}
