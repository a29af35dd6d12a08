//! This test checks that the fixtures described in docs/stream-contract.md#fixtures are the output
//! of their generator.

use super::files::read_file;
use crate::fetch::python::python;
use crate::process::read_output;
use std::path::Path;

const GENERATOR: &str = "tests/contract/oracle.py";
const FIXTURES: &str = "tests/contract/stream_fixtures.json";

#[test]
fn generator_reproduces_the_fixtures_byte_for_byte() {
    let printed = read_output(python().arg(GENERATOR)).unwrap();
    let committed = read_file(Path::new(FIXTURES)).unwrap();
    let mut lines = printed.lines().zip(committed.lines()).enumerate();
    let different = lines.find(|(_, (printed, committed))| printed != committed);
    assert!(
        printed == committed,
        "{FIXTURES} differs from what {GENERATOR} prints, first in line {}",
        different.map_or(committed.lines().count() + 1, |(index, _)| index + 1)
    );
}
