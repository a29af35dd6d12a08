//! `tteview compile`.

use crate::failure::{Exit, Failure};
use crate::input_file::{MAX_MODEL_BYTES, read_settings};
use crate::output::print_line;
use crate::output_file::OutputFile;
use crate::terminal::escape_path;
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};
use tteview::{ModelPackage, regular_file};
use tteview_compiler::verify::{Runtime, Source, compare_steps, verify};
use tteview_compiler::{
    Average, ChannelOrder, CompileError, CompileOptions, CompiledNetwork, Precision, Preprocess,
    Resize, ResizeKind, Spec, Steps, TensorInfo, Winograd, compile, inspect, parse_labels,
};

/// Seed of the random clip for `--verify`.
const VERIFY_SEED: u32 = 1;

#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// ONNX file of a video or image classifier, as exported by a training framework
    model: PathBuf,
    /// JSON file with the labels in the order of the logits: an object with the lists `labels` and
    /// `groups`, or a list of the labels; a label is {code, name, scheme, scheme_code, group}
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// TOML file with the properties of the model that the ONNX file does not contain (mean, std,
    /// sample interval, threshold ...)
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Write NAME.clip.onnx and, if the network can stream, NAME.stream.onnx; NAME may include a
    /// folder
    #[arg(short, long, value_name = "NAME")]
    output: PathBuf,
    /// Number of input channels; the value 1 converts a three-channel network to a network for grey
    /// frames
    #[arg(long, value_parser = ["1"])]
    channels: Option<String>,
    /// How the training images were resized: letterbox, stretch, stretch=WIDTHxHEIGHT, short-side
    /// or short-side=SIDE; without sizes, those of the input
    #[arg(long, value_name = "RULE")]
    resize: Option<Resize>,
    /// Resize without antialiasing, as OpenCV and PyTorch do by default
    #[arg(long)]
    no_antialias: bool,
    /// Order of the channels of a network with three channels: rgb or bgr
    #[arg(long, value_name = "ORDER")]
    channel_order: Option<ChannelOrder>,
    /// Floating-point precision inside the graph
    #[arg(long, value_enum, default_value_t = PrecisionArgument::Fp32)]
    precision: PrecisionArgument,
    /// Algorithm for convolutions with kernels of size 3
    #[arg(long, value_enum, default_value_t = ProductsArgument::Paying)]
    products: ProductsArgument,
    /// Name of the value that contains the logits: an output, or any other value of the network;
    /// without this option, the only output or the one named logits
    #[arg(long, value_name = "VALUE")]
    logits: Option<String>,
    /// What the label follows from if the network gives one result for each frame: the mean of the
    /// logits or of the probabilities; without this option, what the network itself averages, and
    /// probabilities if it gives those of each frame
    #[arg(long, value_enum)]
    average: Option<AverageArgument>,
    /// Runs into which the stream package divides a chunk
    #[arg(long, value_enum, default_value_t = StepsArgument::Frame)]
    steps: StepsArgument,
    /// Run the source and the packages in ONNX Runtime, and fail if their outputs differ by more
    /// than rounding errors; frame steps are also compared with chunk steps
    #[arg(long, requires = "onnx_runtime")]
    verify: bool,
    /// ONNX Runtime shared library for --verify
    #[arg(long, value_name = "LIBRARY", env = "TTEVIEW_ORT_DYLIB")]
    onnx_runtime: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PrecisionArgument {
    Fp32,
    Fp16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProductsArgument {
    /// Winograd's algorithm where it saves time on a CPU
    Paying,
    /// Plain convolutions as in the source, for runtimes that choose an algorithm themselves, such
    /// as TensorRT
    Plain,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AverageArgument {
    Logits,
    Probabilities,
}

impl AverageArgument {
    fn average(self) -> Average {
        match self {
            Self::Logits => Average::Logits,
            Self::Probabilities => Average::Probabilities,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StepsArgument {
    /// One run of the fast pathway for each sample and one of the slow pathway for each chunk, if
    /// the network permits it
    Frame,
    /// One run for each chunk, for hosts that want fewer runs
    Chunk,
}

impl StepsArgument {
    fn steps(self) -> Steps {
        match self {
            Self::Frame => Steps::Frame,
            Self::Chunk => Steps::Chunk,
        }
    }
}

impl ProductsArgument {
    fn products(self) -> Winograd {
        match self {
            Self::Paying => Winograd::WhereFaster,
            Self::Plain => Winograd::Never,
        }
    }
}

impl PrecisionArgument {
    fn precision(self) -> Precision {
        match self {
            Self::Fp32 => Precision::Fp32,
            Self::Fp16 => Precision::Fp16,
        }
    }

    /// Returns the largest relative error of the logits that `--verify` accepts. It is much larger
    /// than rounding errors and much smaller than the error that a wrong graph would cause.
    fn tolerance(self) -> f64 {
        match self {
            Self::Fp32 => 1e-4,
            Self::Fp16 => 5e-2,
        }
    }
}

impl Compile {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (folder, name) = split_output(&self.output)?;
        let model_failure = |error: String| Failure::model(&self.model, error);
        let labels = read_settings(&self.labels)?;
        let labels = parse_labels(&labels).map_err(|error| Failure::model(&self.labels, error))?;
        let mut options = CompileOptions::new(name, labels);
        let spec = match &self.spec {
            Some(path) => read_settings(path)?,
            None => String::new(),
        };
        let spec_failure = |error: CompileError| {
            let path = self.spec.as_deref().unwrap_or(&self.model);
            Failure::model(path, join_lines(&error.to_string()))
        };
        options.spec = Spec::from_toml(&spec).map_err(spec_failure)?;
        let assumed = Spec::assumed_values(&spec).map_err(spec_failure)?;
        self.set_preprocess(&mut options.spec.preprocess);
        options.output.clone_from(&self.logits);
        options.grey = self.channels.is_some();
        options.precision = self.precision.precision();
        options.winograd = self.products.products();
        options.average = self.average.map(AverageArgument::average);
        options.steps = self.steps.steps();
        options.folder = Some(self.model.parent().unwrap_or(Path::new("")).to_path_buf());
        let compiled = self.compile_source(&options)?;
        check_packages(&compiled).map_err(model_failure)?;
        // The packages are written only after the verification, so a wrong package never exists.
        let verified =
            if self.verify { self.verify_packages(&compiled, &options)? } else { vec![] };
        for (path, summary) in write_packages(&compiled, folder)? {
            let summary = summary.map_err(model_failure)?;
            print_line(&format!("{}  {summary}", escape_path(&path)))?;
        }
        for note in compiled.notes.iter().chain(&assumed) {
            print_line(&format!("note: {note}"))?;
        }
        if let Some(reason) = &compiled.window_only_reason {
            print_line(&format!("window mode only: {reason}"))?;
        }
        if let Some(operator) = compiled.runtime_operator {
            print_line(&format!(
                "ONNX Runtime only: the package contains {operator} as it is in the source, so the \
                 provider embedded does not run it, and the network does not stream; use a provider \
                 of ONNX Runtime, such as cpu"
            ))?;
        }
        if let Some(reason) = &compiled.chunk_steps_reason {
            print_line(&format!("chunk steps, because frame steps are not possible: {reason}"))?;
        }
        verified.iter().try_for_each(|line| print_line(line))
    }

    /// Replaces the values of the specification with those of the options.
    fn set_preprocess(&self, preprocess: &mut Preprocess) {
        let given = preprocess.resize.as_ref().is_none_or(|resize| resize.antialias);
        if let Some(resize) = &self.resize {
            preprocess.resize = Some(Resize { antialias: given, ..resize.clone() });
        }
        if self.no_antialias {
            let resize =
                preprocess.resize.get_or_insert_with(|| Resize::new(ResizeKind::Letterbox));
            resize.antialias = false;
        }
        preprocess.channel_order = self.channel_order.or(preprocess.channel_order);
    }

    /// Reads the source network and compiles it.
    fn compile_source(&self, options: &CompileOptions) -> Result<CompiledNetwork, Failure> {
        let failure = |error: String| Failure::model(&self.model, error);
        let source = regular_file::read(&self.model, MAX_MODEL_BYTES)
            .map_err(|error| failure(error.to_string()))?;
        compile(source, options).map_err(|error| failure(error.to_string()))
    }

    /// Compares the packages with the source, and returns the lines that describe the result.
    fn verify_packages(
        &self,
        compiled: &CompiledNetwork,
        options: &CompileOptions,
    ) -> Result<Vec<String>, Failure> {
        let library = self.onnx_runtime.as_deref().unwrap_or(Path::new(""));
        let runtime = Runtime::load(library).map_err(|error| Failure::model(library, error))?;
        let errors = verify(&runtime, Source::File(&self.model), compiled, VERIFY_SEED)
            .map_err(|error| Failure::model(&self.model, error))?;
        let mut lines = vec![errors.to_string()];
        let mut largest = errors.clip.max(errors.stream.unwrap_or(0.0));
        if let (Steps::Frame, None, Some(frame_steps)) =
            (options.steps, &compiled.chunk_steps_reason, &compiled.stream)
        {
            let options =
                CompileOptions { steps: Steps::Chunk, self_test: false, ..options.clone() };
            let chunks = self.compile_source(&options)?;
            // A label rule other than the mean of logits has no chunk steps.
            if let Some(chunk_steps) = &chunks.stream {
                let error =
                    compare_steps(&runtime, &compiled.clip, frame_steps, chunk_steps, VERIFY_SEED)
                        .map_err(|error| Failure::model(&self.model, error))?;
                lines.push(format!("relative error: frame steps against chunk steps {error:.2e}"));
                largest = largest.max(error);
            }
        }
        let tolerance = match errors.is_half_source {
            true => PrecisionArgument::Fp16.tolerance(),
            false => self.precision.tolerance(),
        };
        // The comparison is false for NaN, so the verification also fails if the error is NaN.
        if largest <= tolerance {
            return Ok(lines);
        }
        let cause = format!(
            "verification failed, so no package is written: the error must be at most {tolerance:e}, \
             got {largest:e}"
        );
        Err(Failure::model(&self.model, cause))
    }
}

/// Checks that the library would accept all packages.
fn check_packages(compiled: &CompiledNetwork) -> Result<(), String> {
    compiled.packages().try_for_each(|package| {
        ModelPackage::check(&package.bytes).map_err(|error| {
            let name = escape_path(Path::new(&package.file_name));
            format!("the library would refuse {name}: {error}; change the network")
        })
    })
}

/// Splits the value of `-o` into the folder and NAME.
fn split_output(output: &Path) -> Result<(&Path, &str), Failure> {
    let name = output.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        let message =
            format!("-o must end with the name of the packages, got {}", escape_path(output));
        Failure::new(Exit::Usage, message)
    })?;
    Ok((output.parent().unwrap_or(Path::new("")), name))
}

/// The path of a package, and its description or the reason why it cannot be described.
type WrittenPackage = (PathBuf, Result<String, String>);

/// Writes the packages and returns their paths and descriptions. If one of the files cannot be
/// created, none of them is written.
fn write_packages(
    compiled: &CompiledNetwork,
    folder: &Path,
) -> Result<Vec<WrittenPackage>, Failure> {
    let mut written = Vec::new();
    let mut files = Vec::new();
    for package in compiled.packages() {
        let path = folder.join(&package.file_name);
        files.push((OutputFile::create(&path)?, &package.bytes));
        written.push((path, describe_package(&package.bytes)));
    }
    for ((mut file, bytes), (path, _)) in files.into_iter().zip(&written) {
        let outcome = file.write_all(bytes).and_then(|()| file.commit());
        outcome.map_err(|error| Failure::file(path, error))?;
    }
    Ok(written)
}

/// Joins the lines of a message into one line.
fn join_lines(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Describes the multiply-adds, parameters and states of a package in one line.
fn describe_package(package: &[u8]) -> Result<String, String> {
    let inspection = inspect(package).map_err(|error| error.to_string())?;
    let states = match inspection.states.iter().map(TensorInfo::bytes).sum::<usize>() {
        0 => String::new(),
        bytes => format!(", {} states of {:.2} MB", inspection.states.len(), bytes as f64 / 1e6),
    };
    let (adds, parameters) =
        (inspection.multiply_adds as f64 / 1e9, inspection.parameters as f64 / 1e6);
    let unit = if inspection.frame_steps.is_some() { " per chunk in frame steps" } else { "" };
    Ok(format!("{adds:.3} G multiply-adds{unit}, {parameters:.3} M parameters{states}"))
}
