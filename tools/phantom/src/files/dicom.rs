//! DICOM multi-frame files.

use crate::cine::Cine;
use crate::files::whole::write_whole;
use std::io::{self, Write};
use std::path::Path;

const ULTRASOUND_MULTI_FRAME: &[u8] = b"1.2.840.10008.5.1.4.1.1.3.1";
const EXPLICIT_VR_LITTLE_ENDIAN: &[u8] = b"1.2.840.10008.1.2.1";
const IMPLEMENTATION_CLASS: &[u8] = b"2.25.7883";

/// Tag of the frame time element. The frame increment pointer refers to this element.
const FRAME_TIME: (u16, u16) = (0x18, 0x1063);

/// Writes a cine as a multi-frame ultrasound file (DICOM PS3.5 and PS3.10), in explicit VR little
/// endian and with MONOCHROME2 or RGB pixels.
///
/// # Errors
/// Returns `InvalidInput` if a frame or the pixel data is too large for DICOM, or an error from the
/// file system.
pub fn write_dicom(path: &Path, cine: &Cine) -> io::Result<()> {
    let [rows, columns] = [("height", cine.height), ("width", cine.width)].map(|(name, pixels)| {
        u16::try_from(pixels).map_err(|_| {
            let message = format!("{name} is {pixels} pixels; DICOM allows at most {}", u16::MAX);
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    });
    let (rows, columns) = (rows?, columns?);
    let length = cine.frames.iter().map(Vec::len).sum::<usize>();
    let padded = u32::try_from(length.next_multiple_of(2)).map_err(|_| {
        let message = format!("pixel data is {length} bytes; DICOM allows at most 4294967294");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;

    let uid = format!("2.25.{}{:02}", cine.seed, cine.view as u8);
    let is_colour = cine.channels == 3;
    let mut meta = DataSet::default();
    meta.put((2, 1), "OB", &[0, 1]);
    meta.put((2, 2), "UI", ULTRASOUND_MULTI_FRAME);
    meta.put((2, 3), "UI", uid.as_bytes());
    meta.put((2, 0x10), "UI", EXPLICIT_VR_LITTLE_ENDIAN);
    meta.put((2, 0x12), "UI", IMPLEMENTATION_CLASS);

    let mut header = DataSet::default();
    header.0.extend([0; 128]);
    header.0.extend(b"DICM");
    header.put((2, 0), "UL", &(meta.0.len() as u32).to_le_bytes());
    header.0.extend(meta.0);
    header.put((8, 0x16), "UI", ULTRASOUND_MULTI_FRAME);
    header.put((8, 0x18), "UI", uid.as_bytes());
    header.put((8, 0x60), "CS", b"US");
    header.put((8, 0x103E), "LO", cine.view.code().as_bytes());
    header.put((0x10, 0x10), "PN", b"PHANTOM");
    header.put((0x10, 0x20), "LO", cine.seed.to_string().as_bytes());
    let frame_time_ms = cine.frame_period_ns as f64 * 1e-6;
    header.put(FRAME_TIME, "DS", format!("{frame_time_ms:.4}").as_bytes());
    header.put((0x20, 0xD), "UI", format!("{uid}1").as_bytes());
    header.put((0x20, 0xE), "UI", format!("{uid}2").as_bytes());
    header.put_number((0x28, 2), cine.channels as u16);
    header.put((0x28, 4), "CS", if is_colour { b"RGB" } else { b"MONOCHROME2" });
    if is_colour {
        // In planar configuration 0, the channels of a pixel are stored next to each other.
        header.put_number((0x28, 6), 0);
    }
    header.put((0x28, 8), "IS", cine.frames.len().to_string().as_bytes());
    let pointer = [FRAME_TIME.0.to_le_bytes(), FRAME_TIME.1.to_le_bytes()].concat();
    header.put((0x28, 9), "AT", &pointer);
    header.put_number((0x28, 0x10), rows);
    header.put_number((0x28, 0x11), columns);
    // The elements are bits allocated, bits stored, high bit and pixel representation.
    for (element, value) in [(0x100, 8), (0x101, 8), (0x102, 7), (0x103, 0)] {
        header.put_number((0x28, element), value);
    }
    header.put_head((0x7FE0, 0x10), "OB", padded);

    write_whole(path, |file| {
        file.write_all(&header.0)?;
        for frame in &cine.frames {
            file.write_all(frame)?;
        }
        if length % 2 == 1 {
            file.write_all(&[0])?;
        }
        Ok(())
    })
}

/// The bytes of a data set in explicit VR little endian.
#[derive(Default)]
struct DataSet(Vec<u8>);

impl DataSet {
    /// Appends an element and pads its value to an even length in the way that its VR requires.
    fn put(&mut self, tag: (u16, u16), vr: &str, value: &[u8]) {
        self.put_head(tag, vr, value.len().next_multiple_of(2) as u32);
        self.0.extend(value);
        if value.len() % 2 == 1 {
            self.0.push(if matches!(vr, "UI" | "OB") { 0 } else { b' ' });
        }
    }

    fn put_number(&mut self, tag: (u16, u16), value: u16) {
        self.put(tag, "US", &value.to_le_bytes());
    }

    /// Appends the tag, the VR and the length of an element. The caller must append the value.
    fn put_head(&mut self, (group, element): (u16, u16), vr: &str, length: u32) {
        self.0.extend(group.to_le_bytes());
        self.0.extend(element.to_le_bytes());
        self.0.extend(vr.as_bytes());
        if vr == "OB" {
            self.0.extend([0, 0]);
            self.0.extend(length.to_le_bytes());
        } else {
            self.0.extend((length as u16).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cine::Settings;
    use crate::image::view::View;
    use crate::render::render;

    #[test]
    fn frames_too_wide_for_dicom_are_refused() {
        let settings = Settings { frames: 1, ..Settings::default() };
        let cine = Cine { width: 70_000, ..render(View::A4c, 1, &settings) };
        let path = std::env::temp_dir().join(format!("tteview-wide-{}.dcm", std::process::id()));
        let error = write_dicom(&path, &cine).unwrap_err();
        assert_eq!(error.to_string(), "width is 70000 pixels; DICOM allows at most 65535");
        assert!(!path.exists());
    }
}
