//! Changes of the structure of a file: attributes, operators, nodes, inputs and constants. Many of
//! the changed files are still valid networks.

use crate::onnx::*;
use crate::xorshift::Xorshift;
use bytes::Bytes;

/// Operators with the same number of inputs, one of which replaces another.
const SAME_ARITY: [&[&str]; 5] = [
    &["Abs", "Relu", "Sigmoid", "Tanh", "Neg", "Softplus", "Erf", "Identity", "HardSwish", "Sin"],
    &["Add", "Sub", "Mul", "Div", "Max", "Min"],
    &["ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"],
    &["Softmax", "LogSoftmax"],
    &["MaxPool", "AveragePool"],
];

/// Draws changes.
pub(super) struct Mutator(pub(super) Xorshift);

impl Mutator {
    /// Returns a number below `count`, which must not be 0.
    fn below(&mut self, count: usize) -> usize {
        // The low bits of the generator are less random than the high ones.
        (self.0.next() >> 8) as usize % count
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        if list.is_empty() { None } else { list.get(self.below(list.len())) }
    }

    /// Changes a model one to three times.
    pub(super) fn mutate(&mut self, model: &mut ModelProto) {
        for _ in 0..1 + self.below(3) {
            let kind = self.below(12);
            if kind == 0 {
                model.opset_import[0].version = 11 + self.below(11) as i64;
                continue;
            }
            let Some(graph) = &mut model.graph else { return };
            if graph.node.is_empty() {
                return;
            }
            match kind {
                1..5 => self.change_attribute(graph),
                5 | 6 => self.replace_operator(graph),
                7 => self.change_nodes(graph),
                8 => self.swap_inputs(graph),
                9 | 10 => self.change_integers(graph),
                _ => self.change_floats(graph),
            }
        }
    }

    fn change_attribute(&mut self, graph: &mut GraphProto) {
        let with_attributes: Vec<usize> =
            (0..graph.node.len()).filter(|&i| !graph.node[i].attribute.is_empty()).collect();
        let Some(&node) = self.pick(&with_attributes) else { return };
        let attributes = &mut graph.node[node].attribute;
        let at = self.below(attributes.len());
        if self.below(8) == 0 {
            attributes.remove(at);
            return;
        }
        let attribute = &mut attributes[at];
        if let Some(number) = &mut attribute.i {
            *number = self.small(*number);
        }
        if let Some(number) = &mut attribute.f {
            *number = [0.0, -1.0, 0.5, 2.0, 1e-5][self.below(5)];
        }
        if !attribute.ints.is_empty() {
            let index = self.below(attribute.ints.len());
            if self.below(3) == 0 {
                let other = self.below(attribute.ints.len());
                attribute.ints.swap(index, other);
            } else {
                attribute.ints[index] = self.small(attribute.ints[index]);
            }
        }
    }

    /// Returns a number near this one.
    fn small(&mut self, number: i64) -> i64 {
        match self.below(6) {
            0 => number.saturating_add(1),
            1 => number.saturating_sub(1),
            2 => number.saturating_neg(),
            3 => 0,
            4 => 1,
            _ => 2,
        }
    }

    fn replace_operator(&mut self, graph: &mut GraphProto) {
        let at = self.below(graph.node.len());
        let node = &mut graph.node[at];
        let group = SAME_ARITY.iter().find(|group| group.contains(&node.op_type.as_str()));
        if let Some(&operator) = group.and_then(|group| self.pick(group)) {
            node.op_type = operator.into();
        }
    }

    /// Removes a node, inserts a function before it, or moves it.
    fn change_nodes(&mut self, graph: &mut GraphProto) {
        let at = self.below(graph.node.len());
        match self.below(3) {
            0 => {
                let removed = graph.node.remove(at);
                let (Some(from), Some(to)) = (removed.output.first(), removed.input.first()) else {
                    return;
                };
                let inputs = graph.node.iter_mut().flat_map(|node| node.input.iter_mut());
                inputs.filter(|name| *name == from).for_each(|name| name.clone_from(to));
            }
            1 => {
                let Some(input) = graph.node[at].input.first().cloned() else { return };
                let name = format!("inserted_{}", graph.node.len());
                let operator = SAME_ARITY[0][self.below(SAME_ARITY[0].len())];
                graph.node[at].input[0].clone_from(&name);
                graph.node.push(NodeProto {
                    op_type: operator.into(),
                    input: vec![input],
                    output: vec![name],
                    ..NodeProto::default()
                });
            }
            _ => {
                let other = self.below(graph.node.len());
                graph.node.swap(at, other);
            }
        }
    }

    /// Swaps two inputs of a node, or makes it read another value.
    fn swap_inputs(&mut self, graph: &mut GraphProto) {
        let at = self.below(graph.node.len());
        let other = self.below(graph.node.len());
        let value = graph.node[other].output.first().cloned();
        let inputs = &mut graph.node[at].input;
        if inputs.is_empty() {
            return;
        }
        let index = (self.0.next() >> 8) as usize % inputs.len();
        match (value, self.0.next() >> 31) {
            (Some(value), 1) => inputs[index] = value,
            _ => inputs.swap(0, index),
        }
    }

    /// Changes an element of a constant with integers, such as a shape, axes or pads.
    fn change_integers(&mut self, graph: &mut GraphProto) {
        let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
        let constants = attributes.filter_map(|attribute| attribute.t.as_mut());
        let mut found: Vec<&mut TensorProto> = graph
            .initializer
            .iter_mut()
            .chain(constants)
            .filter(|tensor| tensor.data_type == data_type::INT64)
            .collect();
        if found.is_empty() {
            return;
        }
        let at = self.below(found.len());
        let tensor = &mut *found[at];
        if !tensor.int64_data.is_empty() {
            let index = self.below(tensor.int64_data.len());
            tensor.int64_data[index] = self.small(tensor.int64_data[index]);
        } else if let Some(data) = tensor.raw_data.as_ref().filter(|data| data.len() >= 8) {
            let mut bytes = data.to_vec();
            let start = 8 * self.below(bytes.len() / 8);
            let number: [u8; 8] = bytes[start..start + 8].try_into().expect("eight bytes");
            let number = self.small(i64::from_le_bytes(number));
            bytes[start..start + 8].copy_from_slice(&number.to_le_bytes());
            tensor.raw_data = Some(Bytes::from(bytes));
        }
    }

    /// Changes an element of a constant with numbers.
    fn change_floats(&mut self, graph: &mut GraphProto) {
        let found: Vec<usize> = (0..graph.initializer.len())
            .filter(|&i| graph.initializer[i].data_type == data_type::FLOAT)
            .collect();
        let Some(&at) = self.pick(&found) else { return };
        let Some(data) = &mut graph.initializer[at].raw_data else { return };
        let mut bytes = data.to_vec();
        if bytes.len() >= 4 {
            let start = 4 * self.below(bytes.len() / 4);
            let value = [0.0, -1.0, 3.0, 1e4, f32::NAN, f32::INFINITY][self.below(6)];
            bytes[start..start + 4].copy_from_slice(&value.to_le_bytes());
        }
        *data = Bytes::from(bytes);
    }
}
