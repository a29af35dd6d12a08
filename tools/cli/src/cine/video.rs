//! Video streams in MP4, QuickTime, Matroska, AVI and DICOM: H.264, and Motion JPEG.
//!
//! | module | contents |
//! | --- | --- |
//! | `mp4`, `matroska` | the containers |
//! | `track` | the video track of a container |
//! | `nal`, `parameters` | the units of an H.264 stream, and its sequence parameters |
//! | `h264`, `no_h264` | the decoder, and its replacement without the feature `h264` |

#[cfg(feature = "h264")]
mod h264;
#[cfg(not(feature = "h264"))]
#[path = "video/no_h264.rs"]
mod h264;
mod matroska;
mod mp4;
mod nal;
mod parameters;
mod track;

pub(super) use matroska::open as open_matroska;
pub(super) use mp4::open as open_mp4;
pub(super) use track::{CONVERT, open_pictures, open_stream};
