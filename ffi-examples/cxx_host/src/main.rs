//! The Rust side of a C++ host: it only hands the arguments over.

// The C++ side calls it; without this line it would not be linked.
use tteview as _;

#[allow(unreachable_pub, reason = "written by the macro")]
#[cxx::bridge(namespace = "host")]
mod host {
    unsafe extern "C++" {
        include!("cxx-host/src/host.h");

        fn run(model: &str, cine: &str, frame_period_ns: i64) -> i32;
    }
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, cine, period] = &arguments[..] else {
        eprintln!("usage: cxx-host MODEL.onnx CINE.pnm FRAME_PERIOD_NS");
        return std::process::ExitCode::from(2);
    };
    let Ok(period) = period.parse() else {
        eprintln!("{period} is not a number of nanoseconds");
        return std::process::ExitCode::from(2);
    };
    if host::run(model, cine, period) == 0 {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}
