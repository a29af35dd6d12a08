//! Tests that CMake's `find_package` finds the installed package only for compatible versions.

use crate::fetch::build_tools::{fetch_cmake, fetch_ninja};
use crate::files::create_empty_folder;
use crate::package::VERSION;
use crate::paths::{root, work_dir};
use crate::process::{Result, run};
use std::path::Path;

/// Checks that `find_package` accepts only compatible versions.
pub(super) fn check_versions(prefix: &Path) -> Result {
    let (accepted, refused) = list_versions(VERSION)?;
    let build = work_dir().join("find-package");
    create_empty_folder(&build)?;
    let mut cmake = fetch_cmake()?;
    cmake.args(["-G", "Ninja"]).arg(format!("-DCMAKE_MAKE_PROGRAM={}", fetch_ninja()?.display()));
    cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    cmake
        .arg(format!("-DACCEPTED={}", accepted.join(";")))
        .arg(format!("-DREFUSED={}", refused.join(";")));
    run(cmake.arg("-S").arg(root().join("xtask/src/hosts/find_package")).arg("-B").arg(&build))
}

/// Returns the requested versions that a package of this version must accept, and those that it
/// must refuse.
fn list_versions(version: &str) -> Result<(Vec<String>, Vec<String>)> {
    let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    let [major, minor, patch] = numbers[..] else {
        return Err(format!("the version of the package must have three numbers, got {version}"));
    };
    let mut accepted = vec![format!("{major}.{minor}"), version.to_owned()];
    let mut refused = vec![
        format!("{major}.{minor}.{}", patch + 1),
        format!("{major}.{}", minor + 1),
        format!("{}.0", major + 1),
    ];
    if minor > 0 {
        let older = format!("{major}.{}", minor - 1);
        if major == 0 { refused.push(older) } else { accepted.push(older) }
    }
    if major > 0 {
        refused.push(format!("{}.0", major - 1));
    }
    Ok((accepted, refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_versions_are_compatible_from_version_1() {
        let (accepted, refused) = list_versions("0.1.0").unwrap();
        assert_eq!(accepted, ["0.1", "0.1.0"]);
        assert_eq!(refused, ["0.1.1", "0.2", "1.0", "0.0"]);
        let (accepted, refused) = list_versions("2.3.4").unwrap();
        assert_eq!(accepted, ["2.3", "2.3.4", "2.2"]);
        assert_eq!(refused, ["2.3.5", "2.4", "3.0", "1.0"]);
    }
}
