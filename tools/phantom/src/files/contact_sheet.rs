//! Contact sheets, which show one frame from each of several cines.

use crate::cine::Cine;
use crate::files::png::write_with_effort;
use ndarray::{Array3, ArrayView3};
use std::io;
use std::path::Path;

/// Writes the first frame of each cine to one PNG file, with `columns` frames per row. The picture
/// is RGB if at least one cine is RGB.
///
/// # Errors
/// Returns `InvalidInput` if there is no cine, if the cines differ in size or if a cine has no
/// frame, and any error from the file system or the encoder.
pub fn write_contact_sheet(path: &Path, cines: &[Cine], columns: usize) -> io::Result<()> {
    let refuse = |message| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    let Some(first) = cines.first() else {
        return refuse("there are no cines; a contact sheet needs at least one".to_owned());
    };
    let (height, width) = (first.height, first.width);
    for (number, cine) in cines.iter().enumerate() {
        if (cine.height, cine.width) != (height, width) || cine.frames.is_empty() {
            return refuse(format!(
                "cine {number} has {} frames of {} x {} pixels; every cine of this contact sheet must have \
                 at least one frame of {width} x {height} pixels",
                cine.frames.len(),
                cine.width,
                cine.height
            ));
        }
    }
    let columns = columns.max(1);
    let rows = cines.len().div_ceil(columns);
    let channels = cines.iter().map(|cine| cine.channels).max().unwrap_or(1);
    let mut sheet = Array3::zeros([rows * height, columns * width, channels]);
    let tiles = sheet.exact_chunks_mut([height, width, channels]);
    for (mut tile, cine) in tiles.into_iter().zip(cines) {
        let frame = ArrayView3::from_shape([height, width, cine.channels], &cine.frames[0]);
        // `assign` copies a grey frame to every channel of the sheet.
        tile.assign(&frame.map_err(|error| io::Error::other(error.to_string()))?);
    }
    let size = [rows * height, columns * width];
    write_with_effort(path, &sheet.into_raw_vec_and_offset().0, size, png::Compression::High)
}
