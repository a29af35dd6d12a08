//! JPEG images: baseline, extended, progressive and lossless (ITU T.81), and JPEG-LS (ITU T.87).
//!
//! | module | contents |
//! | --- | --- |
//! | `header`, `colours` | the segments before the first scan, and the meaning of the components |
//! | `samples` | the samples of an image as bytes |
//! | `lossy`, `edges` | baseline, extended and progressive images, and their edges |
//! | `lossless`, `huffman` | lossless images, and their entropy coding |
//! | `near_lossless`, `golomb`, `coding_parameters` | JPEG-LS, its entropy coding and parameters |

mod coding_parameters;
mod colours;
mod edges;
mod golomb;
mod header;
mod huffman;
mod lossless;
mod lossy;
mod near_lossless;
mod samples;

pub(super) use colours::{SampleColours, UnmarkedColours};

use super::advice::CONVERT_IMAGE;
use header::{Coding, Header};

/// A decoded image with interleaved components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// 8-bit samples, or 16-bit little-endian samples if the precision is more than 8 bits.
    pub(super) samples: Vec<u8>,
    /// Number of components, 1 or 3.
    pub(super) components: u8,
    /// Number of bits per sample.
    pub(super) precision: u8,
    pub(super) colours: SampleColours,
    /// Whether the end of the image is missing.
    pub(super) is_cut: bool,
}

/// Reads the width and the height of an image.
pub(super) fn read_size(image: &[u8]) -> Result<[u32; 2], String> {
    let header = Header::read(image)?;
    Ok([header.width.into(), header.height.into()])
}

/// Reads the number of components of an image.
pub(super) fn read_component_count(image: &[u8]) -> Result<u8, String> {
    Header::read(image).map(|header| header.components.len() as u8)
}

/// Decodes an image, which must have the given size.
pub(super) fn decode(
    image: &[u8],
    [width, height]: [u32; 2],
    unmarked: UnmarkedColours,
) -> Result<Image, String> {
    // The decoders allocate as much memory as the header demands, so the header is checked first.
    let header = Header::read(image)?;
    if [u32::from(header.width), u32::from(header.height)] != [width, height] {
        let (w, h) = (header.width, header.height);
        return Err(format!("the JPEG image must have {width} x {height} pixels, got {w} x {h}"));
    }
    let precisions = match header.coding {
        Coding::Lossy => 8..=8,
        Coding::Lossless | Coding::NearLossless => 2..=16,
    };
    let components = header.components.len() as u8;
    if !matches!(components, 1 | 3) || !precisions.contains(&header.precision) {
        let bits = header.precision;
        return Err(format!(
            "JPEG with {components} components of {bits} bits is not supported; {CONVERT_IMAGE}"
        ));
    }
    let samples = match header.coding {
        Coding::Lossy => lossy::decode(image, &header)?,
        Coding::Lossless => lossless::decode(image, &header)?,
        Coding::NearLossless => near_lossless::decode(image, &header)?,
    };
    Ok(Image {
        samples,
        components,
        precision: header.precision,
        colours: header.colours(unmarked),
        is_cut: header.coding == Coding::Lossy && !lossy::has_end(image),
    })
}
