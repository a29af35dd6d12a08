//! `tteview classify --watch`.

use super::engines::Engines;
use super::jobs::run_in_order;
use super::report::{Outcome, Report};
use super::settled_files::{SettledFile, SettledFiles, Stamp, list_files};
use super::table::Table;
use super::{Classify, SETTLE_TIME};
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

/// Labels the files in the folder, and each further file when it is complete, until the user or the
/// system interrupts the program.
pub(super) fn watch(
    classify: &Classify,
    folder: &Path,
    engines: &Engines<'_>,
) -> Result<(), Failure> {
    let engine = engines.first();
    std::fs::read_dir(folder).map_err(|error| Failure::file(folder, error))?;
    let stop = catch_interrupts()?;
    let table = (!classify.json).then(|| Table::new(FILE_WIDTH, engine));
    let mut report = Report::begin(engine, table, classify.page.as_deref(), ProgressBar::hidden())?;
    let mut files = SettledFiles::new(classify.settle.unwrap_or(SETTLE_TIME));
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let scan = Instant::now();
        let settled = files.update(start.elapsed(), list_files(folder));
        let pause = POLL.max(scan.elapsed().saturating_mul(SCAN_SHARE));
        run_in_order(
            &settled,
            classify.count_jobs(),
            &stop,
            |job, file| label_settled(classify, file, engines.get(job)?),
            |outcome| match outcome? {
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

/// Labels a file. Returns `None` if the file is not a cine, or if it has changed or disappeared in
/// the meantime: if it still exists, it is found again.
fn label_settled(
    classify: &Classify,
    SettledFile { path, stamp }: &SettledFile,
    engine: &Engine,
) -> Result<Option<Outcome>, Failure> {
    if !classify.cine.still() && !is_cine_file(path) {
        return Ok(None);
    }
    let outcome = classify.label_file(path, engine, &ProgressBar::hidden())?;
    Ok((Stamp::read(path) == Some(*stamp)).then_some(outcome))
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
