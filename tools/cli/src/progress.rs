//! Progress bars on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// Creates a progress bar from an indicatif template. The bar is drawn only on a terminal.
pub(crate) fn create_progress_bar(length: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
