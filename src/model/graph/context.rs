//! What the rule of an operator sees of a node: its inputs, its arguments and its attributes.

use super::proto::{AttributeValue, Node, ValueInfo};
use super::shape::{Ruled, count_values};
use super::tensor::{Element, Tensor};
use crate::error::{Error, Result, Status};
use crate::model::limits;

/// A value of the graph.
#[derive(Debug)]
pub(super) struct Value<'t> {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    /// The data, if the value is an initializer or the result of a `Constant`.
    pub(super) tensor: Option<&'t Tensor<'t>>,
    /// Smallest and largest integer that a node can compute, if both are known.
    pub(super) bounds: Option<Bounds>,
}

/// The smallest and the largest integer of a value.
pub(super) type Bounds = (i64, i64);

/// The result of a node.
#[derive(Debug)]
pub(super) struct Inferred {
    /// Element type and shape of each output.
    pub(super) outputs: Vec<(Element, Vec<usize>)>,
    /// Number of multiply-adds, or of values if the operator does not multiply.
    pub(super) work: u64,
    /// Bounds of the output with integers, if there is one and they are known.
    pub(super) bounds: Option<Bounds>,
}

/// A node and the values that it reads.
pub(super) struct Context<'n, 't> {
    pub(super) node: &'n Node<'t>,
    /// The inputs in order. An optional input that is left out is `None`.
    pub(super) inputs: Vec<Option<&'n Value<'t>>>,
    pub(super) opset: i64,
}

impl<'n, 't> Context<'n, 't> {
    /// Checks the number of inputs, and that the first `required` inputs are present.
    pub(super) fn check_inputs(&self, required: usize, max: usize) -> Ruled<()> {
        let count = self.inputs.len();
        if !(required..=max).contains(&count) {
            return Err(format!("the node must have {required} to {max} inputs, got {count}"));
        }
        if self.inputs.iter().take(required).any(Option::is_none) {
            return Err(format!("the first {required} inputs must be present"));
        }
        Ok(())
    }

    /// Returns an input, or `None` if it is left out.
    pub(super) fn optional(&self, index: usize) -> Option<&'n Value<'t>> {
        self.inputs.get(index).copied().flatten()
    }

    /// Returns an input with float elements of the same type as the first input.
    pub(super) fn data(&self, index: usize) -> Ruled<&'n Value<'t>> {
        let value =
            self.optional(index).ok_or_else(|| format!("the input {index} must be present"))?;
        let first = self.optional(0).map_or(value.element, |first| first.element);
        if !value.element.is_float() || value.element != first {
            return Err(format!(
                "the input {index} must have float elements, of one type with the first input"
            ));
        }
        Ok(value)
    }

    /// Returns an input that the node only moves: floats, or integers and truth values that a node
    /// has computed.
    pub(super) fn movable(&self, index: usize) -> Ruled<&'n Value<'t>> {
        match self.optional(index) {
            Some(value) if !value.element.is_float() && value.tensor.is_none() => Ok(value),
            _ => self.data(index),
        }
    }

    /// Returns the bounds of the integers of an input: those of a constant, or those that follow
    /// from the nodes that compute it.
    pub(super) fn bounds(&self, index: usize) -> Ruled<Option<Bounds>> {
        let Some(value) = self.optional(index) else { return Ok(None) };
        let Some(tensor) = value.tensor else { return Ok(value.bounds) };
        let integers = tensor.integers()?;
        Ok(integers.iter().min().copied().zip(integers.iter().max().copied()))
    }

    /// Returns the integers of an argument, which must be a constant vector or scalar, or `None` if
    /// it is left out.
    pub(super) fn integers(&self, index: usize) -> Ruled<Option<Vec<i64>>> {
        let Some(value) = self.optional(index) else { return Ok(None) };
        let tensor =
            value.tensor.ok_or_else(|| format!("the input {index} must be an integer constant"))?;
        if tensor.shape.len() > 1 {
            return Err(format!("the input {index} must be a vector"));
        }
        tensor.integers().map(Some)
    }

    /// Returns the integers of an argument that must be present.
    pub(super) fn required_integers(&self, index: usize) -> Ruled<Vec<i64>> {
        self.integers(index)?.ok_or_else(|| format!("the input {index} must be present"))
    }

    /// Returns the value of an argument, which must be a constant scalar, or `None` if it is left
    /// out.
    pub(super) fn float(&self, index: usize) -> Ruled<Option<f32>> {
        let Some(value) = self.optional(index) else { return Ok(None) };
        let tensor = value.tensor.ok_or_else(|| format!("the input {index} must be a constant"))?;
        if !tensor.shape.is_empty() {
            return Err(format!("the input {index} must be a scalar"));
        }
        if self.optional(0).is_some_and(|first| first.element != tensor.element) {
            return Err(format!("the input {index} must have the type of the first input"));
        }
        tensor.float().map(Some)
    }

