use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use rten_base::unroll::unroll_loop;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};
use rten_tensor::prelude::*;
use rten_tensor::{AssumeInit, NdTensor, NdTensorView, NdTensorViewMut};
use smallvec::SmallVec;

use crate::buffer_pool::{AutoReturn, BufferPool};

/// Calculate the output coordinate range for which all input / output
/// coordinates are valid when updating a row of output using:
///
/// ```text
/// for out_x in min_out_x..max_out_x {
///   out_row[out_x] += in_row[out_x * stride + k_x * dilation - pad_left] * kernel_row[k_x]
/// }
/// ```
///
/// Where `in_row` is the un-padded input row of width `in_w` and `out_row` is
/// an output row of width `out_w`.
///
/// In other words, we want to find the minimum and maximum values of `out_x`
/// such that:
///
/// - out_x * stride + k_x * dilation - pad_left >= 0
/// - out_x * stride + k_x * dilation - pad_left <= in_w
/// - out_x >= 0
/// - out_x <= out_w
fn min_max_out_x_coords(
    k_x: usize,
    in_w: usize,
    pad_left: usize,
    stride: usize,
    dilation: usize,
    out_w: usize,
) -> (usize, usize) {
    let min_out_x = pad_left.saturating_sub(k_x * dilation).div_ceil(stride).min(out_w);
    let max_out_x = (in_w + pad_left).saturating_sub(k_x * dilation).div_ceil(stride).min(out_w);
    (min_out_x, max_out_x)
}

/// Convolution parameters passed to the kernel which are constant across
/// all calls within a single depthwise conv operation.
struct ConvParams<'a> {
    kernel_h: usize,
    stride_h: usize,
    stride_w: usize,
    dilation_y: usize,
    pad_top: usize,
    in_h: usize,
    in_row_len: usize,
    in_row_stride: usize,

    /// Precomputed map of kernel X coordinate to input and output row
    /// range.
    col_range_for_kernel_x: &'a [(Range<usize>, Range<usize>)],
}

/// Trait for architecture and data-type specific kernels for depthwise
/// convolution.
trait DepthwiseConvKernel<X, W, Y> {
    /// Compute one output row of the depthwise convolution.
    ///
    /// `image_chan` and `kernel_chan` contain the input data and weights for
    /// the channel that corresponds to the output row.
    fn compute_row(
        &self,
        params: &ConvParams,
        out_row: &mut [MaybeUninit<Y>],
        out_y: usize,
        out_init: Y,
        image_chan: &[X],
        kernel_chan: NdTensorView<W, 2>,
        input_zero: X,
        kernel_zero: W,
    );
}

struct GenericDepthwiseConvKernel {}

impl DepthwiseConvKernel<i8, u8, i32> for GenericDepthwiseConvKernel {
    fn compute_row(
        &self,
        params: &ConvParams,
        out_row: &mut [MaybeUninit<i32>],
        out_y: usize,
        out_init: i32,
        image_chan: &[i8],
        kernel_chan: NdTensorView<u8, 2>,
        input_zero: i8,
        kernel_zero: u8,
    ) {
        let kernel_view = kernel_chan.weakly_checked_view();
        let input_zero = input_zero as i32;
        let kernel_zero = kernel_zero as i32;

        // Initialize output row.
        for x in out_row.iter_mut() {
            x.write(out_init);
        }
        let out_row: &mut [i32] = unsafe { out_row.assume_init() };

        for k_y in 0..params.kernel_h {
            let in_y = out_y * params.stride_h + k_y * params.dilation_y;
            if in_y < params.pad_top || in_y >= params.in_h + params.pad_top {
                continue;
            }

            let in_row_y = in_y - params.pad_top;
            let in_row = &image_chan[in_row_y * params.in_row_stride..][..params.in_row_len];

            for (k_x, (in_range, out_range)) in params.col_range_for_kernel_x.iter().enumerate() {
                let dest = &mut out_row[out_range.clone()];
                let src = &in_row[in_range.clone()];
                let scale = kernel_view[[k_y, k_x]] as i32 - kernel_zero;

                let src_els = src.len().div_ceil(params.stride_w);
                debug_assert!(src_els == dest.len());

                unroll_loop!(0..src_els, i, 4, {
                    unsafe {
                        *dest.get_unchecked_mut(i) +=
                            (*src.get_unchecked(i * params.stride_w) as i32 - input_zero) * scale;
                    }
                });
            }
        }
    }
}

