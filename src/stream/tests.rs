//! Tests of whole streams. A few lines of Rust code take the place of the network.

mod allocation;
mod clock;
mod contract;
mod ending;
mod failing_head;
mod failures;
mod frame_contract;
pub(crate) mod frame_network;
mod lanes;
pub(crate) mod network;
mod overload;
mod pause;
mod preprocessing;
mod query;
mod rules;
mod timestamps;
