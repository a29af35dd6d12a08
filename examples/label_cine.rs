//! A minimal host, which pushes the frames of a cine and prints the view.
//!
//! ```console
//! $ cargo run --release --example label_cine MODEL.onnx CINE.pnm FRAME_PERIOD_NS
//! ```

mod pnm;

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;
use tteview::frame::{FrameView, Geometry};
use tteview::{Engine, EngineConfig, ModelPackage, Stream, StreamConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, cine, period] = &arguments[..] else {
        return Err("usage: label_cine MODEL.onnx CINE.pnm FRAME_PERIOD_NS".into());
    };
    let period_ns: i64 = period.parse()?;

    let package = ModelPackage::from_path(Path::new(model), None)?;
    let engine = Engine::new(package, &EngineConfig::default())?;
    engine.prepare()?;

    // This host reads a file faster than the network runs, so the ring must hold a whole cine.
    let config = StreamConfig { ring_slots: 256, ..StreamConfig::default() };
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &config)?;

    let mut file = BufReader::new(File::open(cine)?);
    let acquisition = acquirer.begin()?;
    let mut time_ns = 0;
    while let Some(image) = pnm::read_image(&mut file)? {
        let geometry = Geometry::new(image.format, image.width_px, image.height_px)?;
        acquirer.push(&FrameView::new(geometry, &image.pixels)?.with_time_ns(time_ns))?;
        time_ns += period_ns;
    }
    acquirer.end()?;

    let result = reader.wait(acquisition, Duration::from_secs(60), &mut [])?;
    let label = result.label.map(|index| engine.spec().labels[index as usize].code.as_str());
    println!("frames    {} used, {} dropped", result.frames_used, result.frames_dropped);
    println!("view      {}, confidence {:.3}", label.unwrap_or("withheld"), result.confidence);
    if let Some(index) = result.group {
        let code = &engine.spec().groups[index as usize].code;
        println!("group     {code}, confidence {:.3}", result.group_confidence);
    }
    Ok(())
}
