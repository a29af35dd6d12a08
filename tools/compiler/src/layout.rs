//! Pass 3: infers which axes of every value are time, channels, height and width.
//!
//! The lowered graph keeps every activation as `[T,C,H,W]`. Each axis of a source value plays the
//! role of one of these axes, except that an axis of size 1 may have no role. Because the roles are
//! known, Flatten, Squeeze, Transpose and most Reshapes need no node in the lowered graph.

use crate::error::{Result, fail_network};
use crate::graph::{Graph, Node, Op, ValueId};

/// The role of an axis of a source value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AxisRole {
    Time,
    Channel,
    Height,
    Width,
    /// An axis of size 1 without a role.
    Unit,
}

impl AxisRole {
    /// Returns the axis of the lowered value that has this role, or `None` for [`AxisRole::Unit`].
    pub(crate) fn lowered_axis(self) -> Option<usize> {
        match self {
            Self::Time => Some(0),
            Self::Channel => Some(1),
            Self::Height => Some(2),
            Self::Width => Some(3),
            Self::Unit => None,
        }
    }
}

/// The axis roles of all values.
pub(crate) struct Layout {
    roles: Vec<Vec<AxisRole>>,
}

impl Layout {
    /// Returns the axis roles of a value. The list is empty for a constant.
    pub(crate) fn roles(&self, id: ValueId) -> &[AxisRole] {
        &self.roles[id.0]
    }

    /// Returns the role of one axis of an activation.
    pub(crate) fn role(&self, id: ValueId, axis: usize) -> AxisRole {
        self.roles(id).get(axis).copied().unwrap_or(AxisRole::Unit)
    }

    /// Returns the axis that has this role in the value, or `None` if no axis has it.
    pub(crate) fn find_axis(&self, id: ValueId, role: AxisRole) -> Option<usize> {
        self.roles(id).iter().position(|&r| r == role)
    }

    /// Returns the shape of the value as `[T,C,H,W]`.
    pub(crate) fn lowered_shape(&self, graph: &Graph, id: ValueId) -> [usize; 4] {
        let mut shape = [1; 4];
        for (role, &size) in self.roles(id).iter().zip(graph.shape(id)) {
            if let Some(axis) = role.lowered_axis() {
                shape[axis] = size;
            }
        }
        shape
    }

    /// Returns the number of frames of the value in a whole clip.
    pub(crate) fn frames(&self, graph: &Graph, id: ValueId) -> usize {
        self.lowered_shape(graph, id)[0]
    }

    /// Returns whether a node is a Reshape that merges axes into the channels. The lowered graph
    /// must then contain a Reshape too.
    pub(crate) fn must_reshape(&self, graph: &Graph, node: &Node) -> bool {
        node.op == Op::Reshape
            && self.lowered_shape(graph, node.inputs[0]) != self.lowered_shape(graph, node.output)
    }
}

/// Infers the axis roles of every value.
pub(crate) fn infer_layout(graph: &Graph) -> Result<Layout> {
    let mut layout = Layout { roles: vec![Vec::new(); graph.values.len()] };
    for &input in &graph.inputs {
        layout.roles[input.0] = infer_input(graph, input)?;
    }
    for node in &graph.nodes {
        let roles = infer_node(graph, &layout, node).or_else(|reason| {
            let inputs: Vec<_> = node
                .inputs
                .iter()
                .map(|&id| layout.roles(id))
                .filter(|roles| !roles.is_empty())
                .collect();
            graph.fail_node(node, format!("{reason}; the inputs have the axes {inputs:?}"))
        })?;
        layout.roles[node.output.0] = roles;
    }
    Ok(layout)
}

