//! Checks of the library with fewer and with more features than the default set.

use crate::package::archive::EXPORT_PREFIX;
use crate::paths::target_dir;
use crate::process::{Result, cargo, command, read_output, run};

/// Sets of features that replace the default ones. Each set except the last has one backend, and
/// the last set leaves out the C ABI.
const FEATURES: [&str; 4] = ["capi,ort", "capi,rten", "capi,tensorrt-rtx", WITHOUT_C_ABI];

/// The default features except `capi`.
const WITHOUT_C_ABI: &str = "ort,rten";

/// The function of the crate `log` that sets the logger of the process.
const SET_LOGGER: &str = "set_logger";

/// Runs the step `features`.
pub(super) fn check_features() -> Result {
    for features in FEATURES {
        let options = "clippy -p tteview --all-targets --no-default-features --features";
        run(cargo(options).args([features, "--", "-D", "warnings"]))?;
    }
    run(&mut cargo("clippy -p tteview-cli --all-targets --features tensorrt-rtx -- -D warnings"))?;
    run(&mut cargo("clippy -p tteview-cli --no-default-features -- -D warnings"))?;
    check_c_abi_is_optional()
}

/// Checks that the library exports the C ABI and sets the logger of the process if it is built with
/// the feature `capi`, and otherwise does neither. A Rust host sets its own logger.
fn check_c_abi_is_optional() -> Result {
    let with = list_c_abi_symbols(&format!("capi,{WITHOUT_C_ABI}"))?;
    for name in [EXPORT_PREFIX, SET_LOGGER] {
        if !with.iter().any(|symbol| symbol.contains(name)) {
            return Err(format!("the library with the feature capi must use {name}, but does not"));
        }
    }
    let without = list_c_abi_symbols(WITHOUT_C_ABI)?;
    if without.is_empty() {
        Ok(())
    } else {
        Err(format!("the library without the feature capi must not use {}", without.join(", ")))
    }
}

/// Builds the Rust library with these features and returns the C ABI symbols that the library
/// defines or uses.
fn list_c_abi_symbols(features: &str) -> Result<Vec<String>> {
    run(cargo("build -p tteview --no-default-features --features").arg(features))?;
    let library = target_dir().join("debug/libtteview.rlib");
    let listing = read_output(command("nm", ["--quiet", "--format=posix"]).arg(library))?;
    Ok(find_c_abi_symbols(&listing))
}

/// Returns the C ABI symbols in the output of nm.
fn find_c_abi_symbols(listing: &str) -> Vec<String> {
    let symbols = listing.lines().filter_map(|line| line.split_whitespace().next());
    let is_c_abi = |symbol: &&str| symbol.starts_with(EXPORT_PREFIX) || symbol.contains(SET_LOGGER);
    symbols.filter(is_c_abi).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_and_the_logger_are_symbols_of_the_c_abi() {
        let listing = "a.rlib[x.o]:\nttv_engine_create T 0 10\n_ZN3log10set_logger17h0E U\n\
                       _ZN7tteview6engine17h0E T 20 30\n";
        assert_eq!(find_c_abi_symbols(listing), ["ttv_engine_create", "_ZN3log10set_logger17h0E"]);
    }
}
