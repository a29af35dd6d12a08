//! Labelled sets of cines on disk.

use crate::body::heart::Heart;
use crate::cine::{Cine, Settings};
use crate::files::contact_sheet::write_contact_sheet;
use crate::files::dicom::write_dicom;
use crate::files::png::write_png;
use crate::files::whole::write_whole;
use crate::image::scanner::Scanner;
use crate::image::view::View;
use crate::render::render;
use crate::rng::Rng;
use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Probability that a cine has colour Doppler. It applies to every scanner except `Bench` and to
/// every view except `OTHER`.
const COLOUR_PROBABILITY: f32 = 0.12;

/// Ratio of the frame period with colour Doppler to the period without it. A colour frame takes
/// longer because it needs several pulses for each line.
const COLOUR_PERIOD: f64 = 1.5;

/// Number of frames in a row of the contact sheet.
const CONTACT_COLUMNS: usize = 7;

/// The files in which a set stores its cines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CineFiles {
    /// A folder of PNG frames for each cine, and also a DICOM file for each cine of the first
    /// patient.
    #[default]
    Frames,
    /// A multi-frame DICOM file for each cine. A large set then has far fewer files.
    Dicom,
}

/// A labelled set of cines. Each patient has one heart and one cine of each view.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// The views of every patient.
    pub views: Vec<View>,
    /// Number of patients.
    pub patients: usize,
    /// Seed of the first patient. The seed increases by 1 from patient to patient.
    pub seed: u64,
    /// Settings of every cine. Unless the scanner is `Bench`, the frame period and colour Doppler
    /// are drawn at random for each cine, and these two settings are ignored.
    pub settings: Settings,
    /// Length of a cine in seconds. If it is set, it replaces the number of frames in `settings`.
    pub seconds: Option<f32>,
    /// Split of every patient. If it is `None`, eight out of ten patients are in `train`, one is in
    /// `val` and one is in `test`.
    pub split: Option<String>,
    /// The files of the cines.
    pub files: CineFiles,
}

impl Set {
    /// Writes the frames as `VIEW_NNNNN/NNNN.png` and the manifest as `manifest.csv`. The method
    /// also writes each cine of the first patient as `VIEW_00000.dcm`, and the first frames of
    /// these cines as the contact sheet `contact.png`. With `CineFiles::Dicom`, it writes each cine
    /// as `VIEW_NNNNN.dcm` and no PNG frames.
    ///
    /// Each core renders one cine at a time and holds that cine in memory. The content of the files
    /// does not depend on the number of cores.
    ///
    /// # Errors
    /// Returns the first error from the file system or the encoder. Files that have already been
    /// written remain.
    pub fn write(&self, out: &Path) -> io::Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        self.write_with_threads(out, count_threads(cores, self.count_cines()))
    }

    /// Renders the cine of one patient in one view.
    pub fn render_cine(&self, view: View, patient: usize) -> Cine {
        let seed = self.seed.wrapping_add(patient as u64);
        let mut settings = self.settings.clone();
        if settings.scanner != Scanner::Bench {
            let mut rng = Rng::new(seed.wrapping_mul(0xD6E8_FEB8).wrapping_add(view as u64 + 1));
            settings.frame_period_ns = settings.scanner.draw_frame_period_ns(rng.draw_bits());
            settings.colour =
                view != View::Other && rng.draw_uniform(0.0, 1.0) < COLOUR_PROBABILITY;
            if settings.colour {
                settings.frame_period_ns = (settings.frame_period_ns as f64 * COLOUR_PERIOD) as u64;
            }
        }
        if let Some(seconds) = self.seconds {
            let frames = f64::from(seconds) * 1e9 / settings.frame_period_ns as f64;
            settings.frames = (frames.ceil() as usize).max(1);
        }
        render(view, seed, &settings)
    }

    fn count_cines(&self) -> usize {
        self.patients * self.views.len()
    }

    fn write_with_threads(&self, out: &Path, threads: usize) -> io::Result<()> {
        std::fs::create_dir_all(out)?;
        let written = self.write_cines(out, threads)?;
        write_whole(&out.join("manifest.csv"), |manifest| {
            writeln!(manifest, "{}", MANIFEST_COLUMNS.join(","))?;
            written.iter().try_for_each(|cine| writeln!(manifest, "{}", cine.row))
        })?;
        let covers: Vec<Cine> = written.into_iter().filter_map(|cine| cine.cover).collect();
        if covers.is_empty() {
            return Ok(());
        }
        write_contact_sheet(&out.join("contact.png"), &covers, CONTACT_COLUMNS)
    }

    /// Writes the files of all cines and returns the data for the manifest and the contact sheet,
    /// in the order of the cines.
    fn write_cines(&self, out: &Path, threads: usize) -> io::Result<Vec<WrittenCine>> {
        let total = self.count_cines();
        let next = AtomicUsize::new(0);
        let work = || -> io::Result<Vec<(usize, WrittenCine)>> {
            let mut written = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= total {
                    return Ok(written);
                }
                match self.write_cine(out, index) {
                    Ok(cine) => written.push((index, cine)),
                    Err(error) => {
                        // The other threads then find no further cine and stop as well.
                        next.store(total, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        };
        let mut written = Vec::with_capacity(total);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                let fail = |_| Err(io::Error::other("a thread that renders cines panicked"));
                written.extend(thread.join().unwrap_or_else(fail)?);
            }
            Ok::<_, io::Error>(())
        })?;
        written.sort_unstable_by_key(|&(index, _)| index);
        Ok(written.into_iter().map(|(_, cine)| cine).collect())
    }

    /// Writes the files of one cine.
    fn write_cine(&self, out: &Path, index: usize) -> io::Result<WrittenCine> {
        let (patient, view) = (index / self.views.len(), self.views[index % self.views.len()]);
        let mut cine = self.render_cine(view, patient);
        let folder = format!("{}_{patient:05}", view.code());
        let file = format!("{folder}.dcm");
        if self.files == CineFiles::Frames {
            write_frames(&out.join(&folder), &cine)?;
        }
        if self.files == CineFiles::Dicom || patient == 0 {
            write_dicom(&out.join(&file), &cine)?;
        }
        let path = if self.files == CineFiles::Dicom { file } else { folder };
        let row = self.format_row(&path, patient, &cine);
        if patient > 0 {
            return Ok(WrittenCine { row, cover: None });
        }
        cine.frames.truncate(1);
        Ok(WrittenCine { row, cover: Some(cine) })
    }

    /// Formats the manifest row of a cine. `path` is the cine's file or folder.
    fn format_row(&self, path: &str, patient: usize, cine: &Cine) -> String {
        let own_split = ["train", "val", "test"][(patient % 10).saturating_sub(7)];
        let conditions = &cine.conditions;
        let layout = match conditions.layout {
            Some(layout) => format!("layout{layout}"),
            // An organic scanner has no fixed layouts.
            None if self.settings.burn_in && self.settings.scanner.is_organic() => "drawn".into(),
            None => "none".into(),
        };
        let values: [String; MANIFEST_COLUMNS.len()] = [
            path.to_owned(),
            cine.view.code().to_owned(),
            format!("p{:08}", cine.seed),
            self.split.as_deref().unwrap_or(own_split).to_owned(),
            u8::from(cine.channels == 3).to_string(),
            cine.frame_period_ns.to_string(),
            self.settings.scanner.name().to_owned(),
            format!("{:.1}", 1e9 / cine.frame_period_ns as f64),
            format!("{:.1}", conditions.gain_db),
            format!("{:.1}", conditions.dynamic_range_db),
            format!("{:.0}", cine.depth_mm),
            format!("{:.0}", cine.angle_deg),
            format!("{:.2}", conditions.habitus),
            format!("{:.2}", conditions.grain),
            layout,
            cine.content.to_owned(),
            Heart::draw(cine.seed).rhythm().name().to_owned(),
        ];
        values.join(",")
    }
}

