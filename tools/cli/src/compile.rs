//! `tteview compile`.

use crate::{Failure, output};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use tteview_compiler::verify::{Runtime, Source, verify};
use tteview_compiler::{
    CompileOptions, Compiled, Precision, Products, Spec, TensorInfo, compile, inspect, labels_from_json,
};

/// Seed of the random clip that `--verify` runs.
const VERIFY_SEED: u32 = 1;

#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// SlowFast network as a training framework exports it, ONNX
    model: PathBuf,
    /// Labels in the order of the logits: JSON list of {code, name, scheme, scheme_code}
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// What the network cannot say of its input (mean, std, sample interval, threshold ...), TOML
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Writes NAME.clip.onnx and, where the network can stream, NAME.stream.onnx; may lie in a folder
    #[arg(short, long, value_name = "NAME")]
    output: PathBuf,
    /// Channels of the compiled input; 1 folds the stem of a three-channel network for grey frames
    #[arg(long, value_parser = ["1"])]
    channels: Option<String>,
    /// Precision inside the graph
    #[arg(long, value_enum, default_value_t = PrecisionArgument::Fp32)]
    precision: PrecisionArgument,
    /// How convolutions of kernel 3 are multiplied out
    #[arg(long, value_enum, default_value_t = ProductsArgument::Paying)]
    products: ProductsArgument,
    /// Slow frames per step
    #[arg(long, value_name = "N", default_value_t = 1)]
    chunk: usize,
    /// Run source and packages in ONNX Runtime on the same input; fail if they differ by more than rounding
    #[arg(long, requires = "onnx_runtime")]
    verify: bool,
    /// Shared library of ONNX Runtime, for --verify
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
    /// In Winograd's form where it saves time on a CPU
    Paying,
    /// As in the source, for runtimes that choose themselves, as TensorRT does
    Plain,
}

impl ProductsArgument {
    fn products(self) -> Products {
        match self {
            Self::Paying => Products::WherePaying,
            Self::Plain => Products::Plain,
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

    /// Relative error of the logits above which `--verify` fails: well above rounding, well below a wrong graph.
    fn tolerance(self) -> f64 {
        match self {
            Self::Fp32 => 1e-4,
            Self::Fp16 => 5e-2,
        }
    }
}

impl Compile {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (folder, name) = split(&self.output)?;
        let model = |error: String| Failure::model(&self.model, error);
        let labels = read_text(&self.labels)?;
        let labels = labels_from_json(&labels).map_err(|error| Failure::model(&self.labels, error))?;
        let mut options = CompileOptions::new(name, labels);
        if let Some(path) = &self.spec {
            options.spec = Spec::from_toml(&read_text(path)?).map_err(|error| Failure::model(path, error))?;
        }
        options.grey = self.channels.is_some();
        options.precision = self.precision.precision();
        options.products = self.products.products();
        options.chunk = self.chunk;
        options.folder = Some(self.model.parent().unwrap_or(Path::new("")).to_path_buf());
        let source = std::fs::read(&self.model).map_err(|error| model(error.to_string()))?;
        let compiled = compile(source, &options).map_err(|error| model(error.to_string()))?;
        for package in compiled.packages() {
            let path = folder.join(&package.file_name);
            std::fs::write(&path, &package.bytes).map_err(|error| Failure::file(&path, error))?;
            output::line(&format!("{}  {}", path.display(), summary(&package.bytes).map_err(model)?))?;
        }
        if let Some(reason) = &compiled.window_only {
            output::line(&format!("window mode only, streaming needs causal padding: {reason}"))?;
        }
        if self.verify { self.verify(&compiled) } else { Ok(()) }
    }

    fn verify(&self, compiled: &Compiled) -> Result<(), Failure> {
        let library = self.onnx_runtime.as_deref().unwrap_or(Path::new(""));
        let runtime = Runtime::load(library).map_err(|error| Failure::model(library, error))?;
        let errors = verify(&runtime, Source::File(&self.model), compiled, VERIFY_SEED)
            .map_err(|error| Failure::model(&self.model, error))?;
        output::line(&errors.to_string())?;
        let largest = errors.clip.max(errors.stream.unwrap_or(0.0));
        let tolerance = self.precision.tolerance();
        // Written so that an error that is no number fails too.
        if largest <= tolerance {
            Ok(())
        } else {
            Err(Failure::model(&self.model, format!("verification failed: error above {tolerance:e}")))
        }
    }
}

/// Folder and NAME of `-o`.
fn split(output: &Path) -> Result<(&Path, &str), Failure> {
    let name = output.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::usage(format!("-o {}: not a name", output.display())))?;
    Ok((output.parent().unwrap_or(Path::new("")), name))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::model(path, error))
}

/// One line on a package.
fn summary(package: &[u8]) -> Result<String, String> {
    let inspection = inspect(package).map_err(|error| error.to_string())?;
    let states = match inspection.states.iter().map(TensorInfo::bytes).sum::<usize>() {
        0 => String::new(),
        bytes => format!(", {} states of {:.2} MB", inspection.states.len(), bytes as f64 / 1e6),
    };
    let (adds, parameters) = (inspection.multiply_adds as f64 / 1e9, inspection.parameters as f64 / 1e6);
    Ok(format!("{adds:.3} G multiply-adds, {parameters:.3} M parameters{states}"))
}
