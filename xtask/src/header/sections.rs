//! The sections of the header, in the order in which a host needs them.

use super::constants::Constants;

/// A section of the header: its name in links, its files in `src/ffi`, and its constants.
pub(super) struct Section {
    pub(super) group: &'static str,
    /// Names of the source files. The comment at the top of the first file introduces the section.
    pub(super) files: &'static [&'static str],
    pub(super) constants: &'static [Constants],
    /// Structs of later sections that this section uses.
    pub(super) declared_early: &'static [&'static str],
}

/// Describes the constants of one type.
const fn constants(
    rust: &'static str,
    file: &'static str,
    c: &'static str,
    prefix: &'static str,
) -> Constants {
    Constants { rust, file, c, prefix }
}

pub(super) const SECTIONS: &[Section] = &[
    Section {
        group: "status",
        files: &["status"],
        constants: &[constants("Status", "src/error.rs", "ttv_status", "TTV_")],
        declared_early: &[],
    },
    Section {
        group: "runtime",
        files: &["runtime"],
        constants: &[constants("LogLevel", "src/ffi/runtime.rs", "ttv_log_level", "TTV_LOG_")],
        declared_early: &[],
    },
    Section {
        group: "engine",
        files: &["engine_config", "engine", "label", "engine_info"],
        constants: &[
            constants("Stage", "src/engine/progress.rs", "ttv_stage", "TTV_STAGE_"),
            constants("Mode", "src/model/spec.rs", "ttv_mode", "TTV_MODE_"),
            constants(
                "EngineOrigin",
                "src/engine/origin.rs",
                "ttv_engine_origin",
                "TTV_ENGINE_ORIGIN_",
            ),
        ],
        declared_early: &[],
    },
    Section {
        group: "stream",
        files: &["stream_config", "stream"],
        constants: &[
            constants("Drive", "src/stream/config.rs", "ttv_drive", "TTV_DRIVE_"),
            constants("PartialChunk", "src/sampling.rs", "ttv_partial_chunk", "TTV_PARTIAL_CHUNK_"),
            constants(
                "StreamFlags",
                "src/ffi/stream_config.rs",
                "ttv_stream_flags",
                "TTV_STREAM_FLAG_",
            ),
        ],
        declared_early: &["ttv_result"],
    },
    Section {
        group: "frame",
        files: &["frame"],
        constants: &[
            constants("PixelFormat", "src/frame.rs", "ttv_pixel_format", "TTV_FORMAT_"),
            constants("FrameFlags", "src/ffi/frame.rs", "ttv_frame_flags", "TTV_FRAME_FLAG_"),
        ],
        declared_early: &[],
    },
    Section { group: "acquisition", files: &["acquisition"], constants: &[], declared_early: &[] },
    Section {
        group: "result",
        files: &["result", "poll"],
        constants: &[constants(
            "ResultFlags",
            "src/result.rs",
            "ttv_result_flags",
            "TTV_RESULT_FLAG_",
        )],
        declared_early: &[],
    },
    Section {
        group: "query",
        files: &["query"],
        constants: &[constants(
            "QueryFlags",
            "src/ffi/query.rs",
            "ttv_query_flags",
            "TTV_QUERY_FLAG_",
        )],
        declared_early: &[],
    },
    Section { group: "events", files: &["events"], constants: &[], declared_early: &[] },
];
