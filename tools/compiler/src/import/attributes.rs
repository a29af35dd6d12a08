//! Typed access to the attributes of a node.

use super::failure::{NodeResult, fail};
use super::limits::WINDOW_LIMIT;
use crate::onnx::{AttributeProto, NodeProto};

/// The attributes of one node.
pub(super) struct Attributes<'a> {
    node: &'a NodeProto,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(node: &'a NodeProto) -> Self {
        Self { node }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node.attribute.iter().find(|a| a.name == name)
    }

    /// Returns an integer, or `default` if the attribute is missing.
    pub(super) fn int(&self, name: &str, default: i64) -> NodeResult<i64> {
        match self.get(name) {
            None => Ok(default),
            Some(a) => a.i.map_or_else(|| fail(format!("attribute {name} must be an integer")), Ok),
        }
    }

    /// Returns an integer that says yes or no, or `default` if the attribute is missing. Runtimes
    /// do not agree about other numbers than 0 and 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> NodeResult<bool> {
        match self.int(name, default.into())? {
            0 => Ok(false),
            1 => Ok(true),
            other => fail(format!("attribute {name} must be 0 or 1, got {other}")),
        }
    }

    /// Returns a float, or `default` if the attribute is missing.
    pub(super) fn float(&self, name: &str, default: f32) -> NodeResult<f32> {
        match self.get(name) {
            None => Ok(default),
            Some(a) => a.f.map_or_else(|| fail(format!("attribute {name} must be a float")), Ok),
        }
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.get(name).map(|a| a.ints.as_slice())
    }

    /// Returns a string, which is empty if the attribute is missing.
    pub(super) fn text(&self, name: &str) -> &'a [u8] {
        self.get(name).and_then(|a| a.s.as_deref()).unwrap_or_default()
    }

    /// Returns one positive size for each of the `rank` spatial axes, or `default` for each if the
    /// attribute is missing.
    pub(super) fn sizes(&self, name: &str, rank: usize, default: usize) -> NodeResult<Vec<usize>> {
        let Some(ints) = self.ints(name) else { return Ok(vec![default; rank]) };
        let valid = ints.iter().filter(|v| (1..WINDOW_LIMIT).contains(*v));
        let sizes: Vec<usize> = valid.filter_map(|&v| usize::try_from(v).ok()).collect();
        if sizes.len() != rank || ints.len() != rank {
            return fail(format!(
                "attribute {name} must have {rank} numbers from 1 to {}, got {ints:?}",
                WINDOW_LIMIT - 1
            ));
        }
        Ok(sizes)
    }
}
