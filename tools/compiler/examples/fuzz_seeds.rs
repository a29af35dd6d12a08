//! Writes small networks of every kind as seeds for the fuzzer: `fuzz_seeds FOLDER`, as `tools/compiler/fuzz/corpus/compile`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::error::Error;
use std::path::Path;

// The writer of source networks and their recipes are those of the compiler's own tests.
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/tests/recipe.rs"]
mod recipe;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/tests/source.rs"]
mod source;

mod self_test;

const SEEDS: usize = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = std::env::args().nth(1) else { return Err("usage: fuzz_seeds FOLDER".into()) };
    std::fs::create_dir_all(&folder)?;
    // The same networks every time.
    let mut runner = TestRunner::deterministic();
    for seed in 0..SEEDS {
        let tree = recipe::recipe().new_tree(&mut runner).map_err(|e| e.to_string())?;
        let recipe = tree.current();
        std::fs::write(Path::new(&folder).join(format!("seed{seed}")), recipe::build(&recipe).bytes())?;
    }
    println!("{SEEDS} networks in {folder}");
    Ok(())
}
