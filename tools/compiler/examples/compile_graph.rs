//! Compiles one file with numbered labels and prints what came out: the compiler without the command line.
//!
//! `compile_graph SOURCE NAME [grey] [fp16] [chunk=N] [verify]`; `verify` needs `TTEVIEW_ORT_DYLIB`.

use std::error::Error;
use std::path::Path;
use std::time::Instant;
use tteview_compiler::verify::{Runtime, Source, verify};
use tteview_compiler::{CompileOptions, Label, Precision, compile, inspect, inspect_in};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [source, name, flags @ ..] = args.as_slice() else {
        return Err("usage: compile_graph SOURCE NAME [grey] [fp16] [chunk=N] [verify]".into());
    };
    let bytes = std::fs::read(source)?;
    let logits = inspect_in(&bytes, Path::new(source).parent())?
        .outputs
        .last()
        .map_or(0, |o| o.shape.iter().product());
    let label =
        |i| Label { code: format!("L{i}"), name: format!("label {i}"), scheme: None, scheme_code: None };
    let file_name = Path::new(name).file_name().and_then(|n| n.to_str()).unwrap_or("model");
    let mut options = CompileOptions::new(file_name, (0..logits).map(label).collect());
    options.folder = Path::new(source).parent().map(Path::to_path_buf);
    options.grey = flags.iter().any(|f| f == "grey");
    if flags.iter().any(|f| f == "fp16") {
        options.precision = Precision::Fp16;
    }
    if let Some(n) = flags.iter().find_map(|f| f.strip_prefix("chunk=")) {
        options.chunk = n.parse()?;
    }
    let start = Instant::now();
    let compiled = compile(bytes, &options)?;
    println!("compiled in {:.2} s", start.elapsed().as_secs_f64());
    let folder = Path::new(name).parent().unwrap_or(Path::new("."));
    for package in compiled.packages() {
        std::fs::write(folder.join(&package.file_name), &package.bytes)?;
        let text = inspect(&package.bytes)?.to_string();
        println!(
            "{}\n{}",
            package.file_name,
            text.lines().map(|l| &l[..l.len().min(200)]).collect::<Vec<_>>().join("\n")
        );
    }
    if let Some(reason) = &compiled.window_only {
        println!("window mode only: {reason}");
    }
    if flags.iter().any(|f| f == "verify") {
        let library = std::env::var("TTEVIEW_ORT_DYLIB")?;
        println!(
            "{}",
            verify(&Runtime::load(Path::new(&library))?, Source::File(Path::new(source)), &compiled, 7)?
        );
    }
    Ok(())
}
