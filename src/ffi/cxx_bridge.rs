//! The bridge for C++ hosts that build with Cargo (feature `cxx`): the vocabulary of the C ABI with Rust's and C++'s
//! own types. Control calls throw `rust::Error` in C++; calls of the acquisition thread give a status number.

use crate::frame::{FrameView, Geometry, Orientation, PixelFormat, Region};
use crate::model::ModelPackage;
use crate::stream::Drive;
use crate::{PartialChunk, Status};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The types and functions that C++ sees, in the namespace `tteview::cargo`.
#[cxx::bridge(namespace = "tteview::cargo")]
pub mod bridge {
    /// An option of a provider, by its own key.
    struct ProviderOption {
        key: String,
        value: String,
    }

    /// What an engine is made of.
    struct EngineConfig {
        /// Path of the model package.
        model_path: String,
        /// Providers in order of preference; empty: `embedded`.
        providers: Vec<String>,
        /// Threads of the network; 0: one.
        threads: u32,
        /// Path of the ONNX Runtime library; empty: the system's, if a provider needs it.
        runtime_library: String,
        options: Vec<ProviderOption>,
        /// Which GPU.
        device_id: u32,
        /// Folder of the engines that TensorRT builds; empty: every start builds.
        cache_folder: String,
    }

    /// What really runs.
    struct EngineInfo {
        provider: String,
        provider_version: String,
        runtime_version: String,
        model_version: String,
        model_sha256: String,
        label_count: u32,
        /// `TTV_ENGINE_*` of the C header.
        engine_origin: u32,
    }

    /// What becomes of a partial chunk at the end.
    #[derive(Debug)]
    enum Partial {
        /// Completed if at least half full or the only one.
        Auto,
        /// Dropped unless it is the only one.
        Drop,
        /// Always completed.
        Hold,
    }

    /// Who drives the worker.
    #[derive(Debug)]
    enum Driver {
        /// A thread of the library, woken by push.
        Park,
        /// A thread of the library, which looks every half millisecond.
        Poll,
        /// The host, by `process`.
        Host,
    }

    /// Settings of a stream; 0 is the default of every number.
    struct StreamConfig {
        ring_slots: u32,
        max_width_px: u32,
        max_height_px: u32,
        max_frame_bytes: u32,
        label_span_ns: i64,
        history_ns: i64,
        gap_ns: i64,
        frame_period_ns: i64,
        partial: Partial,
        driver: Driver,
        /// How far back `query_exact` can look; 0: not at all.
        exact_history_ns: i64,
        /// Window mode: samples from one window to the next; 0: chosen from the time of a clip that `prepare` measured.
        window_hop_samples: u32,
        /// As the fields of the C header; a margin of 0 is off.
        early_stop_outputs: u32,
        early_stop_margin: f32,
        view_change_margin: f32,
        view_change_span: u32,
        view_change_outputs: u32,
    }

    /// Pixel formats, with the numbers of the C header.
    #[derive(Debug)]
    #[repr(u32)]
    enum Format {
        Gray8 = 1,
        Gray16Le = 2,
        Rgb24 = 3,
        Bgr24 = 4,
        Rgba32 = 5,
        Bgra32 = 6,
        Yuyv = 7,
        Uyvy = 8,
        Nv12 = 9,
        I420 = 10,
    }

    /// A frame without its pixels.
    struct Frame {
        format: Format,
        width_px: u32,
        height_px: u32,
        /// Region of interest; all four 0: the whole frame.
        roi_x_px: u32,
        roi_y_px: u32,
        roi_width_px: u32,
        roi_height_px: u32,
        mirrored: bool,
        upside_down: bool,
        /// Microns per pixel; 0: unknown.
        um_per_px_x: f32,
        um_per_px_y: f32,
        sequence: u64,
        time_ns: i64,
    }

    /// The label of an acquisition, so far or final.
    struct ViewResult {
        status: i32,
        acquisition: u64,
        /// `TTV_RESULT_*` of the C header.
        flags: u32,
        chunks: u32,
        /// -1: withheld, or none.
        label: i32,
        confidence: f32,
        margin: f32,
        scores: Vec<f32>,
        frames_used: u64,
        frames_dropped: u64,
        first_time_ns: i64,
        last_time_ns: i64,
        latency_ns: i64,
    }

