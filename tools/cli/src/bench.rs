//! `tteview bench`: measurements that integrators can repeat on their own machines.
//!
//! | module | contents |
//! | --- | --- |
//! | `latency` | the command that measures the latency of labels |
//! | `memory` | the command that measures the memory of the process |
//! | `case` | the conditions of a measurement, and the measured values |
//! | `scanner`, `rate` | consecutive acquisitions, and their frame rate |
//! | `one_shot` | the network on a whole clip, for comparison |
//! | `load` | other work on the machine's cores, and other streams |
//! | `times` | percentiles of times |
//! | `report`, `plot` | table and JSON, and the plot |

mod case;
mod latency;
mod load;
mod memory;
mod one_shot;
mod plot;
mod rate;
mod report;
mod scanner;
mod times;

use crate::failure::Failure;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Measure the time from the end of an acquisition to its label, and the age of the live label
    Latency(latency::Latency),
    /// Measure the resident memory after each library call that a host makes
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
