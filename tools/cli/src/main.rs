//! The program `tteview`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]

use clap::Parser;
use std::process::ExitCode;
use tteview_cli::{Arguments, run};

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("tteview: {}", failure.message);
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}