/// Computes depthwise convolutions of 2D images.
///
/// Convolutions where the group count is equal to the input and output
/// channel count are referred to as _depthwise_. These use a different
/// implementation than general convolutions for efficiency.
///
/// `X`, `W` and `Y` are the input, weight and output data types respectively.
pub struct DepthwiseConvExecutor<X: Copy, W, Y: Copy + Default> {
    conv_2d: fn(
        pool: &BufferPool,
        input: &NdTensorView<X, 4>,
        kernel: &NdTensorView<W, 4>,
        bias: Option<NdTensorView<Y, 1>>,
        padding: [usize; 4],
        strides: [usize; 2],
        dilations: [usize; 2],
        out_hw: [usize; 2],
        input_zero: Option<X>,
        kernel_zero: Option<&[W]>,
    ) -> NdTensor<Y, 4>,
}

impl<X: Copy, W, Y: Copy + Default> DepthwiseConvExecutor<X, W, Y> {
    /// Compute a depthwise convolution of a 2D image.
    pub fn depthwise_conv_2d(
        &self,
        pool: &BufferPool,
        input: &NdTensorView<X, 4>,
        kernel: &NdTensorView<W, 4>,
        bias: Option<NdTensorView<Y, 1>>,
        padding: [usize; 4],
        strides: [usize; 2],
        dilations: [usize; 2],
        out_hw: [usize; 2],
        input_zero: Option<X>,
        kernel_zero: Option<&[W]>,
    ) -> NdTensor<Y, 4> {
        (self.conv_2d)(
            pool,
            input,
            kernel,
            bias,
            padding,
            strides,
            dilations,
            out_hw,
            input_zero,
            kernel_zero,
        )
    }
}

/// Computes depthwise convolutions of integers row by row.
struct RowExecutor<X: Copy, W, Y: Copy + Default> {
    kernel: Box<dyn DepthwiseConvKernel<X, W, Y> + Sync>,
}

impl<X: Copy + Default + Sync, W: Copy + Default + Sync, Y: Copy + Default> RowExecutor<X, W, Y> {
    /// Compute depthwise convolution for the block of channels from `input`
    /// specified by `chan_range` into `output`.
    ///
    /// `col_range_for_kernel_x` is a precomputed map of kernel X coordinate to
    /// `(in_range, out_range)` of column ranges that are valid for the input and
    /// output.
    ///
    /// When this function returns, all elements of `output` will have been
    /// initialized.
    fn depthwise_conv_2d_block(
        &self,
        mut output: NdTensorViewMut<MaybeUninit<Y>, 3>, // C, H, W
        chan_range: Range<usize>,
        input: NdTensorView<X, 3>,  // C, H, W
        kernel: NdTensorView<W, 4>, // C, _, Kh, Kw
        bias: Option<NdTensorView<Y, 1>>,
        padding: [usize; 4],
        strides: [usize; 2],
        dilations: [usize; 2],
        col_range_for_kernel_x: &[(Range<usize>, Range<usize>)],
        input_zero: Option<X>,
        kernel_zero: Option<&[W]>,
    ) {
        debug_assert_eq!(input.stride(2), 1, "last dim of input is not contiguous");
        debug_assert_eq!(output.stride(2), 1, "last dim of output is not contiguous");

        let [_, out_h, _out_w] = output.shape();
        let [_, _, k_h, _k_w] = kernel.shape();
        let [_, in_h, _in_w] = input.shape();
        let [stride_h, stride_w] = strides;
        let [pad_top, _pad_left, _pad_bottom, _pad_right] = padding;
        let [dilation_y, _dilation_x] = dilations;

        let conv_params = ConvParams {
            stride_h,
            stride_w,
            kernel_h: k_h,
            pad_top,
            dilation_y,
            in_h,
            in_row_stride: input.stride(1),
            in_row_len: input.size(2),
            col_range_for_kernel_x,
        };

        let input_zero = input_zero.unwrap_or_default();
        for c in chan_range.clone() {
            let kernel_view = kernel.slice([c, 0]);

            let mut out_chan = output.slice_mut([c - chan_range.start]);
            let out_row_stride = out_chan.stride(0);
            let out_row_len = out_chan.size(1);
            let out_chan_data = out_chan.data_mut().unwrap();

            let in_chan = input.slice([c]);
            let in_chan_data = in_chan.data().unwrap();

            let init_value = if let Some(bias) = bias { bias[c] } else { Y::default() };

            let kernel_zero = kernel_zero.map(|kz| kz[c]).unwrap_or_default();

            for out_y in 0..out_h {
                // Here and in the `compute_row` implementation we use manual
                // slicing of the input data rather than tensor `slice` methods
                // for efficiency.
                let out_row = &mut out_chan_data[out_y * out_row_stride..][..out_row_len];
                self.kernel.compute_row(
                    &conv_params,
                    out_row,
                    out_y,
                    init_value,
                    in_chan_data,
                    kernel_view,
                    input_zero,
                    kernel_zero,
                );
            }
        }
    }

