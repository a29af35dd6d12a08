//! `tteview doctor`: shows what the library can use on this machine, what is missing and how to fix
//! it.
//!
//! | module | contents |
//! | --- | --- |
//! | `finding` | one result of the check |
//! | `system` | the operating system, the board and the driver |
//! | `runtime`, `libraries` | ONNX Runtime and the libraries that it needs |
//! | `cache` | the engines built by TensorRT |
//! | `providers` | a run of a small network on each provider |

mod cache;
mod finding;
mod libraries;
mod providers;
mod runtime;
mod system;

use crate::failure::{Exit, Failure};
use crate::machine::Machine;
use crate::output::{print_json, print_lines};
use clap::Args;
use finding::{Finding, State, render_findings};
use libraries::LibrarySearch;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// ONNX Runtime shared library [default: the one that the system's dynamic loader finds]
    #[arg(long, value_name = "LIBRARY")]
    runtime: Option<PathBuf>,
    /// Folder with engines built by TensorRT; each engine is checked
    #[arg(long, value_name = "FOLDER")]
    engine_cache: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let root = Path::new("/");
        let search = LibrarySearch::new(root, std::env::var("LD_LIBRARY_PATH").ok().as_deref());
        let mut findings = system::check_system(root);
        findings.push(Finding::new("clocks", State::Fine, Machine::read().to_line()));
        let runtime = self.runtime.or_else(|| search.find("libonnxruntime.so"));
        findings.extend(runtime::check_runtime(runtime.as_deref(), &search));
        if let Some(folder) = &self.engine_cache {
            findings.extend(cache::check_cache(folder));
        }
        let providers = providers::check_providers(runtime.as_deref());
        let runs = providers.iter().any(|provider| provider.state == State::Fine);
        findings.extend(providers);
        if self.json {
            let objects: Vec<_> = findings.iter().map(Finding::to_json).collect();
            print_json(&json!({ "findings": objects, "runs": runs }))?;
        } else {
            print_lines(render_findings(&findings))?;
        }
        if runs {
            Ok(())
        } else {
            Err(Failure::new(Exit::Model, "no provider runs on this machine"))
        }
    }
}
