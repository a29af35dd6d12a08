//! The files that the mutation test changes: random networks, or the files of a folder.

use super::super::support::command_line_options;
use super::check::{chunks, repair};
use super::compare::compare;
use super::spec::{Network, network};
use super::{build, form};
use crate::CompileOptions;
use crate::import::{ExternalData, ImportForm, import_model};
use crate::onnx::ModelProto;
use bytes::Bytes;
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prost::Message;
use std::path::Path;

/// Size of the largest file of a folder that the test changes, in bytes.
const LARGEST: usize = 2_000_000;

/// A file before its changes, and the options with which it compiles.
pub(super) struct Start {
    pub(super) model: ModelProto,
    pub(super) options: CompileOptions,
}

/// Where the files come from.
pub(super) enum Starts {
    Random { runner: Box<TestRunner>, strategy: BoxedStrategy<Network> },
    Files { files: Vec<Start>, next: usize },
}

impl Starts {
    /// Reads the files of the folder that the environment variable `TTEVIEW_MUTATION_SEEDS` names.
    /// Without it, the networks are random.
    pub(super) fn new(seed: u64) -> Self {
        if let Some(folder) = std::env::var_os("TTEVIEW_MUTATION_SEEDS") {
            return Self::Files { files: read_folder(Path::new(&folder)), next: 0 };
        }
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed as u8; 32]);
        let runner = Box::new(TestRunner::new_with_rng(Config::default(), rng));
        Self::Random { runner, strategy: network().prop_map(repair).boxed() }
    }

    /// Calls a function with the next file.
    pub(super) fn with_next(&mut self, change: impl FnOnce(&Start)) {
        match self {
            Self::Files { files, next } => {
                change(&files[*next % files.len()]);
                *next += 1;
            }
            Self::Random { runner, strategy } => {
                let tree = strategy.new_tree(runner).expect("nothing is rejected");
                change(&draw(&tree.current()));
            }
        }
    }
}

fn draw(network: &Network) -> Start {
    let built = build(network, chunks(network));
    let options = CompileOptions {
        output: network.form.has_second_output.then(|| form::LOGITS.to_owned()),
        ..command_line_options(built.labels)
    };
    Start { model: ModelProto::decode(built.bytes.as_slice()).expect("a model"), options }
}

/// Reads the files of a folder that compile and compare, in the order of their names.
fn read_folder(folder: &Path) -> Vec<Start> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder entry").path()).collect();
    paths.sort();
    let files: Vec<Start> = paths.iter().filter_map(|path| read_file(path)).collect();
    println!("{} of {} files in {} are changed", files.len(), paths.len(), folder.display());
    assert!(!files.is_empty(), "no file in {} can be changed", folder.display());
    files
}

/// Reads a file. Returns `None` if it is too large, or its packages cannot be compared with it. It
/// gets one label for each number along the last axis of its output, and two for a single number.
fn read_file(path: &Path) -> Option<Start> {
    let bytes = Bytes::from(std::fs::read(path).ok()?);
    if bytes.len() > LARGEST {
        return None;
    }
    let imported = import_model(&bytes, &mut ExternalData::new(None), ImportForm::SOURCE).ok()?;
    let at = imported.output_names.iter().position(|name| name == "logits").unwrap_or(0);
    let shape = imported.graph.shape(*imported.graph.outputs.get(at)?);
    let labels = shape.iter().rev().copied().find(|&size| size > 1).unwrap_or(2);
    let options = command_line_options(labels);
    compare(&bytes, &options)?.ok()?;
    Some(Start { model: ModelProto::decode(bytes).ok()?, options })
}
