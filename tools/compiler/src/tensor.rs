//! Constant tensors: the initializers of the source graph and the weights of the lowered graphs.

use ndarray::{ArcArray, Array, Array1, Array3, ArrayD, ArrayViewD, Dimension, IxDyn};

/// A constant tensor in row-major order.
///
/// The import converts all float types to float32, and all integer types and booleans to int64.
/// Clones share their elements, so copying a graph does not copy its weights. Tensors must be built
/// with `From` or [`Tensor::new`], which store the elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tensor {
    F32(ArcArray<f32, IxDyn>),
    I64(ArcArray<i64, IxDyn>),
}

/// Element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DType {
    F32,
    F16,
    I64,
    /// Truth values, which only nodes compute.
    Bool,
}

/// Returns the number of elements in a tensor with this shape, or `None` if the number overflows.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

impl<D: Dimension> From<Array<f32, D>> for Tensor {
    fn from(array: Array<f32, D>) -> Self {
        Self::F32(share_row_major(array))
    }
}

impl<D: Dimension> From<Array<i64, D>> for Tensor {
    fn from(array: Array<i64, D>) -> Self {
        Self::I64(share_row_major(array))
    }
}

fn share_row_major<A: Clone, D: Dimension>(array: Array<A, D>) -> ArcArray<A, IxDyn> {
    let array = array.into_dyn();
    if array.is_standard_layout() {
        array.into_shared()
    } else {
        array.as_standard_layout().into_owned().into_shared()
    }
}

impl Tensor {
    /// Builds a tensor from its elements in row-major order. Returns `None` if `elements` does not
    /// have as many elements as `shape` requires, or if that number overflows.
    pub(crate) fn new<A>(shape: &[usize], elements: Vec<A>) -> Option<Self>
    where
        Self: From<ArrayD<A>>,
    {
        ArrayD::from_shape_vec(shape, elements).ok().map(Self::from)
    }

    /// Builds a one-dimensional integer tensor.
    pub(crate) fn vector(elements: Vec<i64>) -> Self {
        Self::from(Array1::from_vec(elements))
    }

    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Self::F32(array) => array.shape(),
            Self::I64(array) => array.shape(),
        }
    }

    pub(crate) fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::I64(_) => DType::I64,
        }
    }

    /// Returns a view of a float tensor, or `None` for an integer tensor.
    pub(crate) fn f32_view(&self) -> Option<ArrayViewD<'_, f32>> {
        match self {
            Self::F32(array) => Some(array.view()),
            Self::I64(_) => None,
        }
    }

    /// Returns a view of an integer tensor, or `None` for a float tensor.
    pub(crate) fn i64_view(&self) -> Option<ArrayViewD<'_, i64>> {
        match self {
            Self::F32(_) => None,
            Self::I64(array) => Some(array.view()),
        }
    }

    /// Returns the elements of a float tensor in row-major order, or `None` for an integer tensor.
    pub(crate) fn f32_elements(&self) -> Option<&[f32]> {
        match self {
            Self::F32(array) => array.as_slice(),
            Self::I64(_) => None,
        }
    }

    /// Returns the elements of an integer tensor in row-major order, or `None` for a float tensor.
    pub(crate) fn i64_elements(&self) -> Option<&[i64]> {
        match self {
            Self::I64(array) => array.as_slice(),
            Self::F32(_) => None,
        }
    }

    /// Returns the same elements with another shape, or `None` if the number of elements differs.
    pub(crate) fn reshape(&self, shape: &[usize]) -> Option<Self> {
        Some(match self {
            Self::F32(array) => Self::F32(array.clone().into_shape_with_order(shape).ok()?),
            Self::I64(array) => Self::I64(array.clone().into_shape_with_order(shape).ok()?),
        })
    }

    /// Returns the tensor whose axis `i` is axis `permutation[i]` of this one. Returns `None` if
    /// `permutation` is not a permutation of the axes.
    pub(crate) fn transpose(&self, permutation: &[usize]) -> Option<Self> {
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.shape().len()) {
            return None;
        }
        if self.shape().contains(&0) {
            let shape: Vec<usize> = permutation.iter().map(|&axis| self.shape()[axis]).collect();
            return self.reshape(&shape);
        }
        Some(match self {
            Self::F32(array) => Self::from(transpose_row_major(array, permutation)),
            Self::I64(array) => Self::from(transpose_row_major(array, permutation)),
        })
    }

    /// Returns the elements at `indices` along `axis`. Returns `None` if the axis or an index does
    /// not exist, or if the result would be empty.
    pub(crate) fn select(&self, axis: usize, indices: &[usize]) -> Option<Self> {
        Some(match self {
            Self::F32(array) => Self::from(select_along(array, axis, indices)?),
            Self::I64(array) => Self::from(select_along(array, axis, indices)?),
        })
    }
}

fn transpose_row_major<A: Clone>(array: &ArcArray<A, IxDyn>, permutation: &[usize]) -> ArrayD<A> {
    array.view().permuted_axes(permutation).as_standard_layout().into_owned()
}

/// Selects elements through a view with three axes, because `ArrayBase::select` takes a hundred
/// times longer if a hostile file lists many indices.
fn select_along<A: Clone>(
    array: &ArcArray<A, IxDyn>,
    axis: usize,
    indices: &[usize],
) -> Option<ArrayD<A>> {
    let size = *array.shape().get(axis)?;
    if indices.iter().any(|&index| index >= size) {
        return None;
    }
    let mut shape = array.shape().to_vec();
    *shape.get_mut(axis)? = indices.len();
    element_count(&shape).filter(|&count| count > 0)?;
    let (outer, inner) =
        (shape.get(..axis)?.iter().product(), shape.get(axis + 1..)?.iter().product());
    let flat = array.view().into_shape_with_order((outer, size, inner)).ok()?;
    let selected = Array3::from_shape_fn((outer, indices.len(), inner), |(o, i, k)| {
        flat[[o, indices[i], k]].clone()
    });
    selected.into_dyn().into_shape_with_order(shape).ok()
}
