//! `tteview bench`: measurements that integrators repeat on their own machine.
//!
//! | module | what |
//! | --- | --- |
//! | `latency` | the command: cases, their order, what it writes |
//! | `memory` | the command: resident memory after each call of a host |
//! | `acquisition` | one acquisition, paced by the clock |
//! | `one_shot` | the same network run after the end, to compare with |
//! | `load` | other work on the machine's cores |
//! | `spread` | percentiles |
//! | `report` | table and JSON |
//! | `plot` | the picture |

mod acquisition;
mod latency;
mod load;
mod memory;
mod one_shot;
mod plot;
mod report;
mod spread;

use crate::Failure;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Time from the end of an acquisition to its label, and age of the live label
    Latency(latency::Latency),
    /// Resident memory after each call of a host, on one provider
    Memory(memory::Memory),
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Latency(command) => command.run(),
            Self::Memory(command) => command.run(),
        }
    }
}
