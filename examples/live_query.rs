//! A long acquisition: frames arrive in real time, and the provisional label is printed once a
//! second. At the end, the program queries the label of the last 1.5 seconds, as a scanner would
//! when it stores the last heartbeats.
//!
//! ```console
//! $ cargo run --release --example live_query MODEL.onnx CINE.pnm FRAME_PERIOD_NS
//! ```

mod pnm;

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};
use tteview::frame::{FrameView, Geometry};
use tteview::{Engine, EngineConfig, ModelPackage, Reader, Stream, StreamConfig};

/// Length of the interval that the program queries at the end.
const STORED_NS: i64 = 1_500_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, cine, period] = &arguments[..] else {
        return Err("usage: live_query MODEL.onnx CINE.pnm FRAME_PERIOD_NS".into());
    };
    let period_ns: u64 = period.parse()?;

    let package = ModelPackage::from_path(Path::new(model), None)?;
    let engine = Engine::new(package, &EngineConfig::default())?;
    engine.prepare()?;
    let config = StreamConfig { exact_history_ns: STORED_NS, ..StreamConfig::default() };
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &config)?;

    let mut file = BufReader::new(File::open(cine)?);
    let acquisition = acquirer.begin()?;
    let (start, mut last_ns, mut next_print) = (Instant::now(), 0, Duration::ZERO);
    for number in 0.. {
        let Some(image) = pnm::read_image(&mut file)? else { break };
        let due = Duration::from_nanos(number * period_ns);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        last_ns = due.as_nanos() as i64;
        let geometry = Geometry::new(image.format, image.width_px, image.height_px)?;
        acquirer.push(&FrameView::new(geometry, &image.pixels)?.with_time_ns(last_ns))?;
        if due >= next_print {
            print_provisional(&engine, &reader, due);
            next_print += Duration::from_secs(1);
        }
    }
    acquirer.end()?;
    let result = reader.wait(acquisition, Duration::from_secs(60), &mut [])?;
    println!("view      {}, confidence {:.3}", label(&engine, result.label), result.confidence);

    let from_ns = last_ns - STORED_NS;
    let plain = reader.query(from_ns, last_ns, Duration::ZERO, &mut [])?;
    println!(
        "plain     {} in the last {:.1} s, as it was computed live",
        label(&engine, plain.result.label),
        STORED_NS as f64 / 1e9
    );
    let exact = reader.query_exact(from_ns, last_ns, Duration::from_secs(60), &mut [])?;
    println!("exact     {} from these frames alone", label(&engine, exact.result.label));
    Ok(())
}

fn print_provisional(engine: &Engine, reader: &Reader, time: Duration) {
    if let Ok(result) = reader.poll(&mut []) {
        let (label, seconds) = (label(engine, result.label), time.as_secs_f64());
        println!("live      {label} after {seconds:.1} s, confidence {:.3}", result.confidence);
    }
}

fn label(engine: &Engine, index: Option<u32>) -> &str {
    index.map_or("withheld", |index| &engine.spec().labels[index as usize].code)
}
