//! Tests that the bounds of the memory are at least what rten allocates.

use super::super::*;
use super::packages::hostile::valid_packages;
use super::packages::memory::{demanding_packages, independent_products};
use crate::counting::peak;

fn config() -> EngineConfig {
    EngineConfig { threads: 1, ..EngineConfig::default() }
}

/// Loads the parts of a package and makes two runs of each. Checks that nothing needs more memory
/// than its bound.
fn check_bounds(name: &str, bytes: Vec<u8>) {
    let package = ModelPackage::from_bytes(bytes, None).expect(name);
    let models = package.part_models().expect(name);
    for (model, cost) in models.into_iter().zip(&package.costs) {
        let (part, bytes) = (model.part, model.bytes.to_vec());
        let bound = bounds::bound_load(bytes.len(), cost);
        let load = || load_part(&package.spec, model, cost, &config());
        let (used, loaded) = peak(|| load().expect(name));
        println!("{name}, {part:?}: load {used} of {bound}");
        assert!(used as usize <= bound, "{name}: loading needs {used} bytes, the bound is {bound}");
        drop(loaded);
        let model = Model::load(bytes).expect(name);
        let live_bytes = measure_live_bytes(&model, cost).expect(name);
        let bound = bounds::bound_step(cost, live_bytes, 1);
        let backend = super::super::load(&package, &config()).expect(name);
        let mut session = backend.create_session(part).expect(name);
        for number in 0..2 {
            let (used, result) = peak(|| session.run());
            result.expect(name);
            println!("{name}, {part:?}: run {number} {used} of {bound}, {live_bytes} live");
            assert!(used as usize <= bound, "{name}: a run needs {used} bytes, not {bound}");
        }
    }
}

#[test]
fn the_bounds_hold_for_the_packages_of_the_repository() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for name in ["standin.stream", "standin.clip", "standin.frames", "demo.stream", "demo.clip"] {
        let bytes = std::fs::read(folder.join(format!("{name}.onnx"))).expect(name);
        check_bounds(name, bytes);
    }
}

#[test]
fn the_bounds_hold_for_hostile_packages() {
    for (name, bytes) in valid_packages().into_iter().chain(demanding_packages()) {
        check_bounds(name, bytes);
    }
}

#[test]
fn a_graph_that_is_too_large_in_another_order_is_refused() {
    let package = ModelPackage::from_bytes(independent_products(800).build(), None).unwrap();
    assert!(package.costs[0].tensor_bytes < 1 << 20, "{}", package.costs[0].tensor_bytes);
    let error = load(&package, &config()).err().expect("refused");
    assert_eq!(error.status(), Status::ModelInvalid);
    assert!(error.message().contains("the tensors of a run must have at most"), "{error}");
}
