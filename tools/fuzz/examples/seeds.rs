//! Writes the inputs with which the corpora began.
//!
//! `seeds SOURCES FOLDER` reads source networks from the folder SOURCES, such as
//! `fuzz/corpus/compile`, and writes a folder of inputs for each of three targets to FOLDER.

use std::error::Error;
use std::path::Path;
use tteview_fuzz_targets::create_seeds;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sources, folder] = &arguments[..] else {
        return Err("usage: seeds SOURCES FOLDER".into());
    };
    for (target, seeds) in create_seeds(Path::new(sources)) {
        let folder = Path::new(folder).join(target);
        std::fs::create_dir_all(&folder)?;
        for (index, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed{index}")), seed)?;
        }
    }
    Ok(())
}
