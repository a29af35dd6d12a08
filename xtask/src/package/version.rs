//! The version of the package.

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
pub(crate) const MAJOR: &str = env!("CARGO_PKG_VERSION_MAJOR");
pub(crate) const MINOR: &str = env!("CARGO_PKG_VERSION_MINOR");
