//! The command-line program `tteview`.
//!
//! | module | contents |
//! | --- | --- |
//! | [`cine`] | reads cines from files |
//! | `classify`, `demo`, `tag` | label cines, and write the label into a DICOM file |
//! | `page` | the page that shows labelled cines |
//! | `inspect`, `compile` | show and compile models |
//! | `adjust` | changes groups, thresholds, temperature or novelty score of a package |
//! | `card` | shows and sets the model card of a package |
//! | `phantom` | renders synthetic cines |
//! | `frames` | decodes a cine to PGM or PPM |
//! | `eval` | evaluates a model on labelled cines |
//! | `bench` | measures latency and memory |
//! | `engine_file` | transfers engines built by TensorRT |
//! | `doctor` | checks this machine |
//! | `shell` | completions and manual pages |
//! | `acquisition`, `host_acquisition`, `label` | shared by commands: streams, and the label of a cine |
//! | `engine_arguments`, `cine_arguments`, `machine` | shared by commands: engines, cines, clocks |
//! | `failure`, `usage` | exit codes, and messages about wrong arguments |
//! | `output`, `terminal`, `html`, `progress` | printing, escapes, progress bars |
//! | `interrupt` | Ctrl-C |
//! | `input_file`, `output_file` | sizes of input files; whole output files and locks |
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]

mod acquisition;
mod adjust;
mod bench;
mod card;
pub mod cine;
mod cine_arguments;
mod classify;
mod compile;
mod demo;
mod doctor;
mod engine_arguments;
mod engine_file;
mod eval;
mod failure;
mod frames;
mod host_acquisition;
mod html;
mod input_file;
mod inspect;
mod interrupt;
mod label;
mod machine;
mod output;
mod output_file;
mod page;
mod phantom;
mod progress;
mod shell;
mod tag;
mod terminal;
mod usage;

#[doc(hidden)]
pub use eval::{parse_manifest, parse_predictions};
pub use failure::{Exit, Failure};
pub use output::{flush_output, print_error};
pub use usage::print_usage;

use clap::{CommandFactory, Parser, Subcommand};

/// Description of the exit codes in `--help`. [`Exit`] defines the numbers.
const EXIT_CODES: &str = "\
Exit codes:
  0  the command succeeded, even if the model withholds a label
  1  a file or standard output cannot be read or written; the other files are processed
  2  the arguments are wrong
  3  the model cannot be read, compiled, verified or run";

/// Label the views of echo cines, and compile, evaluate and benchmark models
#[derive(Debug, Parser)]
#[command(name = "tteview", version, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stream a cine in real time, and print the live label and the final label
    Demo(demo::Demo),
    /// Label the views of cines: DICOM, AVI, GIF, MP4 and other files, or folders of frames
    Classify(classify::Classify),
    /// Write the view of a DICOM cine into a copy of the file
    Tag(tag::Tag),
    /// Show the content of a model file: inputs, outputs, states, multiply-adds, labels
    Inspect(inspect::Inspect),
    /// Compile a SlowFast ONNX file into model packages
    Compile(compile::Compile),
    /// Show the model card of a package, or write a package with a new card
    Card(card::Card),
    /// Write a package with other groups, thresholds, temperature or novelty score
    Adjust(adjust::Adjust),
    /// Decode a cine to PGM or PPM images
    Frames(frames::Frames),
    /// Render a labelled set of synthetic cines
    Phantom(phantom::Phantom),
    /// Evaluate a model on labelled cines: predictions, metrics, report
    Eval(eval::Eval),
    /// Measure latency and memory on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Transfer TensorRT engines from the factory to devices
    #[command(subcommand)]
    Engine(engine_file::EngineFile),
    /// Show what the library can use on this machine, what is missing and how to fix it
    Doctor(doctor::Doctor),
    /// Print the script that completes the arguments in a shell
    Completions(shell::Completions),
    /// Write the manual pages
    Man(shell::Man),
}

/// Runs the command that the arguments specify.
///
/// # Errors
/// Returns a [`Failure`] with the exit code of the process and a message.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Demo(command) => command.run(),
        Command::Classify(command) => command.run(),
        Command::Tag(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Compile(command) => command.run(),
        Command::Card(command) => command.run(),
        Command::Adjust(command) => command.run(),
        Command::Frames(command) => command.run(),
        Command::Phantom(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Engine(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Completions(command) => command.run(Arguments::command()),
        Command::Man(command) => command.run(Arguments::command()),
    }
}
