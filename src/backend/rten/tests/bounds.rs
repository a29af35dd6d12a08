//! Tests that the bounds of the memory are at least what rten allocates.

use super::super::*;
use super::packages::hostile::valid_packages;
use super::packages::memory::{demanding_packages, independent_products};
use crate::counting::peak;

fn config() -> EngineConfig {
    EngineConfig { threads: 1, ..EngineConfig::default() }
}

/// Loads a package and runs two steps. Checks that neither needs more memory than its bound.
fn check_bounds(name: &str, bytes: Vec<u8>) {
    let package = ModelPackage::from_bytes(bytes, None).expect(name);
    let bound = bounds::bound_load(&package);
    let (used, backend) = peak(|| load(&package, &config()).expect(name));
    println!("{name}: load {used} of {bound}");
    assert!(used as usize <= bound, "{name}: loading needs {used} bytes, the bound is {bound}");
    let model = Model::load(package.bytes.to_vec()).expect(name);
    let bound = bound_step_bytes(&package, &model, &config()).expect(name);
    let mut session = backend.create_session().expect(name);
    for step in 0..2 {
        let (used, result) = peak(|| session.run());
        result.expect(name);
        let file_order = package.cost.tensor_bytes;
        println!("{name}: step {step} {used} of {bound}, {file_order} in the order of the file");
        assert!(used as usize <= bound, "{name}: a step needs {used} bytes, the bound is {bound}");
    }
}

#[test]
fn the_bounds_hold_for_the_packages_of_the_repository() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for name in ["standin.stream", "standin.clip", "demo.stream", "demo.clip"] {
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
    assert!(package.cost.tensor_bytes < 1 << 20, "{}", package.cost.tensor_bytes);
    let error = load(&package, &config()).err().expect("refused");
    assert_eq!(error.status(), Status::ModelInvalid);
    assert!(error.message().contains("the tensors of a run must have at most"), "{error}");
}
