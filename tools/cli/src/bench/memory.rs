//! `tteview bench memory`: what the process holds before and after each call of a host.

use crate::engine::EngineArguments;
use crate::{Failure, output};
use clap::Args;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tteview::{Stream, StreamConfig};

/// Where Linux says what this process holds.
const STATUS: &str = "/proc/self/status";

#[derive(Debug, Args)]
pub(crate) struct Memory {
    #[command(flatten)]
    engine: EngineArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Kilobytes of 1024 in memory: now, and at most so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resident {
    now_kb: u64,
    peak_kb: u64,
}

impl Memory {
    /// The order is a host's: the package, `prepare`, a stream. Other providers are other processes, for a runtime stays
    /// loaded and a peak stays a peak.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut rows = vec![("before", resident()?)];
        let engine = self.engine.create()?;
        rows.push(("engine created", resident()?));
        engine.prepare().map_err(|error| Failure::model(&self.engine.model, error))?;
        rows.push(("prepared", resident()?));
        let stream = Stream::new(&engine, &StreamConfig::default());
        let stream = stream.map_err(|error| Failure::model(&self.engine.model, error))?;
        rows.push(("stream created", resident()?));
        let report = engine.report();
        drop(stream);
        if self.json {
            let points = rows.iter().map(|(point, resident)| {
                json!({ "after": point, "resident_kb": resident.now_kb, "peak_kb": resident.peak_kb })
            });
            return output::line(
                &json!({
                    "provider": report.provider,
                    "runtime": report.runtime_version,
                    "threads": self.engine.threads(),
                    "memory": points.collect::<Vec<_>>(),
                })
                .to_string(),
            );
        }
        output::line(&format!("runs on  {}, {}\n", report.provider, report.runtime_version))?;
        output::line("| after | resident MB | peak MB |\n| --- | --- | --- |")?;
        for (point, resident) in rows {
            let [now, peak] = [resident.now_kb, resident.peak_kb].map(|kb| kb as f64 * 1024.0 / 1e6);
            output::line(&format!("| {point} | {now:.1} | {peak:.1} |"))?;
        }
        Ok(())
    }
}

fn resident() -> Result<Resident, Failure> {
    let text = fs::read_to_string(STATUS).map_err(|error| Failure::file(Path::new(STATUS), error))?;
    parse(&text).ok_or_else(|| Failure::file(&PathBuf::from(STATUS), "it has no VmRSS and VmHWM"))
}

fn parse(status: &str) -> Option<Resident> {
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(Resident { now_kb: kilobytes("VmRSS")?, peak_kb: kilobytes("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_and_its_peak_are_read_and_a_file_without_them_is_none() {
        let text = "Name:\ttteview\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t1\n";
        assert_eq!(parse(text), Some(Resident { now_kb: 10_240, peak_kb: 20_480 }));
        assert_eq!(parse("Name:\ttteview\n"), None);
    }
}