    extern "Rust" {
        type Engine;
        /// Loads and checks a model package.
        fn create_engine(config: &EngineConfig) -> Result<Box<Engine>>;
        /// Runs the self-test on what really runs; its largest absolute error.
        fn prepare(self: &Engine) -> Result<f32>;
        /// No step begins from now on, and none runs when this returns.
        fn pause(self: &Engine) -> Result<()>;
        /// Ends a pause.
        fn resume(self: &Engine);
        /// The engine that TensorRT built, into a file, after `prepare`.
        fn export_engine(self: &Engine, path: &str) -> Result<()>;
        /// And from a file into the cache, before `prepare`.
        fn import_engine(self: &Engine, path: &str) -> Result<()>;
        fn info(self: &Engine) -> EngineInfo;
        /// Code of a label; empty if there is none of this index.
        fn label(self: &Engine, index: i32) -> &str;

        type Stream;
        /// Allocates all memory of a stream and starts its worker.
        fn create_stream(engine: &Engine, config: &StreamConfig) -> Result<Box<Stream>>;
        fn begin(self: &mut Stream, acquisition: &mut u64) -> i32;
        /// Copies a frame; its rows are packed, its planes one after the other.
        fn push(self: &mut Stream, frame: &Frame, pixels: &[u8]) -> i32;
        fn mark(self: &mut Stream) -> i32;
        fn end(self: &mut Stream) -> i32;
        fn process(self: &mut Stream) -> i32;
        /// For other threads.
        fn reader(self: &Stream) -> Box<Reader>;

        type Reader;
        /// The newest result.
        fn poll(self: &Reader, result: &mut ViewResult) -> i32;
        /// The final result of an acquisition; negative: wait for ever.
        fn wait(self: &Reader, acquisition: u64, timeout_ns: i64, result: &mut ViewResult) -> i32;
        /// The label of a past interval.
        fn query(self: &Reader, from_ns: i64, to_ns: i64, timeout_ns: i64, result: &mut ViewResult) -> i32;
        /// The same, run again over kept samples with fresh state; `timeout_ns` bounds the whole call.
        fn query_exact(
            self: &Reader,
            from_ns: i64,
            to_ns: i64,
            timeout_ns: i64,
            result: &mut ViewResult,
        ) -> i32;
    }
}

/// An engine, for C++.
pub struct Engine(crate::Engine);

/// A stream, for C++.
pub struct Stream(crate::Stream);

/// A reader, for C++.
pub struct Reader(crate::Reader);

fn create_engine(config: &bridge::EngineConfig) -> crate::Result<Box<Engine>> {
    let package = ModelPackage::from_path(Path::new(&config.model_path), None)?;
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    let config = crate::EngineConfig {
        providers: config.providers.clone(),
        threads: config.threads,
        runtime_library: path(&config.runtime_library),
        options: config.options.iter().map(|option| (option.key.clone(), option.value.clone())).collect(),
        device_id: config.device_id,
        cache_folder: path(&config.cache_folder),
        ..crate::EngineConfig::default()
    };
    Ok(Box::new(Engine(crate::Engine::new(package, &config)?)))
}

impl Engine {
    fn prepare(&self) -> crate::Result<f32> {
        self.0.prepare()
    }

    fn pause(&self) -> crate::Result<()> {
        self.0.pause()
    }

    fn resume(&self) {
        self.0.resume();
    }

    fn export_engine(&self, path: &str) -> crate::Result<()> {
        self.0.export(Path::new(path))
    }

    fn import_engine(&self, path: &str) -> crate::Result<()> {
        self.0.import(Path::new(path))
    }

    fn info(&self) -> bridge::EngineInfo {
        let (report, spec) = (self.0.report(), self.0.spec());
        bridge::EngineInfo {
            provider: report.provider,
            provider_version: report.provider_version,
            runtime_version: report.runtime_version,
            model_version: spec.model_version.clone(),
            model_sha256: spec.package_sha256.clone(),
            label_count: u32::try_from(spec.labels.len()).unwrap_or(u32::MAX),
            engine_origin: super::engine::number(self.0.origin()),
        }
    }

    fn label(&self, index: i32) -> &str {
        let label = usize::try_from(index).ok().and_then(|index| self.0.spec().labels.get(index));
        label.map_or("", |label| &label.code)
    }
}

fn create_stream(engine: &Engine, config: &bridge::StreamConfig) -> crate::Result<Box<Stream>> {
    let unknown = |what: &str| crate::Error::new(Status::InvalidArgument, format!("unknown {what}"));
    let default = crate::StreamConfig::default();
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    let config = crate::StreamConfig {
        ring_slots: if config.ring_slots == 0 { default.ring_slots } else { config.ring_slots as usize },
        max_width_px: or(config.max_width_px, default.max_width_px),
        max_height_px: or(config.max_height_px, default.max_height_px),
        max_frame_bytes: config.max_frame_bytes as usize,
        label_span_ns: config.label_span_ns,
        history_ns: config.history_ns,
        gap_ns: if config.gap_ns == 0 { default.gap_ns } else { config.gap_ns },
        frame_period_ns: config.frame_period_ns,
        partial: match config.partial {
            bridge::Partial::Auto => PartialChunk::Auto,
            bridge::Partial::Drop => PartialChunk::Drop,
            bridge::Partial::Hold => PartialChunk::Hold,
            _ => return Err(unknown("partial")),
        },
        drive: match config.driver {
            bridge::Driver::Park => Drive::Park,
            bridge::Driver::Poll => Drive::Poll,
            bridge::Driver::Host => Drive::Host,
            _ => return Err(unknown("driver")),
        },
        exact_history_ns: config.exact_history_ns,
        window_hop_samples: config.window_hop_samples as usize,
        early_stop: (config.early_stop_margin != 0.0).then_some(crate::EarlyStop {
            outputs: config.early_stop_outputs,
            margin: config.early_stop_margin,
        }),
        view_change: (config.view_change_margin != 0.0).then_some(crate::ViewChange {
            span: config.view_change_span,
            outputs: config.view_change_outputs,
            margin: config.view_change_margin,
        }),
        pin: None,
    };
    Ok(Box::new(Stream(crate::Stream::new(&engine.0, &config)?)))
}

