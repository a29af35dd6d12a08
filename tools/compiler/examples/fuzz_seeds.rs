//! Writes small networks of all kinds as seeds for the fuzz target.
//!
//! `fuzz_seeds FOLDER` writes them to a folder such as `fuzz/corpus/compile`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::error::Error;
use std::path::Path;

// The example shares the source networks with the compiler's tests.
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/tests/random_network.rs"]
mod random_network;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../src/tests/source.rs"]
mod source;

#[path = "../src/xorshift.rs"]
mod xorshift;

use random_network::{build_network, random_network};

const SEEDS: usize = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = std::env::args().nth(1) else {
        return Err("usage: fuzz_seeds FOLDER".into());
    };
    std::fs::create_dir_all(&folder)?;
    // Every run writes the same networks.
    let mut runner = TestRunner::deterministic();
    for seed in 0..SEEDS {
        let network = random_network().new_tree(&mut runner).map_err(|e| e.to_string())?.current();
        std::fs::write(
            Path::new(&folder).join(format!("seed{seed}")),
            build_network(&network).bytes(),
        )?;
    }
    println!("{SEEDS} networks in {folder}");
    Ok(())
}
