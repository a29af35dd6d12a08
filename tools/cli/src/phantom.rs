//! `tteview phantom`.

use crate::{Failure, output};
use clap::Args;
use std::path::PathBuf;
use tteview_phantom::{Scanner, Set, Settings, View};

#[derive(Debug, Args)]
pub(crate) struct Phantom {
    /// Views to render, by code and separated by commas
    #[arg(long, value_name = "VIEWS", value_delimiter = ',', default_value = "all", value_parser = views)]
    views: Vec<Views>,
    /// Cines of each view: one heart, drawn by seed, in every view
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Seed of the first heart
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Frames of a cine
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    frames: u16,
    /// Length of a cine in seconds, in place of a number of frames
    #[arg(long, value_name = "SECONDS", conflicts_with = "frames", value_parser = seconds)]
    seconds: Option<f32>,
    /// Machine and body of each cine: a well-kept bench, those to train with, those of the field, or broad
    #[arg(long, value_name = "SCANNER", default_value = "bench", value_parser = scanner)]
    scanner: Scanner,
    /// Split of every patient; of ten, eight train, one validates and one tests if not given
    #[arg(long, value_name = "SPLIT", value_parser = ["train", "val", "test"])]
    split: Option<String>,
    /// Width in pixels
    #[arg(long, default_value_t = 112, value_parser = clap::value_parser!(u16).range(32..=4096))]
    width: u16,
    /// Height in pixels
    #[arg(long, default_value_t = 112, value_parser = clap::value_parser!(u16).range(32..=4096))]
    height: u16,
    /// Folder to write: PNG frames, one DICOM file a view, manifest.csv, contact.png
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

impl Phantom {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let set = Set {
            // In label order, and each once.
            views: View::ALL
                .iter()
                .copied()
                .filter(|view| self.views.iter().any(|v| v.0.contains(view)))
                .collect(),
            patients: self.count,
            seed: self.seed,
            settings: Settings {
                width: self.width.into(),
                height: self.height.into(),
                frames: self.frames.into(),
                scanner: self.scanner,
                ..Settings::default()
            },
            seconds: self.seconds,
            split: self.split,
        };
        set.write(&self.out).map_err(|error| Failure::file(&self.out, error))?;
        let (cines, views) = (set.views.len() * set.patients, set.views.len());
        output::line(&format!("{}: {cines} cines of {views} views", self.out.display()))
    }
}

/// What `--views` may name: all of them, or one.
#[derive(Clone, Copy, Debug)]
struct Views(&'static [View]);

fn views(name: &str) -> Result<Views, String> {
    match View::ALL.iter().position(|view| view.code() == name) {
        Some(at) => Ok(Views(&View::ALL[at..=at])),
        None if name == "all" => Ok(Views(View::ALL)),
        None => Err(format!("{}, or all", unknown())),
    }
}

/// A view by its code.
pub(crate) fn view(code: &str) -> Result<View, String> {
    View::from_code(code).ok_or_else(unknown)
}

fn unknown() -> String {
    let codes: Vec<_> = View::ALL.iter().map(|view| view.code()).collect();
    format!("no view has this code; there are {}", codes.join(", "))
}

/// A scanner by its name.
fn scanner(name: &str) -> Result<Scanner, String> {
    [Scanner::Bench, Scanner::Training, Scanner::Field, Scanner::Broad]
        .into_iter()
        .find(|scanner| scanner.name() == name)
        .ok_or_else(|| "there are bench, training, field and broad".to_owned())
}

/// A length of time that a cine can have.
fn seconds(text: &str) -> Result<f32, String> {
    let seconds: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.05..=600.0).contains(&seconds) { Ok(seconds) } else { Err("from 0.05 to 600 seconds".to_owned()) }
}
