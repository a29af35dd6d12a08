//! Tests of the conversions between C structs and Rust values, and of every call of the C ABI.

#[cfg(feature = "rten")]
mod callbacks;
#[cfg(feature = "rten")]
mod calls;
mod config;
#[cfg(not(loom))]
mod engine_files;
mod frames;
mod pointers;
mod results;

use super::pointers::Versioned;
use std::mem::zeroed;

/// Returns a struct of the ABI whose fields are zero except its size.
fn init<T: Versioned>() -> T {
    // SAFETY: zero is valid for every field of a `Versioned` struct, whose first field is its size.
    unsafe {
        let mut value: T = zeroed();
        (&raw mut value).cast::<u32>().write(size_of::<T>() as u32);
        value
    }
}