    /// Compute a depthwise convolution of a 2D image.
    pub fn depthwise_conv_2d(
        &self,
        pool: &BufferPool,
        input: &NdTensorView<X, 4>,
        kernel: &NdTensorView<W, 4>,
        bias: Option<NdTensorView<Y, 1>>,
        padding: [usize; 4],
        strides: [usize; 2],
        dilations: [usize; 2],
        out_hw: [usize; 2],
        input_zero: Option<X>,
        kernel_zero: Option<&[W]>,
    ) -> NdTensor<Y, 4> {
        let [batch, _in_c, _in_h, in_w]: [usize; 4] = input.shape();
        let [out_c, _, _k_h, k_w]: [usize; 4] = kernel.shape();
        let [_pad_top, pad_left, _pad_bottom, _pad_right] = padding;
        let [_stride_h, stride_w] = strides;
        let [_dilation_y, dilation_x] = dilations;
        let [out_h, out_w] = out_hw;

        let mut output = NdTensor::uninit_in(pool, [batch, out_c, out_h, out_w]);

        // `conv_2d_depthwise_block` assumes contiguous last dimension.
        let input = input.to_contiguous_in(pool).auto_return(pool);

        // Map of kernel X position to `(in_range, out_range)` of column ranges that
        // are used in the inner loop.
        let col_range_for_kernel_x: SmallVec<[_; 7]> = (0..k_w)
            .map(|k_x| {
                let (min_out_x, max_out_x) =
                    min_max_out_x_coords(k_x, in_w, pad_left, stride_w, dilation_x, out_w);

                // If the output range is empty, the input range must be too. Exit
                // early in case `max_out_x` is zero.
                //
                // This can happen if all the input coordinates which this kernel
                // column would be multiplied with are part of the padding region.
                if min_out_x == max_out_x {
                    return (0..0, 0..0);
                }

                let min_in_x = min_out_x * stride_w + k_x * dilation_x - pad_left;
                let max_in_x = (max_out_x - 1) * stride_w + k_x * dilation_x - pad_left + 1;

                (min_in_x..max_in_x, min_out_x..max_out_x)
            })
            .collect();

        let n_init = AtomicUsize::new(0);
        for n in 0..batch {
            let mut out_chans = output.slice_mut(n);
            let input = input.slice(n);

            out_chans.axis_iter_mut(0).into_par_iter().enumerate().for_each(
                |(out_chan, mut out_chans)| {
                    let mut out_chans =
                        out_chans.reshaped_mut([1, out_chans.size(0), out_chans.size(1)]).unwrap();
                    self.depthwise_conv_2d_block(
                        out_chans.view_mut(),
                        out_chan..out_chan + 1,
                        input,
                        kernel.view(),
                        bias,
                        padding,
                        strides,
                        dilations,
                        &col_range_for_kernel_x,
                        input_zero,
                        kernel_zero,
                    );

                    n_init.fetch_add(out_chans.len(), Ordering::SeqCst);
                },
            );
        }

        // Safety: We initialized all output rows
        assert!(n_init.load(Ordering::SeqCst) == output.len());
        unsafe { output.assume_init() }
    }
}

impl Default for DepthwiseConvExecutor<i8, u8, i32> {
    fn default() -> Self {
        DepthwiseConvExecutor {
            conv_2d: |pool, x, w, bias, padding, strides, dilations, out_hw, x_zero, w_zero| {
                let executor = RowExecutor { kernel: Box::new(GenericDepthwiseConvKernel {}) };
                executor.depthwise_conv_2d(
                    pool, x, w, bias, padding, strides, dilations, out_hw, x_zero, w_zero,
                )
            },
        }
    }
}

impl Default for DepthwiseConvExecutor<f32, f32, f32> {
    fn default() -> Self {
        DepthwiseConvExecutor {
            conv_2d: |pool, x, w, bias, padding, strides, dilations, out_hw, _, _| {
                depthwise_conv_2d_f32(pool, x, w, bias, padding, strides, dilations, out_hw)
            },
        }
    }
}

/// Number of channels that a thread convolves with one scratch buffer.
const CHANNELS_PER_CHUNK: usize = 16;

/// Number of vectors in a block of sums, which stay in registers.
const BLOCK_VECTORS: usize = 4;

