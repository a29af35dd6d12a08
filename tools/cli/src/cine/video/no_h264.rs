//! The replacement of the decoder in a build without the feature `h264`.

use super::nal::Units;
use super::parameters::SequenceParameters;
use crate::cine::decoder::Decoder;

/// Returns the error for every stream.
pub(super) fn create_decoder(
    _file: Vec<u8>,
    _units: Units,
    parameters: SequenceParameters,
) -> Result<Box<dyn Decoder>, String> {
    let SequenceParameters { size: [width, height], colours: _ } = parameters;
    Err(format!(
        "H.264 ({width} x {height}) is not supported by this build of tteview, which has no decoder; \
         convert the file, for example with: ffmpeg -i FILE -c:v mjpeg -q:v 2 OUT.avi"
    ))
}
