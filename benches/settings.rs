//! What the benches measure: a package, its providers, and the geometry of the frames.
//!
//! Each setting is an environment variable, because criterion reads the command line. An option of
//! the same name, such as `--model`, sets the variable.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
#[cfg(feature = "ort")]
use tteview::bench_api::RawGraph;
use tteview::frame::{Geometry, PixelFormat};
use tteview::{Engine, EngineConfig, ModelPackage, ModelSpec, Status};

/// The variable that contains the options of the provider, separated by commas.
const PROVIDER_OPTIONS: &str = "TTEVIEW_BENCH_OPTIONS";

/// The options of this program: the name, the variable, and the help text.
const OPTIONS: [(&str, &str, &str); 10] = [
    ("--model", "TTEVIEW_BENCH_MODEL", "model package (default: the demo model)"),
    ("--clip", "TTEVIEW_BENCH_CLIP", "clip package of the same network, for comparison"),
    ("--source", "TTEVIEW_BENCH_SOURCE", "source of the same network, to compare its runs with"),
    ("--provider", "TTEVIEW_BENCH_PROVIDER", "providers, such as embedded,cpu (default: all)"),
    ("--runtime", "TTEVIEW_BENCH_RUNTIME", "ONNX Runtime shared library"),
    ("--provider-option", PROVIDER_OPTIONS, "option of the provider: KEY=VALUE (repeatable)"),
    ("--engine-cache", "TTEVIEW_BENCH_CACHE", "folder for engines that TensorRT builds"),
    ("--threads", "TTEVIEW_BENCH_THREADS", "threads that run the network (default: 1)"),
    ("--frame", "TTEVIEW_BENCH_FRAME", "frame size in pixels, such as 800x600"),
    ("--format", "TTEVIEW_BENCH_FORMAT", "pixel format, such as gray8 or nv12 (default: gray8)"),
];

/// The providers that are measured if no provider is named.
const PROVIDERS: &[&str] = if cfg!(feature = "tensorrt-rtx") {
    &["embedded", "cpu", "cuda", "tensorrt", "tensorrt-rtx"]
} else if cfg!(feature = "ort") {
    &["embedded", "cpu", "cuda", "tensorrt"]
} else {
    &["embedded"]
};

/// Moves the options of this program from the command line to the environment.
///
/// Criterion refuses options that it does not know, and it measures only with `--bench`, which
/// `cargo bench` adds. So the program starts itself again with the other arguments.
pub(crate) fn take_arguments() {
    let mut ours: BTreeMap<&str, String> = BTreeMap::new();
    let mut others = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument.clone(), None),
        };
        match OPTIONS.iter().find(|option| option.0 == name) {
            Some((_, variable, _)) => match value.or_else(|| arguments.next()) {
                Some(value) if !value.starts_with("--") => {
                    let earlier = ours.remove(variable).filter(|_| *variable == PROVIDER_OPTIONS);
                    let values: Vec<String> = earlier.into_iter().chain([value]).collect();
                    ours.insert(variable, values.join(","));
                }
                _ => exit_with(&format!("{name} needs a value")),
            },
            None => others.push(argument),
        }
    }
    let has = |names: &[&str]| others.iter().any(|other| names.contains(&other.as_str()));
    let lacks_mode = std::env::var_os("CARGO").is_none() && !has(&["--bench", "--test"]);
    if ours.is_empty() && !lacks_mode {
        if has(&["--help", "-h"]) {
            print_help();
        }
        return;
    }
    let program = std::env::current_exe().unwrap_or_else(|error| exit_with(&error.to_string()));
    let mut again = Command::new(program);
    again.args(others).envs(ours);
    if lacks_mode {
        again.arg("--bench");
    }
    let error = again.exec();
    exit_with(&format!("cannot start again: {error}"));
}

fn exit_with(message: &str) -> ! {
    eprintln!("tteview-bench: {message}");
    std::process::exit(2);
}

fn print_help() {
    println!("Measures tteview on this machine. Options that select what is measured:\n");
    for (name, variable, text) in OPTIONS {
        println!("  {name:<18} {text}\n{:<21}environment variable: {variable}", "");
    }
    println!("\nOptions of criterion, which measures and writes the report:\n");
}

/// A provider and the configuration of its engine.
pub(crate) struct Provider {
    pub(crate) name: String,
    config: EngineConfig,
}

/// The settings of a run.
pub(crate) struct Settings {
    package: Vec<u8>,
    clip: Option<Vec<u8>>,
    /// The source of the network, which ONNX Runtime runs.
    source: Option<PathBuf>,
    threads: u32,
    runtime: Option<PathBuf>,
    pub(crate) spec: ModelSpec,
    /// The providers that run on this machine.
    pub(crate) providers: Vec<Provider>,
    /// The geometry from the options.
    pub(crate) geometry: Option<Geometry>,
    /// Whether the package is the demo model, for which some ratios have a limit.
    pub(crate) is_demo: bool,
}

