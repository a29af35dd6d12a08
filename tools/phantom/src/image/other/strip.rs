//! Traces over time: strips of columns that scroll over the screen or are written by a cursor.

use crate::rng::Rng;
use ndarray::{Array2, ArrayViewMut2};

/// A strip, and how the screen shows it.
#[derive(Debug)]
pub(crate) struct Strip {
    /// Grey values, `[rows, columns]`. A column is the value at one time.
    grey: Array2<u8>,
    /// Number of columns on the screen.
    width: usize,
    columns_per_s: f32,
    /// Whether a cursor overwrites the trace from left to right instead of the trace moving.
    has_cursor: bool,
}

/// Time and size of a strip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) columns: usize,
    pub(crate) columns_per_s: f32,
    has_cursor: bool,
}

impl Timeline {
    /// Draws the speed of a trace in an area of `[rows, width]` pixels, for a cine of `seconds`.
    pub(crate) fn draw([rows, width]: [usize; 2], seconds: f32, rng: &mut Rng) -> Self {
        let sweep_s = rng.draw_uniform(1.3, 4.5);
        let columns_per_s = width as f32 / sweep_s;
        let columns = width + (seconds * columns_per_s).ceil() as usize + 1;
        Self { rows, width, columns, columns_per_s, has_cursor: rng.draw_below(2) == 0 }
    }

    /// Returns the time of a column in seconds, 0 for the last column of the first frame.
    pub(crate) fn time(&self, column: usize) -> f32 {
        (column as f32 - self.width as f32) / self.columns_per_s
    }

    /// Builds the strip from its grey values.
    pub(crate) fn finish(self, grey: Array2<u8>) -> Strip {
        let Self { width, columns_per_s, has_cursor, .. } = self;
        Strip { grey, width, columns_per_s, has_cursor }
    }
}

impl Strip {
    /// Paints the strip as it is `t` seconds after the start of the cine.
    pub(crate) fn paint(&self, t: f32, mut area: ArrayViewMut2<'_, u8>) {
        let (rows, width) = area.dim();
        let newest = self.width + (t * self.columns_per_s) as usize;
        for column in 0..width {
            let source = if self.has_cursor {
                // The columns to the right of the cursor are from the preceding sweep.
                let cursor = newest % width;
                let age = (cursor + width - column) % width;
                if age > width - 3 {
                    continue;
                }
                newest.saturating_sub(age)
            } else {
                newest + column - width
            };
            let source = source.min(self.grey.ncols() - 1);
            for row in 0..rows.min(self.grey.nrows()) {
                area[[row, column]] = self.grey[[row, source]];
            }
        }
    }
}
