//! The engine cache: the folder with the engines built by TensorRT.

use super::finding::{Finding, State};
use std::path::Path;
use tteview::{CachedEngine, list_cached_engines};

/// Number of characters to which a hash is shortened.
const SHORT_HASH: usize = 12;

/// Checks whether the folder is writable, and checks each engine in it.
pub(super) fn check_cache(folder: &Path) -> Vec<Finding> {
    let engines = match list_cached_engines(folder) {
        Ok(engines) => engines,
        Err(error) => {
            let finding = Finding::new(
                "engine cache",
                State::Problem,
                format!("{}: {error}", folder.display()),
            );
            return vec![finding.with_advice("name a folder that this user can read and write")];
        }
    };
    let mut findings = vec![check_folder(folder, &engines)];
    findings.extend(engines.iter().map(check_engine));
    findings
}

fn check_folder(folder: &Path, engines: &[CachedEngine]) -> Finding {
    let path = folder.display();
    let megabytes = engines.iter().map(|engine| engine.bytes).sum::<u64>() as f64 / 1e6;
    let content = match engines.len() {
        0 => "no engine".into(),
        1 => format!("1 engine, {megabytes:.1} MB"),
        count => format!("{count} engines, {megabytes:.1} MB"),
    };
    if !folder.exists() {
        let text = format!("{path} does not exist; preparing an engine creates it");
        return Finding::new("engine cache", State::Absent, text);
    }
    match write_and_remove_file(folder) {
        Ok(()) => Finding::new("engine cache", State::Fine, format!("{path}: {content}")),
        Err(error) => {
            let text = format!("{path}: {content}; the folder is not writable: {error}");
            let advice = "the engines in the folder can be loaded, but no new engine can be built; \
                          give this user write permission, or free disk space";
            Finding::new("engine cache", State::Problem, text).with_advice(advice)
        }
    }
}

fn check_engine(engine: &CachedEngine) -> Finding {
    let name = engine.path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("engine {}", name.get(..SHORT_HASH).unwrap_or(&name));
    match &engine.problem {
        None => {
            let built_for: Vec<String> =
                engine.built_for.iter().map(|(name, value)| describe_part(name, value)).collect();
            let text = format!("{:.1} MB, for {}", engine.bytes as f64 / 1e6, built_for.join(", "));
            Finding::new(name, State::Fine, text)
        }
        Some(problem) => Finding::new(name, State::Problem, problem.as_str()).with_advice(format!(
            "the engine will never be loaded; remove {}",
            engine.path.display()
        )),
    }
}

/// Describes one of the conditions for which an engine was built. If the condition is a hash, only
/// its first characters are shown.
fn describe_part(name: &str, value: &str) -> String {
    let is_hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    format!("{name} {}", if is_hash { &value[..SHORT_HASH] } else { value })
}

/// Writes a small file and removes it.
fn write_and_remove_file(folder: &Path) -> std::io::Result<()> {
    let file = folder.join(format!(".doctor-{}", std::process::id()));
    std::fs::write(&file, [0; 4096])?;
    std::fs::remove_file(file)
}
