//! The spatial part of a window.

use crate::graph::Window;
use crate::lowered::Window2d;

/// Returns the part of a window that covers its last two axes, which are height and width. Returns
/// `None` if the window has fewer axes or one of the pads is negative.
pub(super) fn spatial_window(window: &Window) -> Option<Window2d> {
    let first = window.kernel.len().checked_sub(2)?;
    let pad = |pads: &[i64], i: usize| usize::try_from(pads[first + i]).ok();
    Some(Window2d {
        kernel: [window.kernel[first], window.kernel[first + 1]],
        strides: [window.strides[first], window.strides[first + 1]],
        dilations: [window.dilations[first], window.dilations[first + 1]],
        pads: [
            pad(&window.before, 0)?,
            pad(&window.before, 1)?,
            pad(&window.after, 0)?,
            pad(&window.after, 1)?,
        ],
    })
}
