//! The execution order of nodes. Some tools write them in another order, which runtimes accept.

use crate::onnx::NodeProto;
use std::collections::HashMap;

/// Returns the indices of the nodes in an order in which every node follows the nodes that compute
/// its inputs. Nodes that are already in such an order keep it. Returns the index of a node on a
/// cycle as an error.
pub(super) fn sort_nodes(nodes: &[NodeProto]) -> Result<Vec<usize>, usize> {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            producers.entry(output).or_insert(index);
        }
    }
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Open,
        Begun,
        Done,
    }
    let inputs: Vec<Vec<&str>> = nodes.iter().map(list_inputs).collect();
    let mut visits = vec![Visit::Open; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for start in 0..nodes.len() {
        if visits.get(start) != Some(&Visit::Open) {
            continue;
        }
        set(&mut visits, start, Visit::Begun);
        // Each entry is a node and the number of its inputs that have been visited.
        let mut stack = vec![(start, 0)];
        while let Some((index, visited)) = stack.pop() {
            let Some(name) = inputs.get(index).and_then(|names| names.get(visited)) else {
                set(&mut visits, index, Visit::Done);
                order.push(index);
                continue;
            };
            stack.push((index, visited + 1));
            let Some(&producer) = producers.get(name) else { continue };
            match visits.get(producer) {
                Some(Visit::Open) => {
                    set(&mut visits, producer, Visit::Begun);
                    stack.push((producer, 0));
                }
                Some(Visit::Begun) => return Err(producer),
                _ => {}
            }
        }
    }
    Ok(order)
}

/// Returns the names that a node reads. The branches of an If node also read values of the graph
/// that contains the node.
fn list_inputs(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> = node.input.iter().map(String::as_str).collect();
    let mut branches: Vec<_> = node.attribute.iter().filter_map(|a| a.g.as_deref()).collect();
    while let Some(graph) = branches.pop() {
        for node in &graph.node {
            names.extend(node.input.iter().map(String::as_str));
            branches.extend(node.attribute.iter().filter_map(|a| a.g.as_deref()));
        }
    }
    names
}

/// Returns the nodes on which the value `output` depends.
pub(super) fn select_nodes(nodes: Vec<NodeProto>, output: &str) -> Vec<NodeProto> {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        producers.extend(node.output.iter().map(|name| (name.as_str(), index)));
    }
    let mut is_needed = vec![false; nodes.len()];
    let mut names = vec![output];
    while let Some(name) = names.pop() {
        let Some(&index) = producers.get(name) else { continue };
        if is_needed.get(index) == Some(&false) {
            set(&mut is_needed, index, true);
            names.extend(nodes.get(index).map(list_inputs).unwrap_or_default());
        }
    }
    nodes.into_iter().zip(is_needed).filter_map(|(node, kept)| kept.then_some(node)).collect()
}

fn set<T>(slots: &mut [T], index: usize, value: T) {
    if let Some(slot) = slots.get_mut(index) {
        *slot = value;
    }
}
