//! The oldest glibc and libstdc++ that linked programs run with.

use crate::platform::CROSS;
use crate::process::{Result, command, read};
use std::path::PathBuf;

/// Newest symbol versions of the libstdc++ of Ubuntu 22.04 (GCC 12).
const LIBSTDCXX: [(&str, &str); 2] = [("GLIBCXX", "3.4.30"), ("CXXABI", "1.3.13")];

/// Fails if a program needs a symbol version beyond the floor; says what is the newest needed.
pub(super) fn check(programs: &[PathBuf], glibc: &str) -> Result<String> {
    let mut listing = String::new();
    for program in programs {
        let needed = read(command(format!("{CROSS}readelf"), ["-W", "--version-info"]).arg(program))?;
        judge(&needed, glibc).map_err(|beyond| format!("{} needs {beyond}", program.display()))?;
        listing += &needed;
    }
    judge(&listing, glibc)
}

/// The newest version of each library, as far as none is beyond what is there.
fn judge(listing: &str, glibc: &str) -> Result<String> {
    let mut found = Vec::new();
    for (library, limit) in LIBSTDCXX.into_iter().chain([("GLIBC", glibc)]) {
        let mark = format!("Name: {library}_");
        let versions = listing.split(&mark).skip(1).filter_map(|rest| rest.split_whitespace().next());
        let Some(newest) = versions.max_by_key(|version| numbers(version)) else { continue };
        if numbers(newest) > numbers(limit) {
            return Err(format!("{library}_{newest}, and {library}_{limit} is the newest that is there"));
        }
        found.push(format!("{library} {newest} of {limit}"));
    }
    if found.is_empty() {
        Err("no symbol versions at all: not a linked program".into())
    } else {
        Ok(found.join(", "))
    }
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: &str = "
      0x0010:   Name: GLIBC_2.17  Flags: none  Version: 4
      0x0020:   Name: GLIBC_2.4  Flags: none  Version: 5
      0x0030:   Name: GLIBCXX_3.4.30  Flags: none  Version: 2";

    #[test]
    fn versions_are_compared_by_number_and_the_newest_is_named() {
        assert_eq!(judge(NEEDS, "2.35").unwrap(), "GLIBCXX 3.4.30 of 3.4.30, GLIBC 2.17 of 2.35");
    }

    #[test]
    fn a_version_beyond_the_floor_is_an_error_that_names_it() {
        assert!(judge("Name: GLIBC_2.36  Flags", "2.35").unwrap_err().starts_with("GLIBC_2.36"));
        assert!(judge("Name: GLIBCXX_3.4.31 F", "2.35").unwrap_err().starts_with("GLIBCXX_3.4.31"));
    }

    #[test]
    fn a_file_without_versions_does_not_pass() {
        assert!(judge("", "2.35").is_err());
    }
}
