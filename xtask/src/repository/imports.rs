//! These tests check that the files of a crate do not import each other in a cycle, and that only
//! the crate root and files in `src/ffi` use `src/ffi`.
//!
//! `use` declarations and paths count as imports, but `mod` declarations and test modules do not.
//! An imported path resolves to the file of one module: the module whose own path is the longest
//! prefix of the imported path.

use super::files::{list_files, read_file};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree};

/// A module path, without `crate`.
type Module = Vec<String>;

/// The modules of a crate and their files.
struct Crate {
    modules: BTreeMap<Module, PathBuf>,
}

/// The source folder and the root file of each crate.
const CRATES: &[(&str, &str)] = &[
    ("src", "lib.rs"),
    ("tools/cli/src", "lib.rs"),
    ("tools/compiler/src", "lib.rs"),
    ("tools/phantom/src", "lib.rs"),
    ("xtask/src", "main.rs"),
];

impl Crate {
    fn find(folder: &str, root: &str) -> Self {
        let mut modules = BTreeMap::new();
        for file in list_files(&[".rs"]).unwrap() {
            let Ok(inner) = file.strip_prefix(folder) else { continue };
            let mut module: Module =
                inner.with_extension("").iter().map(|part| part.to_string_lossy().into()).collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            if inner == Path::new(root) {
                module.clear();
            }
            modules.insert(module, file);
        }
        Self { modules }
    }

    /// Returns the module whose path is the longest prefix of `path`.
    fn resolve(&self, path: &[String]) -> Option<Module> {
        (0..=path.len())
            .rev()
            .map(|length| path[..length].to_vec())
            .find(|m| self.modules.contains_key(m))
    }

    /// Returns the modules that each module imports.
    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let mut imports = BTreeMap::new();
        let test_modules = self.test_modules();
        for (module, file) in &self.modules {
            if test_modules.iter().any(|test| module.starts_with(test)) {
                continue;
            }
            let parsed = syn::parse_file(&read_file(file).unwrap()).unwrap();
            let mut paths = Paths { module: module.clone(), found: BTreeSet::new() };
            paths.visit_file(&parsed);
            let targets = paths.found.iter().filter_map(|path| self.resolve(path));
            let targets: BTreeSet<Module> = targets.filter(|target| target != module).collect();
            imports.insert(module.clone(), targets);
        }
        imports
    }

    /// Returns the modules that are declared with `#[cfg(test)]`.
    fn test_modules(&self) -> Vec<Module> {
        let mut found = Vec::new();
        for (module, file) in &self.modules {
            for item in syn::parse_file(&read_file(file).unwrap()).unwrap().items {
                if let Item::Mod(item) = item
                    && item.content.is_none()
                    && is_for_tests(&item.attrs)
                {
                    found.push([module.clone(), vec![item.ident.to_string()]].concat());
                }
            }
        }
        found
    }
}

/// Returns whether an item exists only in tests.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (condition == "test"
                || condition.contains("all (test")
                || condition.contains("(loom , test"))
    })
}

/// The paths in a file, relative to the root of the crate.
struct Paths {
    module: Module,
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    fn add(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first() else { return };
        let parent = &self.module[..self.module.len().saturating_sub(1)];
        let absolute = match first.as_str() {
            "crate" => rest.to_vec(),
            "self" => [&self.module, rest].concat(),
            "super" => {
                let ups = rest.iter().take_while(|part| *part == "super").count();
                let base = parent.len().saturating_sub(ups);
                [&parent[..base], &rest[ups..]].concat()
            }
            // The path begins with a child module or with some other name. In the second case, the
            // path resolves to this module and is left out.
            _ => return self.add_child(path),
        };
        self.found.insert(absolute);
    }

