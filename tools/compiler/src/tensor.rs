//! Constant tensors: float32 or int64, whatever the file's element type was.

use std::sync::Arc;

/// A constant. Data is row-major and shared, so that copies of a graph copy no weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    F32(Arc<Vec<f32>>),
    I64(Arc<Vec<i64>>),
}

/// Element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DType {
    F32,
    F16,
    I64,
}

/// Product of dimensions; `None` where it overflows.
pub(crate) fn volume(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

impl Tensor {
    /// A float tensor; `None` where shape and data disagree.
    pub(crate) fn f32(shape: Vec<usize>, data: Vec<f32>) -> Option<Self> {
        (volume(&shape) == Some(data.len())).then(|| Self { shape, data: Data::F32(Arc::new(data)) })
    }

    /// An integer tensor; `None` where shape and data disagree.
    pub(crate) fn i64(shape: Vec<usize>, data: Vec<i64>) -> Option<Self> {
        (volume(&shape) == Some(data.len())).then(|| Self { shape, data: Data::I64(Arc::new(data)) })
    }

    /// A one-dimensional integer tensor.
    pub(crate) fn ints(data: Vec<i64>) -> Self {
        Self { shape: vec![data.len()], data: Data::I64(Arc::new(data)) }
    }

    pub(crate) fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::I64(_) => DType::I64,
        }
    }

    pub(crate) fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            Data::I64(_) => None,
        }
    }

    pub(crate) fn as_i64(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(v) => Some(v),
            Data::F32(_) => None,
        }
    }

    /// The same data under another shape; `None` where the element counts differ.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Option<Self> {
        (volume(&shape) == volume(&self.shape)).then(|| Self { shape, data: self.data.clone() })
    }

    /// Axes permuted; `None` where `perm` is no permutation of the axes.
    pub(crate) fn transposed(&self, perm: &[usize]) -> Option<Self> {
        let rank = self.shape.len();
        let mut seen = vec![false; rank];
        if perm.len() != rank || self.shape.contains(&0) {
            return None;
        }
        for &p in perm {
            let flag = seen.get_mut(p)?;
            if std::mem::replace(flag, true) {
                return None;
            }
        }
        let mut strides = vec![1usize; rank];
        for i in (1..rank).rev() {
            *strides.get_mut(i - 1)? = strides.get(i)?.checked_mul(*self.shape.get(i)?)?;
        }
        let shape: Vec<usize> = perm.iter().filter_map(|&p| self.shape.get(p).copied()).collect();
        let steps: Vec<usize> = perm.iter().filter_map(|&p| strides.get(p).copied()).collect();
        let order = gather_order(&shape, &steps);
        Some(match &self.data {
            Data::F32(v) => Self::f32(shape, order.iter().filter_map(|&i| v.get(i).copied()).collect())?,
            Data::I64(v) => Self::i64(shape, order.iter().filter_map(|&i| v.get(i).copied()).collect())?,
        })
    }
}

/// Source offsets, in row-major order of `shape`, of a view with the given strides.
fn gather_order(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0usize];
    for (&dim, &stride) in shape.iter().zip(strides) {
        offsets = offsets.iter().flat_map(|&base| (0..dim).map(move |i| base + i * stride)).collect();
    }
    offsets
}
