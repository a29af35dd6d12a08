//! The patient's body: the heart, its surroundings and the echo of each point.

pub(crate) mod anatomy;
pub(crate) mod beat;
pub(crate) mod distances;
pub(crate) mod echo;
pub(crate) mod heart;
pub(crate) mod organic;
pub(crate) mod rhythm;
pub(crate) mod structure;
pub(crate) mod tissue;
pub(crate) mod valves;
pub(crate) mod vessel;
