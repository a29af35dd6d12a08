//! The Rust side of a C++ host that builds with Cargo. It passes its command-line arguments to
//! the C++ side.

// The C++ side uses the functions `ttv_*` of this crate. Without this line, the crate would not be
// linked.
use tteview as _;

use std::ffi::{CString, c_char, c_int};
use std::process::ExitCode;

unsafe extern "C" {
    /// Labels the cine in the file `cine`. Returns 0 on success. `host.cc` defines this function.
    fn run_host(model: *const c_char, cine: *const c_char, frame_period_ns: i64) -> c_int;
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, cine, period] = &arguments[..] else {
        eprintln!("usage: cargo-host MODEL.onnx CINE.pnm FRAME_PERIOD_NS");
        return ExitCode::from(2);
    };
    let (Ok(model), Ok(cine), Ok(period)) =
        (CString::new(model.as_str()), CString::new(cine.as_str()), period.parse())
    else {
        eprintln!("FRAME_PERIOD_NS must be a number of nanoseconds, got {period}");
        return ExitCode::from(2);
    };
    // SAFETY: `host.cc` defines the function with this signature, and both strings outlive the
    // call.
    let status = unsafe { run_host(model.as_ptr(), cine.as_ptr(), period) };
    if status == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
