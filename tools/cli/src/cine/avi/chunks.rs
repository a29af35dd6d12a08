//! The walk over the chunks of a file.
//!
//! Programs that write to a pipe, or that are interrupted, leave wrong sizes in the RIFF chunk and
//! in lists. The walk therefore ignores the sizes of lists and goes from chunk to chunk, until the
//! file ends or something else than a chunk follows.

use super::stream::Stream;
use crate::cine::bytes::slice;
use std::ops::Range;

/// A RIFF chunk: its name, and the byte range of its body in the file.
type Chunk = ([u8; 4], Range<usize>);

/// The parts of a file that the decoder uses.
#[derive(Default)]
pub(super) struct Content {
    pub(super) stream: Option<Stream>,
    pub(super) frames: Vec<Range<usize>>,
    /// Time between two frames according to the main header.
    pub(super) header_period_ns: f64,
    /// Whether the file ends inside a frame, or before the end that its first chunk claims.
    pub(super) is_cut: bool,
    /// Number of streams read so far, which is the number of the next stream. The name of a frame's
    /// chunk contains the number of the stream.
    streams: usize,
}

impl Content {
    /// Reads all chunks.
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        let mut content = Self::default();
        let mut at = 0;
        while let Some((name, body)) = read_chunk(file, at) {
            at = match (&name, slice(file, body.start, 4)) {
                (b"LIST", Some(b"strl")) => {
                    let end = body.end.min(file.len());
                    content.read_stream(file, body.start + 4..end)?;
                    skip(file, &body)
                }
                (b"RIFF", Some(b"AVI " | b"AVIX")) => {
                    let is_known = body.len() != u32::MAX as usize;
                    content.is_cut |= is_known && body.end > file.len();
                    body.start + 4
                }
                (b"LIST", Some(b"hdrl" | b"movi" | b"rec ")) => body.start + 4,
                _ => {
                    content.read_leaf(file, name, &body)?;
                    skip(file, &body)
                }
            };
        }
        Ok(content)
    }

    /// Reads a chunk that contains no other chunks.
    fn read_leaf(&mut self, file: &[u8], name: [u8; 4], body: &Range<usize>) -> Result<(), String> {
        if &name == b"avih" {
            let field = slice(file, body.start, 4).and_then(|field| field.try_into().ok());
            self.header_period_ns = f64::from(field.map_or(0, u32::from_le_bytes)) * 1e3;
        }
        if !matches!(&name[2..], b"dc" | b"db") || !name[..2].iter().all(u8::is_ascii_digit) {
            return Ok(());
        }
        let stream = self.stream.as_ref().ok_or("the AVI file has frames before its header")?;
        if name[..2] != *format!("{:02}", stream.number).as_bytes() {
            return Ok(());
        }
        match body.end <= file.len() {
            true => self.frames.push(body.clone()),
            false => self.is_cut = true,
        }
        Ok(())
    }

    /// Reads the chunks of a stream's header.
    fn read_stream(&mut self, file: &[u8], within: Range<usize>) -> Result<(), String> {
        let number = self.streams;
        self.streams += 1;
        let (mut header, mut format) = (&[][..], &[][..]);
        let mut at = within.start;
        while let Some((name, body)) = read_chunk(file, at).filter(|_| at < within.end) {
            let content = file.get(body.start..body.end.min(within.end)).unwrap_or_default();
            match &name {
                b"strh" => header = content,
                b"strf" => format = content,
                _ => {}
            }
            at = skip(file, &body);
        }
        if self.stream.is_none() && header.starts_with(b"vids") {
            self.stream = Some(Stream::read(number, header, format)?);
        }
        Ok(())
    }
}

/// Reads the name and the size of the chunk at `at`. Returns `None` if there is no chunk.
fn read_chunk(file: &[u8], at: usize) -> Option<Chunk> {
    let &[a, b, c, d, s0, s1, s2, s3] = slice(file, at, 8)? else { return None };
    let name = [a, b, c, d];
    let bytes = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    is_name(&name).then_some((name, at + 8..(at + 8).saturating_add(bytes)))
}

fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Returns the offset of the next chunk. A chunk is padded to an even number of bytes, but some
/// writers omit the padding.
fn skip(file: &[u8], body: &Range<usize>) -> usize {
    let padded = body.end.saturating_add(body.len() % 2);
    let is_unpadded = padded > body.end
        && file.get(body.end) != Some(&0)
        && slice(file, body.end, 4).is_some_and(is_name)
        && !slice(file, padded, 4).is_some_and(is_name);
    if is_unpadded { body.end } else { padded }
}
