//! Advice in the messages about files that are not supported.

/// Advice for images.
pub(super) const CONVERT_IMAGE: &str =
    "convert the frames to uncompressed pixels or to baseline JPEG with 8 bits";

/// Advice for the transfer syntaxes of DICOM.
pub(super) const CONVERT_SYNTAX: &str =
    "convert the file to an uncompressed or JPEG transfer syntax";
