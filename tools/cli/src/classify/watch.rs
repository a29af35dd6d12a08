//! `tteview classify --watch`.

use super::engines::Engines;
use super::jobs::run_in_order;
use super::report::{Outcome, Report};
use super::settled_files::{SettledFiles, Stamp, list_files};
use super::table::Table;
use crate::cine::discovery::is_cine_file;
use crate::failure::Failure;
use crate::interrupt::catch_interrupts;
use indicatif::ProgressBar;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tteview::Engine;

/// Shortest time between two scans of the folder. Polling also works on network drives, which do
/// not report the changes that other machines make.
const POLL: Duration = Duration::from_millis(250);

/// Part of the time that scans of a large folder may take.
const SCAN_SHARE: u32 = 10;

/// Width of the column with the file names, which are not known in advance.
const FILE_WIDTH: usize = 40;

/// A folder to which another program writes cine files.
pub(super) struct WatchedFolder<'a> {
    pub(super) folder: &'a Path,
    /// Time for which a file must not change before it counts as complete.
    pub(super) settle: Duration,
    /// Number of cines that are labelled at the same time.
    pub(super) jobs: usize,
    /// Whether to print JSON instead of a table.
    pub(super) json: bool,
    /// Page to write.
    pub(super) page: Option<&'a Path>,
    /// Whether every file is taken, because the user says that they are still images.
    pub(super) still: bool,
}

/// Labels the files in the folder, and each further file when it is complete, until the user or the
/// system interrupts the program. `label` labels a file.
pub(super) fn watch(
    watched: &WatchedFolder<'_>,
    engines: &Engines<'_>,
    label: impl Fn(&Path, &Engine) -> Result<Outcome, Failure> + Sync,
) -> Result<(), Failure> {
    let folder = watched.folder;
    let engine = engines.first();
    std::fs::read_dir(folder).map_err(|error| Failure::file(folder, error))?;
    let stop = catch_interrupts()?;
    let table = (!watched.json).then(|| Table::new(FILE_WIDTH, engine));
    let mut report = Report::begin(engine, table, watched.page, ProgressBar::hidden())?;
    let mut files = SettledFiles::new(watched.settle);
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let scan = Instant::now();
        let settled = files.update(start.elapsed(), list_files(folder));
        let pause = POLL.max(scan.elapsed().saturating_mul(SCAN_SHARE));
        run_in_order(
            &settled,
            watched.jobs,
            &stop,
            |job, file| {
                if !watched.still && !is_cine_file(&file.path) {
                    return Ok(None);
                }
                let outcome = label(&file.path, engines.get(job)?)?;
                // A file that has changed or disappeared in the meantime is found again.
                Ok((Stamp::read(&file.path) == Some(file.stamp)).then_some(outcome))
            },
            |outcome: Result<_, Failure>| match outcome? {
                Some(outcome) => report.add(&outcome),
                None => Ok(()),
            },
        )?;
        if settled.is_empty() {
            wait(pause, &stop);
        }
    }
    report.end(true)
}

/// Waits for a time, or until `stop` is true.
fn wait(time: Duration, stop: &AtomicBool) {
    let end = Instant::now() + time;
    while !stop.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}