/// Writes the frames of a cine as PNG files.
fn write_frames(folder: &Path, cine: &Cine) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (i, frame) in cine.frames.iter().enumerate() {
        write_png(&folder.join(format!("{i:04}.png")), frame, cine.width, cine.height)?;
    }
    Ok(())
}

/// Columns of the manifest. The columns that training needs come first, followed by those that
/// describe the imaging conditions.
const MANIFEST_COLUMNS: [&str; 17] = [
    "path",
    "label",
    "patient",
    "split",
    "colour",
    "frame_period_ns",
    "scanner",
    "frame_rate",
    "gain_db",
    "range_db",
    "depth_mm",
    "angle_deg",
    "habitus",
    "grain",
    "burn_in",
    "content",
    "rhythm",
];

/// The data of a cine that remains in memory after the cine's files are written.
struct WrittenCine {
    /// The cine's row in the manifest.
    row: String,
    /// The cine's first frame, for the contact sheet; only for cines of the first patient.
    cover: Option<Cine>,
}

/// Returns the number of threads that render a set: one per core, but no more than there are cines.
fn count_threads(cores: usize, cines: usize) -> usize {
    cores.min(cines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    /// Reads every file below `folder` into `files`, with its path relative to `root` as the key.
    fn read_files(folder: &Path, root: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read_files(&path, root, files);
            } else {
                files.insert(
                    path.strip_prefix(root).unwrap().to_owned(),
                    std::fs::read(&path).unwrap(),
                );
            }
        }
    }

    #[test]
    fn a_set_is_rendered_on_every_core() {
        assert_eq!(count_threads(16, 5_040), 16);
        assert_eq!(count_threads(16, 3), 3);
        assert_eq!(count_threads(1, 5_040), 1);
    }

    #[test]
    fn every_number_of_threads_writes_the_same_files() {
        let settings = Settings { frames: 2, scanner: Scanner::Training, ..Settings::default() };
        let views = vec![View::A2c, View::Other];
        let set = Set { views, patients: 3, seed: 7, settings, ..Set::default() };
        let write = |threads: usize| {
            let name = format!("tteview-phantom-threads-{}-{threads}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            set.write_with_threads(&folder, threads).unwrap();
            let mut files = BTreeMap::new();
            read_files(&folder, &folder, &mut files);
            std::fs::remove_dir_all(&folder).unwrap();
            files
        };
        let alone = write(1);
        assert_eq!(alone.len(), 3 * 2 * 2 + 2 + 2, "{:?}", alone.keys());
        assert!(write(5) == alone);
    }
}
