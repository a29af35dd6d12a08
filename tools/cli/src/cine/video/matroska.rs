//! Matroska and WebM files (RFC 9559): the first video track.

use super::track::{CONVERT, Codec, Track, open_track};
use crate::cine::bytes::slice;
use crate::cine::decoder::CineSource;
use std::ops::Range;

/// Identifiers of the elements that the reader uses.
mod id {
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const INFO: u32 = 0x1549_a966;
    pub(super) const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
    pub(super) const TRACKS: u32 = 0x1654_ae6b;
    pub(super) const TRACK_ENTRY: u32 = 0xae;
    pub(super) const TRACK_NUMBER: u32 = 0xd7;
    pub(super) const TRACK_TYPE: u32 = 0x83;
    pub(super) const CODEC: u32 = 0x86;
    pub(super) const CODEC_PRIVATE: u32 = 0x63a2;
    pub(super) const DEFAULT_DURATION: u32 = 0x23_e383;
    pub(super) const CLUSTER: u32 = 0x1f43_b675;
    pub(super) const TIMESTAMP: u32 = 0xe7;
    pub(super) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(super) const BLOCK_GROUP: u32 = 0xa0;
    pub(super) const BLOCK: u32 = 0xa1;
}

/// Type of a video track.
const VIDEO: u64 = 1;
/// Flags of a block that packs several frames.
const LACING: u8 = 6;
/// Default of the timestamp scale, in nanoseconds.
const MILLISECOND_NS: u64 = 1_000_000;

/// Opens a file.
pub(in crate::cine) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let track = read_track(&file)?;
    open_track(file, track)
}

/// Reads a number of variable length at `at`. Returns the number and its length in bytes. With
/// `keeps_marker`, the number contains the bit that marks its length, as in identifiers.
fn read_number(file: &[u8], at: usize, keeps_marker: bool) -> Option<(u64, usize)> {
    let first = *file.get(at)?;
    let length = first.leading_zeros() as usize + 1;
    let bytes = slice(file, at, length).filter(|_| length <= 8)?;
    let number = bytes.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    let mask = if keeps_marker { u64::MAX } else { (1u64 << (7 * length)) - 1 };
    Some((number & mask, length))
}

/// An element: its identifier, and the byte range of its content.
type Element = (u32, Range<usize>);

/// Returns the element at `at`. An element of unknown length extends to the end of its parent, and
/// so does an element that claims more.
fn read_element(file: &[u8], at: usize, parent_end: usize) -> Option<Element> {
    let (id, id_bytes) = read_number(file, at, true)?;
    let (length, length_bytes) = read_number(file, at + id_bytes, false)?;
    let start = at + id_bytes + length_bytes;
    let is_unknown = length == (1u64 << (7 * length_bytes)) - 1;
    let end = match usize::try_from(length) {
        Ok(length) if !is_unknown => start.saturating_add(length).min(parent_end),
        _ => parent_end,
    };
    (start <= parent_end).then_some((u32::try_from(id).ok()?, start..end))
}

fn find_elements(file: &[u8], within: Range<usize>) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut at = within.start;
    while let Some((id, content)) = read_element(file, at, within.end) {
        at = content.end;
        elements.push((id, content));
        if at >= within.end {
            break;
        }
    }
    elements
}

/// Returns whether the segment claims to end after the file.
fn is_cut(file: &[u8]) -> bool {
    let mut at = 0;
    while let Some((id, id_bytes)) = read_number(file, at, true) {
        let Some((length, length_bytes)) = read_number(file, at + id_bytes, false) else { break };
        let is_known = length != (1u64 << (7 * length_bytes)) - 1;
        let end = (at + id_bytes + length_bytes) as u64 + length;
        if id == u64::from(id::SEGMENT) {
            return is_known && end > file.len() as u64;
        }
        at = usize::try_from(end).unwrap_or(usize::MAX);
    }
    false
}

