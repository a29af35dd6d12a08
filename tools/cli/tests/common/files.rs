//! Cine files that the tests write, and real cine files.

use std::path::{Path, PathBuf};

/// Returns the path of a DICOM file from the Python package pydicom, or of the PPM file with the
/// frames that pydicom decoded from a DICOM file.
pub(crate) fn real_file(name: &str) -> PathBuf {
    let folder = std::env::var_os("TTEVIEW_CINES");
    let folder = folder
        .expect("TTEVIEW_CINES must name a folder of real cines; `cargo xtask test` fetches them");
    let path = Path::new(&folder).join(name);
    assert!(path.exists(), "TTEVIEW_CINES must contain {}", path.display());
    path
}

/// Reads the images of a binary PGM or PPM file: width, height and pixels.
pub(crate) fn read_pnm(path: &Path) -> Vec<(usize, usize, Vec<u8>)> {
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
        let [kind, width, height, _] = words[..] else {
            panic!("the header must have four words, got {words:?}")
        };
        let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
        let (pixels, after) = rest.split_at(width * height * if kind == "P6" { 3 } else { 1 });
        images.push((width, height, pixels.to_vec()));
        rest = after;
    }
    images
}

/// A DICOM file in explicit VR little endian, to which elements are appended.
pub(crate) struct Dicom(pub(crate) Vec<u8>);

impl Dicom {
    pub(crate) fn new(syntax: &str) -> Self {
        let mut file = Self(vec![0; 128]);
        file.0.extend(b"DICM");
        file.put(2, 0x10, b"UI", syntax.as_bytes());
        file
    }

    pub(crate) fn put(
        &mut self,
        group: u16,
        element: u16,
        vr: &[u8; 2],
        value: &[u8],
    ) -> &mut Self {
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

    /// Adds the attributes of 8-bit images. `photometric` must be a Photometric Interpretation with
    /// one sample per pixel.
    pub(crate) fn image(
        &mut self,
        photometric: &str,
        [width, height]: [u16; 2],
        frames: usize,
    ) -> &mut Self {
        self.short(0x28, 2, 1).put(0x28, 4, b"CS", photometric.as_bytes());
        self.put(0x28, 8, b"IS", frames.to_string().as_bytes());
        self.short(0x28, 0x10, height).short(0x28, 0x11, width);
        self.short(0x28, 0x100, 8).short(0x28, 0x101, 8).short(0x28, 0x102, 7).short(0x28, 0x103, 0)
    }

    pub(crate) fn pixels(&mut self, pixels: &[u8]) -> Vec<u8> {
        self.put(0x7fe0, 0x10, b"OB", pixels).0.clone()
    }

    /// Adds bytes that are not wrapped in an element.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
}

/// Creates a chunk of a RIFF file, such as a list.
pub(crate) fn create_chunk(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut chunk = [&name[..], &(body.len() as u32).to_le_bytes(), &body].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

/// Creates an AVI file with one video stream of 25 frames per second. With a negative height, the
/// first row is the top of the image.
pub(crate) fn create_avi(
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
    let stream = create_chunk(
        b"LIST",
        &[b"strl", &create_chunk(b"strh", &[&header]), &create_chunk(b"strf", &[&format])],
    );
    let sound = create_chunk(
        b"LIST",
        &[b"strl", &create_chunk(b"strh", &[b"auds"]), &create_chunk(b"strf", &[&[0; 16]])],
    );
    let head =
        create_chunk(b"LIST", &[b"hdrl", &create_chunk(b"avih", &[&[0; 56]]), &sound, &stream]);
    let mut movie = b"movi".to_vec();
    for frame in frames {
        movie.extend(create_chunk(b"00wb", &[&[1, 2, 3]]));
        movie.extend(create_chunk(b"01dc", &[frame]));
    }
    create_chunk(
        b"RIFF",
        &[b"AVI ", &head, &create_chunk(b"LIST", &[&movie]), &create_chunk(b"idx1", &[])],
    )
}

/// Returns the JPEG images of an encapsulated DICOM file with one image per fragment.
pub(crate) fn extract_jpegs(dicom: &[u8]) -> Vec<Vec<u8>> {
    let item = [0xfe, 0xff, 0x00, 0xe0];
    let begins = |at: &usize| {
        dicom[*at..].starts_with(&item) && dicom[at + 8..].starts_with(&[0xff, 0xd8, 0xff])
    };
    let at = (0..dicom.len().saturating_sub(11)).filter(begins);
    at.map(|at| {
        let length = u32::from_le_bytes(dicom[at + 4..at + 8].try_into().unwrap()) as usize;
        dicom[at + 8..at + 8 + length].to_vec()
    })
    .collect()
}

/// Creates a GIF of 40 x 32 pixels: a red image, then a green square of 8 x 8 pixels at the
/// position (4, 6), which is removed before the third frame.
pub(crate) fn create_gif(delays: [u16; 3]) -> Vec<u8> {
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
