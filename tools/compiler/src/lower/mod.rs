//! Pass 6: the lowered clip graph and the streaming step graph.
//!
//! Both come from the same rules. They differ in what lies before the first frame of a window over time: zeros in
//! a clip, a state in a step.

mod conv;
mod pool;
mod timeline;
mod winograd;

use crate::error::{CompileError, Result};
use crate::graph::{Graph, Node, Op, ValueId};
use crate::layout::{self, Lane, Layout};
use crate::net::{Net, NetId, NetOp};
use crate::options::Products;
use crate::pathways::Pathways;
use crate::tensor::{DType, Tensor};
use crate::time::{Time, Timing};

/// Most nodes of a lowered graph; R101 has about 1,000.
const MAX_NODES: usize = 50_000;

/// Which graph is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The whole clip at once.
    Clip,
    /// One step with states.
    Step,
}

/// A state of the step graph.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Fills the whole tensor at the start of a segment.
    pub(crate) initial: f32,
}

/// A lowered graph with its states in graph order.
pub(crate) struct Lowered {
    pub(crate) net: Net,
    pub(crate) states: Vec<State>,
}

/// What the passes before found out.
#[derive(Clone, Copy)]
pub(crate) struct Analysed<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) layout: &'a Layout,
    pub(crate) pathways: &'a Pathways,
    pub(crate) timing: &'a Timing,
    pub(crate) products: Products,
}

/// Name of the output that carries pooled features where the head is not linear.
pub(crate) const FEATURES: &str = "features";

/// The clip graph.
pub(crate) fn clip(source: Analysed) -> Result<Lowered> {
    let mut lowering = Lowering::new(source, Mode::Clip);
    lowering.inputs();
    lowering.nodes(|_| true)?;
    lowering.logits()?;
    Ok(lowering.finish())
}

/// The streaming step graph; gives features where the head is not linear.
pub(crate) fn step(source: Analysed) -> Result<Lowered> {
    let mut lowering = Lowering::new(source, Mode::Step);
    lowering.inputs();
    if source.timing.nonlinear_head.is_empty() {
        lowering.nodes(|_| true)?;
        lowering.logits()?;
    } else {
        let timing = source.timing;
        lowering.nodes(|node| {
            matches!(timing.of(node.output), Time::Frames { .. }) || timing.pooled.contains(&node.output)
        })?;
        lowering.features();
    }
    Ok(lowering.finish())
}

/// The head of a network whose head is not linear: `features [1,F]` to `logits [1,L]`.
pub(crate) fn head(source: Analysed) -> Result<Lowered> {
    let mut lowering = Lowering::new(source, Mode::Clip);
    lowering.head_input();
    let timing = source.timing;
    lowering.nodes(|node| {
        matches!(timing.of(node.output), Time::Pooled { .. }) && !timing.pooled.contains(&node.output)
    })?;
    lowering.logits()?;
    Ok(lowering.finish())
}

struct Lowering<'a> {
    source: Analysed<'a>,
    mode: Mode,
    net: Net,
    map: Vec<Option<NetId>>,
    states: Vec<(State, NetId)>,
}

impl<'a> Lowering<'a> {
    fn new(source: Analysed<'a>, mode: Mode) -> Self {
        let map = vec![None; source.graph.values.len()];
        Self { source, mode, net: Net::default(), map, states: Vec::new() }
    }

    fn inputs(&mut self) {
        for (name, id) in self.source.pathways.inputs() {
            let mut shape = self.source.layout.lowered_shape(self.source.graph, id).to_vec();
            shape[0] = self.frames(id);
            self.map[id.0] = Some(self.net.input(name, shape));
        }
    }

    /// Frames the lowered value has in this graph.
    fn frames(&self, id: ValueId) -> usize {
        match (self.mode, self.source.timing.of(id)) {
            (Mode::Step, Time::Frames { per_chunk, .. }) => *per_chunk,
            _ => self.source.layout.frames(self.source.graph, id),
        }
    }

    /// Whether windows over time read states here.
    fn streams(&self, id: ValueId) -> bool {
        self.mode == Mode::Step && matches!(self.source.timing.of(id), Time::Frames { .. })
    }