fn read_integer(file: &[u8], content: &Range<usize>) -> u64 {
    let bytes = file.get(content.clone()).unwrap_or_default();
    bytes.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The video track, and the timestamp scale of the file.
#[derive(Default)]
struct Video {
    number: Option<u64>,
    codec: Vec<u8>,
    configuration: Range<usize>,
    default_duration_ns: u64,
}

fn read_track(file: &[u8]) -> Result<Track, String> {
    let mut scale_ns = MILLISECOND_NS;
    let mut video = Video::default();
    let mut samples = Vec::new();
    let mut times = Vec::new();
    let segment = find_elements(file, 0..file.len()).into_iter().find(|(id, _)| *id == id::SEGMENT);
    let is_cut = is_cut(file);
    let (_, segment) = segment.ok_or("the Matroska file has no segment")?;
    // A cluster of unknown length ends where the next one begins, so the elements of clusters are
    // read like elements of the segment.
    let mut at = segment.start;
    let mut cluster_time = 0;
    while let Some((id, content)) = read_element(file, at, segment.end) {
        at = content.end;
        match id {
            id::INFO => {
                let info = find_elements(file, content);
                let scale = info.iter().find(|(id, _)| *id == id::TIMESTAMP_SCALE);
                scale_ns = scale.map_or(scale_ns, |(_, scale)| read_integer(file, scale));
            }
            id::TRACKS => {
                let tracks = find_elements(file, content);
                let tracks = tracks.into_iter().filter(|(id, _)| *id == id::TRACK_ENTRY);
                let found = tracks.filter_map(|(_, track)| read_video(file, track)).next();
                video = found.ok_or("the Matroska file has no video track")?;
            }
            id::CLUSTER | id::BLOCK_GROUP => at = content.start,
            id::TIMESTAMP => cluster_time = read_integer(file, &content).cast_signed(),
            id::SIMPLE_BLOCK | id::BLOCK => {
                let Some((track, bytes)) = read_number(file, content.start, false) else {
                    continue;
                };
                let Some(&[high, low, flags]) = slice(file, content.start + bytes, 3) else {
                    break;
                };
                if Some(track) != video.number {
                    continue;
                }
                if flags & LACING != 0 {
                    return Err(format!("Matroska video with lacing is not supported; {CONVERT}"));
                }
                let start = (content.start + bytes + 3).min(content.end);
                let time = cluster_time.saturating_add(i16::from_be_bytes([high, low]).into());
                samples.push(start..content.end);
                times.push(time as f64 * scale_ns as f64);
            }
            _ => {}
        }
        if at >= segment.end {
            break;
        }
    }
    if samples.is_empty() {
        return Err("the Matroska file has no video frames".into());
    }
    let codec = match &video.codec[..] {
        b"V_MPEG4/ISO/AVC" => Codec::H264 { configuration: video.configuration },
        b"V_MJPEG" => Codec::MotionJpeg,
        name => {
            let name = name.escape_ascii();
            return Err(format!("Matroska/WebM with codec \"{name}\" is not supported; {CONVERT}"));
        }
    };
    if video.default_duration_ns > 0 {
        // The timestamps are usually rounded to milliseconds, but the duration is exact.
        let period = video.default_duration_ns as f64;
        times = (0..samples.len()).map(|frame| frame as f64 * period).collect();
    }
    Ok(Track {
        codec,
        samples,
        times_ns: times,
        time_source: "Matroska timestamps",
        is_cut,
        container: "Matroska",
    })
}

/// Reads a track, if it is a video track.
fn read_video(file: &[u8], track: Range<usize>) -> Option<Video> {
    let mut video = Video::default();
    let mut is_video = false;
    for (id, content) in find_elements(file, track) {
        match id {
            id::TRACK_NUMBER => video.number = Some(read_integer(file, &content)),
            id::TRACK_TYPE => is_video = read_integer(file, &content) == VIDEO,
            id::CODEC => video.codec = file.get(content).unwrap_or_default().to_vec(),
            id::CODEC_PRIVATE => video.configuration = content,
            id::DEFAULT_DURATION => video.default_duration_ns = read_integer(file, &content),
            _ => {}
        }
    }
    is_video.then_some(video)
}
