//! Checks which versions of glibc and libstdc++ the linked programs need.

use crate::platform::CROSS_PREFIX;
use crate::process::{Result, command, read_output};
use std::path::PathBuf;

/// The newest symbol versions in the libstdc++ of Ubuntu 22.04 (GCC 12).
const LIBSTDCXX: [(&str, &str); 2] = [("GLIBCXX", "3.4.30"), ("CXXABI", "1.3.13")];

/// Returns the newest symbol versions that the programs need, or an error if a program needs a
/// newer version than the board has.
pub(super) fn check_programs(programs: &[PathBuf], glibc: &str) -> Result<String> {
    let mut listings = String::new();
    for program in programs {
        let mut readelf = command(format!("{CROSS_PREFIX}readelf"), ["-W", "--version-info"]);
        let listing = read_output(readelf.arg(program))?;
        check_listing(&listing, glibc)
            .map_err(|message| format!("{}: {message}", program.display()))?;
        listings += &listing;
    }
    check_listing(&listings, glibc)
}

/// Returns the newest version of each library in the output of readelf, or an error if a version
/// exceeds its limit.
fn check_listing(listing: &str, glibc: &str) -> Result<String> {
    let mut newest_versions = Vec::new();
    for (library, limit) in LIBSTDCXX.into_iter().chain([("GLIBC", glibc)]) {
        let mark = format!("Name: {library}_");
        let versions =
            listing.split(&mark).skip(1).filter_map(|rest| rest.split_whitespace().next());
        let Some(newest) = versions.max_by_key(|version| parse_numbers(version)) else { continue };
        if parse_numbers(newest) > parse_numbers(limit) {
            return Err(format!("{library} symbols must be {limit} or older, got {newest}"));
        }
        newest_versions.push(format!("{library} {newest} of {limit}"));
    }
    if newest_versions.is_empty() {
        Err("the file has no symbol versions; it is not a linked program".into())
    } else {
        Ok(newest_versions.join(", "))
    }
}

fn parse_numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "
      0x0010:   Name: GLIBC_2.17  Flags: none  Version: 4
      0x0020:   Name: GLIBC_2.4  Flags: none  Version: 5
      0x0030:   Name: GLIBCXX_3.4.30  Flags: none  Version: 2";

    #[test]
    fn newest_version_is_found_by_number() {
        let versions = check_listing(LISTING, "2.35").unwrap();
        assert_eq!(versions, "GLIBCXX 3.4.30 of 3.4.30, GLIBC 2.17 of 2.35");
    }

    #[test]
    fn version_newer_than_the_board_is_an_error() {
        let error = check_listing("Name: GLIBC_2.36  Flags", "2.35").unwrap_err();
        assert_eq!(error, "GLIBC symbols must be 2.35 or older, got 2.36");
        assert!(check_listing("Name: GLIBCXX_3.4.31 F", "2.35").unwrap_err().contains("3.4.31"));
    }

    #[test]
    fn file_without_symbol_versions_is_an_error() {
        assert!(check_listing("", "2.35").is_err());
    }
}