impl Stream {
    fn begin(&mut self, acquisition: &mut u64) -> i32 {
        let begun = self.0.begin().map(|id| *acquisition = id);
        begun.err().unwrap_or(Status::Ok).code()
    }

    fn push(&mut self, frame: &bridge::Frame, pixels: &[u8]) -> i32 {
        view(frame, pixels).map_or_else(|status| status, |view| self.0.push(&view)).code()
    }

    fn mark(&mut self) -> i32 {
        self.0.mark().code()
    }

    fn end(&mut self) -> i32 {
        self.0.end().code()
    }

    fn process(&mut self) -> i32 {
        self.0.process().code()
    }

    fn reader(&self) -> Box<Reader> {
        Box::new(Reader(self.0.reader()))
    }
}

fn view<'a>(frame: &bridge::Frame, pixels: &'a [u8]) -> Result<FrameView<'a>, Status> {
    let format = match frame.format {
        bridge::Format::Gray8 => PixelFormat::Gray8,
        bridge::Format::Gray16Le => PixelFormat::Gray16Le,
        bridge::Format::Rgb24 => PixelFormat::Rgb24,
        bridge::Format::Bgr24 => PixelFormat::Bgr24,
        bridge::Format::Rgba32 => PixelFormat::Rgba32,
        bridge::Format::Bgra32 => PixelFormat::Bgra32,
        bridge::Format::Yuyv => PixelFormat::Yuyv,
        bridge::Format::Uyvy => PixelFormat::Uyvy,
        bridge::Format::Nv12 => PixelFormat::Nv12,
        bridge::Format::I420 => PixelFormat::I420,
        _ => return Err(Status::UnsupportedFormat),
    };
    let mut geometry = Geometry::whole(format, frame.width_px, frame.height_px);
    let region = [frame.roi_x_px, frame.roi_y_px, frame.roi_width_px, frame.roi_height_px];
    if region != [0; 4] {
        let [x_px, y_px, width_px, height_px] = region;
        geometry.region = Region { x_px, y_px, width_px, height_px };
    }
    geometry.set_pixel_size(frame.um_per_px_x, frame.um_per_px_y)?;
    geometry.orientation = Orientation { mirrored: frame.mirrored, upside_down: frame.upside_down };
    geometry.check()?;
    let mut view = FrameView::packed(geometry, pixels, frame.time_ns).map_err(|error| error.status())?;
    view.sequence = frame.sequence;
    Ok(view)
}

impl Reader {
    fn poll(&self, result: &mut bridge::ViewResult) -> i32 {
        self.read(result, |reader, found| reader.poll(found))
    }

    fn wait(&self, acquisition: u64, timeout_ns: i64, result: &mut bridge::ViewResult) -> i32 {
        self.read(result, |reader, found| reader.wait(acquisition, duration(timeout_ns), found))
    }

    fn query(&self, from_ns: i64, to_ns: i64, timeout_ns: i64, result: &mut bridge::ViewResult) -> i32 {
        self.read(result, |reader, found| reader.query(from_ns, to_ns, duration(timeout_ns), found))
    }

    fn query_exact(&self, from_ns: i64, to_ns: i64, timeout_ns: i64, result: &mut bridge::ViewResult) -> i32 {
        self.read(result, |reader, found| reader.query_exact(from_ns, to_ns, duration(timeout_ns), found))
    }

    /// Reads, and writes what was found; the result stays as it was if nothing was.
    fn read(
        &self,
        result: &mut bridge::ViewResult,
        read: impl FnOnce(&crate::Reader, &mut crate::ViewResult) -> Status,
    ) -> i32 {
        let mut found = self.0.result();
        let status = read(&self.0, &mut found);
        if matches!(status, Status::Ok | Status::Partial) {
            *result = bridge::ViewResult {
                status: found.status.code(),
                acquisition: found.acquisition,
                flags: found.flags,
                chunks: found.chunks,
                label: found.label.and_then(|label| i32::try_from(label).ok()).unwrap_or(-1),
                confidence: found.confidence,
                margin: found.margin,
                scores: found.scores,
                frames_used: found.frames_used,
                frames_dropped: found.frames_dropped,
                first_time_ns: found.first_time_ns,
                last_time_ns: found.last_time_ns,
                latency_ns: found.latency_ns,
            };
        }
        status.code()
    }
}

fn duration(timeout_ns: i64) -> Duration {
    u64::try_from(timeout_ns).map_or(Duration::MAX, Duration::from_nanos)
}
