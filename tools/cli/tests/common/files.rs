//! Cine files written by the tests, and the real ones.

use std::path::{Path, PathBuf};

/// A file of the Python package pydicom, or what pydicom decodes it to.
pub(crate) fn real(name: &str) -> PathBuf {
    let folder = std::env::var_os("TTEVIEW_CINES");
    let folder =
        folder.expect("TTEVIEW_CINES names no folder of real cines; `cargo xtask test` fetches them");
    let path = Path::new(&folder).join(name);
    assert!(path.exists(), "TTEVIEW_CINES: no {}", path.display());
    path
}

/// The images of a binary PGM or PPM file: width, height and pixels.
pub(crate) fn pnm(path: &Path) -> Vec<(usize, usize, Vec<u8>)> {
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut images = Vec::new();
    while !rest.is_empty() {
        let mut words = Vec::new();
        for _ in 0..4 {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap();
            words.push(std::str::from_utf8(&rest[..end]).unwrap());
            rest = &rest[end + 1..];
        }
        let [kind, width, height, _] = words[..] else { panic!("a header of {words:?}") };
        let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
        let (pixels, after) = rest.split_at(width * height * if kind == "P6" { 3 } else { 1 });
        images.push((width, height, pixels.to_vec()));
        rest = after;
    }
    images
}

/// A DICOM file in explicit VR little endian, element by element.
pub(crate) struct Dicom(pub(crate) Vec<u8>);

impl Dicom {
    pub(crate) fn new(syntax: &str) -> Self {
        let mut file = Self(vec![0; 128]);
        file.0.extend(b"DICM");
        file.put(2, 0x10, b"UI", syntax.as_bytes());
        file
    }

    pub(crate) fn put(&mut self, group: u16, element: u16, vr: &[u8; 2], value: &[u8]) -> &mut Self {
        self.0.extend(group.to_le_bytes());
        self.0.extend(element.to_le_bytes());
        self.0.extend(vr);
        let even = value.len().next_multiple_of(2);
        if matches!(vr, b"OB" | b"OW" | b"SQ" | b"UN") {
            self.0.extend([0, 0]);
            self.0.extend((even as u32).to_le_bytes());
        } else {
            self.0.extend((even as u16).to_le_bytes());
        }
        self.0.extend(value);
        self.0.resize(self.0.len() + even - value.len(), if vr == b"UI" { 0 } else { b' ' });
        self
    }

    pub(crate) fn short(&mut self, group: u16, element: u16, value: u16) -> &mut Self {
        self.put(group, element, b"US", &value.to_le_bytes())
    }

    /// The attributes of 8-bit images; `photometric` with one sample a pixel.
    pub(crate) fn image(&mut self, photometric: &str, [width, height]: [u16; 2], frames: usize) -> &mut Self {
        self.short(0x28, 2, 1).put(0x28, 4, b"CS", photometric.as_bytes());
        self.put(0x28, 8, b"IS", frames.to_string().as_bytes());
        self.short(0x28, 0x10, height).short(0x28, 0x11, width);
        self.short(0x28, 0x100, 8).short(0x28, 0x101, 8).short(0x28, 0x102, 7).short(0x28, 0x103, 0)
    }

    pub(crate) fn pixels(&mut self, pixels: &[u8]) -> Vec<u8> {
        self.put(0x7fe0, 0x10, b"OB", pixels).0.clone()
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
}

/// A list or other chunk of a RIFF file.
pub(crate) fn chunk(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut chunk = [&name[..], &(body.len() as u32).to_le_bytes(), &body].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

/// An AVI file of one video stream, 25 frames a second. A negative height is a picture from the top.
pub(crate) fn avi(
    compression: &[u8; 4],
    bits: u16,
    [width, height]: [i32; 2],
    palette: &[u8],
    frames: &[Vec<u8>],
) -> Vec<u8> {
    let mut header = b"vidsMJPG".to_vec();
    header.resize(56, 0);
    header[20..24].copy_from_slice(&2u32.to_le_bytes());
    header[24..28].copy_from_slice(&50u32.to_le_bytes());
    let mut format = 40u32.to_le_bytes().to_vec();
    format.extend(width.to_le_bytes());
    format.extend(height.to_le_bytes());
    format.extend(1u16.to_le_bytes());
    format.extend(bits.to_le_bytes());
    format.extend(compression);
    format.resize(40, 0);
    format.extend(palette);
    let stream = chunk(b"LIST", &[b"strl", &chunk(b"strh", &[&header]), &chunk(b"strf", &[&format])]);
    let sound = chunk(b"LIST", &[b"strl", &chunk(b"strh", &[b"auds"]), &chunk(b"strf", &[&[0; 16]])]);
    let head = chunk(b"LIST", &[b"hdrl", &chunk(b"avih", &[&[0; 56]]), &sound, &stream]);
    let mut movie = b"movi".to_vec();
    for frame in frames {
        movie.extend(chunk(b"00wb", &[&[1, 2, 3]]));
        movie.extend(chunk(b"01dc", &[frame]));
    }
    chunk(b"RIFF", &[b"AVI ", &head, &chunk(b"LIST", &[&movie]), &chunk(b"idx1", &[])])
}

/// The JPEG images of an encapsulated DICOM file, one a fragment.
pub(crate) fn jpegs(dicom: &[u8]) -> Vec<Vec<u8>> {
    let item = [0xfe, 0xff, 0x00, 0xe0];
    let begins =
        |at: &usize| dicom[*at..].starts_with(&item) && dicom[at + 8..].starts_with(&[0xff, 0xd8, 0xff]);
    let at = (0..dicom.len().saturating_sub(11)).filter(begins);
    at.map(|at| {
        let length = u32::from_le_bytes(dicom[at + 4..at + 8].try_into().unwrap()) as usize;
        dicom[at + 8..at + 8 + length].to_vec()
    })
    .collect()
}

/// A GIF of 40 x 32: a red picture, then a green square of 8 x 8 at 4, 6 that goes away again.
pub(crate) fn gif(delays: [u16; 3]) -> Vec<u8> {
    let palette = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, 40, 32, &palette).unwrap();
    let mut frame = |delay: u16, [left, top, width, height]: [u16; 4], colour: u8, dispose| {
        let frame = gif::Frame {
            delay,
            dispose,
            left,
            top,
            width,
            height,
            buffer: vec![colour; usize::from(width) * usize::from(height)].into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
    };
    frame(delays[0], [0, 0, 40, 32], 1, gif::DisposalMethod::Keep);
    frame(delays[1], [4, 6, 8, 8], 2, gif::DisposalMethod::Previous);
    frame(delays[2], [0, 0, 1, 1], 3, gif::DisposalMethod::Keep);
    drop(encoder);
    file
}
