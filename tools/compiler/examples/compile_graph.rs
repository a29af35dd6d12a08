//! Compiles one network with generated labels and prints a summary of the packages.
//!
//! `compile_graph SOURCE NAME [grey] [fp16] [chunk=N] [chunk-steps] [verify]` writes
//! `NAME.clip.onnx` and, if the network can stream, `NAME.stream.onnx`. The flag `verify` needs the
//! environment variable `TTEVIEW_ORT_DYLIB`, which contains the path of ONNX Runtime's shared
//! library.

use std::error::Error;
use std::path::Path;
use std::time::Instant;
use tteview_compiler::verify::{Runtime, Source, verify};
use tteview_compiler::{CompileOptions, Label, Precision, Steps, compile, inspect, inspect_in};

/// Maximum length of a line in the summary. Longer lines, which occur in the metadata, are cut.
const MAX_COLUMNS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [source, name, flags @ ..] = args.as_slice() else {
        return Err(
            "usage: compile_graph SOURCE NAME [grey] [fp16] [chunk=N] [chunk-steps] [verify]"
                .into(),
        );
    };
    let has_flag = |flag: &str| flags.iter().any(|f| f == flag);
    let (source, name) = (Path::new(source), Path::new(name));
    let bytes = std::fs::read(source)?;
    let outputs = inspect_in(&bytes, source.parent())?.outputs;
    let logits = outputs.last().map_or(0, |output| output.shape.iter().product());
    let label = |i| Label { code: format!("L{i}"), name: format!("label {i}"), ..Label::default() };
    let file_name = name.file_name().and_then(|n| n.to_str()).unwrap_or("model");
    let mut options = CompileOptions::new(file_name, (0..logits).map(label).collect());
    options.folder = source.parent().map(Path::to_path_buf);
    options.grey = has_flag("grey");
    if has_flag("fp16") {
        options.precision = Precision::Fp16;
    }
    if has_flag("chunk-steps") {
        options.steps = Steps::Chunk;
    }
    if let Some(n) = flags.iter().find_map(|f| f.strip_prefix("chunk=")) {
        options.chunk = n.parse()?;
    }
    let start = Instant::now();
    let network = compile(bytes, &options)?;
    println!("compiled in {:.2} s", start.elapsed().as_secs_f64());
    let folder = name.parent().unwrap_or(Path::new("."));
    for package in network.packages() {
        std::fs::write(folder.join(&package.file_name), &package.bytes)?;
        println!("{}", package.file_name);
        for line in inspect(&package.bytes)?.to_string().lines() {
            println!("{}", line.chars().take(MAX_COLUMNS).collect::<String>());
        }
    }
    if let Some(reason) = &network.window_only_reason {
        println!("window mode only: {reason}");
    }
    if let Some(reason) = &network.chunk_steps_reason {
        println!("chunk steps: {reason}");
    }
    if has_flag("verify") {
        let runtime = Runtime::load(Path::new(&std::env::var("TTEVIEW_ORT_DYLIB")?))?;
        println!("{}", verify(&runtime, Source::File(source), &network, 7)?);
    }
    Ok(())
}
