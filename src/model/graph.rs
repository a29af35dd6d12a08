//! The check of a graph, which runs before any runtime reads the graph.
//!
//! The check infers the shape of every value. A graph passes only if every node reads values that
//! an earlier node or the graph defines, every operator is permitted, and the work, the memory and
//! the depth of the graph are within the limits of docs/model-package.md#limits. A runtime then
//! never sees a cycle, a subgraph, an endless loop or a size that the file claims but that does not
//! fit. Nothing here recurses.

mod axes;
mod computed;
mod context;
mod cost;
mod element;
mod elementwise;
mod fields;
mod operators;
mod parts;
mod proto;
mod scratch;
mod shape;
mod tensor;
#[cfg(test)]
mod tests;
mod typed;
mod windows;

use super::limits;
use super::spec::Mode;
use super::wire::Reader;
use crate::error::{Error, Result, Status};
use crate::memory::{out_of_memory, push_value};
use context::{Context, Inferred, Value, check_description, find_constant};
pub(crate) use cost::Cost;
use cost::count_parts;
#[cfg(test)]
pub(super) use operators::OPERATORS;
use operators::Operator;
pub(super) use operators::Scope;
pub use parts::FrameModels;
pub(super) use parts::split_frame_models;
use proto::{Graph, Node, ValueInfo};
use std::collections::HashMap;
use tensor::Tensor;

/// A value while the graph is checked.
struct Slot<'t> {
    value: Value<'t>,
    /// Whether the value depends on constants only.
    is_constant: bool,
    /// Whether a node computes the value.
    is_computed: bool,
    /// Number of nodes on the longest path that ends in the value.
    depth: usize,
    /// Number of operands of the nested additions or multiplications that end in the value.
    operands: usize,
    /// Operator that computes the value.
    operator: &'static str,
    /// Size of the kernels of the convolution that computes the value. A runtime copies them if it
    /// folds a batch normalization into the convolution.
    kernel_bytes: u64,
    /// Index of the last node that reads the value.
    last_use: usize,
}

struct Checker<'t> {
    slots: Vec<Slot<'t>>,
    names: HashMap<&'t str, usize>,
    mode: Mode,
    opset: i64,
    cost: Cost,
    constant_work: u64,
    /// Size of the values that a runtime computes while it loads the graph.
    constant_bytes: u64,
    max_constant_bytes: u64,
}

/// Checks a graph.
///
/// # Errors
/// Returns [`Status::Unsupported`] for an operator or a field that a package of this kind may not
/// contain, or [`Status::ModelInvalid`] if the graph is malformed or exceeds a limit.
pub(super) fn check(graph: Reader<'_>, opset: i64, mode: Mode) -> Result<Cost> {
    let size = graph.bytes().len() as u64;
    let graph = Graph::read(graph)?;
    let mut checker = Checker {
        slots: Vec::new(),
        names: HashMap::new(),
        mode,
        opset,
        cost: Cost { part_count: count_parts(&graph), ..Cost::default() },
        constant_work: 0,
        constant_bytes: 0,
        max_constant_bytes: limits::MAX_CONSTANT_BYTES + limits::CONSTANT_BYTES_PER_BYTE * size,
    };
    for input in &graph.inputs {
        let value = Value {
            element: input.element,
            shape: input.shape.clone(),
            tensor: None,
            bounds: None,
        };
        checker.define(input.name, Slot::new(value, false))?;
    }
    for tensor in &graph.initializers {
        checker.define(tensor.name, Slot::new(tensor_value(tensor), true))?;
    }
    // Outputs of each node, for the computation of the memory.
    let mut outputs = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let first = checker.slots.len();
        checker.check_node(index, node)?;
        outputs.push(first..checker.slots.len());
    }
    checker.check_outputs(&graph.outputs, graph.nodes.len())?;
    checker.check_descriptions(&graph.values)?;
    checker.measure_memory(&outputs);
    Ok(checker.finish())
}

fn invalid(message: String) -> Error {
    Error::new(Status::ModelInvalid, message)
}

fn tensor_value<'t>(tensor: &'t Tensor<'t>) -> Value<'t> {
    Value {
        element: tensor.element,
        shape: tensor.shape.clone(),
        tensor: Some(tensor),
        bounds: None,
    }
}

impl<'t> Slot<'t> {
    fn new(value: Value<'t>, is_constant: bool) -> Self {
        Self {
            value,
            is_constant,
            is_computed: false,
            depth: 0,
            operands: 1,
            operator: "",
            kernel_bytes: 0,
            last_use: 0,
        }
    }

    fn bytes(&self) -> u64 {
        // A runtime may convert float16 to float32.
        let bytes = self.value.element.bytes().max(4) as u64;
        shape::multiply(&self.value.shape).saturating_mul(bytes)
    }
}

