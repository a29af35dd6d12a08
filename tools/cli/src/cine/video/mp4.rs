//! MP4 and QuickTime files (ISO/IEC 14496-12): the first video track, also with fragments.

use super::track::{CONVERT, Codec, Track, open_track};
use crate::cine::bytes::slice;
use crate::cine::decoder::CineSource;
use std::ops::Range;

/// Offset of the first box inside a description of the video samples.
const SAMPLE_ENTRY_BYTES: usize = 78;

/// Opens a file.
pub(in crate::cine) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let track = read_track(&file)?;
    open_track(file, track)
}

/// A box: its type, and the byte range of its content.
type Box = ([u8; 4], Range<usize>);

/// Returns the consecutive boxes in a byte range. A box that ends outside the range is cut off.
fn find_boxes(file: &[u8], within: Range<usize>) -> Vec<Box> {
    let mut boxes = Vec::new();
    let mut at = within.start;
    while let Some(&[a, b, c, d, k0, k1, k2, k3]) =
        slice(file, at, 8).filter(|_| at + 8 <= within.end)
    {
        let (start, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (at + 8, within.end - at),
            1 => (at + 16, read_u64(file, at + 8).unwrap_or(0)),
            size => (at + 8, size as usize),
        };
        let end = at.saturating_add(size).min(within.end);
        if end < start {
            break;
        }
        boxes.push(([k0, k1, k2, k3], start..end));
        at = end;
    }
    boxes
}

/// Returns the content of the first box on a path of types.
fn find_box(file: &[u8], within: Range<usize>, path: &[&[u8; 4]]) -> Option<Range<usize>> {
    path.iter().try_fold(within, |within, wanted| {
        find_boxes(file, within).into_iter().find(|(kind, _)| kind == *wanted).map(|found| found.1)
    })
}