    fn nodes(&mut self, wanted: impl Fn(&Node) -> bool) -> Result<()> {
        let graph = self.source.graph;
        for node in graph.nodes.iter().filter(|n| wanted(n)) {
            let lowered = self.node(node)?;
            if self.net.nodes.len() > MAX_NODES {
                return graph.node_error(node, format!("the lowered graph grows over {MAX_NODES} nodes"));
            }
            self.map[node.output.0] = Some(lowered);
        }
        Ok(())
    }

    fn operand(&self, node: &Node, index: usize) -> Result<NetId> {
        match node.inputs.get(index).and_then(|id| self.map[id.0]) {
            Some(id) => Ok(id),
            None => self.source.graph.node_error(node, format!("its input {index} cannot be a constant")),
        }
    }

    fn node(&mut self, node: &Node) -> Result<NetId> {
        let op = match &node.op {
            Op::Add => return self.binary(node, NetOp::Add),
            Op::Sub => return self.binary(node, NetOp::Sub),
            Op::Mul => return self.binary(node, NetOp::Mul),
            Op::Div => return self.binary(node, NetOp::Div),
            Op::Max => return self.binary(node, NetOp::Max),
            op => op,
        };
        let x = self.operand(node, 0)?;
        Ok(match op {
            Op::Conv { window, group } => self.conv(node, x, window, *group)?,
            Op::MaxPool { window } => self.max_pool(node, x, window)?,
            Op::AveragePool { window, count_include_pad } => {
                self.average_pool(node, x, window, *count_include_pad)?
            }
            Op::Relu => self.net.pointwise(NetOp::Relu, x),
            Op::Sigmoid => self.net.pointwise(NetOp::Sigmoid, x),
            Op::HardSigmoid { alpha, beta } => {
                self.net.pointwise(NetOp::HardSigmoid { alpha: (*alpha).into(), beta: (*beta).into() }, x)
            }
            Op::Clip { min, max } => {
                self.net.pointwise(NetOp::Clip { min: (*min).into(), max: (*max).into() }, x)
            }
            Op::Softmax { axis } => match self.lane(node.inputs[0], *axis) {
                Lane::One => self.source.graph.node_error(node, "is over an axis of length 1")?,
                lane => self.net.pointwise(NetOp::Softmax(lane as usize), x),
            },
            Op::Concat { .. } => {
                let parts =
                    (0..node.inputs.len()).map(|i| self.operand(node, i)).collect::<Result<Vec<_>>>()?;
                self.net.concat(Lane::Channel as usize, &parts)
            }
            Op::ReduceMean { axes, .. } => {
                let lanes = axes.iter().map(|&a| self.lane(node.inputs[0], a)).filter(|&l| l != Lane::One);
                let axes: Vec<usize> = lanes.map(|l| l as usize).collect();
                self.net.mean(x, &axes)
            }
            Op::Transpose { .. } => x,
            Op::Reshape if layout::merges(self.source.graph, self.source.layout, node) => {
                let mut shape = self.source.layout.lowered_shape(self.source.graph, node.output).to_vec();
                shape[0] = self.net.shape(x)[0];
                self.net.reshape(x, shape)
            }
            Op::Reshape => x,
            Op::Slice { axis, start, step, count } => self.slice(node, x, *axis, *start, *step, *count)?,
            Op::Gather { axis, indices } => match self.lane(node.inputs[0], *axis) {
                Lane::One => self.source.graph.node_error(node, "repeats an axis of length 1")?,
                lane => self.net.gather(x, lane as usize, indices.clone()),
            },
            Op::Pad { before, after, value } => self.pad(node, x, before, after, *value)?,
            Op::Gemm { alpha, beta, trans_b } => self.gemm(node, x, *alpha, *beta, *trans_b)?,
            Op::MatMul => self.gemm(node, x, 1.0, 1.0, false)?,
            Op::BatchNorm { .. } | Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max => {
                self.source.graph.node_error(node, "has no lowering")?
            }
        })
    }

