//! Tests that the patched depthwise convolution of rten equals a direct sum.

use super::packages::builder::{Builder, floats, int, ints};
use super::packages::mutation::Random;
use rten::{Model, Value};

/// A depthwise convolution of an image.
#[derive(Clone, Copy, Debug)]
struct Case {
    channels: usize,
    sides: [usize; 2],
    kernel: [usize; 2],
    /// Padding above, on the left, below and on the right.
    pads: [usize; 4],
    strides: [usize; 2],
    dilations: [usize; 2],
}

impl Case {
    /// Returns the number of outputs along an axis, or `None` if the kernel is too large.
    fn outputs(&self, axis: usize) -> Option<usize> {
        let padded = self.sides[axis] + self.pads[axis] + self.pads[axis + 2];
        let covered = (self.kernel[axis] - 1) * self.dilations[axis] + 1;
        Some(padded.checked_sub(covered)? / self.strides[axis] + 1)
    }

    /// Returns the index of the input that a tap reads for an output, or `None` in the padding.
    fn source(&self, axis: usize, output: usize, tap: usize) -> Option<usize> {
        let padded = output * self.strides[axis] + tap * self.dilations[axis];
        padded.checked_sub(self.pads[axis]).filter(|&index| index < self.sides[axis])
    }
}

/// Returns numbers from -1 to 1.
fn draw_values(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count).map(|_| (random.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn convolve_with_rten(case: Case, image: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let to_list = |values: &[usize]| values.iter().map(|&value| value as i64).collect::<Vec<_>>();
    let [channels, height, width] =
        [case.channels, case.sides[0], case.sides[1]].map(|size| size as i64);
    let [rows, columns] = case.kernel.map(|size| size as i64);
    let attributes = vec![
        int("group", channels),
        ints("pads", &to_list(&case.pads)),
        ints("strides", &to_list(&case.strides)),
        ints("dilations", &to_list(&case.dilations)),
    ];
    // The image depends on the input, which is 0, so that rten computes it in the run.
    let bytes = Builder::default()
        .initializer(floats("image", &[1, channels, height, width], image))
        .initializer(floats("kernel", &[channels, 1, rows, columns], weights))
        .initializer(floats("bias", &[channels], bias))
        .node("ReduceMean", &["fast"], "zero", vec![int("keepdims", 0)])
        .node("Add", &["image", "zero"], "moved", vec![])
        .node("Conv", &["moved", "kernel", "bias"], "convolved", attributes)
        .finish("convolved")
        .build();
    let model = Model::load(bytes).expect("loads");
    let input = Value::from_shape(&[1, 1, 8, 8], vec![0.0f32; 64]).expect("the input");
    let fast = model.node_id("fast").expect("the input");
    let output = model.node_id("convolved").expect("the output");
    let [result] = model.run_n(vec![(fast, input.into())], [output], None).expect("runs");
    let (_, values) = result.into_shape_vec::<f32, 4>().expect("floats");
    values
}

#[test]
fn depthwise_convolutions_equal_direct_sums() {
    let mut random = Random(7);
    let mut compared = 0;
    while compared < 300 {
        let mut pick = |ends: [usize; 2], first: usize| ends.map(|end| first + random.below(end));
        let case = Case {
            channels: pick([40, 1], 2)[0],
            sides: pick([24, 80], 1),
            kernel: pick([5, 7], 1),
            pads: {
                let ([a, b], [c, d]) = (pick([4, 5], 0), pick([4, 5], 0));
                [a, b, c, d]
            },
            strides: pick([3, 4], 1),
            dilations: pick([3, 2], 1),
        };
        let (Some(rows), Some(columns)) = (case.outputs(0), case.outputs(1)) else { continue };
        let image = draw_values(&mut random, case.channels * case.sides[0] * case.sides[1]);
        let weights = draw_values(&mut random, case.channels * case.kernel[0] * case.kernel[1]);
        let bias = draw_values(&mut random, case.channels);
        let actual = convolve_with_rten(case, &image, &weights, &bias);
        assert_eq!(actual.len(), case.channels * rows * columns, "{case:?}");
        for (index, &actual) in actual.iter().enumerate() {
            let (channel, row, column) =
                (index / (rows * columns), index / columns % rows, index % columns);
            let mut sum = f64::from(bias[channel]);
            for (tap, &weight) in weights
                .chunks(case.kernel[0] * case.kernel[1])
                .nth(channel)
                .unwrap_or_default()
                .iter()
                .enumerate()
            {
                let (y, x) = (tap / case.kernel[1], tap % case.kernel[1]);
                if let (Some(y), Some(x)) = (case.source(0, row, y), case.source(1, column, x)) {
                    let position = (channel * case.sides[0] + y) * case.sides[1] + x;
                    sum += f64::from(image[position]) * f64::from(weight);
                }
            }
            assert!((f64::from(actual) - sum).abs() < 1e-5, "{case:?}, output {index}");
        }
        compared += 1;
    }
}
