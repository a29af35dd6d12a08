//! `tteview doctor`: what this machine has for the library, what it lacks, and what to do about it.

mod cache;
mod libraries;
mod system;

use crate::machine::Machine;
use crate::{Exit, Failure, output};
use clap::Args;
use libraries::{Search, needed};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig};

/// A small network with random weights, to see whether a provider runs at all.
const STAND_IN: &[u8] = include_bytes!("../../../../models/standin.stream.onnx");

/// The parts of ONNX Runtime that run on NVIDIA's GPUs lie beside its library.
const PROVIDER_LIBRARIES: &[(&str, &str)] = &[
    ("cuda", "libonnxruntime_providers_cuda.so"),
    ("tensorrt", "libonnxruntime_providers_tensorrt.so"),
    ("tensorrt-rtx", "libonnxruntime_providers_nv_tensorrt_rtx.so"),
];

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Shared library of ONNX Runtime to look at; what the system's loader finds if not given
    #[arg(long, value_name = "LIBRARY")]
    runtime: Option<PathBuf>,
    /// Folder of the engines that TensorRT built: what lies in it
    #[arg(long, value_name = "FOLDER")]
    engine_cache: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fine,
    /// Not there, and nothing to worry about unless it was expected.
    Absent,
    /// Wrong: the advice says what to do.
    Problem,
    Unknown,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Absent => "none",
            Self::Problem => "PROBLEM",
            Self::Unknown => "?",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
struct Finding {
    name: String,
    state: State,
    text: String,
    advice: Option<String>,
}

impl Finding {
    fn new(name: impl Into<String>, state: State, text: String) -> Self {
        Self { name: name.into(), state, text, advice: None }
    }

    fn advise(self, advice: String) -> Self {
        Self { advice: Some(advice), ..self }
    }

    fn object(&self) -> Value {
        json!({ "name": self.name, "state": self.state.word(), "text": self.text, "advice": self.advice })
    }
}

impl Doctor {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let search = Search::new(Path::new("/"), std::env::var("LD_LIBRARY_PATH").ok().as_deref());
        let mut found = system::findings(Path::new("/"));
        found.push(Finding::new("clocks", State::Fine, Machine::now().line()));
        let runtime = self.runtime.or_else(|| search.find("libonnxruntime.so"));
        found.extend(runtime_findings(runtime.as_deref(), &search));
        if let Some(folder) = &self.engine_cache {
            found.extend(cache::findings(folder));
        }
        let providers = providers(runtime.as_deref());
        let runs = providers.iter().any(|provider| provider.state == State::Fine);
        found.extend(providers);
        output::line(&if self.json { object(&found, runs).to_string() } else { report(&found) })?;
        if runs {
            return Ok(());
        }
        Err(Failure { exit: Exit::Model, message: "no provider runs on this machine".into() })
    }
}

/// The library of ONNX Runtime, its parts for GPUs, and what those need that is not here.
fn runtime_findings(runtime: Option<&Path>, search: &Search) -> Vec<Finding> {
    let Some(runtime) = runtime else {
        let what = "no libonnxruntime.so where the loader looks: the embedded provider needs none".into();
        let advice =
            "for cpu, cuda or tensorrt install ONNX Runtime 1.18 or later and name it with --runtime";
        return vec![Finding::new("onnxruntime", State::Absent, what).advise(advice.into())];
    };
    let mut found = vec![match needed(runtime) {
        Ok(_) => Finding::new("onnxruntime", State::Fine, runtime.display().to_string()),
        Err(error) => Finding::new("onnxruntime", State::Problem, format!("{}: {error}", runtime.display()))
            .advise("name the file libonnxruntime.so of ONNX Runtime with --runtime".into()),
    }];
    let beside = runtime.parent().unwrap_or(Path::new("."));
    for (provider, file) in PROVIDER_LIBRARIES {
        found.push(provider_library(&format!("{provider} library"), &beside.join(file), search));
    }
    found
}

fn provider_library(name: &str, path: &Path, search: &Search) -> Finding {
    if !path.is_file() {
        return Finding::new(name, State::Absent, format!("{} is not there", path.display()));
    }
    let beside = path.parent().unwrap_or(Path::new("."));
    match needed(path) {
        Err(error) => Finding::new(name, State::Problem, format!("{}: {error}", path.display()))
            .advise("install ONNX Runtime anew: its files do not belong together".into()),
        Ok(names) => {
            let lacks = |library: &&String| search.find(library).is_none() && !beside.join(library).is_file();
            let missing: Vec<&str> = names.iter().filter(lacks).map(String::as_str).collect();
            if missing.is_empty() {
                return Finding::new(name, State::Fine, format!("{}, with all it needs", path.display()));
            }
            let advice = format!("install {}", packages(&missing).join(", "));
            Finding::new(name, State::Problem, format!("{} needs {}", path.display(), missing.join(", ")))
                .advise(advice)
        }
    }
}

