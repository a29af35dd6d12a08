//! Pass 6: lowers the source graph to the clip graph, the step graph, the head graph, and the
//! graphs of the fast and the slow part.
//!
//! The same rules build all graphs. Where a clip graph pads before the first frame, a step
//! graph reads a state instead.

mod axes;
mod conv_forms;
mod convolution;
mod elementwise;
mod graphs;
mod lowering;
mod matrix;
mod parts;
mod plain;
mod pool;
mod spatial_window;
mod temporal_conv;
mod winograd;

pub(crate) use graphs::{lower_clip, lower_step};
pub(crate) use lowering::SourceNetwork;
pub(crate) use parts::{lower_fast, lower_head, lower_slow};