    fn add_child(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.found.insert([&self.module, path].concat());
        }
    }

    fn add_tree(&mut self, prefix: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_tree(prefix, &path.tree);
                prefix.pop();
            }
            UseTree::Name(name) => self.add(&[&prefix[..], &[name.ident.to_string()]].concat()),
            UseTree::Rename(name) => self.add(&[&prefix[..], &[name.ident.to_string()]].concat()),
            UseTree::Glob(_) => self.add(prefix),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(prefix, tree))
            }
        }
    }

    /// Adds those paths in a macro's arguments that begin with `crate`, `self` or `super`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            index += 1;
            match token {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Ident(first)
                    if ["crate", "self", "super"].iter().any(|name| first == name) =>
                {
                    let mut path = vec![first.to_string()];
                    while let Some(
                        [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(part)],
                    ) = tokens.get(index..index + 3)
                        && a.as_char() == ':'
                        && b.as_char() == ':'
                    {
                        path.push(part.to_string());
                        index += 3;
                    }
                    if path.len() > 1 {
                        self.add(&path);
                    }
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if is_for_tests(attributes) {
            return;
        }
        match item {
            Item::Use(item) => self.add_tree(&mut Vec::new(), &item.tree),
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if path.leading_colon.is_none() {
            self.add(&parts);
        }
        visit::visit_path(self, path);
    }

    /// Skips `pub(crate)` and `pub(super)`, which are not imports.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_tokens(item.tokens.clone());
    }
}

/// Returns the modules on a cycle, or `None` if the imports have no cycle.
fn find_cycle(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut finished = BTreeSet::new();
    let mut path = Vec::new();
    imports.keys().find_map(|module| visit_module(module, imports, &mut finished, &mut path))
}

fn visit_module(
    module: &Module,
    imports: &BTreeMap<Module, BTreeSet<Module>>,
    finished: &mut BTreeSet<Module>,
    path: &mut Vec<Module>,
) -> Option<Vec<Module>> {
    if let Some(start) = path.iter().position(|earlier| earlier == module) {
        return Some(path[start..].to_vec());
    }
    if finished.contains(module) {
        return None;
    }
    path.push(module.clone());
    let targets = imports.get(module).into_iter().flatten();
    let cycle = targets.into_iter().find_map(|next| visit_module(next, imports, finished, path));
    path.pop();
    finished.insert(module.clone());
    cycle
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    for (folder, root) in CRATES {
        let imports = Crate::find(folder, root).imports();
        assert!(imports.len() > 10, "{folder} has {} files", imports.len());
        if let Some(cycle) = find_cycle(&imports) {
            let names: Vec<String> =
                cycle.iter().map(|module| format!("crate::{}", module.join("::"))).collect();
            panic!("{folder}: {}", names.join(" -> "));
        }
    }
}

#[test]
fn only_the_c_abi_uses_the_c_abi() {
    let imports = Crate::find("src", "lib.rs").imports();
    let is_inside = |module: &Module| module.first().is_some_and(|first| first == "ffi");
    for (module, targets) in &imports {
        let uses = targets.iter().find(|target| is_inside(target));
        assert!(
            is_inside(module) || module.is_empty() || uses.is_none(),
            "{module:?} uses {uses:?}"
        );
    }
}

#[test]
fn a_cycle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let graph = |edges: &[(&str, &str)]| {
        let mut imports: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (from, to) in edges {
            imports.entry(module(from)).or_default().insert(module(to));
        }
        imports
    };
    assert_eq!(find_cycle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let cycle = find_cycle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")]));
    assert_eq!(cycle, Some(vec![module("b"), module("c")]));
}

#[test]
fn paths_are_resolved_from_their_module() {
    let source = "use crate::a::{B, c::D};\nuse super::e;\n#[cfg(test)]\nmod tests { use super::super::z; }\n\
                  fn f() { self::g::h(); let x = println!(\"{}\", crate::i::J); k::l(); }";
    let mut paths = Paths { module: vec!["m".into(), "n".into()], found: BTreeSet::new() };
    paths.visit_file(&syn::parse_file(source).unwrap());
    let found: Vec<String> = paths.found.iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a::B", "a::c::D", "i::J", "m::e", "m::n::g::h", "m::n::k::l"]);
}
