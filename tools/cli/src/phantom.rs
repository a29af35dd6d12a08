//! `tteview phantom`: renders cines of the phantom.

use crate::failure::{Exit, Failure};
use crate::output::print_line;
use crate::output_file::FolderLock;
use crate::terminal::escape_path;
use clap::Args;
use std::path::PathBuf;
use tteview_phantom::{CineFiles, OtherKind, Scanner, Set, Settings, View};

#[derive(Debug, Args)]
pub(crate) struct Phantom {
    /// Comma-separated codes of the views to render, or all
    #[arg(long, value_delimiter = ',', default_value = "all", value_parser = parse_views)]
    views: Vec<Views>,
    /// Number of hearts; each is rendered in every selected view
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Seed of the first heart; the seed increases by 1 from heart to heart
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of frames per cine
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    frames: u16,
    /// Length of a cine in seconds, instead of a number of frames
    #[arg(long, value_name = "SECONDS", conflicts_with = "frames", value_parser = parse_seconds)]
    seconds: Option<f32>,
    /// Imaging conditions: bench is one well-adjusted scanner; training, field and broad choose
    /// random conditions for each cine; wild and unlike also choose organic hearts
    #[arg(long, value_name = "SCANNER", default_value = "bench", value_parser = parse_scanner)]
    scanner: Scanner,
    /// Comma-separated kinds of content of the cines labelled OTHER, for the scanners wild and
    /// unlike [default: all kinds]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = parse_kind)]
    other_kinds: Vec<OtherKind>,
    /// Split to which all hearts belong [default: of every ten hearts, eight in train, one in val
    /// and one in test]
    #[arg(long, value_name = "SPLIT", value_parser = ["train", "val", "test"])]
    split: Option<String>,
    /// Width in pixels
    #[arg(long, default_value_t = 112, value_parser = clap::value_parser!(u16).range(32..=4096))]
    width: u16,
    /// Height in pixels
    #[arg(long, default_value_t = 112, value_parser = clap::value_parser!(u16).range(32..=4096))]
    height: u16,
    /// Write one DICOM file for each cine, and no PNG frames
    #[arg(long)]
    dicom: bool,
    /// Output folder: PNG frames, manifest.csv, contact.png and, for each view, one DICOM file with
    /// the cine of the first heart
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

impl Phantom {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if !self.other_kinds.is_empty() && !self.scanner.is_organic() {
            let name = self.scanner.name();
            let message = format!("--other-kinds needs the scanner wild or unlike, got {name}");
            return Err(Failure::new(Exit::Usage, message));
        }
        let is_selected = |view: &View| self.views.iter().any(|views| views.0.contains(view));
        let set = Set {
            // This selection puts the views in the order of the labels and removes duplicates.
            views: View::ALL.iter().copied().filter(is_selected).collect(),
            patients: self.count as usize,
            seed: self.seed,
            settings: Settings {
                width: self.width.into(),
                height: self.height.into(),
                frames: self.frames.into(),
                scanner: self.scanner,
                other_kinds: self.other_kinds,
                ..Settings::default()
            },
            seconds: self.seconds,
            split: self.split,
            files: if self.dicom { CineFiles::Dicom } else { CineFiles::Frames },
        };
        let _lock = FolderLock::acquire(&self.out)?;
        set.write(&self.out).map_err(|error| Failure::file(&self.out, error))?;
        let (cines, views) = (set.views.len() * set.patients, set.views.len());
        print_line(&format!("{}: {cines} cines of {views} views", escape_path(&self.out)))
    }
}

/// One item of `--views`: one view or all views.
#[derive(Clone, Copy, Debug)]
struct Views(&'static [View]);

fn parse_views(name: &str) -> Result<Views, String> {
    match View::ALL.iter().position(|view| view.code() == name) {
        Some(index) => Ok(Views(&View::ALL[index..=index])),
        None if name == "all" => Ok(Views(View::ALL)),
        None => Err(format!("the view must be all or one of {}", join_codes())),
    }
}

/// Parses the code of a view.
pub(crate) fn parse_view(code: &str) -> Result<View, String> {
    View::from_code(code).ok_or_else(|| format!("the view must be one of {}", join_codes()))
}

fn join_codes() -> String {
    let codes: Vec<_> = View::ALL.iter().map(|view| view.code()).collect();
    codes.join(", ")
}

fn parse_scanner(name: &str) -> Result<Scanner, String> {
    Scanner::ALL.into_iter().find(|scanner| scanner.name() == name).ok_or_else(|| {
        let names = Scanner::ALL.map(|scanner| scanner.name());
        format!("the scanner must be one of {}", names.join(", "))
    })
}

fn parse_kind(name: &str) -> Result<OtherKind, String> {
    OtherKind::from_name(name).ok_or_else(|| {
        let names: Vec<_> = OtherKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("the kind must be one of {}", names.join(", "))
    })
}

fn parse_seconds(text: &str) -> Result<f32, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.05..=600.0).contains(seconds));
    seconds.ok_or_else(|| "the length must be 0.05 to 600 seconds".to_owned())
}
