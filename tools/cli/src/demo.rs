//! `tteview demo`.

use crate::acquisition::Acquisition;
use crate::cine::{Cine, Facts, Timing};
use crate::cine_arguments::print_warnings;
use crate::engine_arguments::{create_engine, prepare_engine};
use crate::failure::{Exit, Failure};
use crate::label::{CineLabel, TracePoint};
use crate::output::{print_line, print_lines};
use crate::page::{LoopBuilder, Page, render_cine};
use crate::phantom::parse_view;
use crate::terminal::{escape_name, escape_path};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tteview::frame::PixelFormat;
use tteview::{Engine, EngineConfig, ModelPackage, ViewResult};
use tteview_phantom::{Settings, View, render};

/// The repository's demo model, which is embedded so that the demo needs no file.
const DEMO_MODEL: &[u8] = include_bytes!("../../../models/demo.stream.onnx");

/// Number of frames in the phantom cine, which lasts two seconds.
const PHANTOM_FRAMES: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Model package [default: the demo model, which was trained only on phantoms]
    #[arg(short, long, value_name = "PACKAGE")]
    model: Option<PathBuf>,
    /// Cine to stream: a cine file, or a folder of frames [default: a phantom]
    #[arg(long, value_name = "FILE")]
    cine: Option<PathBuf>,
    /// View of the phantom
    #[arg(long, value_name = "VIEW", default_value = "A4C", value_parser = parse_view)]
    view: View,
    /// Write a page that shows the cine and its label: one HTML file
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let engine = self.load_engine()?;
        let (cine, name) = match &self.cine {
            Some(file) => (Cine::open(file)?, escape_path(file)),
            None => (render_phantom(self.view)?, format!("synthetic, {}", self.view.code())),
        };
        print_lines([format!("cine     {name}"), format!("         {}", cine.facts.to_line())])?;
        let report = engine.report();
        let version = &engine.spec().model_version;
        print_line(&format!(
            "model    {version} on {}, {}",
            report.provider, report.runtime_version
        ))?;
        if self.model.is_none() {
            print_line("         trained on synthetic cines only; not for clinical use")?;
        }
        self.stream_cine(&engine, cine)
    }

    fn load_engine(&self) -> Result<Engine, Failure> {
        let package = match &self.model {
            Some(path) => ModelPackage::from_path(path, None),
            None => ModelPackage::from_bytes(DEMO_MODEL.to_vec(), None),
        };
        let name = self.model.as_deref().unwrap_or(Path::new("demo model"));
        let engine = create_engine(name, package, &EngineConfig::default())?;
        prepare_engine(name, &engine)?;
        Ok(engine)
    }

    /// Pushes each frame when it is due, and prints the live label whenever it covers more chunks
    /// than the last printed label.
    fn stream_cine(&self, engine: &Engine, mut cine: Cine) -> Result<(), Failure> {
        let page = self.page.as_deref().map(|path| Page::create(path, engine)).transpose()?;
        let mut cine_loop = LoopBuilder::new(&cine.facts);
        let mut acquisition = Acquisition::begin(engine, &cine.facts)?;
        let (mut chunks, mut trace) = (0, Vec::new());
        print_lines(["", "   time  frame  view so far"])?;
        let start = Instant::now();
        for (index, frame) in cine.by_ref().enumerate() {
            let frame = frame?;
            let due = Duration::from_nanos(frame.time_ns.max(0).unsigned_abs());
            std::thread::sleep(due.saturating_sub(start.elapsed()));
            acquisition.push(&frame)?;
            if page.is_some() {
                cine_loop.add(&frame);
            }
            if let Some(live) = acquisition.poll().filter(|live| live.chunks > chunks) {
                chunks = live.chunks;
                trace.push(TracePoint::from(&live));
                let seconds = start.elapsed().as_secs_f64();
                print_line(&format!(
                    "{seconds:>5.2} s  {index:>5}  {}",
                    describe_label(engine, &live)
                ))?;
            }
        }
        print_warnings(&cine);
        let (result, scores, refused) = acquisition.end()?;
        let label = CineLabel { result, scores, refused, trace };
        let result = &label.result;
        let latency_ms = result.latency_ns as f64 / 1e6;
        print_lines(["", &format!("view     {}", describe_label(engine, result))])?;
        print_line(&format!(
            "latency  {latency_ms:.3} ms from the end of the acquisition to the label"
        ))?;
        let Some(mut page) = page else { return Ok(()) };
        let spec = engine.spec();
        page.add(&render_cine(cine.path(), &cine.facts, &label, cine_loop, spec))?;
        page.finish(&[], &[], &[])
    }
}

fn describe_label(engine: &Engine, result: &ViewResult) -> String {
    let spec = engine.spec();
    let label = result.label.and_then(|index| spec.labels.get(index as usize));
    let view = label.map_or("withheld".to_owned(), |label| {
        format!("{} ({})", escape_name(&label.code), escape_name(&label.name))
    });
    let text = format!("{view}, confidence {:.3}, margin {:.3}", result.confidence, result.margin);
    if spec.groups.is_empty() {
        return text;
    }
    let group = result.group.and_then(|index| spec.groups.get(index as usize));
    let group = group.map_or("withheld".to_owned(), |group| escape_name(&group.code));
    format!("{text}, group {group} {:.3}", result.group_confidence)
}

fn render_phantom(view: View) -> Result<Cine, Failure> {
    let settings =
        Settings { width: 320, height: 240, frames: PHANTOM_FRAMES, ..Settings::default() };
    let cine = render(view, 1, &settings);
    let period_ns = i64::try_from(cine.frame_period_ns).unwrap_or(i64::MAX);
    let timing = Timing::regular(cine.frames.len(), period_ns, Some("phantom"));
    let size = [settings.width as u32, settings.height as u32];
    let facts = Facts::new("phantom", PixelFormat::Gray8, size, timing)
        .map_err(|cause| Failure::new(Exit::Files, format!("phantom: {cause}")))?;
    Ok(Cine::from_frames(Path::new("phantom"), facts, cine.frames))
}
