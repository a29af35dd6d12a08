//! The form in which a model is imported.

use crate::graph::Recurrence;

/// The form in which a model is imported.
#[derive(Clone, Copy)]
pub(crate) struct ImportForm<'a> {
    /// Name of a value that replaces the outputs of the file.
    pub(crate) output: Option<&'a str>,
    /// The form of recurrent layers.
    pub(crate) recurrence: Recurrence,
    /// Whether matrix products of constants are folded. A package contains such products for
    /// Winograd's form of its weights, which the runtimes evaluate.
    pub(crate) folds_products: bool,
}

impl ImportForm<'_> {
    /// The form of a package.
    pub(crate) const PACKAGE: Self =
        Self { output: None, recurrence: Recurrence::Unrolled, folds_products: false };
    /// The form of a source network.
    pub(crate) const SOURCE: Self = Self { folds_products: true, ..Self::PACKAGE };
}
