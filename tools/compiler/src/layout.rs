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
///
/// A node whose result cannot be described with these roles computes a *plain* value: the lowered
/// value has the shape of the source value. All values that depend on a plain value are plain, too.
/// A node with a plain result that reads frames cannot stream.
pub(crate) struct Layout {
    roles: Vec<Vec<AxisRole>>,
    /// For each plain value, the reason why it has no roles.
    plain: Vec<Option<String>>,
}

impl Layout {
    /// Returns the reason why a value is plain, or `None` if it is not.
    pub(crate) fn plain_reason(&self, id: ValueId) -> Option<&str> {
        self.plain[id.0].as_deref()
    }

    /// Sets the roles of a value that a pass has added to the graph. The constants that a pass has
    /// added before it have no roles.
    pub(crate) fn set(&mut self, id: ValueId, roles: Vec<AxisRole>, plain: Option<String>) {
        let count = self.roles.len().max(id.0 + 1);
        self.roles.resize(count, Vec::new());
        self.plain.resize(count, None);
        self.roles[id.0] = roles;
        self.plain[id.0] = plain;
    }

    /// Gives the role time to an axis of size 1.
    pub(crate) fn set_time_axis(&mut self, id: ValueId, axis: usize) {
        if let Some(slot) = self.roles[id.0].get_mut(axis) {
            *slot = AxisRole::Time;
        }
    }

    /// Returns the axis roles of a value. The list is empty for a constant and for a plain value.
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
    let count = graph.values.len();
    let mut layout = Layout { roles: vec![Vec::new(); count], plain: vec![None; count] };
    for &input in &graph.inputs {
        layout.roles[input.0] = infer_input(graph, input)?;
    }
    for node in &graph.nodes {
        if node.inputs.iter().any(|id| layout.plain[id.0].is_some()) {
            layout.plain[node.output.0] = Some("it follows a node without frames".into());
            continue;
        }
        match infer_node(graph, &layout, node) {
            Ok(roles) => layout.roles[node.output.0] = roles,
            Err(reason) if matches!(node.op, Op::BatchNorm { .. }) => {
                return graph.fail_node(node, reason);
            }
            Err(reason) => layout.plain[node.output.0] = Some(reason),
        }
    }
    Ok(layout)
}

/// Infers the axis roles of a graph input: a cine with the axes `[1,C,T,H,W]`, `[1,T,C,H,W]` or
/// `[1,T,H,W,C]`, without the batch axis or with more leading axes of size 1, or images `[N,C,H,W]`
/// or `[N,H,W,C]`. The channel axis has size 1 or 3.
fn infer_input(graph: &Graph, id: ValueId) -> Result<Vec<AxisRole>> {
    let shape = graph.shape(id);
    input_roles(shape).or_else(|reason| {
        let name = &graph.value(id).name;
        fail_network(format!("input \"{name}\" of shape {shape:?} {reason}"))
    })
}

/// Returns the axis roles of an input with this shape, or the reason why it has none.
pub(crate) fn input_roles(shape: &[usize]) -> std::result::Result<Vec<AxisRole>, String> {
    use AxisRole::{Channel, Height, Time, Unit, Width};
    let units = shape.len().saturating_sub(4);
    if let Some(batch) = shape[..units].iter().find(|&&size| size != 1) {
        return Err(format!(
            "must have one clip, but an axis before the frames has the size {batch}; export for one \
             clip and one crop, or with a dynamic batch axis"
        ));
    }
    let is_channels = |size: usize| matches!(size, 1 | 3);
    let axes = match shape[units..] {
        [_, height, width, channels] if is_channels(channels) && height > 3 && width > 3 => {
            [Time, Height, Width, Channel]
        }
        // Four axes without a batch axis are images, also if there are one or three of them.
        [_, channels, _, _] if units == 0 && is_channels(channels) => {
            [Time, Channel, Height, Width]
        }
        [channels, _, _, _] if is_channels(channels) => [Channel, Time, Height, Width],
        [_, channels, _, _] if is_channels(channels) => [Time, Channel, Height, Width],
        [_, _, _, _] => {
            return Err(
                "must have 1 channel (grey) or 3 channels (RGB), because the library gives no others; \
                 compute further channels in the network"
                    .into(),
            );
        }
        _ => {
            return Err(
                "must be a cine [1,C,T,H,W], [1,T,C,H,W] or [1,T,H,W,C], or images [N,C,H,W] or \
                 [N,H,W,C]; export without further inputs, or fix them to constants"
                    .into(),
            );
        }
    };
    Ok(std::iter::repeat_n(Unit, units).chain(axes).collect())
}