/// Upper bound for the number of elements in a block, with the widest vectors.
const MAX_BLOCK: usize = BLOCK_VECTORS * 16;

/// Layout of one padded input channel, which is split into a plane for each
/// phase of the strides.
///
/// Output `[y, x]` of a depthwise convolution reads the padded input at
/// `[y * stride_h + i, x * stride_w + j]` for the tap at `[i, j]`. In the plane
/// that contains the rows with the phase `i % stride_h` and the columns with
/// the phase `j % stride_w`, this is `[y + i / stride_h, x + j / stride_w]`. If
/// the outputs are laid out with the row length of a plane, the inputs of a tap
/// for all outputs are therefore consecutive, so the whole channel is computed
/// by vectors of any width, whatever the strides and the width of the image
/// are. The outputs at the ends of the rows, which no input corresponds to, are
/// not used.
struct PlaneLayout {
    padding: [usize; 2],
    strides: [usize; 2],
    /// Rows and columns of a plane.
    plane: [usize; 2],
    /// Position of each tap's first input in the planes.
    tap_offsets: Vec<usize>,
    /// Number of outputs, including those that are not used and rounded up to
    /// whole blocks.
    outputs: usize,
}

impl PlaneLayout {
    fn new(
        in_hw: [usize; 2],
        kernel_hw: [usize; 2],
        padding: [usize; 4],
        strides: [usize; 2],
        dilations: [usize; 2],
        out_hw: [usize; 2],
    ) -> Self {
        let [pad_top, pad_left, pad_bottom, pad_right] = padding;
        let plane = [
            (in_hw[0] + pad_top + pad_bottom).div_ceil(strides[0]),
            (in_hw[1] + pad_left + pad_right).div_ceil(strides[1]),
        ];
        let offset = |k_y: usize, k_x: usize| {
            let (in_y, in_x) = (k_y * dilations[0], k_x * dilations[1]);
            let index = (in_y % strides[0]) * strides[1] + in_x % strides[1];
            (index * plane[0] + in_y / strides[0]) * plane[1] + in_x / strides[1]
        };
        let tap_offsets = (0..kernel_hw[0])
            .flat_map(|k_y| (0..kernel_hw[1]).map(move |k_x| offset(k_y, k_x)))
            .collect();
        PlaneLayout {
            padding: [pad_top, pad_left],
            strides,
            plane,
            tap_offsets,
            outputs: (out_hw[0] * plane[1]).next_multiple_of(MAX_BLOCK),
        }
    }

    /// Number of elements in the planes and behind them, so that a block that
    /// begins at any tap lies in the buffer.
    fn input_len(&self) -> usize {
        let last_offset = self.tap_offsets.iter().copied().max().unwrap_or(0);
        let planes: usize = self.strides.iter().chain(&self.plane).product();
        planes.max(last_offset + self.outputs)
    }

    /// Copy a channel to the planes, whose padding is already zero.
    fn fill_planes(&self, input: NdTensorView<f32, 2>, planes: &mut [f32]) {
        let [in_h, in_w] = input.shape();
        let [stride_h, stride_w] = self.strides;
        let data = input.data().unwrap();
        for y in 0..in_h {
            let row = &data[y * input.stride(0)..][..in_w];
            let padded_y = y + self.padding[0];
            for phase in 0..stride_w {
                // First column with this phase.
                let x = (phase + stride_w - self.padding[1] % stride_w) % stride_w;
                if x >= in_w {
                    continue;
                }
                let plane = (padded_y % stride_h) * stride_w + phase;
                let start = (plane * self.plane[0] + padded_y / stride_h) * self.plane[1]
                    + (x + self.padding[1]) / stride_w;
                let count = (in_w - x).div_ceil(stride_w);
                let dest = &mut planes[start..start + count];
                match stride_w {
                    1 => dest.copy_from_slice(row),
                    // A constant stride makes the loop fast.
                    2 => copy_every::<2>(dest, &row[x..]),
                    _ => {
                        let values = row[x..].iter().step_by(stride_w);
                        dest.iter_mut().zip(values).for_each(|(dest, src)| *dest = *src);
                    }
                }
            }
        }
    }
}

/// Copy every `STRIDE`th element, beginning with the first.
fn copy_every<const STRIDE: usize>(dest: &mut [f32], src: &[f32]) {
    let (chunks, rest) = src.as_chunks::<STRIDE>();
    for (dest, chunk) in dest.iter_mut().zip(chunks) {
        *dest = chunk[0];
    }
    if let (Some(last), Some(first)) = (dest.get_mut(chunks.len()), rest.first()) {
        *last = *first;
    }
}

