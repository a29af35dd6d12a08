//! These tests check that no function's name is a participle, and that test names have at most 60
//! characters.

use super::files::{list_files, read_file};
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemImpl, TraitItemFn};

const TEST_NAME_LENGTH: usize = 60;

/// Irregular participles. Forms that are also present-tense verbs, such as `read`, are left out.
const PARTICIPLES: &[&str] = &[
    "begun", "bound", "broken", "brought", "built", "chosen", "done", "drawn", "driven", "found",
    "given", "gone", "held", "hidden", "kept", "known", "left", "lost", "made", "met", "paid",
    "said", "seen", "sent", "shown", "spoken", "stood", "taken", "thought", "told", "written",
];

/// Words that end like participles but are verbs, nouns or adjectives.
const OTHER_WORDS: &[&str] = &[
    "bed", "embed", "exceed", "feed", "need", "proceed", "red", "seed", "shed", "signed", "speed",
    "succeed", "unsigned", "weighted",
];

/// Prepositions that can follow a participle. Any other word after a participle is a noun that the
/// participle describes, as in `stacked_inputs`.
const PREPOSITIONS: &[&str] =
    &["as", "at", "beyond", "by", "for", "from", "in", "into", "of", "on", "to", "with"];

/// Returns whether a name is a participle, either alone or followed by a preposition.
fn is_participle(name: &str) -> bool {
    let mut words = name.trim_start_matches('_').split('_');
    let first = words.next().unwrap_or_default();
    let is_participle = PARTICIPLES.contains(&first) || first.ends_with("ed");
    is_participle
        && !OTHER_WORDS.contains(&first)
        && words.next().is_none_or(|second| PREPOSITIONS.contains(&second))
}

/// The names of the functions and tests in a file.
#[derive(Default)]
struct Names {
    functions: Vec<String>,
    tests: Vec<String>,
}

impl Names {
    fn add(&mut self, name: &syn::Ident, attributes: &[Attribute]) {
        let is_test = attributes.iter().any(|attribute| {
            attribute.path().segments.last().is_some_and(|last| last.ident == "test")
        });
        if is_test {
            self.tests.push(name.to_string())
        } else {
            self.functions.push(name.to_string())
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.add(&item.sig.ident, &item.attrs);
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        // The names in a trait implementation come from the trait, so they are not checked here.
        if item.trait_.is_none() {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.add(&item.sig.ident, &item.attrs);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.add(&item.sig.ident, &item.attrs);
        visit::visit_trait_item_fn(self, item);
    }
}

fn collect_names(source: &str) -> Names {
    let mut names = Names::default();
    names.visit_file(&syn::parse_file(source).expect("the file compiles"));
    names
}

/// Returns the names of the functions in a Python file, except tests.
fn collect_python_functions(source: &str) -> Vec<String> {
    let definitions = source.lines().filter_map(|line| line.trim_start().strip_prefix("def "));
    let names = definitions.filter_map(|rest| rest.split('(').next());
    names.filter(|name| !name.starts_with("test_")).map(str::to_owned).collect()
}

fn functions_of(file: &Path, source: &str) -> Vec<String> {
    if file.extension().is_some_and(|end| end == "py") {
        collect_python_functions(source)
    } else {
        collect_names(source).functions
    }
}

#[test]
fn no_function_is_named_by_a_participle() {
    let mut problems = Vec::new();
    for file in list_files(&[".rs", ".py"]).unwrap() {
        let functions = functions_of(&file, &read_file(&file).unwrap());
        let named = functions.into_iter().filter(|name| is_participle(name));
        problems.extend(named.map(|name| format!("{}: {name}", file.display())));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn names_of_tests_have_at_most_60_characters() {
    let mut problems = Vec::new();
    for file in list_files(&[".rs"]).unwrap() {
        let tests = collect_names(&read_file(&file).unwrap()).tests;
        let long = tests.into_iter().filter(|name| name.len() > TEST_NAME_LENGTH);
        problems.extend(long.map(|name| format!("{}: {name}", file.display())));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn participles_are_told_from_verbs() {
    for participle in ["made", "loaded_from_file", "kept", "_registered"] {
        assert!(is_participle(participle), "{participle}");
    }
    for name in ["load", "read_entry", "is_loaded", "seed", "run", "set_label", "stacked_inputs"] {
        assert!(!is_participle(name), "{name}");
    }
}
