//! Checks the providers by running a small network on each of them.

use super::finding::{Finding, State};
use std::path::Path;
use tteview::{Engine, EngineConfig, ModelPackage};

/// A small network with random weights. Its only purpose is to show whether a provider can run a
/// network.
const STAND_IN: &[u8] = include_bytes!("../../../../models/standin.stream.onnx");

/// Loads the stand-in network on each provider, runs the network's self-test and measures the time
/// of a step.
pub(super) fn check_providers(runtime: Option<&Path>) -> Vec<Finding> {
    let mut names = vec!["embedded"];
    if runtime.is_some() {
        names.extend(["cpu", "cuda", "tensorrt"]);
        names.extend(cfg!(feature = "tensorrt-rtx").then_some("tensorrt-rtx"));
    }
    names.into_iter().map(|name| check_provider(name, runtime)).collect()
}

fn check_provider(name: &str, runtime: Option<&Path>) -> Finding {
    let config = EngineConfig {
        providers: vec![name.to_owned()],
        threads: 1,
        runtime_library: runtime.map(Path::to_owned),
        ..EngineConfig::default()
    };
    let engine = ModelPackage::from_bytes(STAND_IN.to_vec(), None).and_then(|package| {
        let engine = Engine::new(package, &config)?;
        engine.prepare()?;
        Ok(engine)
    });
    let finding = format!("provider {name}");
    match engine {
        Ok(engine) => {
            let runtime = engine.report().runtime_version;
            let step_ms = engine.step_time().unwrap_or_default().as_secs_f64() * 1e3;
            let text = format!("{runtime} ran the stand-in network, {step_ms:.2} ms per step");
            Finding::new(finding, State::Fine, text)
        }
        Err(error) => {
            // The message of a loading error begins with the name of the provider. The finding
            // already contains this name.
            let cause = error.message();
            let cause = cause.strip_prefix(&format!("{name}: ")).unwrap_or(cause);
            Finding::new(finding, State::Problem, cause)
        }
    }
}