/// Computes one channel of a depthwise convolution from its planes.
struct ConvolvePlanes<'a> {
    planes: &'a [f32],
    tap_offsets: &'a [usize],
    weights: &'a [f32],
    bias: f32,
    outputs: &'a mut [f32],
}

impl SimdOp for ConvolvePlanes<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        let block_len = BLOCK_VECTORS * lanes;
        assert!(MAX_BLOCK.is_multiple_of(block_len));
        let last_offset = self.tap_offsets.iter().copied().max().unwrap_or(0);
        assert!(last_offset + self.outputs.len() <= self.planes.len());
        assert_eq!(self.tap_offsets.len(), self.weights.len());

        let bias = ops.splat(self.bias);
        for (index, block) in self.outputs.chunks_exact_mut(block_len).enumerate() {
            let mut sums = [bias; BLOCK_VECTORS];
            for (offset, weight) in self.tap_offsets.iter().zip(self.weights) {
                let weight = ops.splat(*weight);
                let start = index * block_len + offset;
                for (vector, sum) in sums.iter_mut().enumerate() {
                    // Safety: the block lies in `outputs`, so the input of
                    // every tap for it lies in `planes`, as checked above.
                    let input =
                        unsafe { ops.load_ptr(self.planes.as_ptr().add(start + vector * lanes)) };
                    *sum = ops.mul_add(input, weight, *sum);
                }
            }
            for (vector, sum) in sums.into_iter().enumerate() {
                ops.store(sum, &mut block[vector * lanes..]);
            }
        }
    }
}

/// Compute a depthwise convolution of 2D images of floats.
fn depthwise_conv_2d_f32(
    pool: &BufferPool,
    input: &NdTensorView<f32, 4>,
    kernel: &NdTensorView<f32, 4>,
    bias: Option<NdTensorView<f32, 1>>,
    padding: [usize; 4],
    strides: [usize; 2],
    dilations: [usize; 2],
    out_hw: [usize; 2],
) -> NdTensor<f32, 4> {
    let [batch, _in_c, in_h, in_w]: [usize; 4] = input.shape();
    let [out_c, _, k_h, k_w]: [usize; 4] = kernel.shape();
    let [out_h, out_w] = out_hw;
    let layout = PlaneLayout::new([in_h, in_w], [k_h, k_w], padding, strides, dilations, out_hw);
    let row_len = layout.plane[1];

    let mut output = NdTensor::uninit_in(pool, [batch, out_c, out_h, out_w]);
    let input = input.to_contiguous_in(pool).auto_return(pool);
    let kernel = kernel.to_contiguous_in(pool).auto_return(pool);
    let n_init = AtomicUsize::new(0);
    for n in 0..batch {
        let mut out_image = output.slice_mut(n);
        let in_image = input.slice(n);
        out_image.axis_chunks_mut(0, CHANNELS_PER_CHUNK).into_par_iter().enumerate().for_each(
            |(chunk, mut out_chunk)| {
                // All channels have zeros at the same positions.
                let mut planes =
                    NdTensor::<f32, 1>::zeros_in(pool, [layout.input_len()]).auto_return(pool);
                let mut outputs =
                    NdTensor::<f32, 1>::zeros_in(pool, [layout.outputs]).auto_return(pool);
                let planes = planes.data_mut().unwrap();
                let outputs = outputs.data_mut().unwrap();
                for index in 0..out_chunk.size(0) {
                    let chan = chunk * CHANNELS_PER_CHUNK + index;
                    layout.fill_planes(in_image.slice(chan), planes);
                    let weights = kernel.slice(chan);
                    ConvolvePlanes {
                        planes,
                        tap_offsets: &layout.tap_offsets,
                        weights: weights.data().unwrap(),
                        bias: bias.map_or(0., |bias| bias[chan]),
                        outputs,
                    }
                    .dispatch();
                    let mut out_chan = out_chunk.slice_mut(index);
                    let out_rows = out_chan.data_mut().unwrap().chunks_exact_mut(out_w);
                    for (out_row, row) in out_rows.zip(outputs.chunks(row_len)) {
                        out_row.write_copy_of_slice(&row[..out_w]);
                        n_init.fetch_add(out_w, Ordering::Relaxed);
                    }
                }
            },
        );
    }

    // Safety: We initialized all output rows
    assert!(n_init.load(Ordering::SeqCst) == output.len());
    unsafe { output.assume_init() }
}

// nb. Tests for depthwise conv are implemented in the main `conv.rs` module.
