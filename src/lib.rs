//! tteview

mod backend;
pub mod error;
pub mod frame;
pub mod model;

pub use error::{Error, Result, Status};
