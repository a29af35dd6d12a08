//! Tests of the completions and the manual pages.

mod common;

use common::{create_folder, run_tteview};

#[test]
fn completions_know_the_commands_and_their_options() {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = run_tteview(["completions", shell]);
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{shell}");
        for word in ["classify", "tag", "roi", "new-uid"] {
            assert!(outcome.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = create_folder("man");
    let outcome = run_tteview(["man", "--out", folder.to_str().unwrap()]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    for name in ["tteview.1", "tteview-tag.1", "tteview-bench-latency.1"] {
        assert!(read(name).contains(".TH"), "{name}");
    }
    assert!(read("tteview-tag.1").contains("SOP Instance UID"));
}
