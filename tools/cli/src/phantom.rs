//! `tteview phantom`.

use crate::{Failure, output};
use clap::Args;
use std::path::PathBuf;
use tteview_phantom::{Settings, View, write_set};

#[derive(Debug, Args)]
pub(crate) struct Phantom {
    /// Views to render, by code and separated by commas; all if not given
    #[arg(long, value_name = "VIEWS", value_delimiter = ',', value_parser = view)]
    views: Vec<View>,
    /// Cines of each view: one heart, drawn by seed, in every view
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Seed of the first heart
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Frames of a cine
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    frames: u16,
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
        let views = if self.views.is_empty() { View::ALL.to_vec() } else { self.views };
        let settings = Settings {
            width: self.width.into(),
            height: self.height.into(),
            frames: self.frames.into(),
            ..Settings::default()
        };
        write_set(&self.out, &views, self.count, self.seed, &settings)
            .map_err(|error| Failure::file(&self.out, error))?;
        let (cines, views) = (views.len() * self.count, views.len());
        output::line(&format!("{}: {cines} cines of {views} views", self.out.display()))
    }
}

/// A view by its code.
pub(crate) fn view(code: &str) -> Result<View, String> {
    let codes = || View::ALL.iter().map(|view| view.code()).collect::<Vec<_>>().join(", ");
    View::from_code(code).ok_or_else(|| format!("no view has this code; there are {}", codes()))
}
