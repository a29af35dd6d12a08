//! Reader for a cine that is stored as one file of concatenated binary PGM (P5) or PPM (P6) images.

use std::io::{BufRead, Error, ErrorKind, Read as _, Result};
use tteview::frame::PixelFormat;

/// An image with packed rows.
pub(crate) struct Image {
    pub(crate) format: PixelFormat,
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
    pub(crate) pixels: Vec<u8>,
}

/// Reads the next image. Returns `None` at the end of the file.
pub(crate) fn read_image(file: &mut impl BufRead) -> Result<Option<Image>> {
    let Some(kind) = read_word(file)? else { return Ok(None) };
    let (format, channels) = match kind.as_str() {
        "P5" => (PixelFormat::Gray8, 1),
        "P6" => (PixelFormat::Rgb24, 3),
        _ => return Err(invalid(format!("an image must begin with P5 or P6, got {kind:?}"))),
    };
    let mut read_number = || -> Result<u32> {
        let word = read_word(file)?.unwrap_or_default();
        word.parse().map_err(|_| invalid(format!("a size must be a number, got {word:?}")))
    };
    let (width_px, height_px, depth) = (read_number()?, read_number()?, read_number()?);
    if depth != 255 || width_px > 4096 || height_px > 4096 {
        let limits = "an image must have at most 4096 x 4096 pixels and the maximum value 255";
        let message = format!("{limits}, got {width_px} x {height_px} and {depth}");
        return Err(invalid(message));
    }
    let mut pixels = vec![0; channels * width_px as usize * height_px as usize];
    file.read_exact(&mut pixels)?;
    Ok(Some(Image { format, width_px, height_px, pixels }))
}

/// Reads a word and the single whitespace character after it.
fn read_word(file: &mut impl BufRead) -> Result<Option<String>> {
    let mut word = String::new();
    for byte in file.bytes() {
        match char::from(byte?) {
            space if space.is_ascii_whitespace() && word.is_empty() => {}
            space if space.is_ascii_whitespace() => return Ok(Some(word)),
            letter if word.len() < 16 => word.push(letter),
            _ => return Err(invalid("the header of an image is not valid".into())),
        }
    }
    Ok(None)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}
