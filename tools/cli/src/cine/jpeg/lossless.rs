//! Lossless images with Huffman coding (ITU T.81, annex H): all predictors, restart intervals,
//! point transforms, and one or several scans.

use super::header::{Header, Segment, read_segment};
use super::huffman::{BitReader, Table};
use super::samples::store_samples;
use crate::cine::advice::CONVERT_IMAGE;

/// The parameters of a scan.
struct Scan {
    /// Index of each component of the scan and the number of its Huffman table.
    components: Vec<(usize, usize)>,
    /// Number of the prediction formula, 1 to 7.
    predictor: u8,
    /// Number of low bits that are not coded.
    point_transform: u8,
    /// Number of pixels between restart markers, or 0.
    restart_interval: usize,
}

/// Decodes an image to interleaved samples.
pub(super) fn decode(image: &[u8], header: &Header) -> Result<Vec<u8>, String> {
    if !header.has_equal_sampling() {
        return Err(format!(
            "lossless JPEG with subsampled components is not supported; {CONVERT_IMAGE}"
        ));
    }
    let mut tables: [Option<Table>; 4] = [const { None }; 4];
    let mut restart_interval = 0;
    let count = header.components.len();
    let pixels = usize::from(header.width) * usize::from(header.height);
    let mut samples = vec![0; pixels * count];
    let mut missing: Vec<usize> = (0..count).collect();
    // The segments before the first scan are read again here, because tables can also be between
    // scans.
    let mut at = 2;
    while !missing.is_empty() {
        let Segment { marker, body } = read_segment(image, at)?;
        at = body.end;
        let parameters = image.get(body).unwrap_or_default();
        match (marker, parameters) {
            (0xc4, _) => Table::read_segment(parameters, &mut tables)?,
            (0xdd, [high, low, ..]) => {
                restart_interval = usize::from(u16::from_be_bytes([*high, *low]));
            }
            (0xd9, _) => break,
            (0xda, _) => {
                let scan = Scan::read(parameters, header, restart_interval)?;
                let reader = BitReader::new(image, at);
                at = decode_scan(reader, header, &scan, &tables, &mut samples)?;
                missing.retain(|index| scan.components.iter().all(|(done, _)| done != index));
            }
            _ => {}
        }
    }
    if !missing.is_empty() {
        return Err("the JPEG image has no scan for one of its components".into());
    }
    Ok(store_samples(&samples, header.precision))
}

impl Scan {
    fn read(parameters: &[u8], header: &Header, restart_interval: usize) -> Result<Self, String> {
        let invalid = || String::from("the scan header of the JPEG image is invalid");
        let [count, parameters @ ..] = parameters else { return Err(invalid()) };
        let count = usize::from(*count);
        let [predictor, _, transform] = parameters.get(2 * count..).unwrap_or_default() else {
            return Err(invalid());
        };
        let mut components = Vec::new();
        for selector in parameters.chunks_exact(2).take(count) {
            let index = header.components.iter().position(|part| part.id == selector[0]);
            components.push((index.ok_or_else(invalid)?, usize::from(selector[1] >> 4)));
        }
        let point_transform = transform & 15;
        if !(1..=7).contains(predictor)
            || point_transform >= header.precision
            || components.is_empty()
        {
            return Err(invalid());
        }
        Ok(Self { components, predictor: *predictor, point_transform, restart_interval })
    }
}

/// Decodes the samples of one scan. Returns the offset of the marker after the scan.
fn decode_scan(
    mut reader: BitReader<'_>,
    header: &Header,
    scan: &Scan,
    tables: &[Option<Table>; 4],
    samples: &mut [u16],
) -> Result<usize, String> {
    let stride = header.components.len();
    let (width, height) = (usize::from(header.width), usize::from(header.height));
    let first = 1i32 << (header.precision - scan.point_transform - 1);
    let tables: Vec<(usize, &Table)> = scan
        .components
        .iter()
        .map(|&(index, table)| match tables.get(table) {
            Some(Some(table)) => Ok((index, table)),
            _ => Err(format!("the JPEG image has no Huffman table {table}")),
        })
        .collect::<Result<_, _>>()?;
    let mut until_restart = scan.restart_interval;
    // The row in which the scan or the last restart interval began is predicted from the left.
    let mut start_row = 0;
    for y in 0..height {
        for x in 0..width {
            let mut is_start = x == 0 && y == 0;
            if scan.restart_interval > 0 {
                if until_restart == 0 {
                    reader.restart()?;
                    until_restart = scan.restart_interval;
                    (start_row, is_start) = (y, true);
                }
                until_restart -= 1;
            }
            let pixel = (y * width + x) * stride;
            for &(component, table) in &tables {
                let at = pixel + component;
                let prediction = if is_start {
                    first
                } else if y == start_row && x > 0 {
                    samples[at - stride].into()
                } else if x == 0 {
                    samples[at - width * stride].into()
                } else {
                    let [left, above, corner] = [stride, width * stride, (width + 1) * stride]
                        .map(|distance| i32::from(samples[at - distance]));
                    predict(scan.predictor, left, above, corner)
                };
                samples[at] = (prediction + reader.read_difference(table)?) as u16;
            }
        }
    }
    if scan.point_transform > 0 {
        for pixel in samples.chunks_exact_mut(stride) {
            scan.components.iter().for_each(|&(index, _)| pixel[index] <<= scan.point_transform);
        }
    }
    Ok(reader.find_marker())
}

/// Returns the prediction from the neighbours (ITU T.81, table H.1).
fn predict(predictor: u8, left: i32, above: i32, corner: i32) -> i32 {
    match predictor {
        1 => left,
        2 => above,
        3 => corner,
        4 => left + above - corner,
        5 => left + ((above - corner) >> 1),
        6 => above + ((left - corner) >> 1),
        _ => (left + above) >> 1,
    }
}
