//! The fuzz targets. Each target is a function that takes arbitrary bytes and panics if the code
//! under test breaks a rule.
//!
//! The crate in `fuzz/` calls these functions from libFuzzer, and the test in this crate calls them
//! with the files in `fuzz/corpus/`.

mod abi;
mod cines;
mod engine_file;
mod eval_files;
mod folders;
mod images;
mod memory_folder;
mod models;
mod png;

use std::path::Path;

/// A fuzz target.
pub struct Target {
    /// Name of the target, of its program in `fuzz/fuzz_targets/` and of its folder in
    /// `fuzz/corpus/`.
    pub name: &'static str,
    /// Function that runs the code under test on an input.
    pub run: fn(&[u8]),
}

/// All fuzz targets.
pub const TARGETS: [Target; 12] = [
    Target { name: "package", run: models::run_package },
    Target { name: "compile", run: models::run_compile },
    Target { name: "dicom", run: cines::run_dicom },
    Target { name: "avi", run: cines::run_avi },
    Target { name: "gif", run: cines::run_gif },
    Target { name: "video", run: cines::run_video },
    Target { name: "animation", run: cines::run_animation },
    Target { name: "image", run: images::run_image },
    Target { name: "folder", run: folders::run_folder },
    Target { name: "engine_file", run: engine_file::run_engine_file },
    Target { name: "abi", run: abi::run_abi },
    Target { name: "eval_files", run: eval_files::run_eval_files },
];

/// Runs the target `name` on an input.
///
/// # Panics
/// Panics if there is no such target, or if the code under test breaks a rule.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("{name} must be the name of a target")).run)(input);
}

/// Creates the inputs with which the corpora of three targets began, by target. `sources` is a
/// folder of source networks, such as `fuzz/corpus/compile`.
#[must_use]
pub fn create_seeds(sources: &Path) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("abi", abi::create_seeds()),
        ("engine_file", engine_file::create_seeds()),
        ("package", models::create_package_seeds(sources)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    /// Maximum time for one input. libFuzzer's limit is the same.
    const MAX_TIME: Duration = Duration::from_secs(10);

    fn corpus() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
    }

    fn replay(name: &str) {
        let mut count = 0;
        for entry in std::fs::read_dir(corpus().join(name)).unwrap() {
            let path = entry.unwrap().path();
            let (input, start) = (std::fs::read(&path).unwrap(), Instant::now());
            run(name, &input);
            assert!(start.elapsed() < MAX_TIME, "{} takes too long", path.display());
            count += 1;
        }
        assert!(count > 3, "fuzz/corpus/{name} has {count} files");
        println!("{name}: {count} inputs");
    }

    #[test]
    fn package_inputs_keep_the_rules() {
        replay("package");
    }

    #[test]
    fn compile_inputs_keep_the_rules() {
        replay("compile");
    }

    #[test]
    fn dicom_inputs_keep_the_rules() {
        replay("dicom");
    }

    #[test]
    fn avi_inputs_keep_the_rules() {
        replay("avi");
    }

    #[test]
    fn gif_inputs_keep_the_rules() {
        replay("gif");
    }

    #[test]
    fn video_inputs_keep_the_rules() {
        replay("video");
    }

    #[test]
    fn animation_inputs_keep_the_rules() {
        replay("animation");
    }

    #[test]
    fn image_inputs_keep_the_rules() {
        replay("image");
    }

    #[test]
    fn folder_inputs_keep_the_rules() {
        replay("folder");
    }

    #[test]
    fn engine_files_keep_the_rules() {
        replay("engine_file");
    }

    #[test]
    fn call_sequences_keep_the_rules() {
        replay("abi");
    }

    #[test]
    fn eval_files_keep_the_rules() {
        replay("eval_files");
    }

    #[test]
    fn every_target_has_a_corpus_and_every_corpus_a_target() {
        let mut corpora: Vec<String> = std::fs::read_dir(corpus())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut targets = TARGETS.map(|target| target.name);
        corpora.sort();
        targets.sort();
        assert_eq!(corpora, targets);
    }
}