impl<'t> Checker<'t> {
    fn define(&mut self, name: &'t str, slot: Slot<'t>) -> Result<()> {
        let short = limits::shorten(name);
        if name.is_empty() {
            return Err(invalid("a value of the graph must have a name".into()));
        }
        const PURPOSE: &str = "the graph of the model package";
        self.names.try_reserve(1).map_err(|_| out_of_memory(PURPOSE, size_of::<Slot<'_>>()))?;
        if self.names.insert(name, self.slots.len()).is_some() {
            return Err(invalid(format!("the graph defines the value {short:?} twice")));
        }
        push_value(&mut self.slots, slot, PURPOSE)
    }

    fn check_node(&mut self, index: usize, node: &'t Node<'t>) -> Result<()> {
        let describe = |reason: &str| {
            let (name, operator) = (limits::shorten(node.name), limits::shorten(node.operator));
            format!("node {index} {name:?} ({operator}): {reason}")
        };
        let operator = Operator::find(node.operator)
            .filter(|operator| node.domain.is_empty() && self.permits(operator));
        let Some(operator) = operator else {
            let reason = format!(
                "the operator is not permitted in a {} package; docs/model-package.md lists the \
                 permitted operators",
                self.mode_name()
            );
            return Err(Error::new(Status::Unsupported, describe(&reason)));
        };
        self.infer_node(index, node, operator).map_err(|reason| invalid(describe(&reason)))
    }

    fn permits(&self, operator: &Operator) -> bool {
        self.mode == Mode::Window || operator.scope == Scope::Any
    }

    fn mode_name(&self) -> &'static str {
        match self.mode {
            Mode::Window => "window",
            Mode::Stream => "stream",
        }
    }

    fn infer_node(
        &mut self,
        index: usize,
        node: &'t Node<'t>,
        operator: &'static Operator,
    ) -> std::result::Result<(), String> {
        operator.check_attributes(&node.attributes)?;
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &name in &node.inputs {
            let short = limits::shorten(name);
            inputs.push(match self.names.get(name) {
                Some(&slot) => Some(slot),
                None if name.is_empty() => None,
                None => return Err(format!("no earlier node computes the input {short:?}")),
            });
        }
        let slots = || inputs.iter().flatten().filter_map(|&slot| self.slots.get(slot));
        let depth = 1 + slots().map(|slot| slot.depth).max().unwrap_or(0);
        if depth > limits::MAX_DEPTH {
            let max = limits::MAX_DEPTH;
            return Err(format!("a path of the graph must have at most {max} nodes"));
        }
        // A runtime may flatten nested additions into a list.
        let is_nested = matches!(operator.name, "Add" | "Mul");
        let operands = slots()
            .map(|slot| if is_nested && slot.operator == operator.name { slot.operands } else { 1 })
            .fold(0usize, usize::saturating_add)
            .max(1);
        if is_nested && operands > limits::MAX_OPERANDS {
            let (max, name) = (limits::MAX_OPERANDS, operator.name);
            return Err(format!("nested nodes {name} must have at most {max} operands"));
        }
        let is_constant = slots().all(|slot| slot.is_constant);
        let find = |slot: &Option<usize>| {
            slot.and_then(|slot| self.slots.get(slot)).map(|slot| &slot.value)
        };
        let values = inputs.iter().map(find).collect();
        let context = Context { node, inputs: values, opset: self.opset };
        let Inferred { outputs, work, bounds } = (operator.infer)(&context)?;
        if operator.scope == Scope::OnnxRuntime || computed::has_integers(&context, &outputs) {
            if self.mode == Mode::Stream {
                return Err("a stream package must compute only floats".into());
            }
            self.cost.runtime_operator.get_or_insert(operator.name);
        }
        let shapes = outputs.iter().map(|(_, shape)| &shape[..]);
        let scratch_bytes = scratch::bound_bytes(&context, shapes);
        let kernel_bytes = match operator.name {
            "Conv" => slots().nth(1).map_or(0, Slot::bytes),
            // A runtime may remove the nodes of the other operators.
            "Add" | "BatchNormalization" | "Cast" | "Div" | "Identity" | "Mul" | "Sub" => {
                slots().map(|slot| slot.kernel_bytes).max().unwrap_or(0)
            }
            _ => 0,
        };
        let folded_bytes = if operator.name == "BatchNormalization" { kernel_bytes } else { 0 };
        self.add_constant_bytes(folded_bytes)?;
        self.cost.scratch_bytes = self.cost.scratch_bytes.max(scratch_bytes);
        self.add_work(work, is_constant)?;
        if outputs.len() != node.outputs.len() {
            let (expected, found) = (outputs.len(), node.outputs.len());
            return Err(format!("the node must have {expected} outputs, got {found}"));
        }
        for slot in inputs.into_iter().flatten() {
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.last_use = index;
            }
        }
        for (&name, (element, shape)) in node.outputs.iter().zip(outputs) {
            let value = match find_constant(node) {
                Some(tensor) => tensor_value(tensor),
                None => Value { element, shape, tensor: None, bounds },
            };
            let slot = Slot {
                value,
                is_constant,
                is_computed: true,
                depth,
                operands,
                operator: operator.name,
                kernel_bytes,
                last_use: index,
            };
            if is_constant && slot.value.tensor.is_none() {
                self.add_constant_bytes(slot.bytes())?;
            }
            self.define(name, slot).map_err(|error| error.message().to_owned())?;
        }
        self.cost.depth = self.cost.depth.max(depth);
        Ok(())
    }

