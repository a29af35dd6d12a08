//! A host that writes each image to a slot of the ring and runs the network itself. The library
//! copies no frame and starts no worker thread.
//!
//! ```console
//! $ cargo run --release --example host_driven MODEL.onnx CINE.pnm FRAME_PERIOD_NS
//! ```

mod pnm;

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;
use tteview::frame::Geometry;
use tteview::{
    Acquirer, Drive, Driver, Engine, EngineConfig, ModelPackage, Status, Stream, StreamConfig,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, cine, period] = &arguments[..] else {
        return Err("usage: host_driven MODEL.onnx CINE.pnm FRAME_PERIOD_NS".into());
    };
    let period_ns: i64 = period.parse()?;

    let package = ModelPackage::from_path(Path::new(model), None)?;
    let engine = Engine::new(package, &EngineConfig::default())?;
    engine.prepare()?;
    let config = StreamConfig { drive: Drive::Host, ..StreamConfig::default() };
    println!("memory    {:.1} MB", Stream::memory_bytes(&engine, &config)? as f64 / 1e6);
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &config)?;
    let mut driver = driver.ok_or("a stream with Drive::Host has a driver")?;

    let mut file = BufReader::new(File::open(cine)?);
    let acquisition = acquirer.begin()?;
    let mut number = 0;
    while let Some(image) = pnm::read_image(&mut file)? {
        write_to_slot(&mut acquirer, &image, number, period_ns)?;
        process_all(&mut driver)?;
        number += 1;
    }
    acquirer.end()?;
    process_all(&mut driver)?;

    let result = reader.wait(acquisition, Duration::ZERO, &mut [])?;
    let label = result.label.map(|index| engine.spec().labels[index as usize].code.as_str());
    println!("frames    {} used, {} chunks", result.frames_used, result.chunks);
    println!("view      {}, confidence {:.3}", label.unwrap_or("withheld"), result.confidence);
    Ok(())
}

/// Writes an image to the next slot. In a scanner, the beamformer would write to `loan.pixels`.
fn write_to_slot(
    acquirer: &mut Acquirer,
    image: &pnm::Image,
    number: u64,
    period_ns: i64,
) -> Result<(), Box<dyn Error>> {
    let geometry = Geometry::new(image.format, image.width_px, image.height_px)?;
    let loan = acquirer.loan()?;
    let slot =
        loan.pixels.get_mut(..image.pixels.len()).ok_or("the image is larger than a slot")?;
    slot.copy_from_slice(&image.pixels);
    let token = loan.token;
    acquirer.commit(token, &geometry, number as i64 * period_ns, number)?;
    Ok(())
}

/// Runs the network until no frame is waiting.
fn process_all(driver: &mut Driver) -> Result<(), Status> {
    loop {
        match driver.process() {
            Ok(()) => {}
            Err(Status::NotReady) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