/// What brings the missing libraries, each once.
fn packages(missing: &[&str]) -> Vec<String> {
    let mut packages: Vec<String> = Vec::new();
    for library in missing {
        let package = match library {
            name if name.starts_with("libtensorrt_") => "TensorRT for RTX".to_owned(),
            name if name.starts_with("libnvinfer") || name.starts_with("libnvonnxparser") => {
                "TensorRT (libnvinfer-bin, libnvonnxparsers; JetPack has both)".to_owned()
            }
            name if name.starts_with("libcudnn") => "cuDNN".to_owned(),
            name if name.starts_with("libcuda.so") || name.starts_with("libnvidia-ml") => {
                "the NVIDIA driver".to_owned()
            }
            name if ["libcu", "libnvrtc", "libnvJitLink"].iter().any(|start| name.starts_with(start)) => {
                cuda(missing)
            }
            name => (*name).to_owned(),
        };
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    packages
}

/// CUDA, of the version that its runtime library carries in its name; its other libraries count on their own.
fn cuda(missing: &[&str]) -> String {
    let version = missing.iter().find_map(|name| name.strip_prefix("libcudart.so."));
    format!("CUDA {}", version.unwrap_or("of the version that ONNX Runtime was built for"))
}

/// Each provider with the stand-in network: loaded, its self-test run, a step timed.
fn providers(runtime: Option<&Path>) -> Vec<Finding> {
    let mut names = vec!["embedded"];
    if runtime.is_some() {
        names.extend(["cpu", "cuda", "tensorrt"]);
        names.extend(cfg!(feature = "tensorrt-rtx").then_some("tensorrt-rtx"));
    }
    names.into_iter().map(|name| provider(name, runtime)).collect()
}

fn provider(name: &str, runtime: Option<&Path>) -> Finding {
    let config = EngineConfig {
        providers: vec![name.to_owned()],
        threads: 1,
        runtime_library: runtime.map(Path::to_owned),
        ..EngineConfig::default()
    };
    let engine = ModelPackage::from_bytes(STAND_IN.to_vec(), None).and_then(|package| {
        let engine = Engine::new(package, &config)?;
        engine.prepare()?;
        Ok(engine)
    });
    let label = format!("provider {name}");
    match engine {
        Ok(engine) => {
            let report = engine.report();
            let ms = engine.step_time().unwrap_or_default().as_secs_f64() * 1e3;
            let what = format!("{} ran the stand-in network, {ms:.2} ms a step", report.runtime_version);
            Finding::new(label, State::Fine, what)
        }
        Err(error) => Finding::new(label, State::Problem, error.message().to_owned()),
    }
}

fn object(found: &[Finding], runs: bool) -> Value {
    json!({ "findings": found.iter().map(Finding::object).collect::<Vec<_>>(), "runs": runs })
}

/// A line a finding, with what to do indented below it.
fn report(found: &[Finding]) -> String {
    let width = found.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for finding in found {
        lines.push(format!("{:<width$}  {:<7}  {}", finding.name, finding.state.word(), finding.text));
        lines.extend(finding.advice.iter().map(|advice| format!("{:width$}           -> {advice}", "")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_libraries_are_traced_to_what_brings_them() {
        let wanted =
            packages(&["libnvinfer.so.10", "libnvonnxparser.so.10", "libcudart.so.12", "libcudnn.so.9"]);
        assert_eq!(wanted.len(), 3);
        assert!(wanted[0].starts_with("TensorRT"));
        assert_eq!(wanted[1..], ["CUDA 12", "cuDNN"]);
        assert!(packages(&["libcublas.so.12"])[0].contains("built for"));
    }

    #[test]
    fn the_report_stands_in_columns_with_advice_below() {
        let text = report(&[
            Finding::new("a", State::Fine, "good".into()),
            Finding::new("longer", State::Problem, "bad".into()).advise("mend it".into()),
        ]);
        assert_eq!(text, "a       ok       good\nlonger  PROBLEM  bad\n                 -> mend it");
    }
}