    fn add_work(&mut self, work: u64, is_constant: bool) -> std::result::Result<(), String> {
        self.cost.work = self.cost.work.saturating_add(work);
        if self.cost.work > limits::MAX_WORK {
            let max = limits::MAX_WORK;
            return Err(format!("a run must need at most {max} multiply-adds"));
        }
        // A runtime computes these nodes while it loads the graph.
        if is_constant {
            self.constant_work = self.constant_work.saturating_add(work);
        }
        if self.constant_work > limits::MAX_CONSTANT_WORK {
            let max = limits::MAX_CONSTANT_WORK;
            return Err(format!(
                "the nodes that read only constants must need at most {max} multiply-adds"
            ));
        }
        Ok(())
    }

    /// Counts values that a runtime computes while it loads the graph, and may then keep.
    fn add_constant_bytes(&mut self, bytes: u64) -> std::result::Result<(), String> {
        self.constant_bytes = self.constant_bytes.saturating_add(bytes);
        let max = self.max_constant_bytes;
        if self.constant_bytes > max {
            return Err(format!(
                "the values that nodes compute from constants must have at most {max} bytes"
            ));
        }
        Ok(())
    }

    /// Checks the outputs of the graph, which exist until the end of a run.
    fn check_outputs(&mut self, outputs: &[ValueInfo<'_>], end: usize) -> Result<()> {
        if outputs.is_empty() {
            return Err(invalid("the graph must have an output".into()));
        }
        let mut found = Vec::new();
        for output in outputs {
            let name = limits::shorten(output.name);
            let index = self.names.get(output.name).copied();
            let slot = index.and_then(|index| self.slots.get_mut(index));
            let Some(slot) = slot.filter(|slot| slot.is_computed) else {
                let message = format!("the output {name:?} must be the result of a node");
                return Err(invalid(message));
            };
            check_description(output, &slot.value)?;
            slot.last_use = end;
            if found.contains(&index) {
                return Err(invalid(format!("the output {name:?} is repeated")));
            }
            found.push(index);
        }
        Ok(())
    }

    /// Checks what the file says about values inside the graph.
    fn check_descriptions(&self, values: &[ValueInfo<'_>]) -> Result<()> {
        for description in values {
            let slot = self.names.get(description.name).and_then(|&slot| self.slots.get(slot));
            let Some(slot) = slot else {
                let name = limits::shorten(description.name);
                let message =
                    format!("the graph describes the value {name:?}, which does not exist");
                return Err(invalid(message));
            };
            check_description(description, &slot.value)?;
        }
        Ok(())
    }

    /// Computes the memory of a run from the lifetime of each value.
    fn measure_memory(&mut self, outputs: &[std::ops::Range<usize>]) {
        let computed = |slot: &&Slot<'_>| slot.is_computed || slot.value.tensor.is_none();
        let mut freed = vec![0u64; outputs.len() + 1];
        for slot in self.slots.iter().filter(computed) {
            if let Some(bytes) = freed.get_mut(slot.last_use) {
                *bytes = bytes.saturating_add(slot.bytes());
            }
        }
        let total = |slots: &[Slot<'_>]| {
            slots.iter().filter(computed).map(Slot::bytes).fold(0, u64::saturating_add)
        };
        let start = outputs.first().map_or(self.slots.len(), |range| range.start);
        let mut live = total(self.slots.get(..start).unwrap_or_default());
        let mut peak = live;
        for (range, freed) in outputs.iter().zip(freed) {
            live = live.saturating_add(total(self.slots.get(range.clone()).unwrap_or_default()));
            peak = peak.max(live);
            live = live.saturating_sub(freed);
        }
        self.cost.tensor_bytes = peak;
    }

    /// Returns the cost of the graph.
    fn finish(mut self) -> Cost {
        let stored = self.slots.iter().filter(|slot| slot.value.tensor.is_some()).map(Slot::bytes);
        self.cost.constant_bytes = stored.fold(self.constant_bytes, u64::saturating_add);
        let sizes = self.names.iter().filter_map(|(&name, &slot)| {
            let slot = self.slots.get(slot).filter(|slot| slot.is_computed)?;
            Some((name.to_owned(), slot.bytes()))
        });
        self.cost.value_bytes = sizes.collect();
        self.cost
    }
}
