//! Transfer syntaxes (PS3.6, table A-1).

pub(super) const EXPLICIT_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

/// The encoding of the pixels. The encoding of an image in a fragment is determined from the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Native,
    /// JPEG, JPEG-LS or JPEG 2000.
    Image,
    Rle,
    /// Each frame is a deflate stream of native pixels.
    DeflatedFrames,
    H264,
}

/// A transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) uid: &'static str,
    pub(super) name: &'static str,
    /// The encoding of the pixels, or `None` if it is not supported.
    pub(super) encoding: Option<Encoding>,
}

impl Syntax {
    /// Returns whether the data set is a deflate stream.
    pub(super) fn is_deflated(&self) -> bool {
        self.uid == DEFLATED
    }
}

/// The transfer syntax of a data set that has no file meta group (PS3.5, 10.1).
pub(super) const DEFAULT: Syntax =
    Syntax { uid: "1.2.840.10008.1.2", name: "Implicit VR Little Endian", encoding: NATIVE };

const NATIVE: Option<Encoding> = Some(Encoding::Native);
const IMAGE: Option<Encoding> = Some(Encoding::Image);
const VIDEO: Option<Encoding> = Some(Encoding::H264);

/// Finds a transfer syntax by its UID.
pub(super) fn find(uid: &str) -> Result<Syntax, String> {
    if uid == DEFAULT.uid {
        return Ok(DEFAULT);
    }
    let known = SYNTAXES.iter().find(|(known, ..)| *known == uid);
    let &(uid, name, encoding) = known.ok_or_else(|| {
        format!("transfer syntax {uid:?} is unknown; convert the file to a standard syntax")
    })?;
    Ok(Syntax { uid, name, encoding })
}

const SYNTAXES: [(&str, &str, Option<Encoding>); 61] = [
    ("1.2.840.10008.1.2.1", "Explicit VR Little Endian", NATIVE),
    ("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", NATIVE),
    (DEFLATED, "Deflated Explicit VR Little Endian", NATIVE),
    (EXPLICIT_BIG_ENDIAN, "Explicit VR Big Endian", NATIVE),
    ("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", IMAGE),
    ("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", IMAGE),
    ("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)", IMAGE),
    ("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection (Process 6 and 8)", IMAGE),
    ("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection (Process 7 and 9)", IMAGE),
    ("1.2.840.10008.1.2.4.55", "JPEG Full Progression (Process 10 and 12)", IMAGE),
    ("1.2.840.10008.1.2.4.56", "JPEG Full Progression (Process 11 and 13)", IMAGE),
    ("1.2.840.10008.1.2.4.57", "JPEG Lossless (Process 14)", IMAGE),
    ("1.2.840.10008.1.2.4.58", "JPEG Lossless (Process 15)", IMAGE),
    ("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)", IMAGE),
    ("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)", IMAGE),
    ("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)", IMAGE),
    ("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)", IMAGE),
    ("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)", IMAGE),
    ("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)", IMAGE),
    ("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)", IMAGE),
    ("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)", IMAGE),
    ("1.2.840.10008.1.2.4.70", "JPEG Lossless, First-Order Prediction (Process 14, SV1)", IMAGE),
    ("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", IMAGE),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless)", IMAGE),
    ("1.2.840.10008.1.2.4.90", "JPEG 2000 (Lossless Only)", IMAGE),
    ("1.2.840.10008.1.2.4.91", "JPEG 2000", IMAGE),
    ("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component (Lossless Only)", None),
    ("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component", None),
    ("1.2.840.10008.1.2.4.94", "JPIP Referenced", None),
    ("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", None),
    ("1.2.840.10008.1.2.4.100", "MPEG-2 Main Profile / Main Level", None),
    ("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG-2 Main Profile / Main Level", None),
    ("1.2.840.10008.1.2.4.101", "MPEG-2 Main Profile / High Level", None),
    ("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG-2 Main Profile / High Level", None),
    ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", VIDEO),
    ("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", VIDEO),
    ("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", VIDEO),
    (
        "1.2.840.10008.1.2.4.103.1",
        "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        VIDEO,
    ),
    ("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 for 2D Video", VIDEO),
    (
        "1.2.840.10008.1.2.4.104.1",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 for 2D Video",
        VIDEO,
    ),
    ("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 for 3D Video", VIDEO),
    (
        "1.2.840.10008.1.2.4.105.1",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 for 3D Video",
        VIDEO,
    ),
    ("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", VIDEO),
    (
        "1.2.840.10008.1.2.4.106.1",
        "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        VIDEO,
    ),
    ("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", None),
    ("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", None),
    ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", None),
    ("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", None),
    ("1.2.840.10008.1.2.4.112", "JPEG XL", None),
    ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (HTJ2K) (Lossless Only)", IMAGE),
    (
        "1.2.840.10008.1.2.4.202",
        "High-Throughput JPEG 2000 (HTJ2K) with RPCL (Lossless Only)",
        IMAGE,
    ),
    ("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 (HTJ2K)", IMAGE),
    ("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", None),
    ("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", None),
    ("1.2.840.10008.1.2.5", "RLE Lossless", Some(Encoding::Rle)),
    ("1.2.840.10008.1.2.6.1", "RFC 2557 MIME encapsulation", None),
    ("1.2.840.10008.1.2.6.2", "XML Encoding", None),
    ("1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video", None),
    ("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", Some(Encoding::DeflatedFrames)),
    ("1.2.840.113619.5.2", "GE Private Implicit VR with big-endian pixels", None),
    ("1.3.46.670589.33.1.4.1", "Philips Private Compression", None),
];