impl Settings {
    /// Reads the settings. If no provider is named, those that cannot create an engine are left
    /// out with a message.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let get = |name: &str| std::env::var(format!("TTEVIEW_BENCH_{name}")).ok();
        let read = |file: String| std::fs::read(&file).map_err(|error| format!("{file}: {error}"));
        let model = get("MODEL");
        let is_demo = model.is_none();
        let mut clip = get("CLIP").map(read).transpose()?;
        let package = match model {
            Some(file) => read(file)?,
            None => {
                let demo = include_bytes!("../models/demo.clip.onnx");
                clip = clip.or_else(|| Some(demo.to_vec()));
                include_bytes!("../models/demo.stream.onnx").to_vec()
            }
        };
        let spec = load_package(&package)?.spec;
        let threads = get("THREADS").unwrap_or_else(|| "1".into());
        let threads =
            threads.parse().map_err(|_| format!("threads must be a number, got {threads}"))?;
        let runtime: Option<PathBuf> = get("RUNTIME").map(Into::into);
        let base = EngineConfig {
            threads,
            runtime_library: runtime.clone(),
            options: parse_options(&get("OPTIONS").unwrap_or_default())?,
            cache_folder: get("CACHE").map(Into::into),
            ..EngineConfig::default()
        };
        let named = get("PROVIDER");
        let names: Vec<&str> = match &named {
            Some(names) => names.split(',').collect(),
            None => PROVIDERS.to_vec(),
        };
        let mut providers = Vec::new();
        let mut without_runtime = Vec::new();
        for name in names {
            let config = EngineConfig { providers: vec![name.into()], ..base.clone() };
            match Engine::new(load_package(&package)?, &config) {
                Ok(_) => providers.push(Provider { name: name.into(), config }),
                Err(error) if named.is_some() => return Err(error.to_string()),
                Err(error) if error.status() == Status::RuntimeMissing => {
                    without_runtime.push(name)
                }
                Err(error) => eprintln!("not measured: {error}"),
            }
        }
        if !without_runtime.is_empty() {
            let names = without_runtime.join(", ");
            eprintln!("not measured: {names}, which need ONNX Runtime; name it with --runtime");
        }
        let geometry = parse_geometry(get("FRAME"), get("FORMAT"))?;
        let source = get("SOURCE").map(Into::into);
        Ok(Self { package, clip, source, threads, runtime, spec, providers, geometry, is_demo })
    }

    /// Creates an engine and prepares it.
    pub(crate) fn create_engine(&self, provider: &Provider) -> Engine {
        prepare(&self.package, provider)
    }

    /// Creates and prepares an engine for the clip package, if there is one.
    pub(crate) fn create_clip_engine(&self, provider: &Provider) -> Option<Engine> {
        self.clip.as_ref().map(|package| prepare(package, provider))
    }

    /// Returns whether there is a source network.
    pub(crate) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Loads the source network in ONNX Runtime, with the same number of threads.
    #[cfg(feature = "ort")]
    pub(crate) fn load_source(&self) -> RawGraph {
        let file = self.source.as_deref().expect("a source network");
        RawGraph::load(file, self.threads, self.runtime.as_deref()).expect("a source network")
    }

    /// Returns whether there is a clip package.
    pub(crate) fn has_clip(&self) -> bool {
        self.clip.is_some()
    }

    /// Returns the geometry of the frames of an acquisition.
    pub(crate) fn frame_geometry(&self) -> Geometry {
        self.geometry.unwrap_or_else(|| create_geometry(PixelFormat::Gray8, 800, 600))
    }
}

pub(crate) fn create_geometry(format: PixelFormat, width_px: u32, height_px: u32) -> Geometry {
    Geometry::new(format, width_px, height_px).expect("a frame size that the library accepts")
}

fn prepare(package: &[u8], provider: &Provider) -> Engine {
    let package = load_package(package).expect("a valid package");
    let engine = Engine::new(package, &provider.config).expect("an engine");
    engine.prepare().expect("the network runs");
    engine
}

fn load_package(bytes: &[u8]) -> Result<ModelPackage, String> {
    ModelPackage::from_bytes(bytes.to_vec(), None).map_err(|error| error.to_string())
}

fn parse_options(text: &str) -> Result<Vec<(String, String)>, String> {
    let parse = |option: &str| match option.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(format!("an option must have the form KEY=VALUE, got {option:?}")),
    };
    text.split(',').filter(|option| !option.is_empty()).map(parse).collect()
}

fn parse_geometry(
    size: Option<String>,
    format: Option<String>,
) -> Result<Option<Geometry>, String> {
    let name = format.as_deref().unwrap_or("gray8");
    let format_name = |format: &PixelFormat| format!("{format:?}").to_lowercase();
    let format = *PixelFormat::ALL
        .iter()
        .find(|format| format_name(format) == name.to_lowercase())
        .ok_or_else(|| {
            let names: Vec<String> = PixelFormat::ALL.iter().map(format_name).collect();
            format!("the pixel format must be one of {}, got {name}", names.join(", "))
        })?;
    let Some(size) = size else { return Ok(None) };
    let parts = size.split_once('x').map(|(width, height)| (width.parse(), height.parse()));
    let Some((Ok(width), Ok(height))) = parts else {
        return Err(format!("the frame size must have the form WIDTHxHEIGHT, got {size:?}"));
    };
    let geometry = Geometry::new(format, width, height);
    geometry.map(Some).map_err(|error| format!("frame {size} in {name}: {error}"))
}
