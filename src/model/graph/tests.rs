//! Tests of the cost of a graph, and of the values of tensors.

mod computed;
mod rules;

use super::*;
use crate::model::onnx_file;
use context::Bounds;
use proto::AttributeValue;
use tensor::Element;

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

/// Encodes a tensor with a shape, an element type and more fields.
fn read_tensor(dims: &[u8], kind: u8, fields: &[&[u8]]) -> Result<TensorValues> {
    let mut bytes = vec![0x0a, dims.len() as u8];
    bytes.extend(dims);
    bytes.extend([0x10, kind]);
    bytes.extend(fields.concat());
    let tensor = Tensor::read(Reader::new(&bytes))?;
    Ok((tensor.typed_len(), tensor.integers().ok(), tensor.float().ok()))
}

/// Number of values outside of `raw_data`, the integers and the float of a tensor.
type TensorValues = (usize, Option<Vec<i64>>, Option<f32>);

#[test]
fn values_outside_of_raw_data_are_decoded() {
    const MINUS_ONE: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let packed = [&[0x3a, 11, 5][..], &MINUS_ONE].concat();
    let integers = Ok((4, Some(vec![5, -1, 7, 300]), None));
    assert_eq!(read_tensor(&[4], 7, &[&packed, &[0x38, 7], &[0x38, 0xac, 2]]), integers);
    let packed = [&[0x2a, 11, 5][..], &MINUS_ONE].concat();
    assert_eq!(read_tensor(&[2], 6, &[&packed]), Ok((2, Some(vec![5, -1]), None)));
    let half = 1.5f32.to_le_bytes();
    let float = Ok((1, None, Some(1.5)));
    assert_eq!(read_tensor(&[], 1, &[&[0x22, 4], &half]), float);
    assert_eq!(read_tensor(&[], 1, &[&[0x25], &half]), float);
    // The bits of 1.5 as float16 are 0x3e00.
    assert_eq!(read_tensor(&[], 10, &[&[0x28, 0x80, 0x7c]]), float);
    assert_eq!(read_tensor(&[], 10, &[&[0x4a, 2, 0x00, 0x3e]]), Ok((0, None, Some(1.5))));
    assert_eq!(read_tensor(&[], 1, &[&[0x4a, 4], &half]), Ok((0, None, Some(1.5))));
}

#[test]
fn values_outside_of_the_range_of_their_type_are_refused() {
    let refuse = |kind: u8, data: &[u8], range: &str| {
        let error = read_tensor(&[1], kind, &[data]).expect_err(range);
        assert_eq!(error.status(), Status::ModelInvalid);
        assert!(error.message().contains(range), "{error}");
    };
    // The values are 2^31, 2^32 and 65536, and -1 for float16.
    refuse(6, &[0x28, 0x80, 0x80, 0x80, 0x80, 8], "to 2147483647, got 2147483648");
    refuse(6, &[0x2a, 5, 0x80, 0x80, 0x80, 0x80, 0x10], "to 2147483647, got 4294967296");
    refuse(10, &[0x28, 0x80, 0x80, 4], "must be 0 to 65535, got 65536");
    let minus_one = [&[0x28][..], &[0xff; 9], &[1]].concat();
    refuse(10, &minus_one, "must be 0 to 65535, got -1");
    // A field of another type, and two fields of different types.
    refuse(6, &[0x38, 1], "in the field of its type");
    refuse(7, &[0x28, 1], "in the field of its type");
    let error = read_tensor(&[2], 7, &[&[0x38, 1], &[0x28, 1]]).expect_err("two fields");
    assert_eq!(error.status(), Status::Unsupported);
}

#[test]
fn every_half_precision_number_is_converted() {
    let read = |bits: u16| {
        let [low, high] = bits.to_le_bytes();
        read_tensor(&[], 10, &[&[0x4a, 2, low, high]]).unwrap().2.unwrap()
    };
    assert_eq!([0x0000, 0x8000, 0x3c00, 0xc000].map(read), [0.0, 0.0, 1.0, -2.0]);
    assert!(read(0x8000).is_sign_negative());
    // The largest number, the smallest normal one, and the largest and smallest subnormal ones.
    assert_eq!([0x7bff, 0x0400].map(read), [65504.0, 6.103_515_6e-5]);
    assert_eq!([0x03ff, 0x0001].map(read), [6.097_555e-5, 5.960_464_5e-8]);
    assert_eq!([0x7c00, 0xfc00].map(read), [f32::INFINITY, f32::NEG_INFINITY]);
    assert!(read(0x7e00).is_nan());
}

#[test]
fn a_float_argument_has_one_value_of_a_float_type() {
    let float = |dims: &[u8], kind, field: &[u8]| read_tensor(dims, kind, &[field]).unwrap().2;
    assert_eq!(float(&[2], 1, &[0x4a, 8, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(float(&[2], 10, &[0x28, 0, 0x28, 0]), None);
    assert_eq!(float(&[1], 6, &[0x4a, 4, 0, 0, 0, 0]), None);
    let integers = read_tensor(&[2], 6, &[&[0x4a, 8, 5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]]);
    assert_eq!(integers.unwrap().1, Some(vec![5, -1]));
}