/// Infers the axis roles of a graph input. The input must be a cine with the axes `[1,C,T,H,W]` or
/// `[1,T,C,H,W]`, with or without the batch axis. The channel axis has size 1 or 3. If both
/// candidates have such a size, the first one is the channel axis.
fn infer_input(graph: &Graph, id: ValueId) -> Result<Vec<AxisRole>> {
    use AxisRole::{Channel, Height, Time, Unit, Width};
    let shape = graph.shape(id);
    let order = |first: usize, second: usize| match (first, second) {
        (1 | 3, _) => Some([Channel, Time]),
        (_, 1 | 3) => Some([Time, Channel]),
        _ => None,
    };
    let front = match *shape {
        [1, a, b, _, _] => order(a, b).map(|roles| vec![Unit, roles[0], roles[1]]),
        [a, b, _, _] => order(a, b).map(|roles| roles.to_vec()),
        _ => None,
    };
    match front {
        Some(mut roles) => {
            roles.extend([Height, Width]);
            Ok(roles)
        }
        None => fail_network(format!(
            "input \"{}\" must be a cine [1,C,T,H,W] or [1,T,C,H,W] with 1 or 3 channels, got the shape {shape:?}",
            graph.value(id).name
        )),
    }
}

type InferredRoles = std::result::Result<Vec<AxisRole>, String>;

fn infer_node(graph: &Graph, layout: &Layout, node: &Node) -> InferredRoles {
    match &node.op {
        // The first operand of these operators may be a constant.
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max => {
            return infer_binary(graph, layout, node);
        }
        Op::Concat { axis } => return infer_concat(layout, node, *axis),
        _ => {}
    }
    let x = *node.inputs.first().ok_or("the node has no input")?;
    let roles = layout.roles(x).to_vec();
    if roles.is_empty() {
        return Err("the input is a constant, and the compiler does not fold this operator".into());
    }
    match &node.op {
        Op::Conv { .. } | Op::MaxPool { .. } | Op::AveragePool { .. } => infer_window(&roles),
        Op::Relu | Op::Sigmoid | Op::HardSigmoid { .. } | Op::Clip { .. } | Op::Softmax { .. } => {
            Ok(roles)
        }
        Op::Slice { .. } | Op::Gather { .. } | Op::Pad { .. } => Ok(roles),
        Op::ReduceMean { axes, keepdims } => Ok(roles
            .iter()
            .enumerate()
            .filter_map(|(i, &role)| match (axes.contains(&i), keepdims) {
                (false, _) => Some(role),
                (true, true) => Some(AxisRole::Unit),
                (true, false) => None,
            })
            .collect()),
        Op::Transpose { perm } => Ok(perm.iter().map(|&p| roles[p]).collect()),
        Op::Reshape => infer_reshape(&roles, graph.shape(x), graph.shape(node.output)),
        Op::Gemm { .. } | Op::MatMul => infer_product(roles),
        Op::BatchNorm { .. } => Err("the batch norm could not be folded".into()),
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max | Op::Concat { .. } => {
            Err("the operator has no layout rule".into())
        }
    }
}

/// Infers the axes of the result of a convolution or pool: `[1,C,T,H,W]`, `[T,C,H,W]` or
/// `[1,C,H,W]`, depending on the axes of the input.
fn infer_window(roles: &[AxisRole]) -> InferredRoles {
    use AxisRole::{Channel, Height, Time, Unit, Width};
    let expected: &[AxisRole] = match roles {
        [Unit, ..] if roles.len() == 5 => &[Unit, Channel, Time, Height, Width],
        [Time, ..] if roles.len() == 4 => &[Time, Channel, Height, Width],
        [Unit, ..] if roles.len() == 4 && !roles.contains(&Time) => &[Unit, Channel, Height, Width],
        _ => return Err("the axes of the input must be [1,C,T,H,W] or [T,C,H,W]".into()),
    };
    match roles.iter().zip(expected).all(|(&role, &expected)| role == expected || role == Unit) {
        true => Ok(expected.to_vec()),
        false => Err(format!("the axes of the input must be {expected:?}")),
    }
}

/// Infers the axes of the result of a matrix product along the last axis, which must be the channel
/// axis.
fn infer_product(mut roles: Vec<AxisRole>) -> InferredRoles {
    match roles.last() {
        Some(AxisRole::Channel) => Ok(roles),
        Some(AxisRole::Unit) if !roles.contains(&AxisRole::Channel) => {
            roles.pop();
            roles.push(AxisRole::Channel);
            Ok(roles)
        }
        _ => Err("the last axis of the input must be the channels".into()),
    }
}

