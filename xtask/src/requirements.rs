//! `docs/requirements.md` names tests: they must be there.

#[cfg(test)]
mod tests {
    use crate::process::root;

    /// The words in code font of a line, in order.
    fn in_code(line: &str) -> impl Iterator<Item = &str> {
        line.split('`').skip(1).step_by(2)
    }

    /// Tests named in the table that their file does not have, and files that are not there.
    fn missing(table: &str) -> Vec<String> {
        let mut missing = Vec::new();
        for line in table.lines().filter(|line| line.starts_with("| ")) {
            let mut text = String::new();
            for word in in_code(line) {
                if word.contains('/') {
                    text = std::fs::read_to_string(root().join(word)).unwrap_or_default();
                    if text.is_empty() {
                        missing.push(word.to_owned());
                    }
                } else if word.contains('_') && !text.contains(&format!("fn {word}(")) {
                    missing.push(word.to_owned());
                }
            }
        }
        missing
    }

    #[test]
    fn every_test_that_the_requirements_name_is_there() {
        let table = std::fs::read_to_string(root().join("docs/requirements.md")).unwrap();
        assert_eq!(missing(&table), Vec::<String>::new());
        assert!(table.lines().filter(|line| line.starts_with("| ")).count() > 25);
    }

    #[test]
    fn a_test_or_a_file_that_is_gone_is_noticed() {
        assert_eq!(missing("| a | `tests/soak.rs` `no_such_test` |"), ["no_such_test"]);
        assert_eq!(missing("| a | `tests/gone.rs` |"), ["tests/gone.rs"]);
    }
}
