//! The messages of a graph, decoded without copies of texts and weights.
//!
//! The numbers of the fields come from `onnx.proto3`. A field that is not in these lists is an
//! error, so subgraphs, sparse tensors, external data and quantization never reach a runtime.

use super::fields::{push_bounded, read_name, unsupported_field};
use super::tensor::{Element, Tensor, read_shape};
use crate::error::Result;
use crate::model::limits;
use crate::model::wire::{Reader, invalid, set_once};

/// A `GraphProto`.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) initializers: Vec<Tensor<'a>>,
    pub(super) inputs: Vec<ValueInfo<'a>>,
    pub(super) outputs: Vec<ValueInfo<'a>>,
    pub(super) values: Vec<ValueInfo<'a>>,
}

/// A `NodeProto`.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) operator: &'a str,
    pub(super) domain: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// An `AttributeProto`.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: AttributeValue<'a>,
}

#[derive(Debug)]
pub(super) enum AttributeValue<'a> {
    Float(f32),
    Integer(i64),
    Text(&'a str),
    Tensor(Tensor<'a>),
    Integers(Vec<i64>),
}

/// A `ValueInfoProto` with a tensor type and a static shape.
#[derive(Debug)]
pub(super) struct ValueInfo<'a> {
    pub(super) name: &'a str,
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
}

impl<'a> Graph<'a> {
    /// Reads a graph.
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self> {
        let mut graph = Self::default();
        let (mut name, mut doc) = (None, None);
        let max = limits::MAX_VALUES;
        let mut totals = Totals::default();
        while let Some(field) = reader.read_field()? {
            let at = field.at;
            match field.number {
                1 => {
                    let node = Node::read(field.bytes()?)?;
                    totals.add_node(&node, at)?;
                    push_bounded(&mut graph.nodes, node, limits::MAX_NODES, "nodes", at)?;
                }
                2 => set_once(&mut name, read_name(&field)?, at)?,
                5 => {
                    let tensor = Tensor::read(field.bytes()?)?;
                    totals.add_values(tensor.typed_len(), at)?;
                    push_bounded(&mut graph.initializers, tensor, max, "initializers", at)?;
                }
                10 => set_once(&mut doc, field.text()?, at)?,
                11 => {
                    let input = ValueInfo::read(field.bytes()?)?;
                    push_bounded(&mut graph.inputs, input, max, "inputs", at)?;
                }
                12 => {
                    let output = ValueInfo::read(field.bytes()?)?;
                    push_bounded(&mut graph.outputs, output, max, "outputs", at)?;
                }
                13 => {
                    let value = ValueInfo::read(field.bytes()?)?;
                    push_bounded(&mut graph.values, value, max, "value descriptions", at)?;
                }
                _ => return Err(unsupported_field(&field, "a graph")),
            }
        }
        Ok(graph)
    }
}

/// Sums over all nodes and tensors of a graph. The limits of each of them would still permit a
/// small file that needs much memory.
#[derive(Default)]
struct Totals {
    inputs: usize,
    outputs: usize,
    typed_values: usize,
}

impl Totals {
    fn add_node(&mut self, node: &Node<'_>, at: usize) -> Result<()> {
        let (inputs, outputs) = (node.inputs.len(), node.outputs.len());
        add(&mut self.inputs, inputs, limits::MAX_EDGES, "inputs", at)?;
        add(&mut self.outputs, outputs, limits::MAX_OUTPUTS, "outputs", at)?;
        let tensors = node.attributes.iter().filter_map(|attribute| match &attribute.value {
            AttributeValue::Tensor(tensor) => Some(tensor.typed_len()),
            _ => None,
        });
        self.add_values(tensors.sum(), at)
    }

    fn add_values(&mut self, count: usize, at: usize) -> Result<()> {
        let max = limits::MAX_GRAPH_TYPED_VALUES;
        add(&mut self.typed_values, count, max, "values outside of raw_data", at)
    }
}

/// Adds to a sum over the graph.
fn add(sum: &mut usize, count: usize, max: usize, what: &str, at: usize) -> Result<()> {
    *sum += count;
    if *sum > max {
        return Err(invalid(at, &format!("the graph must have at most {max} {what} in all")));
    }
    Ok(())
}

