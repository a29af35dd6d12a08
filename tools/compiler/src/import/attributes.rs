//! Typed access to a node's attributes.

use super::ops::{Converted, fail};
use crate::onnx::{AttributeProto, NodeProto};

/// The attributes of one node.
pub(super) struct Attributes<'a>(pub(super) &'a NodeProto);

impl<'a> Attributes<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|a| a.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Converted<i64> {
        match self.get(name) {
            None => Ok(default),
            Some(a) => a.i.map_or_else(|| fail(format!("attribute {name} is no integer")), Ok),
        }
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Converted<f32> {
        match self.get(name) {
            None => Ok(default),
            Some(a) => a.f.map_or_else(|| fail(format!("attribute {name} is no number")), Ok),
        }
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.get(name).map(|a| a.ints.as_slice())
    }

    /// Text attribute; empty where it is missing.
    pub(super) fn text(&self, name: &str) -> &'a [u8] {
        self.get(name).and_then(|a| a.s.as_deref()).unwrap_or_default()
    }

    /// One positive size per spatial axis, `default` where the attribute is missing.
    pub(super) fn sizes(&self, name: &str, rank: usize, default: usize) -> Converted<Vec<usize>> {
        let Some(ints) = self.ints(name) else { return Ok(vec![default; rank]) };
        let sizes: Vec<usize> =
            ints.iter().filter_map(|&v| usize::try_from(v).ok().filter(|&v| v > 0 && v < 1 << 16)).collect();
        if sizes.len() != rank || ints.len() != rank {
            return fail(format!("attribute {name} {ints:?} needs {rank} positive numbers"));
        }
        Ok(sizes)
    }
}