fn read_u32(file: &[u8], at: usize) -> Option<u32> {
    slice(file, at, 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn read_u64(file: &[u8], at: usize) -> Option<usize> {
    let number = slice(file, at, 8)?.try_into().ok().map(u64::from_be_bytes)?;
    usize::try_from(number).ok()
}

/// The entries of a table with a fixed number of 32-bit fields for each entry. The table ends at
/// the end of its box, whatever number of entries it claims.
fn read_table<const N: usize>(file: &[u8], table: Range<usize>, skip: usize) -> Vec<[u32; N]> {
    let count = read_u32(file, table.start + skip).unwrap_or(0) as usize;
    let start = table.start + skip + 4;
    let bytes = file.get(start..table.end.max(start)).unwrap_or_default();
    let entries = bytes.chunks_exact(4 * N).take(count);
    entries
        .map(|entry| std::array::from_fn(|field| read_u32(entry, 4 * field).unwrap_or(0)))
        .collect()
}

fn read_track(file: &[u8]) -> Result<Track, String> {
    let movie = find_box(file, 0..file.len(), &[b"moov"])
        .ok_or_else(|| format!("the MP4 file has no index, so it is incomplete; {CONVERT}"))?;
    let tracks = find_boxes(file, movie).into_iter().filter(|(kind, _)| kind == b"trak");
    let is_video = |track: &Range<usize>| {
        let handler = find_box(file, track.clone(), &[b"mdia", b"hdlr"]);
        handler.is_some_and(|handler| slice(file, handler.start + 8, 4) == Some(b"vide"))
    };
    let track = tracks.map(|(_, track)| track).find(is_video);
    let track = track.ok_or("the MP4 file has no video track")?;
    let media = find_box(file, track.clone(), &[b"mdia"]).unwrap_or(0..0);
    let header = find_box(file, media.clone(), &[b"mdhd"]).unwrap_or(0..0);
    let is_wide = file.get(header.start) == Some(&1);
    let timescale = read_u32(file, header.start + if is_wide { 20 } else { 12 });
    let timescale = f64::from(timescale.filter(|&scale| scale > 0).unwrap_or(1000));
    let table = find_box(file, media, &[b"minf", b"stbl"]).ok_or("the MP4 file has no samples")?;
    let codec = read_codec(file, table.clone())?;
    let mut samples = read_samples(file, table);
    if samples.is_empty() {
        let id = find_box(file, track, &[b"tkhd"]).and_then(|header| {
            let is_wide = file.get(header.start) == Some(&1);
            read_u32(file, header.start + if is_wide { 20 } else { 12 })
        });
        samples = read_fragments(file, id.unwrap_or(1));
    }
    if samples.is_empty() {
        return Err(format!("the MP4 file has no video samples, so it is incomplete; {CONVERT}"));
    }
    let is_quicktime = slice(file, 8, 4) == Some(b"qt  ");
    let sample_ns = |sample: &Sample| sample.time as f64 / timescale * 1e9;
    Ok(Track {
        codec,
        times_ns: samples.iter().map(sample_ns).collect(),
        samples: samples.into_iter().map(|sample| sample.data).collect(),
        time_source: "MP4 sample times",
        // Samples outside the file are damaged frames.
        is_cut: false,
        container: if is_quicktime { "QuickTime" } else { "MP4" },
    })
}

/// Reads the description of the samples.
fn read_codec(file: &[u8], table: Range<usize>) -> Result<Codec, String> {
    let description = find_box(file, table, &[b"stsd"]).unwrap_or(0..0);
    let entries = description.start.saturating_add(8).min(description.end)..description.end;
    let entry = find_boxes(file, entries).into_iter().next();
    let (kind, entry) = entry.ok_or("the MP4 file does not describe its video")?;
    match &kind {
        b"avc1" | b"avc3" => {
            let boxes = entry.start.saturating_add(SAMPLE_ENTRY_BYTES).min(entry.end)..entry.end;
            let configuration = find_box(file, boxes, &[b"avcC"]);
            let configuration = configuration.ok_or("the H.264 track has no configuration")?;
            Ok(Codec::H264 { configuration })
        }
        b"jpeg" | b"mjpa" | b"mjpg" | b"MJPG" => Ok(Codec::MotionJpeg),
        other => {
            let name = match other {
                b"hvc1" | b"hev1" => "HEVC/H.265",
                b"mp4v" => "MPEG-4 Part 2",
                b"av01" => "AV1",
                b"vp09" => "VP9",
                _ => "another codec",
            };
            let code = other.escape_ascii();
            Err(format!("MP4 with {name} (\"{code}\") is not supported; {CONVERT}"))
        }
    }
}

/// A sample: its data, and its presentation time in units of the time scale.
struct Sample {
    data: Range<usize>,
    time: i64,
}

/// The samples of a track in the order of decoding.
struct Samples {
    list: Vec<Sample>,
    /// Time of decoding of the next sample.
    time: i64,
    /// Number of bytes that further samples can have. Samples do not overlap, so all of them
    /// together are not larger than the file. Without this limit, a small file could name the same
    /// bytes as the data of many samples.
    room: usize,
}

impl Samples {
    fn new(file: &[u8]) -> Self {
        Self { list: Vec::new(), time: 0, room: file.len() }
    }

    /// Adds a sample. `shift` is the signed time from decoding to presentation. Returns `None` if
    /// the samples would be larger than the file.
    fn push(&mut self, data: Range<usize>, duration: u32, shift: u32) -> Option<()> {
        self.room = self.room.checked_sub(data.len().max(1))?;
        let time = self.time + i64::from(shift.cast_signed());
        self.list.push(Sample { data, time });
        self.time += i64::from(duration);
        Some(())
    }
}

/// Reads the samples of the tables of a track.
fn read_samples(file: &[u8], table: Range<usize>) -> Vec<Sample> {
    let find = |kind| find_box(file, table.clone(), &[kind]);
    let chunks: Vec<usize> = match (find(b"stco"), find(b"co64")) {
        (Some(offsets), _) => {
            read_table::<1>(file, offsets, 4).into_iter().map(|[offset]| offset as usize).collect()
        }
        (None, Some(offsets)) => read_table::<2>(file, offsets, 4)
            .into_iter()
            .map(|[high, low]| (high as usize) << 32 | low as usize)
            .collect(),
        _ => return Vec::new(),
    };
    let sizes = find(b"stsz").unwrap_or(0..0);
    let common_size = read_u32(file, sizes.start + 4).unwrap_or(0);
    let sizes = read_table::<1>(file, sizes, 8);
    let chunk_runs = find(b"stsc").map(|runs| read_table::<3>(file, runs, 4)).unwrap_or_default();
    let mut durations = Runs::new(find(b"stts").map(|runs| read_table::<2>(file, runs, 4)));
    let mut shifts = Runs::new(find(b"ctts").map(|runs| read_table::<2>(file, runs, 4)));
    let mut samples = Samples::new(file);
    for (index, &chunk) in chunks.iter().enumerate() {
        let run = chunk_runs.partition_point(|&[first, ..]| first as usize <= index + 1);
        let per_chunk = run.checked_sub(1).map_or(0, |run| chunk_runs[run][1]);
        let mut at = chunk;
        for _ in 0..per_chunk {
            let size = match common_size {
                0 => sizes.get(samples.list.len()).map(|&[size]| size),
                size => Some(size).filter(|_| at < file.len()),
            };
            let Some(size) = size else { return samples.list };
            let end = at.saturating_add(size as usize);
            let data = at.min(file.len())..end.min(file.len());
            let (duration, shift) = (durations.next().unwrap_or(0), shifts.next().unwrap_or(0));
            if samples.push(data, duration, shift).is_none() {
                return samples.list;
            }
            at = end;
        }
    }
    samples.list
}

/// Values that are stored as pairs of a number of samples and a value.
struct Runs {
    runs: std::vec::IntoIter<[u32; 2]>,
    left: u32,
    value: u32,
}

impl Runs {
    fn new(runs: Option<Vec<[u32; 2]>>) -> Self {
        Self { runs: runs.unwrap_or_default().into_iter(), left: 0, value: 0 }
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            let [count, value] = self.runs.next()?;
            (self.left, self.value) = (count, value);
        }
        self.left -= 1;
        Some(self.value)
    }
}

/// Flags of a track fragment and of a run of samples.
const BASE_OFFSET: u32 = 1;
const DESCRIPTION: u32 = 2;
const DEFAULT_DURATION: u32 = 8;
const DEFAULT_SIZE: u32 = 0x10;
const RUN_OFFSET: u32 = 1;
const FIRST_FLAGS: u32 = 4;
const SAMPLE_FIELDS: [u32; 4] = [0x100, 0x200, 0x400, 0x800];

/// Reads the samples of the fragments of a track (8.8).
fn read_fragments(file: &[u8], track: u32) -> Vec<Sample> {
    let mut samples = Samples::new(file);
    for (kind, fragment) in find_boxes(file, 0..file.len()) {
        if &kind != b"moof" {
            continue;
        }
        let fragment_start = fragment.start - 8;
        for (_, part) in find_boxes(file, fragment).into_iter().filter(|(kind, _)| kind == b"traf")
        {
            let Some(header) = find_box(file, part.clone(), &[b"tfhd"]) else { continue };
            if read_u32(file, header.start + 4) != Some(track) {
                continue;
            }
            let flags = read_u32(file, header.start).unwrap_or(0);
            let mut at = header.start + 8;
            let mut field = |flag: u32, bytes: usize| {
                let place = at;
                at += if flags & flag != 0 { bytes } else { 0 };
                Some(place).filter(|_| flags & flag != 0)
            };
            let base = field(BASE_OFFSET, 8).and_then(|at| read_u64(file, at));
            field(DESCRIPTION, 4);
            let duration = field(DEFAULT_DURATION, 4).and_then(|at| read_u32(file, at));
            let size = field(DEFAULT_SIZE, 4).and_then(|at| read_u32(file, at));
            let base = base.unwrap_or(fragment_start);
            let runs = find_boxes(file, part).into_iter().filter(|(kind, _)| kind == b"trun");
            for (_, run) in runs {
                let defaults = [duration.unwrap_or(0), size.unwrap_or(0)];
                read_run(file, run, base, defaults, &mut samples);
            }
        }
    }
    samples.list
}

/// Reads a run of samples. `defaults` are the duration and the size of a sample.
fn read_run(
    file: &[u8],
    run: Range<usize>,
    base: usize,
    defaults: [u32; 2],
    samples: &mut Samples,
) {
    let flags = read_u32(file, run.start).unwrap_or(0);
    let count = read_u32(file, run.start + 4).unwrap_or(0);
    let mut at = run.start + 8;
    let mut data = base;
    if flags & RUN_OFFSET != 0 {
        let offset = read_u32(file, at).unwrap_or(0).cast_signed();
        data = base.saturating_add_signed(offset as isize);
        at += 4;
    }
    at += if flags & FIRST_FLAGS != 0 { 4 } else { 0 };
    for _ in 0..count {
        let fields = SAMPLE_FIELDS.map(|flag| {
            if flags & flag == 0 {
                return None;
            }
            at += 4;
            read_u32(file, at - 4).filter(|_| at <= run.end)
        });
        let [duration, size, _, shift] = fields;
        let size = size.unwrap_or(defaults[1]) as usize;
        if at > run.end || data >= file.len() || size == 0 {
            return;
        }
        let end = data.saturating_add(size);
        let duration = duration.unwrap_or(defaults[0]);
        if samples.push(data..end.min(file.len()), duration, shift.unwrap_or(0)).is_none() {
            return;
        }
        data = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = (content.len() as u32 + 8).to_be_bytes();
        [&size[..], kind, content].concat()
    }

    fn total_bytes(samples: &[Sample]) -> usize {
        samples.iter().map(|sample| sample.data.len()).sum()
    }

    #[test]
    fn fragments_cannot_name_the_same_bytes_again_and_again() {
        let header = [[0, 0, 0, DEFAULT_SIZE], [0, 0, 0, 1], [0, 0, 0, 4]];
        let header = header.map(|field| field.map(|byte| byte as u8)).concat();
        let run = create_box(b"trun", &[0, 0, 0, 0, 0, 0, 255, 255]);
        let part = create_box(b"traf", &[create_box(b"tfhd", &header), run.repeat(100)].concat());
        let file = create_box(b"moof", &part);
        let samples = read_fragments(&file, 1);
        assert!(samples.len() > 100 && total_bytes(&samples) <= file.len(), "{}", samples.len());
    }

    #[test]
    fn chunks_cannot_name_the_same_bytes_again_and_again() {
        let numbers = |numbers: &[u32]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
        };
        let sizes = create_box(b"stsz", &numbers(&[0, 4, 60_000]));
        let runs = create_box(b"stsc", &numbers(&[0, 1, 1, 10, 1]));
        let chunks = create_box(b"stco", &[numbers(&[0, 50]), vec![0; 200]].concat());
        let file = [sizes, runs, chunks].concat();
        let samples = read_samples(&file, 0..file.len());
        assert!(samples.len() > 50 && total_bytes(&samples) <= file.len(), "{}", samples.len());
    }
}
