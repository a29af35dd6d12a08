//! tteview

mod backend;
pub mod error;
pub mod frame;
pub mod model;
mod preprocess;
mod ring;

pub use error::{Error, Result, Status};
