//! Tests of sessions and threads of rten.

mod bounds;
mod depthwise;
#[path = "../../../tests/packages/mod.rs"]
mod packages;

use super::*;

fn package() -> ModelPackage {
    let bytes = include_bytes!("../../../models/standin.stream.onnx").to_vec();
    ModelPackage::from_bytes(bytes, None).expect("a valid package")
}

#[test]
fn state_is_carried_and_reset_restores_the_first_result() {
    let mut session = load(&package(), &EngineConfig::default())
        .expect("loads")
        .create_session(Part::Whole)
        .expect("a session");
    let inputs = session.inputs();
    inputs.slow.fill(0.5);
    inputs.fast.fill(0.5);
    session.run().expect("runs");
    let first = session.logits().to_vec();
    session.run().expect("runs");
    assert_ne!(session.logits(), first);
    session.reset().expect("resets");
    session.run().expect("runs");
    assert_eq!(session.logits(), first);
}

#[test]
fn a_state_of_another_shape_is_refused_by_name() {
    let mut package = package();
    package.spec.states[0].shape[0] += 1;
    let error = load(&package, &EngineConfig::default()).err().expect("refused");
    assert_eq!(error.status(), Status::ModelMismatch);
    assert!(error.message().contains(&package.spec.states[0].name), "{error}");
}

fn pool(threads: u32) -> Pool {
    create_pool(threads, &EngineConfig::default()).expect("threads start")
}

fn run_on_own_thread(pool: &ThreadPool) {
    let caller = std::thread::current().id();
    assert_eq!(pool.run(|| std::thread::current().id()), caller);
}

#[test]
fn nested_pools_and_panics_leave_the_caller_as_it_was() {
    let pools = (pool(1), pool(3));
    let (one, two) = (&pools.0.threads, &pools.1.threads);
    for _ in 0..3 {
        one.run(|| two.run(|| one.run(|| run_on_own_thread(two))));
        let panics = || one.run(|| two.run(|| panic!("on purpose")));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        run_on_own_thread(one);
        run_on_own_thread(two);
    }
}

#[test]
fn callers_of_one_pool_take_turns_and_compute_the_same() {
    let package = package();
    for threads in 1..=3 {
        let config = EngineConfig { threads, ..EngineConfig::default() };
        let backend = load(&package, &config).expect("loads");
        let run_once = || {
            let mut session = backend.create_session(Part::Whole).expect("a session");
            session.inputs().fast.fill(0.25);
            session.run().expect("runs");
            session.logits().to_vec()
        };
        let expected = run_once();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let repeat = || (0..20).for_each(|_| assert_eq!(run_once(), expected));
                scope.spawn(repeat);
            }
        });
    }
}
