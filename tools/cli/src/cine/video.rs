//! Video streams in MP4, QuickTime, Matroska, AVI and DICOM: H.264, and Motion JPEG.
//!
//! | module | contents |
//! | --- | --- |
//! | `mp4`, `matroska` | the containers |
//! | `track` | the video track of a container |
//! | `nal`, `parameters` | the units of an H.264 stream, and its sequence parameters |
//! | `h264` | the decoder |

mod h264;
mod matroska;
mod mp4;
mod nal;
mod parameters;
mod track;

pub(super) use matroska::open as open_matroska;
pub(super) use mp4::open as open_mp4;
pub(super) use track::{CONVERT, open_pictures, open_stream};
