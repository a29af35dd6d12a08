//! The video track of a container, and the cine that it contains.

use super::h264;
use super::nal;
use crate::cine::advice::CONVERT_SYNTAX;
use crate::cine::decoder::CineSource;
use crate::cine::facts::Facts;
use crate::cine::jpeg_frames;
use crate::cine::timing::{FrameRate, Timing, choose_timing};
use std::ops::Range;
use tteview::frame::PixelFormat;

/// Advice for videos that are not supported.
pub(in crate::cine) const CONVERT: &str =
    "convert the file, for example with: ffmpeg -i FILE -c:v mjpeg -q:v 2 OUT.avi";

/// The coding of the samples of a video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// H.264 with this configuration record (ISO/IEC 14496-15).
    H264 {
        configuration: Range<usize>,
    },
    MotionJpeg,
}

/// A video track: the byte range of each sample in the order of decoding.
pub(super) struct Track {
    pub(super) codec: Codec,
    pub(super) samples: Vec<Range<usize>>,
    /// Presentation time of each sample in nanoseconds.
    pub(super) times_ns: Vec<f64>,
    /// Name of the source of the times.
    pub(super) time_source: &'static str,
    /// Whether the file ends before the end that it claims.
    pub(super) is_cut: bool,
    /// Name of the container.
    pub(super) container: &'static str,
}

/// Opens the video track of a file.
pub(super) fn open_track(file: Vec<u8>, track: Track) -> Result<CineSource, String> {
    let Track { codec, samples, times_ns, time_source, is_cut, container } = track;
    let cut = is_cut.then(|| format!("the {container} file is truncated"));
    let steps_ns = find_steps(times_ns);
    let rate = FrameRate { source: time_source, steps_ns };
    match codec {
        Codec::MotionJpeg => {
            let (timing, warnings) = choose_timing(samples.len(), &[rate]);
            let source = format!("{container}, Motion JPEG");
            let cine = jpeg_frames::open(file, samples, source, timing)?;
            let warnings = warnings.into_iter().chain(cut);
            Ok(CineSource { facts: cine.facts.with_warnings(warnings), ..cine })
        }
        Codec::H264 { configuration } => {
            let units = nal::read_samples(&file, configuration, samples)?;
            let (timing, mut warnings) = choose_timing(units.pictures.len(), &[rate]);
            warnings.extend(cut);
            open_h264(file, units, format!("{container}, H.264"), None, timing, warnings)
        }
    }
}

/// Opens a stream of H.264 units with start codes, as in DICOM. `size` is the size of the frames
/// according to the container, and `period_ns` is the time between two frames with its source.
pub(in crate::cine) fn open_stream(
    stream: Vec<u8>,
    source: String,
    size: [u32; 2],
    period_ns: Option<(i64, &'static str)>,
) -> Result<CineSource, String> {
    let units = nal::read_stream(&stream);
    let frames = units.pictures.len();
    let timing = match period_ns {
        Some((period, source)) => Timing::regular(frames, period, Some(source)),
        None => Timing::assume(frames),
    };
    open_h264(stream, units, source, Some(size), timing, Vec::new())
}

/// Opens pictures of H.264 units with start codes, as in AVI.
pub(in crate::cine) fn open_pictures(
    file: Vec<u8>,
    pictures: &[Range<usize>],
    source: String,
    timing: Timing,
) -> Result<CineSource, String> {
    let units = nal::read_pictures(&file, pictures);
    open_h264(file, units, source, None, timing, Vec::new())
}

fn open_h264(
    file: Vec<u8>,
    units: nal::Units,
    source: String,
    size: Option<[u32; 2]>,
    timing: Timing,
    warnings: Vec<String>,
) -> Result<CineSource, String> {
    // ffmpeg does not read DICOM, which alone has a size outside the stream.
    let advice = if size.is_some() { CONVERT_SYNTAX } else { CONVERT };
    let parameters = units.parameters(&file).map_err(|error| format!("{error}; {advice}"))?;
    if let Some([width, height]) = size.filter(|&size| size != parameters.size) {
        let [w, h] = parameters.size;
        return Err(format!("the video must have {width} x {height} pixels, got {w} x {h}"));
    }
    let facts = Facts::new(source, PixelFormat::Rgb24, parameters.size, timing)?;
    let decoder = h264::create_decoder(file, units, parameters)?;
    Ok(CineSource { facts: facts.with_warnings(warnings), decoder })
}

/// Returns the time from each frame to the next one in the order of presentation, after an unused
/// first entry.
fn find_steps(mut times_ns: Vec<f64>) -> Vec<f64> {
    times_ns.sort_by(f64::total_cmp);
    let steps = times_ns.windows(2).map(|pair| pair[1] - pair[0]);
    std::iter::once(0.0).chain(steps).collect()
}
