//! JPEG-LS images (ITU T.87), lossless and near-lossless.

use super::coding_parameters::Parameters;
use super::golomb::BitReader;
use super::header::{Header, Segment, read_segment};
use super::samples::store_samples;
use crate::cine::advice::CONVERT_IMAGE;

/// Number of regular contexts; the two contexts for the end of a run follow them.
const REGULAR_CONTEXTS: usize = 365;

/// Number of bits of the length of a run, for each state of the run (A.7.1.1).
const RUN_BITS: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// Largest parameter of a Golomb code.
const MAX_K: u32 = 20;

/// The order of the components in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interleave {
    None,
    Line,
    Sample,
}

/// The statistics of a context.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    errors: i32,
    bias: i32,
    correction: i32,
    count: i32,
    /// Number of negative errors, for the end of a run.
    negative: i32,
}

/// The state of a scan, which a restart marker resets.
struct State {
    contexts: Vec<Context>,
    /// State of the runs of each component.
    run: Vec<usize>,
    /// Two rows for each component, with a sample before and after the row.
    rows: Vec<[Vec<i32>; 2]>,
}

impl State {
    fn new(parameters: &Parameters, components: usize, width: usize) -> Self {
        let errors = 2.max((parameters.range + 32) / 64);
        let context = Context { errors, count: 1, ..Context::default() };
        Self {
            contexts: vec![context; REGULAR_CONTEXTS + 2],
            run: vec![0; components],
            rows: vec![[vec![0; width + 2], vec![0; width + 2]]; components],
        }
    }
}

struct ScanDecoder<'a> {
    reader: BitReader<'a>,
    parameters: Parameters,
    state: State,
}

/// Decodes an image to interleaved samples.
pub(super) fn decode(image: &[u8], header: &Header) -> Result<Vec<u8>, String> {
    if !header.has_equal_sampling() {
        return Err(format!(
            "JPEG-LS with subsampled components is not supported; {CONVERT_IMAGE}"
        ));
    }
    let (width, height) = (usize::from(header.width), usize::from(header.height));
    let count = header.components.len();
    let mut samples = vec![0u16; width * height * count];
    let mut missing: Vec<usize> = (0..count).collect();
    let (mut presets, mut interval) = ([0; 5], 0);
    let mut at = 2;
    while !missing.is_empty() {
        let Segment { marker, body } = read_segment(image, at)?;
        at = body.end;
        let fields = image.get(body).unwrap_or_default();
        match (marker, fields) {
            (0xf8, [1, values @ ..]) => {
                for (place, pair) in presets.iter_mut().zip(values.chunks_exact(2)) {
                    *place = i32::from(u16::from_be_bytes([pair[0], pair[1]]));
                }
            }
            (0xf8, _) => {
                return Err(format!(
                    "JPEG-LS with mapping tables is not supported; {CONVERT_IMAGE}"
                ));
            }
            (0xe8, [b'm', b'r', b'f', b'x', transform, ..]) if *transform != 0 => {
                return Err(format!(
                    "JPEG-LS with a colour transform is not supported; {CONVERT_IMAGE}"
                ));
            }
            (0xdd, bytes) => {
                interval = bytes.iter().fold(0, |sum: usize, &byte| sum << 8 | usize::from(byte));
            }
            (0xd9, _) => break,
            (0xda, _) => {
                let (components, near, interleave) = read_scan(fields, header)?;
                let parameters = Parameters::new(header.precision, near, presets)?;
                let mut decoder = ScanDecoder {
                    reader: BitReader::new(image, at),
                    state: State::new(&parameters, components.len(), width),
                    parameters,
                };
                for y in 0..height {
                    if interval > 0 && y > 0 && y % interval == 0 {
                        decoder.reader.restart()?;
                        decoder.state = State::new(&parameters, components.len(), width);
                    }
                    decoder.decode_row(width, interleave)?;
                    for (row, &component) in decoder.state.rows.iter().zip(&components) {
                        let target = samples[y * width * count..][..width * count].iter_mut();
                        let target = target.skip(component).step_by(count);
                        target.zip(&row[0][1..]).for_each(|(to, &from)| *to = from as u16);
                    }
                }
                at = decoder.reader.find_marker();
                missing.retain(|index| !components.contains(index));
            }
            _ => {}
        }
    }
    if !missing.is_empty() {
        return Err("the JPEG-LS image has no scan for one of its components".into());
    }
    Ok(store_samples(&samples, header.precision))
}

