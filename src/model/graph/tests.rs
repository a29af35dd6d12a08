//! Tests of the cost of a graph.

use super::*;
use crate::model::onnx_file;

fn cost_of(bytes: &[u8], mode: Mode) -> Cost {
    let file = onnx_file::read(bytes).unwrap();
    check(file.graph, file.opset, mode).unwrap()
}

#[test]
fn the_stand_in_packages_cost_little() {
    let stream = include_bytes!("../../../models/standin.stream.onnx");
    let clip = include_bytes!("../../../models/standin.clip.onnx");
    for (bytes, mode) in [(&stream[..], Mode::Stream), (&clip[..], Mode::Window)] {
        let cost = cost_of(bytes, mode);
        println!("{mode:?}: {cost:?}");
        assert!((1_000_000..limits::MAX_WORK / 1000).contains(&cost.work), "{cost:?}");
        assert!((100_000..limits::MAX_RUN_BYTES / 4).contains(&cost.tensor_bytes), "{cost:?}");
        assert!((10..limits::MAX_DEPTH / 4).contains(&cost.depth), "{cost:?}");
    }
}