    fn attribute(&self, name: &str) -> Option<&'n AttributeValue<'t>> {
        let found = self.node.attributes.iter().find(|attribute| attribute.name == name);
        found.map(|attribute| &attribute.value)
    }

    /// Returns an integer attribute.
    pub(super) fn integer_attribute(&self, name: &str, default: i64) -> i64 {
        match self.attribute(name) {
            Some(AttributeValue::Integer(value)) => *value,
            _ => default,
        }
    }

    /// Returns a flag, which must be 0 or 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> Ruled<bool> {
        match self.integer_attribute(name, default.into()) {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(format!("{name} must be 0 or 1, got {value}")),
        }
    }

    /// Refuses a node whose attribute has another value than the only one that is permitted.
    pub(super) fn check_attribute(&self, name: &str, value: i64) -> Ruled<()> {
        match self.integer_attribute(name, value) {
            found if found == value => Ok(()),
            found => Err(format!("{name} must be {value}, got {found}")),
        }
    }

    /// Refuses a node whose text attribute has another value than the only one that is permitted.
    pub(super) fn check_text(&self, name: &str, value: &str) -> Ruled<()> {
        match self.attribute(name) {
            Some(AttributeValue::Text(found)) if *found != value => {
                let found = limits::shorten(found);
                Err(format!("{name} must be {value}, got {found:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Returns a text attribute.
    pub(super) fn text_attribute(&self, name: &str) -> Option<&'n str> {
        match self.attribute(name) {
            Some(AttributeValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns an attribute that is a list of integers.
    pub(super) fn integers_attribute(&self, name: &str) -> Option<&'n [i64]> {
        match self.attribute(name) {
            Some(AttributeValue::Integers(values)) => Some(values),
            _ => None,
        }
    }

    /// Returns a list of integers that is an attribute before the operator set `since`, and the
    /// input `index` from then on.
    pub(super) fn attribute_or_input(
        &self,
        name: &str,
        index: usize,
        since: i64,
    ) -> Ruled<Option<Vec<i64>>> {
        let (attribute, input) = (self.integers_attribute(name), self.integers(index)?);
        match (self.opset < since, attribute, input) {
            (true, attribute, None) => Ok(attribute.map(<[i64]>::to_vec)),
            (false, None, input) => Ok(input),
            (true, ..) => Err(format!("{name} must be an attribute")),
            (false, ..) => Err(format!("{name} must be an input")),
        }
    }

    /// Returns the tensor of a `Constant`.
    pub(super) fn tensor_attribute(&self, name: &str) -> Option<&'n Tensor<'t>> {
        match self.attribute(name) {
            Some(AttributeValue::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }
}

impl Inferred {
    /// Returns the result of a node with one output whose work is the number of its values.
    pub(super) fn one(element: Element, shape: Vec<usize>) -> Ruled<Self> {
        let work = count_output(&shape)?;
        Ok(Self { outputs: vec![(element, shape)], work, bounds: None })
    }

    /// Returns the result of a node with one output.
    pub(super) fn with_work(element: Element, shape: Vec<usize>, work: u64) -> Ruled<Self> {
        let values = count_output(&shape)?;
        Ok(Self { outputs: vec![(element, shape)], work: work.max(values), bounds: None })
    }

    /// Sets the bounds of the integers of the output.
    pub(super) fn with_bounds(self, bounds: Option<Bounds>) -> Self {
        Self { bounds, ..self }
    }
}

/// Returns the number of values of an output.
pub(super) fn count_output(shape: &[usize]) -> Ruled<u64> {
    let max = limits::MAX_TENSOR_VALUES;
    if shape.len() > limits::MAX_RANK {
        return Err(format!("the output has more than {} dimensions", limits::MAX_RANK));
    }
    match count_values(shape) {
        Some(count) => Ok(count as u64),
        None => Err(format!("the output must have 1 to {max} values, got the shape {shape:?}")),
    }
}

/// Returns the tensor of a `Constant`.
pub(super) fn find_constant<'t>(node: &'t Node<'t>) -> Option<&'t Tensor<'t>> {
    let attribute = node.attributes.iter().find(|_| node.operator == "Constant")?;
    match &attribute.value {
        AttributeValue::Tensor(tensor) => Some(tensor),
        _ => None,
    }
}

/// Checks what the file says about a value.
pub(super) fn check_description(description: &ValueInfo<'_>, value: &Value<'_>) -> Result<()> {
    let ValueInfo { name, element, shape } = description;
    if *element == value.element && *shape == value.shape {
        return Ok(());
    }
    let name = limits::shorten(name);
    let (found, size) = (value.element, &value.shape);
    let message = format!(
        "the value {name:?} must be described as {found:?} {size:?}, got {element:?} {shape:?}"
    );
    Err(Error::new(Status::ModelInvalid, message))
}