    fn lane(&self, id: ValueId, axis: usize) -> Lane {
        self.source.layout.lanes(id).get(axis).copied().unwrap_or(Lane::One)
    }

    fn binary(&mut self, node: &Node, op: NetOp) -> Result<NetId> {
        let mut operands = Vec::new();
        for &id in &node.inputs {
            operands.push(match (self.map[id.0], self.source.graph.constant(id)) {
                (Some(lowered), _) => lowered,
                (None, Some(constant)) => {
                    let tensor = self.lowered_constant(node, constant)?;
                    self.net.tensor(tensor)
                }
                (None, None) => self.source.graph.node_error(node, "an input was not lowered")?,
            });
        }
        Ok(self.net.binary(op, operands[0], operands[1]))
    }

    /// A constant operand as `[T,C,H,W]`, by the lanes of the node's result.
    fn lowered_constant(&self, node: &Node, constant: &Tensor) -> Result<Tensor> {
        let lanes = self.source.layout.lanes(node.output);
        let missing = lanes.len() - constant.shape.len();
        let axis_of = |lane| lanes.iter().position(|&l| l == lane).and_then(|axis| axis.checked_sub(missing));
        let named = [Lane::Time, Lane::Channel, Lane::Height, Lane::Width].map(axis_of);
        if self.mode == Mode::Step && named[0].is_some_and(|axis| constant.shape[axis] != 1) {
            return self.source.graph.node_error(node, "its constant changes over time, so it cannot stream");
        }
        let shape: Vec<usize> = named.iter().map(|a| a.map_or(1, |axis| constant.shape[axis])).collect();
        let mut perm: Vec<usize> = named.iter().flatten().copied().collect();
        perm.extend((0..constant.shape.len()).filter(|axis| !named.contains(&Some(*axis))));
        match constant.transposed(&perm).and_then(|t| t.reshaped(shape)) {
            Some(tensor) if tensor.dtype() == DType::F32 => Ok(tensor),
            _ => self.source.graph.node_error(node, "its constant has an unsupported shape"),
        }
    }

    fn slice(
        &mut self,
        node: &Node,
        x: NetId,
        axis: usize,
        start: usize,
        step: usize,
        count: usize,
    ) -> Result<NetId> {
        let lane = self.lane(node.inputs[0], axis);
        if lane == Lane::One {
            return self.source.graph.node_error(node, "slices an axis of length 1");
        }
        // A crop at the end of a clip removes frames that a stream has not reached yet.
        let count = match (lane, self.streams(node.inputs[0])) {
            (Lane::Time, true) => self.frames(node.output),
            _ => count,
        };
        Ok(self.net.slice(x, lane as usize, start, start + (count - 1) * step + 1, step))
    }

    fn pad(&mut self, node: &Node, x: NetId, before: &[i64], after: &[i64], value: f32) -> Result<NetId> {
        let (mut front, mut back) = ([0i64; 4], [0i64; 4]);
        for (axis, (&b, &a)) in before.iter().zip(after).enumerate() {
            match self.lane(node.inputs[0], axis) {
                Lane::One if b == 0 && a == 0 => {}
                Lane::One => return self.source.graph.node_error(node, "pads an axis of length 1"),
                lane => (front[lane as usize], back[lane as usize]) = (b, a),
            }
        }
        let mut x = x;
        if self.streams(node.inputs[0]) {
            // Padding in front delays the frames by as many; padding behind lies past the end of any stream.
            let delay = front[0].max(0) as usize;
            let frames = self.net.shape(x)[0];
            x = self.timeline(x, delay, delay + frames, value, true);
            x = self.net.slice(x, 0, 0, frames, 1);
            (front[0], back[0]) = (0, 0);
        }
        for axis in 0..4 {
            let size = self.net.shape(x)[axis];
            let (start, end) = ((-front[axis]).max(0) as usize, size as i64 - (-back[axis]).max(0));
            match usize::try_from(end) {
                Ok(end) if end > start => x = self.net.slice(x, axis, start, end, 1),
                _ => return self.source.graph.node_error(node, "crops an axis away"),
            }
        }
        Ok(self.net.pad(x, front.map(|p| p.max(0)), back.map(|p| p.max(0)), value))
    }