type InferredRoles = std::result::Result<Vec<AxisRole>, String>;

fn infer_node(graph: &Graph, layout: &Layout, node: &Node) -> InferredRoles {
    match &node.op {
        // The first operand of these operators may be a constant.
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max | Op::Min => {
            return infer_binary(graph, layout, node);
        }
        Op::Concat { axis } => return infer_concat(layout, node, *axis),
        Op::Kept(kept) => return Err(format!("only ONNX Runtime runs {}", kept.operator)),
        _ => {}
    }
    let x = *node.inputs.first().ok_or("the node has no input")?;
    let roles = layout.roles(x).to_vec();
    if roles.is_empty() {
        return Err("the input is a constant".into());
    }
    match &node.op {
        Op::Conv { window, .. } | Op::MaxPool { window } | Op::AveragePool { window, .. } => {
            if window.kernel.len() == 1 {
                return Err("it slides over one axis".into());
            }
            if let Op::Conv { .. } = node.op
                && graph.constant(node.inputs[1]).is_none()
            {
                return Err("its weights are computed from the frames".into());
            }
            infer_window(&roles)
        }
        Op::Softmax { axis } | Op::LogSoftmax { axis } if roles[*axis] == AxisRole::Unit => {
            Err("the softmax runs over an axis of size 1".into())
        }
        Op::Relu
        | Op::Sigmoid
        | Op::HardSigmoid { .. }
        | Op::Clip { .. }
        | Op::Function(_)
        | Op::Softmax { .. }
        | Op::LogSoftmax { .. } => Ok(roles),
        Op::Slice { axis, .. } | Op::Gather { axis, .. } if roles[*axis] == AxisRole::Unit => {
            match (roles.contains(&AxisRole::Channel), graph.shape(node.output)[*axis]) {
                (_, 1) => Ok(roles),
                // Grey frames that the network repeats become channels.
                (false, _) => {
                    let mut roles = roles;
                    roles[*axis] = AxisRole::Channel;
                    Ok(roles)
                }
                (true, _) => Err("it repeats an axis of size 1 without a role".into()),
            }
        }
        Op::Slice { .. } | Op::Gather { .. } => Ok(roles),
        Op::Pad { before, after, .. } => {
            let pads = roles.iter().zip(before.iter().zip(after));
            match pads.into_iter().any(|(&r, p)| r == AxisRole::Unit && p != (&0, &0)) {
                true => Err("it pads an axis of size 1 without a role".into()),
                false => Ok(roles),
            }
        }
        Op::ReduceMean { axes, keepdims } | Op::ReduceMax { axes, keepdims } => Ok(roles
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
        Op::Gemm { .. } | Op::MatMul if graph.constant(node.inputs[1]).is_none() => {
            Err("it multiplies two values that depend on the frames".into())
        }
        Op::Gemm { .. } | Op::MatMul if graph.shape(node.inputs[1]).len() != 2 => {
            Err("its weights have more than two axes".into())
        }
        Op::Gemm { .. } | Op::MatMul => infer_product(roles),
        // One feature for each frame has the axis of the channels, too.
        Op::Previous if roles.len() == 2 && roles[0] == AxisRole::Time => {
            Ok(vec![AxisRole::Time, AxisRole::Channel])
        }
        Op::Previous => Err("its input is not one row of features for each frame".into()),
        Op::BatchNorm { .. } => Err("the batch norm could not be folded".into()),
        Op::Add
        | Op::Sub
        | Op::Mul
        | Op::Div
        | Op::Max
        | Op::Min
        | Op::Concat { .. }
        | Op::Kept(_) => Err("the operator has no layout rule".into()),
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
    let is_wider = |(axis, &role): (usize, &AxisRole)| shape[axis] != 1 && role == AxisRole::Unit;
    // A constant with several channels turns an axis of size 1 into channels.
    if let Some(axis) = merged.iter().enumerate().position(is_wider)
        && !merged.contains(&AxisRole::Channel)
    {
        merged[axis] = AxisRole::Channel;
    }
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
            continue;
        }
        if merged.is_empty() {
            merged = roles.to_vec();
        }
        merge_roles(&mut merged, roles)?;
    }
    match merged.get(axis) {
        Some(AxisRole::Channel | AxisRole::Time) => Ok(merged),
        Some(AxisRole::Unit) if !merged.contains(&AxisRole::Channel) => {
            merged[axis] = AxisRole::Channel;
            Ok(merged)
        }
        _ => Err(format!("it joins values along axis {axis}, which are not channels or frames")),
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