impl<'a> Node<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self> {
        let mut node = Self::default();
        let (mut name, mut operator, mut domain, mut doc) = (None, None, None, None);
        while let Some(field) = reader.read_field()? {
            let at = field.at;
            match field.number {
                1 => {
                    let max = limits::MAX_NODE_INPUTS;
                    push_bounded(&mut node.inputs, read_name(&field)?, max, "node inputs", at)?;
                }
                2 => {
                    let max = limits::MAX_NODE_OUTPUTS;
                    push_bounded(&mut node.outputs, read_name(&field)?, max, "node outputs", at)?;
                }
                3 => set_once(&mut name, read_name(&field)?, at)?,
                4 => set_once(&mut operator, read_name(&field)?, at)?,
                5 => {
                    let attribute = Attribute::read(field.bytes()?)?;
                    let max = limits::MAX_ATTRIBUTES;
                    push_bounded(&mut node.attributes, attribute, max, "attributes", at)?;
                }
                6 => set_once(&mut doc, field.text()?, at)?,
                7 => set_once(&mut domain, read_name(&field)?, at)?,
                _ => return Err(unsupported_field(&field, "a node")),
            }
        }
        node.name = name.unwrap_or_default();
        node.operator = operator.unwrap_or_default();
        node.domain = domain.unwrap_or_default();
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self> {
        let start = reader.position();
        let (mut name, mut kind, mut doc, mut value) = (None, None, None, None);
        let mut integers: Option<Vec<i64>> = None;
        while let Some(field) = reader.read_field()? {
            let at = field.at;
            match field.number {
                1 => set_once(&mut name, read_name(&field)?, at)?,
                2 => set_once(&mut value, AttributeValue::Float(field.float()?), at)?,
                3 => set_once(&mut value, AttributeValue::Integer(field.integer()?), at)?,
                4 => set_once(&mut value, AttributeValue::Text(read_name(&field)?), at)?,
                5 => {
                    let tensor = Tensor::read(field.bytes()?)?;
                    set_once(&mut value, AttributeValue::Tensor(tensor), at)?;
                }
                8 => {
                    let list = integers.get_or_insert_default();
                    field.append_integers(list, limits::MAX_ATTRIBUTE_INTEGERS)?;
                }
                13 => set_once(&mut doc, field.text()?, at)?,
                20 => set_once(&mut kind, field.integer()?, at)?,
                _ => return Err(unsupported_field(&field, "an attribute")),
            }
        }
        let name = name.unwrap_or_default();
        if let Some(list) = integers {
            set_once(&mut value, AttributeValue::Integers(list), start)?;
        }
        // A list without entries has no field in the file.
        let value = match (kind, value) {
            (Some(7), None) => AttributeValue::Integers(Vec::new()),
            (Some(kind), Some(value)) if value.kind() == kind => value,
            _ => {
                let name = limits::shorten(name);
                let problem = format!("the attribute {name:?} must have one value of its type");
                return Err(invalid(start, &problem));
            }
        };
        Ok(Self { name, value })
    }
}

impl AttributeValue<'_> {
    /// Returns the value of `AttributeProto.type` for this value.
    fn kind(&self) -> i64 {
        match self {
            Self::Float(_) => 1,
            Self::Integer(_) => 2,
            Self::Text(_) => 3,
            Self::Tensor(_) => 4,
            Self::Integers(_) => 7,
        }
    }
}

impl<'a> ValueInfo<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self> {
        let start = reader.position();
        let (mut name, mut doc, mut kind) = (None, None, None);
        while let Some(field) = reader.read_field()? {
            match field.number {
                1 => set_once(&mut name, read_name(&field)?, field.at)?,
                2 => set_once(&mut kind, read_type(field.bytes()?)?, field.at)?,
                3 => set_once(&mut doc, field.text()?, field.at)?,
                _ => return Err(unsupported_field(&field, "a value description")),
            }
        }
        let name = name.unwrap_or_default();
        let Some((element, shape)) = kind else {
            let name = limits::shorten(name);
            return Err(invalid(start, &format!("the value {name:?} must have a type")));
        };
        Ok(Self { name, element, shape })
    }
}

/// Reads a `TypeProto`, which must describe a tensor with a static shape.
fn read_type(mut reader: Reader<'_>) -> Result<(Element, Vec<usize>)> {
    let start = reader.position();
    let mut tensor = None;
    while let Some(field) = reader.read_field()? {
        match field.number {
            1 => set_once(&mut tensor, field.bytes()?, field.at)?,
            _ => return Err(unsupported_field(&field, "a type")),
        }
    }
    let mut reader = tensor.ok_or_else(|| invalid(start, "a type must describe a tensor"))?;
    let (mut element, mut dims) = (None, None);
    while let Some(field) = reader.read_field()? {
        match field.number {
            1 => set_once(&mut element, field.integer()?, field.at)?,
            2 => set_once(&mut dims, read_dimensions(field.bytes()?)?, field.at)?,
            _ => return Err(unsupported_field(&field, "a tensor type")),
        }
    }
    let dims = dims.ok_or_else(|| invalid(start, "a tensor must have a shape"))?;
    let element = Element::from_number(element.unwrap_or_default(), start)?;
    Ok((element, read_shape(&dims, start)?.0))
}

/// Reads a `TensorShapeProto`, whose dimensions must be static.
fn read_dimensions(mut reader: Reader<'_>) -> Result<Vec<i64>> {
    let mut dims = Vec::new();
    while let Some(field) = reader.read_field()? {
        if field.number != 1 {
            return Err(unsupported_field(&field, "a shape"));
        }
        let (mut dim, at) = (field.bytes()?, field.at);
        let mut value = None;
        while let Some(field) = dim.read_field()? {
            match field.number {
                1 => set_once(&mut value, field.integer()?, field.at)?,
                _ => return Err(unsupported_field(&field, "a dimension, which must be static")),
            }
        }
        let value = value.ok_or_else(|| invalid(at, "a dimension must be static"))?;
        push_bounded(&mut dims, value, limits::MAX_RANK, "dimensions", at)?;
    }
    Ok(dims)
}
