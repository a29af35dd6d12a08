//! A file whose attributes have been read.

use super::attributes::Attributes;
use super::data_set::{self, PixelData};
use super::syntax::{self, Syntax};
use crate::cine::facts::check_sides;
use crate::cine::inflate;

/// The class of a DICOMDIR (PS3.4, B.5).
pub(super) const DIRECTORY_CLASS: &str = "1.2.840.10008.1.3.10";

/// The value of Modality for ultrasound.
const ULTRASOUND: &str = "US";

/// The attributes and the location of the pixels of a file.
pub(super) struct Image {
    pub(super) file: Vec<u8>,
    pub(super) syntax: Syntax,
    pub(super) attributes: Attributes,
    pub(super) pixels: PixelData,
    pub(super) size: [u32; 2],
    pub(super) warnings: Vec<String>,
}

impl Image {
    pub(super) fn read(file: Vec<u8>) -> Result<Self, String> {
        let mut warnings = Vec::new();
        let meta = data_set::read_file_meta(&file)?;
        let mut start = meta.data_set;
        let syntax = match &meta.syntax {
            Some(uid) => syntax::find(uid)?,
            None => {
                warnings.push("the file names no transfer syntax, so it was guessed".into());
                syntax::DEFAULT
            }
        };
        let file = match syntax.is_deflated() {
            true => {
                let packed = file.get(start..).unwrap_or_default();
                start = 0;
                inflate::inflate(packed, inflate::max_data_set_bytes(packed.len()))?
            }
            false => file,
        };
        let mut attributes = Attributes::default();
        let pixels = data_set::read_data_set(&file, start, &syntax, &mut attributes)?;
        if [&meta.class, &attributes.sop_class].contains(&&DIRECTORY_CLASS.to_owned()) {
            return Err(match attributes.file_ids.is_empty() {
                true => "the file is a DICOMDIR that lists no files; name the files of its folder",
                false => "the file is a DICOMDIR, which lists other files; name these files",
            }
            .into());
        }
        let pixels = pixels.ok_or("the file has no pixel data, so it contains no image")?;
        let size = attributes.size()?;
        // The size is checked before the frames are located, because a file can have as many frames
        // as bytes if its frames have one pixel.
        check_sides(size)?;
        if !matches!(attributes.modality.as_str(), "" | ULTRASOUND) {
            warnings.push(format!(
                "the modality is {}, but the models know only ultrasound (US)",
                attributes.modality
            ));
        }
        Ok(Self { file, syntax, attributes, pixels, size, warnings })
    }

    pub(super) fn describe_source(&self) -> String {
        format!("DICOM, {}", self.syntax.name)
    }
}

/// Returns the number of frames of a file of which only the beginning is given, or `None` if the
/// beginning does not contain the attributes of the image.
pub(in crate::cine) fn count_frames(start: &[u8]) -> Option<usize> {
    let meta = data_set::read_file_meta(start).ok()?;
    let syntax = meta.syntax.as_ref().map_or(Some(syntax::DEFAULT), |uid| syntax::find(uid).ok());
    let syntax = syntax.filter(|syntax| !syntax.is_deflated())?;
    let mut attributes = Attributes::default();
    // The pixels are cut off, so there can be an error after the attributes.
    let _ = data_set::read_data_set(start, meta.data_set, &syntax, &mut attributes);
    attributes.rows?;
    match &attributes.frames {
        Some(_) => attributes.frame_count(),
        None => Some(1),
    }
}
