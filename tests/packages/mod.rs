//! Model packages for tests: packages that are written field by field, and mutations of packages.
#![allow(dead_code, reason = "each test uses some of them")]

pub(crate) mod builder;
pub(crate) mod deep;
pub(crate) mod hostile;
mod hostile_computed;
mod hostile_messages;
mod hostile_nodes;
pub(crate) mod memory;
pub(crate) mod mutation;
pub(crate) mod tree;
