//! `tteview bench memory`: the memory of the process before and after each library call that a host
//! makes.

use crate::engine_arguments::EngineArguments;
use crate::failure::Failure;
use crate::output::{print_json, print_line, print_lines};
use clap::Args;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tteview::{Engine, Stream, StreamConfig};

/// File in which Linux reports the memory of this process.
const STATUS_FILE: &str = "/proc/self/status";

#[derive(Debug, Args)]
pub(crate) struct Memory {
    #[command(flatten)]
    engine: EngineArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Resident memory in units of 1024 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resident {
    now_kb: u64,
    peak_kb: u64,
}

/// The name of a call, and the memory after the call.
type Row = (&'static str, Resident);

impl Memory {
    /// Makes the library calls of a host in their usual order and prints the memory after each
    /// call. Measure each provider in a separate process, because a runtime stays loaded and the
    /// peak never decreases.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut rows = vec![("before", read_resident()?)];
        let engine = self.engine.create_engine()?;
        rows.push(("engine created", read_resident()?));
        self.engine.prepare_engine(&engine)?;
        rows.push(("prepared", read_resident()?));
        let stream = Stream::open(&engine, &StreamConfig::default());
        let stream = stream.map_err(|error| Failure::model(&self.engine.model, error))?;
        rows.push(("stream created", read_resident()?));
        drop(stream);
        if self.json { self.print_json(&engine, &rows) } else { print_table(&engine, &rows) }
    }

    fn print_json(&self, engine: &Engine, rows: &[Row]) -> Result<(), Failure> {
        let report = engine.report();
        let object = json!({
            "provider": report.provider,
            "runtime": report.runtime_version,
            "threads": self.engine.threads,
            "memory": rows.iter().map(row_to_json).collect::<Vec<_>>(),
        });
        print_json(&object)
    }
}

fn row_to_json((call, resident): &Row) -> Value {
    json!({ "after": call, "resident_kb": resident.now_kb, "peak_kb": resident.peak_kb })
}

fn print_table(engine: &Engine, rows: &[Row]) -> Result<(), Failure> {
    let report = engine.report();
    print_line(&format!("runs on  {}, {}", report.provider, report.runtime_version))?;
    print_lines(["", "| after | resident MB | peak MB |", "| --- | --- | --- |"])?;
    for (call, resident) in rows {
        let [now, peak] = [resident.now_kb, resident.peak_kb].map(|kb| kb as f64 * 1024.0 / 1e6);
        print_line(&format!("| {call} | {now:.1} | {peak:.1} |"))?;
    }
    Ok(())
}

fn read_resident() -> Result<Resident, Failure> {
    let path = Path::new(STATUS_FILE);
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    parse_status(&text)
        .ok_or_else(|| Failure::file(path, "the file must have the lines VmRSS and VmHWM"))
}

fn parse_status(status: &str) -> Option<Resident> {
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
    fn resident_memory_and_its_peak_are_parsed() {
        let text = "Name:\ttteview\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t1\n";
        assert_eq!(parse_status(text), Some(Resident { now_kb: 10_240, peak_kb: 20_480 }));
        assert_eq!(parse_status("Name:\ttteview\n"), None);
    }
}
