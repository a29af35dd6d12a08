//! The folder of the engines that TensorRT built.

use super::{Finding, State};
use std::path::Path;
use tteview::{CachedEngine, cached_engines};

/// Letters of a folder's name that tell it from others.
const SHORT: usize = 12;

/// Whether it can be written, and a line for each engine.
pub(super) fn findings(folder: &Path) -> Vec<Finding> {
    let engines = match cached_engines(folder) {
        Ok(engines) => engines,
        Err(error) => {
            let what = format!("{}: {error}", folder.display());
            let advice = "name a folder that this user may read and write".into();
            return vec![Finding::new("engine cache", State::Problem, what).advise(advice)];
        }
    };
    let mut found = vec![folder_itself(folder, &engines)];
    found.extend(engines.iter().map(engine));
    found
}

fn folder_itself(folder: &Path, engines: &[CachedEngine]) -> Finding {
    let path = folder.display();
    let megabytes = engines.iter().map(|engine| engine.bytes).sum::<u64>() as f64 / 1e6;
    let count = match engines.len() {
        0 => "no engine".into(),
        1 => format!("1 engine, {megabytes:.1} MB"),
        count => format!("{count} engines, {megabytes:.1} MB"),
    };
    if !folder.exists() {
        return Finding::new("engine cache", State::Absent, format!("{path} is not there; prepare makes it"));
    }
    match write_and_remove(folder) {
        Ok(()) => Finding::new("engine cache", State::Fine, format!("{path}: {count}")),
        Err(error) => {
            let what = format!("{path}: {count}; nothing can be written: {error}");
            let advice = "engines in it are loaded, no other is built: give this user the right to write, or make room";
            Finding::new("engine cache", State::Problem, what).advise(advice.into())
        }
    }
}

fn engine(engine: &CachedEngine) -> Finding {
    let name = engine.path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("engine {}", name.get(..SHORT).unwrap_or(&name));
    match &engine.problem {
        None => {
            let parts: Vec<String> = engine.built_for.iter().map(|(name, value)| part(name, value)).collect();
            let what = format!("{:.1} MB, for {}", engine.bytes as f64 / 1e6, parts.join(", "));
            Finding::new(name, State::Fine, what)
        }
        Some(why) => Finding::new(name, State::Problem, why.clone())
            .advise(format!("it is never loaded: remove {}", engine.path.display())),
    }
}

/// A hash is as good as its first letters, to a person.
fn part(name: &str, value: &str) -> String {
    let is_hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    format!("{name} {}", if is_hash { &value[..SHORT] } else { value })
}

/// A small file, there and away again.
fn write_and_remove(folder: &Path) -> std::io::Result<()> {
    let file = folder.join(format!(".doctor-{}", std::process::id()));
    std::fs::write(&file, [0; 4096])?;
    std::fs::remove_file(file)
}
