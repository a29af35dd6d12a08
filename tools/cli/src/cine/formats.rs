//! The format of a file, from its content.

use super::decoder::CineSource;
use super::video::{self, CONVERT};
use super::{apng, avi, dicom, gif, webp};

/// The formats that a file can have, for messages.
const FORMATS: &str = "DICOM, AVI, GIF, MP4, QuickTime, Matroska, animated PNG or WebP";

/// A function that opens a file of one format.
type Opener = fn(Vec<u8>) -> Result<CineSource, String>;

/// Opens a file.
pub(super) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    match find_opener(&file) {
        Some(open) => open(file),
        None => Err(refuse(&file).unwrap_or_else(|| format!("the file is not {FORMATS}"))),
    }
}

/// Returns whether the beginning of a file shows a format that can be opened, or one that is
/// refused with a message of its own.
pub(super) fn is_known(start: &[u8]) -> bool {
    find_opener(start).is_some() || refuse(start).is_some()
}

fn find_opener(file: &[u8]) -> Option<Opener> {
    match file {
        [b'G', b'I', b'F', b'8', ..] => Some(gif::open),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Some(avi::open),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(webp::open),
        [0x89, b'P', b'N', b'G', ..] if apng::is_animated(file) => Some(apng::open),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Some(video::open_matroska),
        _ if is_mp4(file) => Some(video::open_mp4),
        [] => None,
        _ if dicom::is_dicom(file) => Some(dicom::open),
        _ => None,
    }
}

/// Returns whether a file begins like an MP4 or QuickTime file.
fn is_mp4(file: &[u8]) -> bool {
    let kind = file.get(4..8).unwrap_or_default();
    [&b"ftyp"[..], b"moov", b"mdat", b"wide", b"free", b"skip"].contains(&kind)
}

/// Returns the message for a file of another common kind.
fn refuse(file: &[u8]) -> Option<String> {
    let is_nifti =
        |bytes: &[u8]| bytes.get(344..347) == Some(b"n+1") || bytes.starts_with(&[92, 1, 0, 0]);
    let message = match file {
        [] => "the file is empty".into(),
        [0x1f, 0x8b, ..] => {
            "the file is compressed with gzip; unpack it with gunzip, or, if it contains NIfTI, \
             export the frames as PNG"
                .into()
        }
        [b'P', b'K', 3 | 5, 4 | 6, ..] => {
            "the file is a ZIP archive; unpack it and name the files in it".into()
        }
        [0x89, b'P', b'N', b'G', ..] => {
            "a single PNG file is not a cine; name the folder that contains the frames, or add \
             --still"
                .into()
        }
        [0xff, 0xd8, 0xff, ..] => {
            "a single JPEG file is not a cine; name the folder that contains the frames, or add \
             --still"
                .into()
        }
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => {
            "TIFF files are not supported; export the frames as PNG files into one folder".into()
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            "NumPy arrays (npy) are not supported; write the frames as PNG files into one folder"
                .into()
        }
        [0, 0, 1, 0xba | 0xb3, ..] => format!("MPEG program streams are not supported; {CONVERT}"),
        [0x47, ..] if file.get(188) == Some(&0x47) => {
            format!("MPEG transport streams are not supported; {CONVERT}")
        }
        [0x30, 0x26, 0xb2, 0x75, ..] => format!("Windows Media files are not supported; {CONVERT}"),
        [b'F', b'L', b'V', 1, ..] => format!("Flash video files are not supported; {CONVERT}"),
        [0, 0, 0, 1, ..] | [0, 0, 1, ..] => {
            format!("bare video streams are not supported; {CONVERT}")
        }
        [b'B', b'M', ..] => "a BMP file is not a cine; convert the frames to PNG".into(),
        [0x42, 0x5a, b'h', ..]
        | [0xfd, b'7', b'z', b'X', b'Z', ..]
        | [b'7', b'z', 0xbc, ..]
        | [0x28, 0xb5, 0x2f, 0xfd, ..]
        | [b'R', b'a', b'r', b'!', ..] => {
            "the file is a compressed archive; unpack it and name the files in it".into()
        }
        _ if file.starts_with(b"version https://git-lfs") => {
            format!(
                "the file is a Git LFS pointer and not {FORMATS}; fetch the file with: git lfs pull"
            )
        }
        _ if is_nifti(file) => {
            "NIfTI files are not supported; export the frames as PNG files into one folder".into()
        }
        _ => return None,
    };
    Some(message)
}
