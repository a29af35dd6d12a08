//! The command line of tteview.
//!
//! | module | what |
//! | --- | --- |
//! | [`cine`] | cines from files |
//! | `classify`, `demo`, `acquire`, `engine` | a cine through the library to its label |
//! | `inspect`, `compile` | models |
//! | `phantom` | synthetic cines |
//! | `frames` | a cine to PGM or PPM |
//! | `eval` | how often labels are right, and when |
//! | `bench` | latency on this machine |
//! | `engine_file` | engines that TensorRT built, as files |
//! | `doctor`, `machine` | what this machine has and lacks |
//! | `failure`, `output` | errors, exit codes, standard output |

mod acquire;
mod bench;
pub mod cine;
mod classify;
mod compile;
mod demo;
mod doctor;
mod engine;
mod engine_file;
mod eval;
mod failure;
mod frames;
mod inspect;
mod machine;
mod output;
mod phantom;

pub use failure::{Exit, Failure};

use clap::{Parser, Subcommand};

/// Exit codes, as `--help` shows them. [`Exit`] holds the numbers.
const EXIT_CODES: &str = "\
Exit codes:
  0  everything was done; a label that the model withholds is a result too
  1  some file could not be read or written; the others were done
  2  wrong usage
  3  the model could not be read, compiled, verified or run";

/// Labels the view of echo cines, and makes the models and phantoms for it.
#[derive(Debug, Parser)]
#[command(name = "tteview", version, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stream a cine at its own pace and print the label as it forms
    Demo(demo::Demo),
    /// Label the view of cines: DICOM, AVI, GIF, folders of PNG
    Classify(classify::Classify),
    /// Show what is in a model file: inputs, outputs, states, multiply-adds, labels
    Inspect(inspect::Inspect),
    /// Compile a SlowFast ONNX file into model packages
    Compile(compile::Compile),
    /// Decode a cine to PGM or PPM images
    Frames(frames::Frames),
    /// Render a labelled set of synthetic cines
    Phantom(phantom::Phantom),
    /// Judge a model on labelled cines: predictions, metrics, a report
    Eval(eval::Eval),
    /// Measure on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Bring engines that TensorRT built from the factory to devices
    #[command(subcommand)]
    Engine(engine_file::EngineFile),
    /// Show what this machine has for the library, what it lacks, and what to do about it
    Doctor(doctor::Doctor),
}

/// Does what the arguments say.
///
/// # Errors
/// A [`Failure`] with the exit code of the process and the cause in words.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Demo(command) => command.run(),
        Command::Classify(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Compile(command) => command.run(),
        Command::Frames(command) => command.run(),
        Command::Phantom(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Engine(command) => command.run(),
        Command::Doctor(command) => command.run(),
    }
}