/// Reads the header of a scan: the indices of its components, the allowed error and the order.
fn read_scan(fields: &[u8], header: &Header) -> Result<(Vec<usize>, i32, Interleave), String> {
    let invalid = || String::from("the scan header of the JPEG-LS image is invalid");
    let [count, fields @ ..] = fields else { return Err(invalid()) };
    let count = usize::from(*count);
    let [near, interleave, transform] = fields.get(2 * count..).unwrap_or_default() else {
        return Err(invalid());
    };
    let mut components = Vec::new();
    for selector in fields.chunks_exact(2).take(count) {
        let index = header.components.iter().position(|part| part.id == selector[0]);
        components.push(index.ok_or_else(invalid)?);
    }
    let interleave = match (interleave, count) {
        (_, 0) => return Err(invalid()),
        (_, 1) => Interleave::None,
        (1, 2..=3) => Interleave::Line,
        (2, 2..=3) => Interleave::Sample,
        _ => return Err(invalid()),
    };
    if *transform != 0 {
        return Err(format!("JPEG-LS with a point transform is not supported; {CONVERT_IMAGE}"));
    }
    Ok((components, i32::from(*near), interleave))
}

impl ScanDecoder<'_> {
    /// Decodes one row of each component of the scan.
    fn decode_row(&mut self, width: usize, interleave: Interleave) -> Result<(), String> {
        for row in &mut self.state.rows {
            row.swap(0, 1);
            let [current, previous] = row;
            previous[width + 1] = previous[width];
            current[0] = previous[1];
        }
        if interleave == Interleave::Sample {
            return self.decode_samples(0..self.state.rows.len(), width);
        }
        (0..self.state.rows.len())
            .try_for_each(|component| self.decode_samples(component..component + 1, width))
    }

    /// Decodes one row of components whose samples are interleaved.
    fn decode_samples(
        &mut self,
        components: std::ops::Range<usize>,
        width: usize,
    ) -> Result<(), String> {
        let mut x = 1;
        while x <= width {
            let gradients = |state: &State, component: usize| {
                let [current, previous] = &state.rows[component];
                let (left, corner) = (current[x - 1], previous[x - 1]);
                let (above, right) = (previous[x], previous[x + 1]);
                [right - above, above - corner, corner - left]
            };
            let is_run = components.clone().all(|component| {
                let flat = |gradient: i32| gradient.abs() <= self.parameters.near;
                gradients(&self.state, component).into_iter().all(flat)
            });
            if is_run {
                x = self.decode_run(components.clone(), x, width)?;
                continue;
            }
            for component in components.clone() {
                let quantized =
                    gradients(&self.state, component).map(|value| self.parameters.quantize(value));
                self.state.rows[component][0][x] = self.decode_regular(component, x, quantized)?;
            }
            x += 1;
        }
        Ok(())
    }

    /// Decodes a sample in the regular mode (A.4 to A.6).
    fn decode_regular(&mut self, component: usize, x: usize, q: [i32; 3]) -> Result<i32, String> {
        let parameters = self.parameters;
        let [current, previous] = &self.state.rows[component];
        let (left, above, corner) = (current[x - 1], previous[x], previous[x - 1]);
        let index = 81 * q[0] + 9 * q[1] + q[2];
        let sign = if index < 0 { -1 } else { 1 };
        let context = &mut self.state.contexts[index.unsigned_abs() as usize];
        let prediction = if corner >= left.max(above) {
            left.min(above)
        } else if corner <= left.min(above) {
            left.max(above)
        } else {
            left + above - corner
        };
        let prediction = (prediction + sign * context.correction).clamp(0, parameters.max);
        let mut k = 0;
        while context.count << k < context.errors && k < MAX_K {
            k += 1;
        }
        let max_zeros = parameters.limit - parameters.bits - 1;
        let mapped = self.reader.read_golomb(k, max_zeros, parameters.bits)?;
        let half = (mapped + 1) >> 1;
        let mut error = if mapped & 1 == 1 { -half } else { half };
        if parameters.near == 0 && k == 0 && 2 * context.bias <= -context.count {
            error = -error - 1;
        }
        context.bias += error * (2 * parameters.near + 1);
        context.errors += error.abs();
        if context.count == parameters.reset {
            context.errors >>= 1;
            context.bias >>= 1;
            context.count >>= 1;
        }
        context.count += 1;
        if context.bias <= -context.count {
            context.bias = (context.bias + context.count).max(1 - context.count);
            context.correction = (context.correction - 1).max(-128);
        } else if context.bias > 0 {
            context.bias = (context.bias - context.count).min(0);
            context.correction = (context.correction + 1).min(127);
        }
        Ok(parameters.reconstruct(prediction, sign * error))
    }

    /// Decodes a run that begins at `x`, and the sample that ends it (A.7). Returns the position
    /// after the run.
    fn decode_run(
        &mut self,
        components: std::ops::Range<usize>,
        mut x: usize,
        width: usize,
    ) -> Result<usize, String> {
        let first = components.start;
        let mut fill = |rows: &mut Vec<[Vec<i32>; 2]>, length: usize| {
            for component in components.clone() {
                let row = &mut rows[component][0];
                let value = row[x - 1];
                row[x..x + length].fill(value);
            }
            x += length;
            x
        };
        let mut at = fill(&mut self.state.rows, 0);
        while self.reader.read_bits(1)? == 1 {
            let length = 1 << RUN_BITS[self.state.run[first]];
            let filled = length.min(width + 1 - at);
            at = fill(&mut self.state.rows, filled);
            if filled == length {
                self.state.run[first] = (self.state.run[first] + 1).min(RUN_BITS.len() - 1);
            }
            if at > width {
                return Ok(at);
            }
        }
        let bits = RUN_BITS[self.state.run[first]];
        let length = self.reader.read_bits(bits)? as usize;
        if length > width - at {
            return Err("a run of the JPEG-LS image passes the end of its row".into());
        }
        at = fill(&mut self.state.rows, length);
        let is_sample_interleaved = components.len() > 1;
        for component in components {
            let [current, previous] = &self.state.rows[component];
            let (left, above) = (current[at - 1], previous[at]);
            let is_flat = !is_sample_interleaved && (left - above).abs() <= self.parameters.near;
            let error = self.decode_run_end(is_flat, bits)?;
            let (prediction, sign) = match is_flat {
                true => (left, 1),
                false => (above, if left > above { -1 } else { 1 }),
            };
            self.state.rows[component][0][at] =
                self.parameters.reconstruct(prediction, sign * error);
        }
        self.state.run[first] = self.state.run[first].saturating_sub(1);
        Ok(at + 1)
    }

    /// Decodes the error of the sample that ends a run (A.7.2).
    fn decode_run_end(&mut self, is_flat: bool, run_bits: u32) -> Result<i32, String> {
        let parameters = self.parameters;
        let flat = i32::from(is_flat);
        let context = &mut self.state.contexts[REGULAR_CONTEXTS + usize::from(is_flat)];
        let errors = context.errors + if is_flat { context.count >> 1 } else { 0 };
        let mut k = 0;
        while context.count << k < errors && k < MAX_K {
            k += 1;
        }
        let max_zeros = (parameters.limit - run_bits - 1).saturating_sub(parameters.bits + 1);
        let mapped = self.reader.read_golomb(k, max_zeros, parameters.bits)?;
        let shifted = mapped + flat;
        let half = (shifted + 1) >> 1;
        let is_mapped = shifted & 1 == 1;
        let is_negative = (k != 0 || 2 * context.negative >= context.count) == is_mapped;
        let error = if is_negative { -half } else { half };
        if error < 0 {
            context.negative += 1;
        }
        context.errors += (mapped + 1 - flat) >> 1;
        if context.count == parameters.reset {
            context.errors >>= 1;
            context.count >>= 1;
            context.negative >>= 1;
        }
        context.count += 1;
        Ok(error)
    }
}
