//! `tteview demo`.

use crate::acquire::Acquisition;
use crate::cine::{Cine, Facts, Timing};
use crate::engine::load;
use crate::frames::sentence;
use crate::phantom::view;
use crate::{Failure, output};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tteview::frame::PixelFormat;
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig, ViewResult};
use tteview_phantom::{Settings, View, render};

/// The demo model of the repository, so that the demo needs no file.
const DEMO_MODEL: &[u8] = include_bytes!("../../../models/demo.stream.onnx");

/// Length of the phantom cine: two seconds.
const PHANTOM_FRAMES: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Model package; the demo model, trained on phantoms alone, if not given
    #[arg(short, long, value_name = "PACKAGE")]
    model: Option<PathBuf>,
    /// DICOM, AVI or GIF file or folder of PNG to stream; a phantom if not given
    #[arg(long, value_name = "FILE")]
    cine: Option<PathBuf>,
    /// View of the phantom
    #[arg(long, value_name = "VIEW", default_value = "A4C", value_parser = view)]
    view: View,
}

impl Demo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let engine = self.engine()?;
        let (cine, what) = match &self.cine {
            Some(file) => {
                let cine = Cine::open(file).map_err(|error| Failure::files(error.to_string()))?;
                (cine, file.display().to_string())
            }
            None => (phantom(self.view), format!("synthetic, {}", self.view.code())),
        };
        output::line(&format!("cine     {what}\n         {}", sentence(&cine.facts)))?;
        let report = engine.report();
        let version = &engine.spec().model_version;
        output::line(&format!("model    {version} on {}, {}", report.provider, report.runtime_version))?;
        if self.model.is_none() {
            output::line("         trained on synthetic cines alone: for bring-up, not for clinical use")?;
        }
        stream(&engine, cine)
    }

    fn engine(&self) -> Result<Engine, Failure> {
        let package = match &self.model {
            Some(path) => ModelPackage::from_path(path, None),
            None => ModelPackage::from_bytes(DEMO_MODEL.to_vec(), None),
        };
        let name = self.model.as_deref().unwrap_or(Path::new("demo model"));
        load(name, package, &EngineConfig::default())
    }
}

/// Pushes each frame when its time has come and prints the label as it changes.
fn stream(engine: &Engine, cine: Cine) -> Result<(), Failure> {
    let mut acquisition = Acquisition::begin(engine, &cine.facts)?;
    let mut live = acquisition.result();
    let mut chunks = 0;
    output::line("\n   time  frame  view so far")?;
    let start = Instant::now();
    for (index, frame) in cine.enumerate() {
        let frame = frame.map_err(|error| Failure::files(error.to_string()))?;
        let due = Duration::from_nanos(frame.time_ns.max(0).unsigned_abs());
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        acquisition.push(&frame)?;
        if acquisition.poll(&mut live) && live.chunks > chunks {
            chunks = live.chunks;
            let seconds = start.elapsed().as_secs_f64();
            output::line(&format!("{seconds:>5.2} s  {index:>5}  {}", label(engine, &live)))?;
        }
    }
    let result = acquisition.end()?.result;
    let latency = result.latency_ns as f64 / 1e6;
    output::line(&format!("\nview     {}", label(engine, &result)))?;
    output::line(&format!("latency  {latency:.3} ms from the end of the acquisition to the label"))
}

fn label(engine: &Engine, result: &ViewResult) -> String {
    let label = result.label.and_then(|index| engine.spec().labels.get(index as usize));
    let view = label.map_or("withheld".to_owned(), |label| format!("{} ({})", label.code, label.name));
    format!("{view}, confidence {:.3}, margin {:.3}", result.confidence, result.margin)
}

fn phantom(view: View) -> Cine {
    let settings = Settings { width: 320, height: 240, frames: PHANTOM_FRAMES, ..Settings::default() };
    let cine = render(view, 1, &settings);
    let period_ns = i64::try_from(cine.frame_period_ns).unwrap_or(i64::MAX);
    let facts = Facts {
        source: "phantom".into(),
        format: PixelFormat::Gray8,
        width_px: settings.width as u32,
        height_px: settings.height as u32,
        timing: Timing::regular(cine.frames.len(), period_ns, Some("phantom")),
        region: None,
    };
    Cine::of_frames(Path::new("phantom"), facts, cine.frames)
}