    /// Gemm or MatMul along the channels.
    fn gemm(&mut self, node: &Node, x: NetId, alpha: f32, beta: f32, trans_b: bool) -> Result<NetId> {
        let graph = self.source.graph;
        let bias = node.inputs.get(2).and_then(|&c| graph.constant_f32(c));
        let Some(weights) = graph.constant(node.inputs[1]) else {
            return graph.node_error(node, "its weights must be constant");
        };
        let weights = if trans_b { weights.transposed(&[1, 0]) } else { Some(weights.clone()) };
        let scaled = weights.and_then(|w| {
            let data = w.as_f32()?.iter().map(|v| v * alpha).collect();
            Tensor::f32(w.shape, data)
        });
        let Some(weights) = scaled else { return graph.node_error(node, "its weights must be floats") };
        let columns = weights.shape[1];
        let bias: Vec<f32> =
            bias.map_or_else(|| vec![0.0; columns], |b| b.iter().map(|v| v * beta).collect());
        let [frames, channels, h, w] = match *self.net.shape(x) {
            [t, c, h, w] => [t, c, h, w],
            _ => return graph.node_error(node, "its input was lowered to another rank"),
        };
        if h * w == 1 {
            let flat = self.net.reshape(x, vec![frames, channels]);
            let y = self.net.gemm(flat, weights, bias);
            return Ok(self.net.reshape(y, vec![frames, columns, 1, 1]));
        }
        // Over a map it is a 1x1 convolution.
        let kernels = weights.transposed(&[1, 0]).and_then(|w| w.reshaped(vec![columns, channels, 1, 1]));
        match kernels {
            Some(kernels) => Ok(self.net.conv(x, kernels, Some(bias), crate::net::Window2::POINT, 1)),
            None => graph.node_error(node, "its weights do not fit its input"),
        }
    }

    fn logits(&mut self) -> Result<()> {
        let output = self.source.graph.outputs[0];
        let shape = self.source.layout.lowered_shape(self.source.graph, output);
        let fail = |reason: String| Err(CompileError::Network(reason));
        let ([1, labels, 1, 1], Some(id)) = (shape, self.map[output.0]) else {
            return fail(format!(
                "the output is {shape:?} as [T,C,H,W]; [1,L,1,1] is needed, one number per label"
            ));
        };
        let logits = self.net.reshape(id, vec![1, labels]);
        self.net.output("logits", logits);
        Ok(())
    }

    fn features(&mut self) {
        let parts: Vec<NetId> = self.source.timing.pooled.iter().filter_map(|id| self.map[id.0]).collect();
        let flat: Vec<NetId> = parts
            .into_iter()
            .map(|id| {
                let count = self.net.shape(id).iter().product();
                self.net.reshape(id, vec![1, count])
            })
            .collect();
        let features = self.net.concat(1, &flat);
        self.net.output(FEATURES, features);
    }

    /// The inverse of [`Self::features`].
    fn head_input(&mut self) {
        let shapes: Vec<(ValueId, [usize; 4])> = self
            .source
            .timing
            .pooled
            .iter()
            .map(|&id| (id, self.source.layout.lowered_shape(self.source.graph, id)))
            .collect();
        let total = shapes.iter().map(|(_, s)| s.iter().product::<usize>()).sum();
        let features = self.net.input(FEATURES, vec![1, total]);
        let mut start = 0;
        for (id, shape) in shapes {
            let count: usize = shape.iter().product();
            let part = self.net.slice(features, 1, start, start + count, 1);
            self.map[id.0] = Some(self.net.reshape(part, shape.to_vec()));
            start += count;
        }
    }

    fn finish(mut self) -> Lowered {
        for (state, next) in &self.states {
            self.net.output(&format!("{}_next", state.name), *next);
        }
        self.net.remove_dead_nodes();
        self.net.split_joins();
        Lowered { net: self.net, states: self.states.into_iter().map(|(state, _)| state).collect() }
    }
}
