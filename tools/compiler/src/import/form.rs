//! The form in which a model is imported.

use crate::graph::Recurrence;

/// The form in which a model is imported.
#[derive(Clone, Copy)]
pub(crate) struct ImportForm<'a> {
    /// Name of a value that replaces the outputs of the file.
    pub(crate) output: Option<&'a str>,
    /// The form of recurrent layers.
    pub(crate) recurrence: Recurrence,
    /// Whether the file is a source network. Its matrix products of constants are folded, and its
    /// products with a constant on the left are turned. A package contains such products for
    /// Winograd's form, and they stay as they are.
    pub(crate) is_source: bool,
}

impl ImportForm<'_> {
    /// The form of a package.
    pub(crate) const PACKAGE: Self =
        Self { output: None, recurrence: Recurrence::Unrolled, is_source: false };
    /// The form of a source network.
    pub(crate) const SOURCE: Self = Self { is_source: true, ..Self::PACKAGE };
}