fn infer_binary(graph: &Graph, layout: &Layout, node: &Node) -> InferredRoles {
    let rank = graph.shape(node.output).len();
    let mut merged = vec![AxisRole::Unit; rank];
    for &input in &node.inputs {
        if graph.constant(input).is_some() {
            continue;
        }
        let roles = layout.roles(input);
        merge_roles(&mut merged[rank - roles.len()..], roles)?;
    }
    let named: Vec<AxisRole> =
        merged.iter().copied().filter(|&role| role != AxisRole::Unit).collect();
    if (1..named.len()).any(|i| named[..i].contains(&named[i])) {
        return Err("the operands have different axes at the same position".into());
    }
    let shape = graph.shape(node.output);
    if shape.iter().zip(&merged).any(|(&d, &role)| d != 1 && role == AxisRole::Unit) {
        return Err("a constant widens an axis of size 1 whose role is not known".into());
    }
    Ok(merged)
}

fn infer_concat(layout: &Layout, node: &Node, axis: usize) -> InferredRoles {
    let mut merged: Vec<AxisRole> = Vec::new();
    for &input in &node.inputs {
        let roles = layout.roles(input);
        if roles.is_empty() {
            return Err(
                "an activation is concatenated with a constant, which is not supported".into()
            );
        }
        if merged.is_empty() {
            merged = roles.to_vec();
        }
        merge_roles(&mut merged, roles)?;
    }
    match merged.get(axis) {
        Some(AxisRole::Channel) => Ok(merged),
        Some(AxisRole::Unit) if !merged.contains(&AxisRole::Channel) => {
            merged[axis] = AxisRole::Channel;
            Ok(merged)
        }
        _ => Err(format!(
            "the inputs must be concatenated along the channels, not along axis {axis}"
        )),
    }
}

/// Merges the roles of one operand into the roles of the preceding operands.
fn merge_roles(merged: &mut [AxisRole], roles: &[AxisRole]) -> std::result::Result<(), String> {
    for (slot, &role) in merged.iter_mut().zip(roles) {
        match (*slot, role) {
            (known, role) if known == role || role == AxisRole::Unit => {}
            (AxisRole::Unit, role) => *slot = role,
            _ => return Err("the operands have different axes at the same position".into()),
        }
    }
    Ok(())
}

/// Infers the axes of a Reshape's result. An axis longer than 1 keeps its role unless it is merged
/// with other axes. Consecutive axes other than time may be merged if they are in the order of the
/// lowered axes. The merged axis becomes the channel axis.
fn infer_reshape(roles: &[AxisRole], from: &[usize], to: &[usize]) -> InferredRoles {
    const UNSUPPORTED: &str =
        "the Reshape splits an axis or merges axes in an order that the compiler does not support";
    let mut source = from.iter().zip(roles).filter(|(d, _)| **d != 1).map(|(&d, &role)| (d, role));
    let mut result = Vec::new();
    for &size in to {
        if size == 1 {
            result.push(AxisRole::Unit);
            continue;
        }
        let (mut product, mut group) = (1usize, Vec::new());
        while product < size {
            let (dim, role) = source.next().ok_or("the number of elements changes")?;
            product *= dim;
            group.push(role);
        }
        match (product == size, group.as_slice()) {
            (true, [role]) => result.push(*role),
            (true, group)
                if group.is_sorted() && group.iter().all(|&role| role != AxisRole::Time) =>
            {
                result.push(AxisRole::Channel);
            }
            _ => return Err(UNSUPPORTED.into()),
        }
    }
    // A merged axis becomes the channel axis, so the result must not have another channel axis.
    let channels = result.iter().filter(|&&role| role == AxisRole::Channel).count();
    if channels > 1 { Err(UNSUPPORTED.into()) } else { Ok(result) }
}
