//! Upper bounds for the memory that rten allocates.
//!
//! The bounds follow from the sizes that the check of the graph infers and from the order in which
//! rten runs the operators. rten ends the process if an allocation fails, so a call that needs more
//! memory than the system has must be refused before it begins.
//!
//! The bounds count requested bytes. They do not count what the allocator adds, nor the memory of
//! other threads of the process, for which `check_budget` leaves a part of the available memory.

use crate::error::{Error, Result, Status};
use crate::model::Cost;
use rten::{Model, NodeId};
use std::collections::HashMap;

/// Bytes for a part of the graph while it is loaded: the message of the file with its texts, and
/// the structures that rten builds from it.
const LOADED_PART_BYTES: u64 = 1 << 10;

/// Bytes for a part of the graph in a step: the plan of the run and the tables of its values.
const PLANNED_PART_BYTES: u64 = 256;

/// Bytes that do not depend on the package: tables of operators and threads.
const FIXED_BYTES: u64 = 2 << 20;

/// Bytes that a thread keeps for packed blocks of matrices. A block has at most 1 MiB. A thread
/// that waits for others may begin another product of the same node.
const THREAD_BYTES: u64 = 4 << 20;

/// Number of uses from which on rten 0.27 does not free a value before the end of the run.
const STICKY_USES: u32 = 255;

/// Operators in the order in which rten runs them: the values that each reads and computes.
pub(super) type Plan = Vec<(Vec<NodeId>, Vec<NodeId>)>;

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Returns an upper bound for the bytes that rten allocates while it loads a model of this size.
///
/// The bound covers the copy of the file that rten reads, the texts and tensors of the file as rten
/// decodes them, all constants as float32 (those of the file, those that rten computes, and the
/// kernels into which it folds a batch normalization), the memory of the node that needs most, and
/// the structures of the graph.
pub(super) fn bound_load(file_bytes: usize, cost: &Cost) -> usize {
    let file = file_bytes as u64;
    let structures = cost.part_count.saturating_mul(LOADED_PART_BYTES);
    let sizes = [2 * file, cost.constant_bytes, cost.scratch_bytes, structures, FIXED_BYTES];
    to_usize(sizes.into_iter().fold(0, u64::saturating_add))
}

/// Returns an upper bound for the bytes that rten allocates in a step whose computed values have
/// `live_bytes` bytes at the same time.
///
/// The bound covers these values and the memory of the node that needs most, each with the quarter
/// by which a buffer of `third_party/rten.patch` may exceed its tensor, the plan of the run, and
/// the packed blocks of each thread.
pub(super) fn bound_step(cost: &Cost, live_bytes: u64, threads: u32) -> usize {
    let tensors = live_bytes.saturating_add(cost.scratch_bytes);
    let plan = cost.part_count.saturating_mul(PLANNED_PART_BYTES);
    let blocks = u64::from(threads).saturating_mul(THREAD_BYTES);
    let sizes = [tensors, tensors / 4, plan, blocks, FIXED_BYTES];
    to_usize(sizes.into_iter().fold(0, u64::saturating_add))
}

/// Returns the size of the computed values that exist at the same time in a run of `model`.
///
/// # Errors
/// Returns [`Status::ModelInvalid`] if rten computes a value that the check of the graph does not
/// know.
pub(super) fn measure_live(model: &Model, plan: &Plan, cost: &Cost) -> Result<u64> {
    let size = |id: NodeId| {
        let name = model.node_info(id).and_then(|info| info.name()).unwrap_or_default();
        cost.value_bytes.get(name).copied().ok_or_else(|| {
            let message = format!("the graph cannot be loaded: the value {name:?} has no size");
            Error::new(Status::ModelInvalid, message)
        })
    };
    let mut uses = HashMap::<NodeId, u32>::new();
    let read = plan.iter().flat_map(|(inputs, _)| inputs);
    for &id in read.chain(model.output_ids()) {
        *uses.entry(id).or_default() += 1;
    }
    // Constants and the inputs of the graph have no entry, because a run does not allocate them.
    let mut live = HashMap::<NodeId, u64>::new();
    let (mut bytes, mut peak) = (0u64, 0);
    for (inputs, outputs) in plan {
        for &id in outputs {
            let size = size(id)?;
            live.insert(id, size);
            bytes = bytes.saturating_add(size);
        }
        peak = peak.max(bytes);
        for id in inputs {
            let Some(uses) = uses.get_mut(id).filter(|uses| **uses < STICKY_USES) else { continue };
            *uses -= 1;
            if *uses == 0 {
                bytes -= live.remove(id).unwrap_or(0);
            }
        }
    }
    // rten copies an output that it does not compute in the run.
    for id in model.output_ids().iter().filter(|id| !live.contains_key(id)) {
        bytes = bytes.saturating_add(size(*id)?);
    }
    Ok(peak.max(bytes))
}
